package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// hostRecord says what the machine was like before a cluster with nodes.
// It lies outside the state folder, so that it is found whatever happened to
// that, and on a file system that a reboot empties, which undoes the rest too.
type hostRecord struct {
	Owner   string            // the state folder
	Sysctls map[string]string // file below /proc/sys → value
	Absent  []string          // of fixedPaths
	Netns   bool              // netnsDir was a mount point already
}

func hostRecordFile() string { return filepath.Join(runDir, "host.json") }

// sysctls are what the kubelet sets for the whole machine.
func sysctls() []string {
	return []string{"kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
		"vm/overcommit_memory", "vm/panic_on_oom"}
}

// fixedPaths are what kubelet, containerd, runc, iptables, CNI and iproute2
// make at places that no flag moves; children come before their parents.
func fixedPaths() []string {
	return []string{
		"/var/lib/cni/results", "/var/lib/cni/cache", "/var/lib/cni",
		"/var/lib/kubelet/device-plugins", "/var/lib/kubelet",
		"/var/log/containers", "/var/log/pods",
		"/run/containerd/s", "/run/containerd/fifo", "/run/containerd",
		"/run/xtables.lock", netnsDir,
	}
}

// prepareHost makes what the nodes need of the machine, after a record of what
// to restore. Without nodes it does nothing.
func (c *Cluster) prepareHost(ctx context.Context) error {
	nodes := c.state.Tier.nodes()
	if len(nodes) == 0 {
		return nil
	}
	if err := recordHost(c.dir); err != nil {
		return err
	}
	if err := setUpNetwork(ctx, nodes); err != nil {
		return fmt.Errorf("set up network: %w", err)
	}
	for _, n := range nodes {
		if err := makeCgroups(n.Name); err != nil {
			return err
		}
	}
	c.say("network and cgroups made")
	return nil
}

// recordHost claims the machine for the cluster in owner.
func recordHost(owner string) error {
	if r, err := readHostRecord(); err == nil {
		return fmt.Errorf("claim machine: a cluster with nodes is there already (lab down --dir %s ends it)", r.Owner)
	}
	r := hostRecord{Owner: owner, Sysctls: map[string]string{}}
	for _, name := range sysctls() {
		b, err := os.ReadFile("/proc/sys/" + name)
		if err != nil {
			return fmt.Errorf("read sysctl: %w", err)
		}
		r.Sysctls[name] = strings.TrimSpace(string(b))
	}
	for _, path := range fixedPaths() {
		if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
			r.Absent = append(r.Absent, path)
		}
	}
	mounts, err := mountsBelow(netnsDir)
	if err != nil {
		return err
	}
	r.Netns = slices.Contains(mounts, netnsDir)
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode host record: %w", err)
	}
	if err := os.MkdirAll(runDir, 0o700); err != nil {
		return fmt.Errorf("make %s: %w", runDir, err)
	}
	return createExclusive(hostRecordFile(), b)
}

func readHostRecord() (hostRecord, error) {
	var r hostRecord
	b, err := os.ReadFile(hostRecordFile())
	if err != nil {
		return r, fmt.Errorf("read host record: %w", err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("decode host record: %w", err)
	}
	return r, nil
}

// restoreHost undoes prepareHost and what the nodes did since, if the cluster
// in owner has nodes. Its processes have ended. Steps that fail do not keep
// the others from being taken; the record goes last, so that all can be tried
// again.
func restoreHost(ctx context.Context, owner string) error {
	r, err := readHostRecord()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if r.Owner != owner {
		return nil
	}
	var errs []error
	for _, n := range TwoNodes.nodes() {
		errs = append(errs, removeCgroups(ctx, n.Name))
	}
	sockets := shimSockets() // needs the runtime's folders
	errs = append(errs, unmountBelow(runDir), removeNetwork(ctx))
	for _, n := range TwoNodes.nodes() {
		errs = append(errs, unmountBelow(filepath.Join(owner, n.Name)))
	}
	for name, value := range r.Sysctls {
		errs = append(errs, os.WriteFile("/proc/sys/"+name, []byte(value), 0))
	}
	errs = append(errs, removeFixed(r, sockets))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("restore machine: %w", err)
	}
	if err := os.RemoveAll(runDir); err != nil {
		return fmt.Errorf("remove %s: %w", runDir, err)
	}
	return nil
}

// removeFixed removes our things at fixed places, and those places that were
// not there before as far as nothing of others is in them.
func removeFixed(r hostRecord, sockets []string) error {
	ours := sockets
	for _, dir := range []string{"/var/lib/cni/results", "/var/lib/cni/cache/results"} {
		for _, n := range TwoNodes.nodes() {
			found, _ := filepath.Glob(filepath.Join(dir, cgroupName(n.Name)+"-*")) // the pattern is good
			for _, f := range found {
				id := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(f), cgroupName(n.Name)+"-"), "-eth0")
				ours = append(ours, f, filepath.Join(dir, "cni-loopback-"+id+"-lo"))
			}
		}
	}
	logs, _ := filepath.Glob("/var/log/containers/*.log")
	for _, l := range logs {
		if target, err := os.Readlink(l); err == nil && strings.HasPrefix(target, r.Owner+"/") {
			ours = append(ours, l)
		}
	}
	if slices.Contains(r.Absent, "/var/lib/kubelet/device-plugins") {
		left, _ := filepath.Glob("/var/lib/kubelet/device-plugins/*")
		ours = append(ours, left...)
	}
	if !r.Netns {
		// iproute2 mounts the folder onto itself at its first use.
		_ = syscall.Unmount(netnsDir, 0) // busy: others use it by now
	}
	var errs []error
	for _, path := range slices.Concat(ours, r.Absent) {
		err := os.Remove(path)
		if !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EBUSY) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// shimSockets returns the sockets of our containers' shims. Their names are
