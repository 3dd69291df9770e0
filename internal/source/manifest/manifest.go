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
	return s.EachTree(ctx, emit, func(t *source.Tree, emit func(fact.Change) error) error {
		s.emit = emit
		return s.tree(ctx, t)
	})
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
		return s.emit(gap("no-objects", t.Path, "holds no Kubernetes object in a .yaml, .yml or .json file"))
	}
	return nil
}

// sniffed is how much of a file tells a kubeconfig, which is named like others,
// from those.
const sniffed = 4 << 10

func (s *Source) item(ctx context.Context, t *source.Tree, item source.Item) error {
	switch item.Kind {
	case source.Stdin:
		s.files++
		return s.read(ctx, s.Stdin, "stdin", true, s.emit)
	case source.Problem:
		item.Gap.Source = Name
		return s.emit(fact.Change{Op: fact.GapOpened, Gap: item.Gap})
	case source.Manifest, source.Kubeconfig:
		f, err := t.Open(item.Name)
		if err != nil {
			c := gap(source.GapKind(err), t.Place(item.Name), "cannot be opened: %v", source.Cause(err))
			c.Gap.World = fact.LooseFiles
			return s.emit(c)
		}
		defer f.Close()
		s.files++
		return s.Watcher.Once(f, t.Place(item.Name), s.emit, func(emit func(fact.Change) error) error {
			var r io.Reader = f
			if item.Kind == source.Kubeconfig && t.Root != nil {
				b := bufio.NewReaderSize(f, sniffed)
				if head, _ := b.Peek(sniffed); !bytes.Contains(head, []byte("Config")) {
					s.files--
					return nil // of another program
				}
				r = b
			}
			return s.read(ctx, r, t.Place(item.Name), t.Root == nil, emit)
		})
	}
	return nil
}

func gap(kind, file, format string, args ...any) fact.Change {
	return fact.Change{Op: fact.GapOpened, Gap: fact.Gap{Kind: kind, Source: Name, File: file, Message: fmt.Sprintf(format, args...)}}
}

// read reports the objects of one file. named says that the user asked for this
// very file, so that finding nothing in it is worth a gap.
func (s *Source) read(ctx context.Context, r io.Reader, file string, named bool, emit func(fact.Change) error) error {
	s.decoder.Emit = emit
	objects, gaps, err := s.decoder.Decode(ctx, r, fact.Origin{Source: Name, File: file}, nil)
	if err == nil && named && objects == 0 && gaps == 0 {
		return emit(gap("no-objects", file, "holds no Kubernetes object"))
	}
	return err
}
