package fact

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Step is one step down a document: into a field of a map, or, where Element is
// set, into an element of a list.
type Step struct {
	Field   string
	Index   int
	Element bool
}

// Field is the step into a field.
func Field(name string) Step { return Step{Field: name} }

// Element is the step to an element of a list, counted from 0.
func Element(i int) Step { return Step{Index: i, Element: true} }

// Steps returns the way from the document's root to v.
func (v Value) Steps() []Step {
	var out []Step
	for at := v.Root(); at.t != nil && at.i != v.i; {
		i := 0
		for c := range at.Children() {
			if v.Within(c) {
				step := Element(i)
				if at.Kind() == Map {
					step = Field(c.Key().String())
				}
				out, at = append(out, step), c
				break
			}
			i++
		}
	}
	return out
}

// Follow goes down from v; Absent where the way ends.
func (v Value) Follow(path []Step) Value {
	for _, s := range path {
		if s.Element {
			if v.Kind() != List {
				return Value{}
			}
			v = v.Index(s.Index)
		} else {
			v = v.Get(K(s.Field))
		}
	}
	return v
}

// PathText writes a way as Value.Path does.
func PathText(path []Step) string {
	var b strings.Builder
	for _, s := range path {
		if s.Element {
			b.WriteString("[" + strconv.Itoa(s.Index) + "]")
		} else {
			writeField(&b, s.Field)
		}
	}
	return b.String()
}

// EditOp is what an [Edit] does.
type EditOp uint8

// The edits. Set puts a value in the place, making the maps that miss on the
// way. Remove takes the place away; nothing there is fine. AddToList appends to
// the list at the place, making it, unless it has an equal element.
const (
	Set EditOp = iota
	Remove
	AddToList
)

var editNames = [...]string{"set", "remove", "add"}

// String returns the name of the edit.
func (o EditOp) String() string { return editNames[o] }

// Edit is one change of a document: plain data, with one meaning for files and
// for objects in flight.
type Edit struct {
	Op    EditOp
	Path  []Step
	Value Value // Set, AddToList
}

// Apply returns the document with the edit made. The error says why the edit has
// no place in it.
func (e Edit) Apply(root Value) (Value, error) {
	if len(e.Path) == 0 {
		return root, errors.New("an edit of the whole document")
	}
	if e.Op == Remove && !root.Follow(e.Path).Present() {
		return root, nil
	}
	b := &Builder{Positions: root.t != nil && root.t.pos != nil}
	if err := e.write(b, Key{}, root, e.Path); err != nil {
		return root, fmt.Errorf("%s: %w", PathText(e.Path), err)
	}
	return b.Tree().Root(), nil
}

// write copies v under a key, with the edit made at the end of the path.
func (e *Edit) write(b *Builder, key Key, v Value, path []Step) error {
	if len(path) == 0 {
		return e.end(b, key, v)
	}
	step := path[0]
	if step.Element {
		if v.Kind() != List || step.Index < 0 || step.Index >= v.Len() {
			return fmt.Errorf("no element %d", step.Index)
		}
	} else if v.Kind() != Map && !v.IsNull() {
		return fmt.Errorf("%s lies in a %s", step.Field, v.Kind())
	}
	kind := Map
	if step.Element {
		kind = List
	}
	b.Begin(key, v.Pos(), kind)
	found, i := false, 0
	for c := range v.Children() {
		here := step.Element && i == step.Index || !step.Element && c.Key().String() == step.Field
		i++
		switch {
		case !here:
			b.Copy(c.Key(), c)
			continue
		case e.Op == Remove && len(path) == 1:
		default:
			if err := e.write(b, c.Key(), c, path[1:]); err != nil {
				return err
			}
		}
		found = true
	}
	if !found {
		if err := e.write(b, K(step.Field), Value{}, path[1:]); err != nil {
			return err
		}
	}
	b.End()
	return nil
}

func (e *Edit) end(b *Builder, key Key, v Value) error {
	if e.Op == Set {
		b.Copy(key, e.Value)
		return nil
	}
	if v.Kind() != List && !v.IsNull() {
		return fmt.Errorf("a %s is no list to add to", v.Kind())
	}
	b.Begin(key, v.Pos(), List)
	has := false
	for c := range v.Children() {
		b.Copy(Key{}, c)
		has = has || Equal(c, e.Value)
	}
	if !has {
		b.Copy(Key{}, e.Value)
	}
	b.End()
	return nil
}

// Same reports whether two edits do the same.
func (e *Edit) Same(f *Edit) bool {
	return e.Op == f.Op && slices.Equal(e.Path, f.Path) && Equal(e.Value, f.Value)
}

// Compose brings the edits of several fixes of one document, each computed from
// the same state, into an order in which none moves the place of another, and
// leaves out those that stand twice: elements of lists go last, the last first.
func Compose(edits []Edit) []Edit {
	var out []Edit
	for i := range edits {
		if !slices.ContainsFunc(out, func(e Edit) bool { return e.Same(&edits[i]) }) {
			out = append(out, edits[i])
		}
	}
	slices.SortStableFunc(out, func(a, b Edit) int {
		switch {
		case a.Op != Remove && b.Op != Remove:
			return 0
		case a.Op != Remove:
			return -1
		case b.Op != Remove:
			return 1
		}
		return slices.CompareFunc(b.Path, a.Path, func(s, t Step) int {
			return cmp.Or(cmp.Compare(s.Index, t.Index), strings.Compare(s.Field, t.Field))
		})
	})
	return out
}
