// Package manifest is the source that reads Kubernetes objects from files:
// YAML and JSON, single files, folders and standard input.
//
// It never leaves the folder that it was given: links that lead out of it are
// gaps. Whatever cannot be read is a gap too, and the rest goes on.
package manifest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// Name is the source's name in facts and gaps.
const Name = "manifest"

// Source reads files. The zero value reads nothing.
type Source struct {
	source.Input

	emit  func(fact.Change) error
	files int
	told  int // objects and gaps reported
	world string
	types *yamldoc.Types
	docs  *yamldoc.Reader // one for all files, for its buffers and interned keys

	watched *watched // nil: reads once
}

// Kind describes the source.
func Kind() config.Kind[source.Source] {
	return config.Kind[source.Source]{
		Name: Name, Doc: "Kubernetes objects in files: YAML, JSON, folders, standard input", Example: "merlon scan deploy/",
		New: func(decode func(any) error) (source.Source, error) {
			s := &Source{}
			return s, decode(&s.Input)
		},
	}
}

// Files returns how many files the last Collect read.
func (s *Source) Files() int { return s.files }

// Collect reads everything once or, when it watches, goes on until ctx ends. It
// returns an error only when a path that was asked for is not there at all, or
// when emit fails.
func (s *Source) Collect(ctx context.Context, emit func(fact.Change) error) error {
	if s.Watch {
		return s.follow(ctx, emit)
	}
	if err := s.once(ctx, emit); err != nil {
		return err
	}
	return emit(fact.Change{Op: fact.Synced})
}

func (s *Source) once(ctx context.Context, emit func(fact.Change) error) error {
	s.files, s.told = 0, 0
	s.emit = func(c fact.Change) error {
		s.told++
		return emit(c)
	}
	for _, p := range s.Paths {
		if err := s.path(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) path(ctx context.Context, p string) error {
	if p == "-" {
		return s.read(ctx, s.Stdin, "stdin", true)
	}
	info, err := os.Stat(p)
	if err != nil && s.watched.running() {
		return s.gap("unreadable", p, 0, "is not there any more: %v", cause(err))
	}
	if err != nil {
		return fmt.Errorf("scan %s: %w", p, cause(err))
	}
	if info.IsDir() {
		before := s.told
		if err := s.folder(ctx, p); err != nil || s.told > before {
			return err
		}
		return s.gap("no-objects", p, 0, "holds no Kubernetes object in a .yaml, .yml or .json file")
	}
	if !info.Mode().IsRegular() && info.Mode()&fs.ModeNamedPipe == 0 {
		return fmt.Errorf("scan %s: neither a file nor a folder", p)
	}
	f, err := os.Open(p)
	if err != nil {
		return s.gap("unreadable", p, 0, "cannot be opened: %v", cause(err))
	}
	defer f.Close()
	s.watched.met(filepath.Dir(p))
	return s.file(ctx, f, filepath.ToSlash(p), true)
}

// cause strips the operation and path that an error of the os package repeats.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func (s *Source) gap(kind, file string, line int, format string, args ...any) error {
	return s.emit(fact.Change{Op: fact.GapOpened, Gap: fact.Gap{
		Kind: kind, Source: Name, File: file, Pos: fact.Pos{Line: uint32(line)}, Message: fmt.Sprintf(format, args...),
	}})
}

// folder reads a tree of files in the order of their names. Links inside it are
// followed where they stay inside, each target once.
func (s *Source) folder(ctx context.Context, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return s.gap("unreadable", dir, 0, "cannot be opened: %v", cause(err))
	}
	defer root.Close()
	w := &walk{source: s, root: root, dir: filepath.ToSlash(filepath.Clean(dir)), seen: map[string]bool{}}
	w.ignore.add("", s.Exclude)
	w.visited(".")
	return w.folder(ctx, ".")
}

// read reports the objects of one file. named says that the user asked for this
// very file, so that finding nothing in it is worth a gap.
func (s *Source) read(ctx context.Context, r io.Reader, file string, named bool) error {
	s.files++
	docs := s.reader(r, file)
	objects, gaps := 0, 0
	for ctx.Err() == nil {
		doc, err := docs.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			gaps++
			if err := s.broken(file, err); err != nil {
				return err
			}
			continue
		}
		n, err := s.document(file, doc)
		if err != nil {
			return err
		}
		objects += n
	}
	if named && objects == 0 && gaps == 0 {
		return s.gap("no-objects", file, 0, "holds no Kubernetes object")
	}
	return ctx.Err()
}

func (s *Source) reader(r io.Reader, file string) *yamldoc.Reader {
	if s.docs == nil {
		s.docs, s.types = yamldoc.NewReader(r, file, yamldoc.Limits{}), yamldoc.NewTypes()
	} else {
		s.docs.Reset(r, file)
	}
	return s.docs
}

func (s *Source) broken(file string, err error) error {
	var e *yamldoc.Error
	if !errors.As(err, &e) {
		return s.gap("unreadable", file, 0, "%v", cause(err))
	}
	return s.emit(fact.Change{Op: fact.GapOpened, Gap: fact.Gap{
		Kind: e.Kind, Source: Name, File: file, Pos: fact.Pos{Line: uint32(e.Line), Column: uint32(e.Column)}, Message: e.Message,
	}})
}

