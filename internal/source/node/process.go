//go:build linux

package node

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/component"
	"golang.org/x/sys/unix"
)

// Limits of /proc: a command line has at most 2 MB on Linux, and a machine some
// ten thousand processes.
const (
	maxCommand   = 2 << 20
	maxEnv       = 2 << 20
	maxProcesses = 200_000
	maxSockets   = 4096
)

// process is one component as it runs. dir is its folder of /proc, opened once:
// when the process ends and its number is given to another one, reading fails
// instead of telling of the other.
type process struct {
	pid       int
	component string
	dir       *tree
	root      *tree // its own view of the file system
	own       bool  // root is another mount namespace than the machine's
	argv      []string
	flags     map[string]string
	exe       string
	version   string // once it was looked for
	started   time.Time
}

func (p *process) close() {
	p.dir.close()
	if p.own {
		p.root.close()
	}
}

// processes finds the components that run, in the order of their names and
// numbers. Processes that end meanwhile are left out.
func (s *Source) processes(ctx context.Context) ([]*process, error) {
	f, err := s.host.open("/proc", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(maxProcesses)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	boot := s.bootTime()
	var out []*process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || ctx.Err() != nil {
			continue
		}
		if p := s.process(pid, boot); p != nil {
			out = append(out, p)
		}
	}
	slices.SortFunc(out, func(a, b *process) int {
		if c := strings.Compare(a.component, b.component); c != 0 {
			return c
		}
		return a.pid - b.pid
	})
	return out, nil
}

// process returns what runs under a number, nil where it is no component.
func (s *Source) process(pid int, boot time.Time) *process {
	text, err := s.host.read(fmt.Sprintf("/proc/%d/cmdline", pid), maxCommand)
	if err != nil || len(text) == 0 {
		return nil // a thread of the kernel, or gone
	}
	argv := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	name := recognise(argv)
	if name == "" {
		return nil
	}
	f, err := s.host.open(fmt.Sprintf("/proc/%d", pid), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil
	}
	defer f.Close()
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		return nil
	}
	p := &process{pid: pid, component: name, argv: argv, dir: &tree{fd: fd}, root: s.host}
	p.flags = component.Flags(name, argv)
	if p.exe, err = readlink(p.dir, "exe"); err != nil {
		s.gap("unreadable", fmt.Sprintf("/proc/%d/exe", pid), "%s (process %d): cannot be looked at: %v", name, pid, cause(err))
	}
	p.started = startTime(p.dir, boot)
	s.enter(p)
	return p
}

// recognise tells a component by the program's own name, argv[0], which is also
// what a binary of many programs goes by. Wrappers and shells are left to the
// process that they start.
func recognise(argv []string) string {
	first := strings.Fields(argv[0] + " ")
	if len(first) == 0 {
		return ""
	}
	words := []string{first[0]}
	if path.Base(first[0]) == "hyperkube" && len(argv) > 1 {
		words = append(words, argv[1])
	}
	return component.Recognise(words)
}

// enter opens the process's own view of the file system. Where that is refused
// its paths are read in the machine's, and the gap says so.
func (s *Source) enter(p *process) {
	fd, err := unix.Openat(p.dir.fd, "root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		s.gap("unreadable", fmt.Sprintf("/proc/%d/root", p.pid), "%s: its files cannot be reached in its own mount namespace (%v; CAP_SYS_PTRACE is needed), and are read in the machine's", p.component, err)
		return
	}
	p.root, p.own = &tree{fd: fd, name: p.component}, true
}

func readlink(t *tree, name string) (string, error) {
	buf := make([]byte, 4096)
	n, err := unix.Readlinkat(t.fd, name, buf)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(string(buf[:n]), " (deleted)"), nil
}

// bootTime is when the machine started, from /proc/stat.
func (s *Source) bootTime() time.Time {
	text, err := s.host.read("/proc/stat", maxConfig)
	if err != nil {
		return time.Time{}
	}
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte("btime ")); ok {
			if n, err := strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64); err == nil {
				return time.Unix(n, 0)
			}
		}
	}
	return time.Time{}
}

// startTime reads field 22 of /proc/PID/stat, in hundredths of a second since
// the machine started. The name in field 2 may hold blanks and brackets.
func startTime(dir *tree, boot time.Time) time.Time {
	text, err := dir.read("stat", 65536)
	if err != nil || boot.IsZero() {
		return time.Time{}
	}
	_, rest, ok := strings.Cut(string(text[max(0, bytes.LastIndexByte(text, ')')):]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return time.Time{}
	}
	ticks, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return boot.Add(time.Duration(ticks) * 10 * time.Millisecond)
}

// environ returns the variables of a process that begin with a prefix.
func (p *process) environ(prefix string) [][2]string {
	text, err := p.dir.read("environ", maxEnv)
	if err != nil {
		return nil
	}
	var out [][2]string
	for entry := range strings.SplitSeq(string(text), "\x00") {
		if name, value, ok := strings.Cut(entry, "="); ok && strings.HasPrefix(name, prefix) {
			out = append(out, [2]string{name, value})
		}
	}
	slices.SortFunc(out, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return out
}

// listening returns the TCP addresses that a process listens on: sockets among
// its open files that /proc/PID/net/tcp lists in state LISTEN.
func (p *process) listening() ([]string, error) {
	fd, err := unix.Openat(p.dir.fd, "fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "fd")
	defer f.Close()
	names, err := f.Readdirnames(maxSockets)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	sockets := map[string]bool{}
	open := &tree{fd: int(f.Fd())}
	for _, name := range names {
		if target, err := readlink(open, name); err == nil && strings.HasPrefix(target, "socket:[") {
			sockets[strings.Trim(target, "socket:[]")] = true
		}
	}
	var out []string
	for _, file := range [...]string{"net/tcp", "net/tcp6"} {
		text, err := p.dir.read(file, 16<<20)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			fields := strings.Fields(line)
			if len(fields) > 9 && fields[3] == "0A" && sockets[fields[9]] {
				if a, ok := socketAddress(fields[1]); ok {
					out = append(out, a)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// socketAddress reads an address of /proc/net/tcp: 32-bit words in the order of
// the processor, which is little endian wherever Merlon runs, and the port.
func socketAddress(text string) (string, bool) {
	addr, port, ok := strings.Cut(text, ":")
	raw, err := hex.DecodeString(addr)
	n, perr := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || perr != nil || len(raw)%4 != 0 {
		return "", false
	}
	for i := 0; i < len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	ip, ok := netip.AddrFromSlice(raw)
	if !ok {
		return "", false
	}
	return netip.AddrPortFrom(ip, uint16(n)).String(), true
}
