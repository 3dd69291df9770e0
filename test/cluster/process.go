package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// marker is the environment variable, program@folder, that every process of a
// cluster carries. Processes are found by it and not by a recorded pid: it
// holds after a crash before the pid was written, it is inherited by
// containerd's shims, and no reused pid can be taken for ours.
const marker = "MERLON_LAB_PROCESS"

// program is one process of the cluster.
type program struct {
	name  string // "kubelet-n1": also the name of its log
	node  string // whose network namespace it runs in; empty for the machine's
	argv  []string
	extra string // key of Config.Args
}

// programs lists what the tier runs, in no particular order.
func (c *Cluster) programs() []program {
	var node string
	if len(c.state.Tier.nodes()) > 0 {
		node = c.state.Tier.nodes()[0].Name
	}
	ps := []program{
		{name: "etcd", node: node, argv: c.etcdArgs()},
		{name: "kube-apiserver", node: node, argv: c.apiServerArgs()},
		{name: "kube-controller-manager", node: node, argv: c.controllerManagerArgs()},
		{name: "kube-scheduler", node: node, argv: c.schedulerArgs()},
	}
	for i := range ps {
		ps[i].extra = ps[i].name
		ps[i].argv[0] = filepath.Join(c.state.Programs, ps[i].name)
	}
	for _, n := range c.state.Tier.nodes() {
		ps = append(ps, c.nodePrograms(n)...)
	}
	return ps
}

func (c *Cluster) program(name string) (program, error) {
	var names []string
	for _, p := range c.programs() {
		if p.name == name {
			return p, nil
		}
		names = append(names, p.name)
	}
	return program{}, fmt.Errorf("find program %q: the cluster has %s", name, strings.Join(names, ", "))
}

// Start starts one program of the cluster, by default with the flags it has in
// Up; extra flags are added for this run. It does not wait for it to be ready.
func (c *Cluster) Start(name string, extra ...string) error {
	p, err := c.program(name)
	if err != nil {
		return err
	}
	return c.start(p, slices.Concat(p.argv, c.state.Args[p.extra], extra))
}

// StartWith starts one program that is stopped with these flags and no others.
func (c *Cluster) StartWith(name string, flags ...string) error {
	p, err := c.program(name)
	if err != nil {
		return err
	}
	return c.start(p, append([]string{p.argv[0]}, flags...))
}

func (c *Cluster) start(p program, argv []string) error {
	name := p.name
	running, err := c.running(p)
	if err != nil {
		return err
	}
	if len(running) > 0 {
		return fmt.Errorf("start %s: it runs already", name)
	}
	if p.node != "" {
		// nsenter and not "ip netns exec": that one mounts /sys anew and
		// loses the cgroup hierarchies. It execs, so the pid is the program's.
		argv = append([]string{"nsenter", "--net=" + netnsPath(p.node), "--"}, argv...)
	}
	log, err := os.OpenFile(filepath.Join(c.logs(), name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), marker+"="+name+"@"+c.dir)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // outlives us and our terminal
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	c.children[name] = cmd
	return nil
}

// Stop ends one program: gently, or with SIGKILL when now is true or it takes
// more than 10 s. Pods of a stopped kubelet or containerd go on running.
func (c *Cluster) Stop(ctx context.Context, name string, now bool) error {
	p, err := c.program(name)
	if err != nil {
		return err
	}
	sig, deadline := syscall.SIGTERM, time.Now().Add(10*time.Second)
	var ending []int // they lose their environment first, their sockets later
	for {
		running, err := c.running(p)
		if err != nil {
			return err
		}
		ending = append(slices.DeleteFunc(ending, func(pid int) bool { return !alive(pid) || slices.Contains(running, pid) }), running...)
		if len(ending) == 0 {
			break
		}
		if now || time.Now().After(deadline) {
			sig = syscall.SIGKILL
		}
		for _, pid := range running {
			signalProcess(pid, c.dir, sig)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("stop %s: %w", name, err)
		}
	}
	if cmd := c.children[name]; cmd != nil {
		_ = cmd.Wait() // its exit status is our signal
		delete(c.children, name)
	}
	return nil
}

// reap waits for the ended processes that this process started, so that they
// do not stay as zombies.
func (c *Cluster) reap() {
	for name, cmd := range c.children {
		_ = cmd.Wait()
		delete(c.children, name)
	}
}

