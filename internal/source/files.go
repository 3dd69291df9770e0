package source

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/sandbox"
)

// Files lets a child process read what lies in a tree, and remembers what it
// read. Nothing outside of the tree is read, by whatever name or link.
type Files struct {
	tree *Tree
	Used map[string]bool  // files that were read
	seen map[string]stamp // of those, of folders that were listed, and of what is not there
	left int64
}

// NewFiles returns a view of a tree for one child.
func NewFiles(t *Tree) *Files {
	return &Files{tree: t, Used: map[string]bool{}, seen: map[string]stamp{}, left: maxRead}
}

// How much a child may read: of one file, and of all.
const (
	maxRead     = 256 << 20
	maxReadFile = 64 << 20
	maxEntries  = 100_000
)

// Read returns the content of a file.
func (f *Files) Read(name string) ([]byte, error) {
	name, err := f.local(name)
	if err != nil {
		return nil, err
	}
	file, err := f.tree.Open(name)
	if err != nil {
		f.seen[name] = stamp{}
		return nil, f.cause(name, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err == nil {
		f.seen[name] = stampOf(info)
	}
	if err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	data, err := io.ReadAll(io.LimitReader(file, min(f.left, maxReadFile)+1))
	if err != nil {
		return nil, f.cause(name, err)
	}
	if f.left -= int64(len(data)); f.left < 0 || len(data) > maxReadFile {
		return nil, fmt.Errorf("%s makes more to read than %d MiB", name, maxRead>>20)
	}
	f.Used[name] = true
	return data, nil
}

// List returns the names in a folder, in order. What an unsafe link leads to is
// listed as a file, which cannot be read.
func (f *Files) List(name string) ([]sandbox.Entry, error) {
	name, err := f.local(name)
	if err != nil {
		return nil, err
	}
	if f.tree.Root == nil {
		return nil, fs.ErrNotExist
	}
	dir, err := f.tree.Root.Open(name)
	if err != nil {
		f.seen[name] = stamp{}
		return nil, f.cause(name, err)
	}
	defer dir.Close()
	if info, err := dir.Stat(); err == nil {
		f.seen[name] = stampOf(info)
	}
	entries, err := dir.ReadDir(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, f.cause(name, err)
	}
	out := make([]sandbox.Entry, 0, len(entries))
	for _, e := range entries {
		isDir := e.IsDir()
		if e.Type()&fs.ModeSymlink != 0 {
			info, err := f.tree.Root.Stat(path.Join(name, e.Name()))
			isDir = err == nil && info.IsDir()
		}
		out = append(out, sandbox.Entry{Name: e.Name(), Dir: isDir})
	}
	slices.SortFunc(out, func(a, b sandbox.Entry) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// local refuses names that lead out of the tree.
func (f *Files) local(name string) (string, error) {
	if f.tree.Root == nil && name == f.tree.Path {
		return name, nil
	}
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return "", fmt.Errorf("%q leads out of what is scanned", name)
	}
	return path.Clean(name), nil
}

// cause says what went wrong, so that the child can tell what is not there.
func (f *Files) cause(name string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fs.ErrNotExist
	case GapKind(err) == "link-out-of-tree":
		return fmt.Errorf("%s is a link that leads out of what is scanned", name)
	}
	return fmt.Errorf("%s cannot be read: %w", name, Cause(err))
}