// hashes of containerd's address, its namespace and the container's id.
func shimSockets() []string {
	var sockets []string
	for _, n := range TwoNodes.nodes() {
		tasks, _ := filepath.Glob(filepath.Join(runDir, n.Name, "containerd/io.containerd.runtime.v2.task/*/*"))
		for _, task := range tasks {
			key := filepath.Join(containerdSocket(n), filepath.Base(filepath.Dir(task)), filepath.Base(task))
			sockets = append(sockets, fmt.Sprintf("/run/containerd/s/%x", sha256.Sum256([]byte(key))))
		}
	}
	return sockets
}

func cgroupName(node string) string { return prefix + "-" + node }

// cgroupRoots returns every cgroup hierarchy that is mounted and writable: one
// with cgroup v2, about ten with v1, and a v2 beside them in hybrid mode.
func cgroupRoots() []string {
	var roots []string
	candidates, _ := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.procs"); err == nil {
		candidates = []string{"/sys/fs/cgroup/cgroup.procs"}
	}
	for _, procs := range candidates {
		if syscall.Access(procs, 2 /* W_OK */) == nil {
			roots = append(roots, filepath.Dir(procs))
		}
	}
	return roots
}

// makeCgroups makes the node's cgroup in every hierarchy: the kubelet wants
// its root to exist in all of them.
func makeCgroups(node string) error {
	for _, root := range cgroupRoots() {
		dir := filepath.Join(root, cgroupName(node))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("make cgroup: %w", err)
		}
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			b, err := os.ReadFile(filepath.Join(root, name))
			if err != nil || len(strings.TrimSpace(string(b))) == 0 {
				continue // not the cpuset hierarchy
			}
			// In v1 a new cpuset is empty and takes no process.
			if err := os.WriteFile(filepath.Join(dir, name), b, 0); err != nil {
				return fmt.Errorf("fill cpuset: %w", err)
			}
		}
	}
	return nil
}

// removeCgroups ends every process in the node's cgroups and removes them.
func removeCgroups(ctx context.Context, node string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		left := 0
		for _, root := range cgroupRoots() {
			dirs := cgroupsBelow(filepath.Join(root, cgroupName(node)))
			for _, dir := range dirs {
				endCgroup(dir)
				if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
					left++ // a process takes a moment to end
				}
			}
		}
		if left == 0 {
			return nil
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("remove %d cgroups of %s: %w", left, node, err)
		}
	}
}

// cgroupsBelow returns dir and the cgroups in it, children first.
func cgroupsBelow(dir string) []string {
	var dirs []string
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return nil // what vanishes meanwhile need not be removed
	})
	slices.Reverse(dirs)
	return dirs
}

// endCgroup kills the processes of one cgroup; frozen ones are thawed, or
// they would not end.
func endCgroup(dir string) {
	for file, value := range map[string]string{"freezer.state": "THAWED", "cgroup.freeze": "0"} {
		if _, err := os.Stat(filepath.Join(dir, file)); err == nil {
			_ = os.WriteFile(filepath.Join(dir, file), []byte(value), 0)
		}
	}
	b, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	for pid := range strings.FieldsSeq(string(b)) {
		var n int
		if _, err := fmt.Sscan(pid, &n); err == nil && n > 1 {
			_ = syscall.Kill(n, syscall.SIGKILL)
		}
	}
}

// mountsBelow returns the mount points at and below dir, the last mounted
// first.
func mountsBelow(dir string) ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return mountPoints(string(b), dir), nil
}

// mountPoints reads mountinfo (proc_pid_mountinfo(5)): the fifth field, with
// blanks and the like as octal escapes.
func mountPoints(mountinfo, dir string) []string {
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var found []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := unescape.Replace(fields[4])
		if point == dir || strings.HasPrefix(point, dir+"/") {
			found = append(found, point)
		}
	}
	slices.Reverse(found)
	return found
}

// unmountBelow unmounts all at and below dir, at once from the tree's view and
// for good when the last user ends.
func unmountBelow(dir string) error {
	points, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for _, point := range points {
		if err := syscall.Unmount(point, syscall.MNT_DETACH|umountNoFollow); err != nil && !errors.Is(err, syscall.EINVAL) {
			return fmt.Errorf("unmount %s: %w", point, err)
		}
	}
	return nil
}

// umountNoFollow is UMOUNT_NOFOLLOW of umount2(2).
const umountNoFollow = 8