// document reports the objects of one document and returns how many there are.
func (s *Source) document(file string, doc yamldoc.Document) (int, error) {
	origin := fact.Origin{Source: Name, File: file, World: s.world, Doc: doc.Index}
	items := doc.Root.Get(fact.K("items"))
	if strings.HasSuffix(doc.Root.Get(fact.K("kind")).Str(), "List") && items.Kind() == fact.List {
		b := &fact.Builder{Positions: true}
		n := 0
		for item := range items.Children() {
			copyItem(b, doc.Root, item)
			k, err := s.object(b.Tree().Root(), origin, notesOf(doc.Notes, item))
			if err != nil {
				return n, err
			}
			n += k
		}
		return n, s.problems(file, doc)
	}
	n, err := s.object(doc.Root, origin, doc.Notes)
	if n > 0 && err == nil {
		err = s.problems(file, doc)
	}
	return n, err
}

// copyItem copies an item of a list. Those of a list of one kind, as an API
// server sends it, do not repeat their kind.
func copyItem(b *fact.Builder, list, item fact.Value) {
	kind, ofOne := strings.CutSuffix(list.Get(fact.K("kind")).Str(), "List")
	if !ofOne || kind == "" || item.Kind() != fact.Map || item.Get(fact.K("kind")).Present() {
		b.Copy(fact.Key{}, item)
		return
	}
	b.Begin(fact.Key{}, item.Pos(), fact.Map)
	if !item.Get(fact.K("apiVersion")).Present() {
		b.Copy(fact.K("apiVersion"), list.Get(fact.K("apiVersion")))
	}
	b.String(fact.K("kind"), list.Get(fact.K("kind")).Pos(), kind)
	for c := range item.Children() {
		b.Copy(c.Key(), c)
	}
	b.End()
}

// notesOf returns the notes that stand within an item of a list.
func notesOf(notes []fact.Note, item fact.Value) []fact.Note {
	first, last := item.Pos().Line, lastLine(item)
	var out []fact.Note
	for _, n := range notes {
		if n.Line >= first && n.Line <= last {
			out = append(out, n)
		}
	}
	return out
}

func lastLine(v fact.Value) uint32 {
	last := v.Pos().Line
	for c := range v.Children() {
		last = max(last, lastLine(c))
	}
	return last
}

func (s *Source) object(root fact.Value, origin fact.Origin, notes []fact.Note) (int, error) {
	o, ok := fact.NewObject(root, origin)
	if !ok {
		return 0, nil
	}
	o.Waivers = notes
	return 1, s.emit(fact.Change{Op: fact.Upsert, Object: &o})
}

// problems reports what kubectl or the API server would refuse or drop: of the
// document as it was written, so of a list as a whole, and in the shape of its
// own API version.
func (s *Source) problems(file string, doc yamldoc.Document) error {
	for _, p := range slices.Concat(doc.Problems, s.types.Check(doc.Root)) {
		message := p.Message
		if p.Path != "" {
			message = p.Path + ": " + message
		}
		err := s.emit(fact.Change{Op: fact.GapOpened, Gap: fact.Gap{Kind: p.Kind, Source: Name, File: file, Pos: p.Pos, Message: message}})
		if err != nil {
			return err
		}
	}
	return nil
}

// walk goes through one folder.
type walk struct {
	source *Source
	root   *os.Root
	dir    string
	ignore ignore
	seen   map[string]bool // real paths of folders that were gone into
}

// maxDepth is how deep folders may nest.
const maxDepth = 64

func (w *walk) folder(ctx context.Context, name string) error {
	if strings.Count(name, "/") > maxDepth {
		return w.source.gap("too-deep", w.file(name), 0, "folders nest deeper than %d", maxDepth)
	}
	w.source.watched.met(filepath.Join(filepath.FromSlash(w.dir), filepath.FromSlash(name)))
	f, err := w.root.Open(name)
	if err != nil {
		return w.source.gap(kindOf(err), w.file(name), 0, "cannot be opened: %v", cause(err))
	}
	entries, err := f.ReadDir(-1)
	f.Close()
	if err != nil {
		if err := w.source.gap("unreadable", w.file(name), 0, "cannot be listed: %v", cause(err)); err != nil {
			return err
		}
	}
	w.ignore.load(w.root, name)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "Chart.yaml" }) {
		return w.source.gap("not-rendered", w.file(name), 0, "a Helm chart: render it with 'helm template' and scan the output")
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.entry(ctx, path.Join(name, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

func (w *walk) file(name string) string {
	if w.dir == "." {
		return name
	}
	return path.Join(w.dir, name)
}

func kindOf(err error) string {
	if strings.Contains(err.Error(), "escapes") {
		return "link-out-of-tree"
	}
	return "unreadable"
}

func (w *walk) entry(ctx context.Context, name string) error {
	info, err := w.root.Stat(name)
	if err != nil {
		if !manifestName(name) && path.Ext(name) != "" || w.ignore.match(name, false) {
			return nil
		}
		return w.source.gap(kindOf(err), w.file(name), 0, "cannot be looked at: %v", cause(err))
	}
	if w.ignore.match(name, info.IsDir()) {
		return nil
	}
	if info.IsDir() {
		if base := path.Base(name); base == ".git" || base == "node_modules" || w.visited(name) {
			return nil
		}
		return w.folder(ctx, name)
	}
	if !manifestName(name) {
		return nil
	}
	if !info.Mode().IsRegular() {
		return w.source.gap("unreadable", w.file(name), 0, "neither a file nor a folder")
	}
	f, err := w.root.Open(name)
	if err != nil {
		return w.source.gap(kindOf(err), w.file(name), 0, "cannot be opened: %v", cause(err))
	}
	defer f.Close()
	return w.source.file(ctx, f, w.file(name), false)
}

// visited reports whether a folder was gone into before, by whatever link.
func (w *walk) visited(name string) bool {
	real, err := filepath.EvalSymlinks(filepath.Join(w.dir, name))
	if err != nil {
		return false
	}
	if w.seen[real] {
		return true
	}
	w.seen[real] = true
	return false
}

func manifestName(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}
