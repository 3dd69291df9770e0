package smoke

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// trace is what a cluster could leave on a machine, one line per thing. Two
// traces of a quiet machine are equal.
type trace map[string]bool

// newTrace looks at the machine. Of processes it takes those that have to do
// with the cluster in dir or with any cluster's nodes: others come and go.
func newTrace(dir string) trace {
	t := trace{}
	t.mounts()
	t.processes(dir)
	t.glob("network namespace", "/run/netns/*")
	t.glob("link", "/sys/class/net/*")
	t.glob("cgroup", "/sys/fs/cgroup/mlab*")
	t.glob("cgroup", "/sys/fs/cgroup/*/mlab*")
	for _, root := range []string{"/run/mlab", "/run/netns", "/run/containerd", "/run/xtables.lock", "/var/lib/cni",
		"/var/lib/kubelet", "/var/log/containers", "/var/log/pods", "/etc/cni", "/etc/kubernetes", "/usr/libexec/kubernetes", "/opt/containerd"} {
		t.tree(root)
	}
	for _, root := range []string{"/proc/sys/kernel", "/proc/sys/vm", "/proc/sys/net"} {
		t.sysctls(root)
	}
	t.lines("route", "/proc/net/route")
	t.output("nft", "list", "ruleset")
	if left, err := os.ReadDir(dir); err == nil && len(left) > 0 {
		t.add("state folder", dir)
	}
	return t
}

// compare returns an error that names what differs.
func compare(before, after trace) error {
	left := after.left(before)
	if len(left) == 0 {
		return nil
	}
	return fmt.Errorf("compare machine with before: %d differences:\n%s", len(left), strings.Join(left, "\n"))
}

// left returns what is in t and was not in before, and what is gone, sorted.
func (t trace) left(before trace) []string {
	var diff []string
	for line := range t {
		if !before[line] {
			diff = append(diff, "new: "+line)
		}
	}
	for line := range before {
		if !t[line] {
			diff = append(diff, "gone: "+line)
		}
	}
	slices.Sort(diff)
	return diff
}

func (t trace) add(kind, thing string) { t[kind+" "+thing] = true }

func (t trace) mounts() {
	b, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 {
			t.add("mount", f[4]) // without the ids, which are new each time
		}
	}
}

func (t trace) processes(dir string) {
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range dirs {
		if p == fmt.Sprintf("/proc/%d", os.Getpid()) {
			continue
		}
		environ, _ := os.ReadFile(p + "/environ")
		cgroup, _ := os.ReadFile(p + "/cgroup")
		cmdline, _ := os.ReadFile(p + "/cmdline")
		if len(cmdline) == 0 {
			continue // a kernel thread, or has ended and waits for PID 1 to notice
		}
		if strings.Contains(string(environ), "MERLON_LAB_PROCESS=") && strings.Contains(string(environ), "@"+dir) ||
			strings.Contains(string(cgroup), "/mlab-") || strings.Contains(string(cmdline), "/run/mlab/") {
			t.add("process", filepath.Base(p)+" "+strings.ReplaceAll(string(cmdline), "\x00", " "))
		}
	}
}

func (t trace) glob(kind, pattern string) {
	found, _ := filepath.Glob(pattern) // the pattern is good
	for _, path := range found {
		t.add(kind, path)
	}
}

func (t trace) tree(root string) {
	_ = filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			t.add("file", path)
		}
		return nil // what cannot be read is not there, before and after
	})
}

// sysctls takes every setting that does not change by itself.
func (t trace) sysctls(root string) {
	counters := []string{"random", "ns_last_pid", "pty/nr", "netfilter/nf_conntrack_count", "conf/veth", "conf/mlab", "neigh/mlab"}
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || slices.ContainsFunc(counters, func(c string) bool { return strings.Contains(path, c) }) {
			return nil
		}
		if info, err := d.Info(); err != nil || info.Mode()&0o200 == 0 {
			return nil // read only: a counter
		}
		if b, err := os.ReadFile(path); err == nil {
			t.add("sysctl", path+"="+strings.TrimSpace(string(b)))
		}
		return nil
	})
}

func (t trace) lines(kind, file string) {
	b, _ := os.ReadFile(file)
	for line := range strings.Lines(string(b)) {
		t.add(kind, strings.TrimSpace(line))
	}
}

// output adds the lines a command prints; without the command there is nothing
// it could show.
func (t trace) output(argv ...string) {
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	if err != nil {
		return
	}
	for line := range strings.Lines(string(out)) {
		t.add(argv[0], strings.TrimSpace(line))
	}
}
