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
	world string
	types *yamldoc.Types
	docs  *yamldoc.Reader // one for all files, for its buffers and interned keys
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

// Collect reads everything once. It returns an error only when a path that was
// asked for is not there at all, or when emit fails.
func (s *Source) Collect(ctx context.Context, emit func(fact.Change) error) error {
	s.files = 0
	survey := s.Survey
	if survey == nil {
		own, err := source.NewSurvey(ctx, s.Paths, s.Exclude)
		if err != nil {
			return err
		}
		defer own.Close()
		survey = own
	}
	for _, t := range survey.Trees {
		s.emit = func(c fact.Change) error {
			t.Told++
			return emit(c)
		}
		if err := s.tree(ctx, t); err != nil {
			return err
		}
	}
	return emit(fact.Change{Op: fact.Synced})
}

// tree reads what of a tree no other source has claimed.
func (s *Source) tree(ctx context.Context, t *source.Tree) error {
	for _, item := range t.Items {
		if err := ctx.Err(); err != nil {
			return err
		}
		if t.Claimed(item.Name) {
			continue
		}
		if err := s.item(ctx, t, item); err != nil {
			return err
		}
	}
	if t.Root != nil && t.Told == 0 {
		return s.gap("no-objects", t.Path, 0, "holds no Kubernetes object in a .yaml, .yml or .json file")
	}
	return nil
}

func (s *Source) item(ctx context.Context, t *source.Tree, item source.Item) error {
	switch item.Kind {
	case source.Stdin:
		return s.read(ctx, s.Stdin, "stdin", true)
	case source.Problem:
		item.Gap.Source = Name
		return s.emit(fact.Change{Op: fact.GapOpened, Gap: item.Gap})
	case source.Manifest:
		f, err := t.Open(item.Name)
		if err != nil {
			return s.gap(source.GapKind(err), t.Place(item.Name), 0, "cannot be opened: %v", source.Cause(err))
		}
		defer f.Close()
		return s.read(ctx, f, t.Place(item.Name), t.Root == nil)
	}
	return nil
}

func (s *Source) gap(kind, file string, line int, format string, args ...any) error {
	return s.emit(fact.Change{Op: fact.GapOpened, Gap: fact.Gap{
		Kind: kind, Source: Name, File: file, Pos: fact.Pos{Line: uint32(line)}, Message: fmt.Sprintf(format, args...),
	}})
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
		return s.gap("unreadable", file, 0, "%v", source.Cause(err))
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
			b.Copy(fact.Key{}, item)
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