// running returns the pids of the program itself, without children that
// inherited its marker (shims).
func (c *Cluster) running(p program) ([]int, error) {
	all, err := processes(c.dir)
	if err != nil {
		return nil, err
	}
	var pids []int
	for pid, name := range all {
		if name != p.name {
			continue
		}
		first, _, _ := bytes.Cut(readProc(pid, "cmdline"), []byte{0})
		if base := filepath.Base(string(first)); base == filepath.Base(p.argv[0]) || base == "nsenter" {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids, nil
}

// processes returns pid and program name of every living process that carries
// the marker of the cluster in dir. Other users' processes are not visible.
func processes(dir string) (map[int]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	found := map[int]string{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if name, ok := markedAs(pid, dir); ok {
			found[pid] = name
		}
	}
	return found, nil
}

// markedAs reads the marker from the process's environment. A process that
// ended, a zombie and one we may not look at have none.
func markedAs(pid int, dir string) (name string, ok bool) {
	for v := range bytes.SplitSeq(readProc(pid, "environ"), []byte{0}) {
		if value, ok := bytes.CutPrefix(v, []byte(marker+"=")); ok {
			name, in, _ := strings.Cut(string(value), "@")
			return name, in == dir
		}
	}
	return "", false
}

// readProc reads a process's environ or cmdline; empty when it has ended.
// Both are empty for a moment while a process execs another program, which
// must not be taken for its end: only those without an executable (zombies,
// kernel threads) are believed at once.
func readProc(pid int, file string) []byte {
	for range 10 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil || len(b) > 0 {
			return b
		}
		if _, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)); err != nil {
			return nil
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

// signalProcess signals a process of the cluster in dir. The process is held
// (by pidfd) before it is checked, so the pid cannot be reused in between.
func signalProcess(pid int, dir string, sig os.Signal) {
	p, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	defer p.Release()
	if _, ours := markedAs(pid, dir); ours {
		_ = p.Signal(sig) // an error means that it has just ended
	}
}

// killProcesses ends every process of the cluster at once. Nothing is asked
// to end gently: the state is thrown away, and the API server alone would take
// up to a minute.
func killProcesses(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		left, err := processes(dir)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
		for pid := range left {
			signalProcess(pid, dir, syscall.SIGKILL)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return fmt.Errorf("end processes %v: %w", left, err)
		}
	}
}

// sleep waits d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// poll calls done until it returns true. Its last error explains a timeout.
func poll(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for {
		ok, err := done(ctx)
		var fatal *endedError
		if errors.As(err, &fatal) {
			return fmt.Errorf("wait for %s: %w", what, err)
		}
		if ok {
			return nil
		}
		if end := sleep(ctx, 100*time.Millisecond); end != nil {
			return fmt.Errorf("wait for %s: %w", what, errors.Join(end, err))
		}
	}
}

// endedError says that a program ended that was waited for.
type endedError struct{ name string }

func (e *endedError) Error() string { return e.name + " ended" }

// checkRunning returns an endedError for the first named program that ended.
func (c *Cluster) checkRunning(names ...string) error {
	for _, name := range names {
		p, err := c.program(name)
		if err != nil {
			return err
		}
		if cmd := c.children[name]; cmd != nil {
			// Just started, it may have no environment yet to be known by.
			if !alive(cmd.Process.Pid) {
				return &endedError{name}
			}
			continue
		}
		running, err := c.running(p)
		if err != nil {
			return err
		}
		if len(running) == 0 {
			return &endedError{name}
		}
	}
	return nil
}

// alive reports whether a process that was not waited for runs still.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	// The name, in parentheses, may hold anything; the state follows it.
	rest := bytes.TrimLeft(b[bytes.LastIndexByte(b, ')')+1:], " ")
	return len(rest) > 0 && rest[0] != 'Z' && rest[0] != 'X'
}

// logTails returns the last lines of each program's log, for an error message.
func (c *Cluster) logTails() string {
	var out strings.Builder
	for _, p := range c.programs() {
		b, err := os.ReadFile(filepath.Join(c.logs(), p.name+".log"))
		if err != nil || len(b) == 0 {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		fmt.Fprintf(&out, "\n--- %s.log\n%s", p.name, strings.Join(lines[max(0, len(lines)-5):], "\n"))
	}
	return out.String()
}
