package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Survey is what lies in the paths that a person named: found once, for all
// sources. It never leaves a folder that was named: links that lead out of it
// are gaps. It is not safe for concurrent use.
type Survey struct{ Trees []*Tree }

// Tree is one path that a person named: a folder and what is in it, or a single
// file.
type Tree struct {
	Path  string   // as it was named, with slashes
	Root  *os.Root // nil for a file
	Items []Item   // in the order of their names
	Told  int      // changes that sources reported of it

	watcher *Watcher
	claimed map[string]bool // files that belong to a chart or an overlay
	ignore  ignore
	seen    map[string]bool // real paths of folders that were gone into
}

// Kind says what an [Item] is.
type Kind uint8

// The kinds. What is a chart or overlay is a folder; its files are items too.
const (
	Manifest   Kind = iota // YAML or JSON
	Chart                  // a folder with Chart.yaml, or a packed chart
	Overlay                // a folder with a kustomization
	ImageBuild             // Dockerfile, Containerfile
	Kubeconfig             // by its name; another program's file may have it too
	Stdin                  // "-"
	Problem                // something that could not be looked at
)

// Item is one file or folder of a tree that a source may want.
type Item struct {
	Kind Kind
	Name string // relative to the tree, with slashes; of a single file, its path
	Gap  fact.Gap
}

// Kustomizations are the names by which a folder is an overlay.
func Kustomizations() []string {
	return []string{"kustomization.yaml", "kustomization.yml", "Kustomization"}
}

// NewSurvey looks at every path. An error means one that is not there at all.
// The caller closes the survey.
func NewSurvey(ctx context.Context, paths, exclude []string) (*Survey, error) {
	return (*Watcher)(nil).Survey(ctx, paths, exclude)
}

// Survey looks at every path, and has the folders watched that it met. A path
// that is not there any more is a gap.
func (w *Watcher) Survey(ctx context.Context, paths, exclude []string) (*Survey, error) {
	s := &Survey{}
	for _, p := range paths {
		t, err := w.tree(ctx, p, exclude)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.Trees = append(s.Trees, t)
	}
	return s, nil
}

// Close closes the folders.
func (s *Survey) Close() {
	for _, t := range s.Trees {
		if t.Root != nil {
			t.Root.Close()
		}
	}
}

// Of returns the items of a kind that nobody has claimed.
func (t *Tree) Of(kind Kind) []Item {
	var out []Item
	for _, i := range t.Items {
		if i.Kind == kind && !t.Claimed(i.Name) {
			out = append(out, i)
		}
	}
	return out
}

// Excluded reports whether the user left a file out, by a pattern.
func (t *Tree) Excluded(name string) bool { return t.ignore.match(path.Clean(name), false) }

// Claim says that a file, or everything in a folder, belongs to a chart or an
// overlay.
func (t *Tree) Claim(name string) { t.claimed[path.Clean(name)] = true }

// Claimed reports whether a file or a folder above it is claimed.
func (t *Tree) Claimed(name string) bool {
	if len(t.claimed) == 0 {
		return false
	}
	for name != "." && name != "/" && name != "" {
		if t.claimed[name] {
			return true
		}
		name = path.Dir(name)
	}
	return false
}

// Place returns the path of a file as a person would write it.
func (t *Tree) Place(name string) string {
	switch {
	case t.Root == nil:
		return t.Path
	case t.Path == ".":
		return name
	}
	return path.Join(t.Path, name)
}

// stat looks at a file or folder of the tree.
func (t *Tree) stat(name string) (fs.FileInfo, error) {
	if t.Root == nil {
		return os.Stat(filepath.FromSlash(t.Path))
	}
	return t.Root.Stat(name)
}

// Open opens a file of the tree.
func (t *Tree) Open(name string) (*os.File, error) {
	if t.Root == nil {
		return os.Open(filepath.FromSlash(t.Path))
	}
	return t.Root.Open(name)
}

func (w *Watcher) tree(ctx context.Context, p string, exclude []string) (*Tree, error) {
	t := &Tree{Path: p, watcher: w, claimed: map[string]bool{}, seen: map[string]bool{}}
	if p == "-" {
		t.Items = []Item{{Kind: Stdin, Name: p}}
		return t, nil
	}
	info, err := os.Stat(p)
	if err != nil && w.running() {
		t.Items = []Item{{Kind: Problem, Gap: fact.Gap{Kind: "unreadable", File: p, Message: fmt.Sprintf("is not there any more: %v", Cause(err))}}}
		return t, nil
	}
	if err != nil {
		return nil, fmt.Errorf("scan %s: %w", p, Cause(err))
	}
	if info.IsDir() {
		return t, t.folders(ctx, p, exclude)
	}
	if !info.Mode().IsRegular() && info.Mode()&fs.ModeNamedPipe == 0 {
		return nil, fmt.Errorf("scan %s: neither a file nor a folder", p)
	}
	w.Met(filepath.Dir(p))
	t.Path = filepath.ToSlash(p)
	kind, ok := kindOfFile(path.Base(t.Path))
	if !ok {
		kind = Manifest
	}
	if ext := path.Ext(t.Path); ext == ".tgz" {
		kind = Chart
	}
	t.Items = []Item{{Kind: kind, Name: t.Path}}
	return t, nil
}

