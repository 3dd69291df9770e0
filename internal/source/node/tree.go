//go:build linux

package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Limits of what is read of one machine.
const (
	maxConfig  = 4 << 20 // of a configuration file; the largest real ones have some 100 kB
	maxEntries = 2000    // of a folder
)

// tree is a tree of files that paths are meant in: the machine's, or that of a
// component's mount namespace. The kernel itself keeps every path and link
// inside (openat2, RESOLVE_IN_ROOT), so that nobody who writes there can lead
// the reader out.
type tree struct {
	fd   int
	name string // how the tree is called in messages, "" for the machine's own
}

func openTree(dir string) (*tree, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: dir, Err: err}
	}
	return &tree{fd: fd}, nil
}

func (t *tree) close() {
	if t.fd >= 0 {
		_ = unix.Close(t.fd)
		t.fd = -1
	}
}

// open opens a path inside. Devices and pipes are not waited for. Links of /proc
// to other places are not followed.
func (t *tree) open(path string, flags int) (*os.File, error) {
	if flags&unix.O_PATH == 0 {
		flags |= unix.O_NONBLOCK // a path that is only looked at takes no such flag
	}
	fd, err := unix.Openat2(t.fd, strings.TrimPrefix(path, "/"), &unix.OpenHow{
		Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// read returns a regular file of at most limit bytes.
func (t *tree) read(path string, limit int64) ([]byte, error) {
	f, err := t.open(path, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("is no regular file")
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("is larger than %d bytes", limit)
	}
	return text, nil
}

// stat looks at what a path leads to, links followed.
func (t *tree) stat(path string) (*unix.Stat_t, error) {
	f, err := t.open(path, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return nil, err
	}
	return &st, nil
}

// list returns the names in a folder, sorted.
func (t *tree) list(path string) ([]string, error) {
	f, err := t.open(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	slices.Sort(names)
	return names, nil
}

// cause strips the operation and path that an error of the os package repeats.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	return strings.TrimSpace(string(line))
}

// accounts are the names of users and groups by their numbers.
type accounts struct{ users, groups map[uint32]string }

func readAccounts(t *tree) accounts {
	return accounts{readNames(t, "/etc/passwd"), readNames(t, "/etc/group")}
}

func readNames(t *tree, path string) map[uint32]string {
	out := map[uint32]string{}
	text, err := t.read(path, maxConfig)
	if err != nil {
		return out
	}
	for line := range strings.Lines(string(text)) {
		parts := strings.Split(line, ":")
		var id uint32
		if len(parts) < 3 {
			continue
		}
		if _, err := fmt.Sscan(parts[2], &id); err == nil && out[id] == "" {
			out[id] = parts[0]
		}
	}
	return out
}

func nameFor(names map[uint32]string, id uint32) string {
	if name, ok := names[id]; ok {
		return name
	}
	if id == 0 {
		return "root"
	}
	return fmt.Sprint(id)
}
