package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// Decoder reports the objects of texts, and what in them cannot be read. One
// serves many texts, for its buffers and interned keys; it is not safe for
// concurrent use.
type Decoder struct {
	Emit func(fact.Change) error

	types *yamldoc.Types
	docs  *yamldoc.Reader
}

// Trace fills in how an object of a rendered text relates to what a person wrote:
// its Rendering and, where that differs, the file of its Origin.
type Trace func(o *fact.Object)

// Decode reports the objects of one text, and returns how many there are and how
// many documents could not be read. trace is nil where a person wrote the text.
func (d *Decoder) Decode(ctx context.Context, r io.Reader, origin fact.Origin, trace Trace) (objects, gaps int, err error) {
	if d.docs == nil {
		d.docs, d.types = yamldoc.NewReader(r, origin.File, yamldoc.Limits{}), yamldoc.NewTypes()
	} else {
		d.docs.Reset(r, origin.File)
	}
	for ctx.Err() == nil {
		doc, err := d.docs.Next()
		if errors.Is(err, io.EOF) {
			return objects, gaps, nil
		}
		if err != nil {
			gaps++
			if err := d.broken(origin, trace, err); err != nil {
				return objects, gaps, err
			}
			continue
		}
		n, err := d.document(origin, trace, doc)
		if objects += n; err != nil {
			return objects, gaps, err
		}
	}
	return objects, gaps, ctx.Err()
}

func (d *Decoder) broken(origin fact.Origin, trace Trace, err error) error {
	g := fact.Gap{Source: origin.Source, World: worldOf(origin), File: origin.File}
	var e *yamldoc.Error
	switch {
	case !errors.As(err, &e):
		g.Kind, g.Message = "unreadable", Cause(err).Error()
	case trace != nil:
		g.Kind, g.Message = e.Kind, fmt.Sprintf("line %d of the rendered text: %s", e.Line, e.Message)
	default:
		g.Kind, g.Message = e.Kind, e.Message
		g.Pos = fact.Pos{Line: uint32(e.Line), Column: uint32(e.Column)}
	}
	return d.Emit(fact.Change{Op: fact.GapOpened, Gap: g})
}

// worldOf is the world that a gap in a text concerns.
func worldOf(origin fact.Origin) string {
	if origin.World == "" && origin.File != "" {
		return fact.LooseFiles
	}
	return origin.World
}

// document reports the objects of one document and returns how many there are.
func (d *Decoder) document(origin fact.Origin, trace Trace, doc yamldoc.Document) (int, error) {
	origin.Doc = doc.Index
	items := doc.Root.Get(fact.K("items"))
	if strings.HasSuffix(doc.Root.Get(fact.K("kind")).Str(), "List") && items.Kind() == fact.List {
		b := &fact.Builder{Positions: true}
		n := 0
		for item := range items.Children() {
			copyItem(b, doc.Root, item)
			k, err := d.object(b.Tree().Root(), origin, trace, notesOf(doc.Notes, item))
			if err != nil {
				return n, err
			}
			n += k
		}
		return n, d.problems(origin, trace, doc)
	}
	n, err := d.object(doc.Root, origin, trace, doc.Notes)
	if n > 0 && err == nil {
		err = d.problems(origin, trace, doc)
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

func (d *Decoder) object(root fact.Value, origin fact.Origin, trace Trace, notes []fact.Note) (int, error) {
	o, ok := fact.NewObject(root, origin)
	if !ok {
		return 0, nil
	}
	o.Waivers = notes
	if o.Name == "" && !o.Deployed() {
		o.Name = path.Base(origin.File) // it has no other
	}
	if trace != nil {
		trace(&o)
	}
	return 1, d.Emit(fact.Change{Op: fact.Upsert, Object: &o})
}

// problems reports what kubectl or the API server would refuse or drop: of the
// document as it was written, so of a list as a whole, and in the shape of its
// own API version.
func (d *Decoder) problems(origin fact.Origin, trace Trace, doc yamldoc.Document) error {
	whole, _ := fact.NewObject(doc.Root, origin)
	if trace != nil {
		trace(&whole)
	}
	for _, p := range slices.Concat(doc.Problems, d.types.Check(doc.Root)) {
		g := fact.Gap{Kind: p.Kind, Source: origin.Source, World: worldOf(origin), File: origin.File, Pos: p.Pos, Message: p.Message}
		if p.Path != "" {
			g.Message = p.Path + ": " + g.Message
		}
		if r := whole.Rendering; r != nil {
			g.Message += fmt.Sprintf(" (line %d of the rendered text)", p.Pos.Line)
			w := r.Lines[p.Pos.Line]
			if g.File, g.Pos = whole.Origin.File, w.Pos; w.File != "" {
				g.File = w.File
			}
		}
		if err := d.Emit(fact.Change{Op: fact.GapOpened, Gap: g}); err != nil {
			return err
		}
	}
	return nil
}