// folders goes through a tree in the order of names. Links inside it are
// followed where they stay inside, each target once.
func (t *Tree) folders(ctx context.Context, dir string, exclude []string) error {
	t.Path = filepath.ToSlash(filepath.Clean(dir))
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Items = []Item{{Kind: Problem, Gap: fact.Gap{Kind: "unreadable", File: dir, Message: fmt.Sprintf("cannot be opened: %v", Cause(err))}}}
		return nil
	}
	t.Root = root
	t.ignore.add("", exclude)
	t.visited(".")
	return t.folder(ctx, ".")
}

// Cause strips the operation and path that an error of the os package repeats.
func Cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// maxDepth is how deep folders may nest.
const maxDepth = 64

func (t *Tree) gap(kind, name, format string, args ...any) {
	t.Items = append(t.Items, Item{Kind: Problem, Name: name, Gap: fact.Gap{Kind: kind, File: t.Place(name), Message: fmt.Sprintf(format, args...)}})
}

func (t *Tree) folder(ctx context.Context, name string) error {
	if strings.Count(name, "/") > maxDepth {
		t.gap("too-deep", name, "folders nest deeper than %d", maxDepth)
		return nil
	}
	t.watcher.Met(filepath.FromSlash(t.Place(name)))
	f, err := t.Root.Open(name)
	if err != nil {
		t.gap(GapKind(err), name, "cannot be opened: %v", Cause(err))
		return nil
	}
	entries, err := f.ReadDir(-1)
	f.Close()
	if err != nil {
		t.gap("unreadable", name, "cannot be listed: %v", Cause(err))
	}
	t.ignore.load(t.Root, name)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	has := func(names ...string) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
			return slices.Contains(names, e.Name()) && !t.ignore.match(path.Join(name, e.Name()), false)
		})
	}
	if has("Chart.yaml") {
		t.Items = append(t.Items, Item{Kind: Chart, Name: name})
	}
	if has(Kustomizations()...) {
		t.Items = append(t.Items, Item{Kind: Overlay, Name: name})
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.entry(ctx, path.Join(name, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// GapKind is the kind of gap that an error of a root makes.
func GapKind(err error) string {
	if strings.Contains(err.Error(), "escapes") {
		return "link-out-of-tree"
	}
	return "unreadable"
}

func (t *Tree) entry(ctx context.Context, name string) error {
	info, err := t.Root.Stat(name)
	if err != nil {
		if _, wanted := kindOfFile(path.Base(name)); !wanted && path.Ext(name) != "" || t.ignore.match(name, false) {
			return nil
		}
		t.gap(GapKind(err), name, "cannot be looked at: %v", Cause(err))
		return nil
	}
	if t.ignore.match(name, info.IsDir()) {
		return nil
	}
	if info.IsDir() {
		if base := path.Base(name); base == ".git" || base == "node_modules" || t.visited(name) {
			return nil
		}
		return t.folder(ctx, name)
	}
	kind, ok := kindOfFile(path.Base(name))
	if path.Base(name) == "config" && path.Base(path.Dir(name)) == ".kube" {
		kind, ok = Kubeconfig, true
	}
	if !ok {
		return nil
	}
	if !info.Mode().IsRegular() {
		t.gap("unreadable", name, "neither a file nor a folder")
		return nil
	}
	t.Items = append(t.Items, Item{Kind: kind, Name: name})
	return nil
}

// visited reports whether a folder was gone into before, by whatever link.
func (t *Tree) visited(name string) bool {
	real, err := filepath.EvalSymlinks(filepath.Join(filepath.FromSlash(t.Path), name))
	if err != nil {
		return false
	}
	if t.seen[real] {
		return true
	}
	t.seen[real] = true
	return false
}

// kindOfFile tells by its name what a file is to Merlon; false for nothing.
func kindOfFile(base string) (Kind, bool) {
	lower := strings.ToLower(base)
	switch path.Ext(lower) {
	case ".yaml", ".yml", ".json":
		return Manifest, true
	case ".dockerfile", ".containerfile":
		return ImageBuild, true
	case ".kubeconfig":
		return Kubeconfig, true
	}
	for _, name := range [...]string{"dockerfile", "containerfile"} {
		if rest, ok := strings.CutPrefix(lower, name); ok && (rest == "" || rest[0] == '.' && rest != ".dockerignore") {
			return ImageBuild, true
		}
	}
	switch base {
	case "kubeconfig", "admin.conf", "super-admin.conf", "kubelet.conf", "controller-manager.conf", "scheduler.conf":
		return Kubeconfig, true
	}
	return 0, false
}

// EachTree walks the trees of the survey, one of its own where the input has
// none, and says at the end that all is read. What read emits is counted as told
// of its tree.
func (in *Input) EachTree(ctx context.Context, emit func(fact.Change) error, read func(t *Tree, emit func(fact.Change) error) error) error {
	survey := in.Survey
	if survey == nil {
		own, err := NewSurvey(ctx, in.Paths, in.Exclude)
		if err != nil {
			return err
		}
		defer own.Close()
		survey = own
	}
	for _, t := range survey.Trees {
		err := read(t, func(c fact.Change) error {
			t.Told++
			return emit(c)
		})
		if err != nil {
			return err
		}
	}
	return emit(fact.Change{Op: fact.Synced})
}
