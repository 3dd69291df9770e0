package kustomize

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// tracer finds what an overlay's output says in the files that it was built
// from. Kustomize tells the file of each object; a line is told where the
// file has the same value at the same place, or exactly one patch has, and is
// left open everywhere else.
type tracer struct {
	tree    *source.Tree
	root    string
	origins []string // of each document of the output
	patches []string // files
	used    *source.Files
	docs    map[string][]fact.Value
}

// patchFiles returns the files of patches that the child read.
func (x *tracer) patchFiles(reached []*node) []string {
	var out []string
	for _, n := range reached {
		for _, p := range n.patches {
			if x.used.Used[p] && !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out
}

// read returns the documents of a file of the overlay.
func (x *tracer) read(name string) []fact.Value {
	if d, ok := x.docs[name]; ok {
		return d
	}
	var out []fact.Value
	if data, err := x.used.Read(name); err == nil {
		r := yamldoc.NewReader(bytes.NewReader(data), name, yamldoc.Limits{})
		for {
			doc, err := r.Next()
			if err != nil {
				break // the end, or what Kustomize would have refused
			}
			out = append(out, doc.Root)
		}
	}
	x.docs[name] = out
	return out
}

// trace fills in where an object was written.
func (x *tracer) trace(o *fact.Object) {
	o.Rendering = &fact.Rendering{Values: map[fact.Value]fact.Written{}}
	if o.Origin.Doc >= len(x.origins) || x.origins[o.Origin.Doc] == "" {
		return
	}
	name := path.Join(x.root, x.origins[o.Origin.Doc])
	o.Origin.File = x.tree.Place(name)
	from := x.find(o, name)
	if !from.Present() {
		return
	}
	if written, ok := fact.NewObject(from, fact.Origin{}); ok {
		o.Rendering.Known = written.Ref()
	}
	x.values(o, from, name, nil)
	known := from.At("metadata", "name").Str()
	var patches []patch
	for _, p := range x.patches {
		for _, doc := range x.read(p) {
			n := doc.At("metadata", "name").Str()
			if doc.At("kind").Str() == o.Kind && (n == known || n == o.Name) {
				patches = append(patches, patch{p, doc})
			}
		}
	}
	x.patched(o, patches)
}

// find returns the one document of a file that an object can have come from.
func (x *tracer) find(o *fact.Object, name string) fact.Value {
	var found []fact.Value
	for _, doc := range x.read(name) {
		if n := doc.At("metadata", "name").Str(); doc.At("kind").Str() == o.Kind && n != "" && strings.Contains(o.Name, n) {
			if n == o.Name {
				return doc
			}
			found = append(found, doc)
		}
	}
	if len(found) == 1 {
		return found[0]
	}
	return fact.Value{}
}

type patch struct {
	file string
	root fact.Value
}

// values tells the values of an object that a document has, too. skip, if there
// is one, says which to leave out.
func (x *tracer) values(o *fact.Object, from fact.Value, name string, skip func(fact.Value) bool) {
	match(o.Root, from, func(v, w fact.Value) {
		if _, known := o.Rendering.Values[v]; known || skip != nil && skip(v) {
			return
		}
		o.Rendering.Values[v] = fact.Written{File: x.tree.Place(name), Pos: w.Pos(), Root: path.Dir(name)}
	})
}

// patched tells the values that exactly one patch has.
func (x *tracer) patched(o *fact.Object, patches []patch) {
	times := map[fact.Value]int{}
	for _, p := range patches {
		match(o.Root, p.root, func(v, _ fact.Value) { times[v]++ })
	}
	for _, p := range patches {
		x.values(o, p.root, p.file, func(v fact.Value) bool { return times[v] != 1 })
	}
}

// match calls found for each value that two documents have at one place: scalars
// that are equal, lists and maps that both have; elements of lists by their name
// or, without one, by being equal to one and no other.
func match(v, w fact.Value, found func(v, w fact.Value)) {
	if v.Kind() != w.Kind() {
		return
	}
	switch v.Kind() {
	case fact.Map:
		found(v, w)
		for c := range v.Children() {
			if d := w.Get(c.Key()); d.Present() {
				match(c, d, found)
			}
		}
	case fact.List:
		found(v, w)
		for c := range v.Children() {
			if d, ok := counterpart(c, w); ok {
				match(c, d, found)
			}
		}
	default:
		if fact.Equal(v, w) {
			found(v, w)
		}
	}
}

// counterpart returns the element of a list that another list's element is.
func counterpart(v, list fact.Value) (fact.Value, bool) {
	var out fact.Value
	n := 0
	name := v.At("name")
	for c := range list.Children() {
		if same := fact.Equal(v, c) || name.Kind() == fact.String && fact.Equal(name, c.At("name")); same {
			out, n = c, n+1
		}
	}
	return out, n == 1
}
