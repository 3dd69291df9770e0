// Package manifest is the source that reads Kubernetes objects from files:
// YAML and JSON, single files, folders and standard input.
//
// It never leaves the folder that it was given: links that lead out of it are
// gaps. Whatever cannot be read is a gap too, and the rest goes on.
package manifest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
)

// Name is the source's name in facts and gaps.
const Name = "manifest"

// Source reads files. The zero value reads nothing.
type Source struct {
	source.Input

	emit    func(fact.Change) error
	files   int
	decoder source.Decoder
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
		s.decoder.Emit = s.emit
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

// sniffed is how much of a file tells a kubeconfig, which is named like others,
// from those.
const sniffed = 4 << 10

func (s *Source) item(ctx context.Context, t *source.Tree, item source.Item) error {
	switch item.Kind {
	case source.Stdin:
		return s.read(ctx, s.Stdin, "stdin", true)
	case source.Problem:
		item.Gap.Source = Name
		return s.emit(fact.Change{Op: fact.GapOpened, Gap: item.Gap})
	case source.Manifest, source.Kubeconfig:
		f, err := t.Open(item.Name)
		if err != nil {
			return s.gap(source.GapKind(err), t.Place(item.Name), 0, "cannot be opened: %v", source.Cause(err))
		}
		defer f.Close()
		r := bufio.NewReader(f)
		if head, _ := r.Peek(sniffed); item.Kind == source.Kubeconfig && t.Root != nil && !bytes.Contains(head, []byte("Config")) {
			return nil // of another program
		}
		return s.read(ctx, r, t.Place(item.Name), t.Root == nil)
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
	objects, gaps, err := s.decoder.Decode(ctx, r, fact.Origin{Source: Name, File: file}, nil)
	if err == nil && named && objects == 0 && gaps == 0 {
		return s.gap("no-objects", file, 0, "holds no Kubernetes object")
	}
	return err
}
