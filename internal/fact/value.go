package fact

import (
	"iter"
	"math"
	"strconv"
	"unique"
)

// Kind is the type of a [Value].
type Kind uint8

// The kinds are JSON's, with numbers split as Kubernetes splits them. Absent
// is the kind of the zero Value: nothing is there, which is not the same as
// null.
const (
	Absent Kind = iota
	Null
	Bool
	Int
	Float
	String
	List
	Map
)

var kindNames = [...]string{"absent", "null", "boolean", "integer", "number", "string", "list", "map"}

// String returns the kind's name as an error message would say it.
func (k Kind) String() string { return kindNames[k] }

// Key is an interned map key: two keys are equal when the strings are, and
// comparing them costs one pointer.
type Key struct{ h unique.Handle[string] }

// K interns a key. Keep the result where a lookup is hot.
func K(s string) Key { return Key{unique.Make(s)} }

// String returns the key's text.
func (k Key) String() string {
	if k == (Key{}) {
		return ""
	}
	return k.h.Value()
}

// Pos is a place in a file: line and column, both counted from 1, the column in
// bytes. The zero Pos is "not known".
type Pos struct{ Line, Column uint32 }

// node is one value of a [Tree], laid out in document order: the nodes of a
// subtree are neighbours, so that skipping one is an addition.
type node struct {
	key  Key    // under which it lies in its parent; zero in a list and at the root
	a, b uint32 // string: offset and length in text; list, map: number of children in a; numbers and booleans: 64 bits, low half in a
	size uint32 // nodes in this subtree, itself included
	kind Kind
}

// wide is the number of children from which a container gets an index of its
// own; below it a scan is faster.
const wide = 24

// Tree is one document: an immutable, compact tree of values. It is built by a
// [Builder] and read through [Value]. Positions, where known, lie in a side
// table and cost nothing to objects that come from an API server.
type Tree struct {
	nodes []node
	text  string
	hash  []uint64
	pos   []Pos                     // one per node, or nil
	byKey map[uint32]map[Key]uint32 // wide maps only: node → key → child
	byNum map[uint32][]uint32       // wide lists and maps only: node → children in order
}

// Root returns the whole document.
func (t *Tree) Root() Value { return Value{t, 0} }

// Nodes returns the number of values in the tree.
func (t *Tree) Nodes() int { return len(t.nodes) }

// Bytes returns about how much memory the tree holds.
func (t *Tree) Bytes() int { return len(t.nodes)*32 + len(t.text) + len(t.hash)*8 + len(t.pos)*8 }

// Value is one value in a [Tree]: two words, copied freely. The zero Value is
// Absent and answers every question as such, so that paths into what is not
// there need no checks on the way.
type Value struct {
	t *Tree
	i uint32
}

func (v Value) node() *node { return &v.t.nodes[v.i] }

// Kind returns what the value is.
func (v Value) Kind() Kind {
	if v.t == nil {
		return Absent
	}
	return v.node().kind
}

// Present reports whether there is a value, null included.
func (v Value) Present() bool { return v.t != nil }

// IsNull reports whether the value is absent or null. For a field of an object
// the API server treats both alike.
func (v Value) IsNull() bool { return v.t == nil || v.node().kind == Null }

// Bool returns the value of a boolean; false for anything else.
func (v Value) Bool() bool { return v.t != nil && v.node().kind == Bool && v.node().a == 1 }

// Int returns the value of an integer; 0 for anything else.
func (v Value) Int() int64 {
	if v.t == nil || v.node().kind != Int {
		return 0
	}
	n := v.node()
	return int64(uint64(n.b)<<32 | uint64(n.a))
}

// Float returns the value of a number; 0 for anything else.
func (v Value) Float() float64 {
	switch v.Kind() {
	case Int:
		return float64(v.Int())
	case Float:
		n := v.node()
		return math.Float64frombits(uint64(n.b)<<32 | uint64(n.a))
	}
	return 0
}

// Str returns the text of a string; "" for anything else. It shares the tree's
// memory.
func (v Value) Str() string {
	if v.t == nil || v.node().kind != String {
		return ""
	}
	n := v.node()
	return v.t.text[n.a : n.a+n.b]
}

// Len returns the number of children of a list or map; 0 for anything else.
func (v Value) Len() int {
	if k := v.Kind(); k == List || k == Map {
		return int(v.node().a)
	}
	return 0
}

// Key returns the key under which the value lies in its parent; the zero Key in
// a list and at the root.
func (v Value) Key() Key {
	if v.t == nil {
		return Key{}
	}
	return v.node().key
}

// Get returns the child of a map under a key, or the zero Value.
func (v Value) Get(k Key) Value {
	if v.t == nil {
		return Value{}
	}
	n := v.node()
	if n.kind != Map {
		return Value{}
	}
	if n.a > wide {
		if i, ok := v.t.byKey[v.i][k]; ok {
			return Value{v.t, i}
		}
		return Value{}
	}
	at := v.i + 1
	for c := uint32(0); c < n.a; c++ {
		child := &v.t.nodes[at]
		if child.key == k {
			return Value{v.t, at}
		}
		at += child.size
	}
	return Value{}
}

// At follows field names from v. It is for code off the hot path; there, keep
// keys and use Get.
func (v Value) At(names ...string) Value {
	for _, name := range names {
		v = v.Get(K(name))
	}
	return v
}

// along follows keys from v.
func (v Value) along(path []Key) Value {
	for _, k := range path {
		v = v.Get(k)
	}
	return v
}

// Index returns child i of a list or map in document order, or the zero Value.
func (v Value) Index(i int) Value {
	if i < 0 || i >= v.Len() {
		return Value{}
	}
	if children, ok := v.t.byNum[v.i]; ok {
		return Value{v.t, children[i]}
	}
	at := v.i + 1
	for range i {
		at += v.t.nodes[at].size
	}
	return Value{v.t, at}
}

// Children yields the children of a list or map in document order; nothing for
// anything else.
func (v Value) Children() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		at := v.i + 1
		for range v.Len() {
			if !yield(Value{v.t, at}) {
				return
			}
			at += v.t.nodes[at].size
		}
	}
}

// Hash returns a hash of the subtree: equal values have equal hashes, whatever
// the order of their keys. It is for finding candidates; compare with [Equal]
// before believing it.
func (v Value) Hash() uint64 {
	if v.t == nil {
		return 0
	}
	return v.t.hash[v.i]
}

// Pos returns where the value stands in its file: the place of its key in a
// map, of the value itself elsewhere. Zero when the tree has no positions.
func (v Value) Pos() Pos {
	if v.t == nil || v.t.pos == nil {
		return Pos{}
	}
	return v.t.pos[v.i]
}

// Root returns the document that the value lies in.
func (v Value) Root() Value {
	if v.t == nil {
		return Value{}
	}
	return Value{v.t, 0}
}

// Same reports whether two values are the same place of the same document.
func (v Value) Same(w Value) bool { return v == w }

// Within reports whether v is outer or lies below it.
func (v Value) Within(outer Value) bool {
	return v.t != nil && v.t == outer.t && v.i >= outer.i && v.i < outer.i+outer.node().size
}

// Before orders values of one document as they stand in it.
func (v Value) Before(w Value) bool { return v.i < w.i }

// Text returns a scalar as it would stand in JSON, strings without quotes; ""
// for lists, maps, null and nothing.
func (v Value) Text() string {
	switch v.Kind() {
	case Bool:
		return strconv.FormatBool(v.Bool())
	case Int:
		return strconv.FormatInt(v.Int(), 10)
	case Float:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case String:
		return v.Str()
	}
	return ""
}

// Equal reports whether two values are equal as Kubernetes sees them: maps
// without regard to order, an integer unlike a float.
func Equal(v, w Value) bool {
	if v == w {
		return true
	}
	if v.Kind() != w.Kind() || v.Hash() != w.Hash() {
		return false
	}
	switch v.Kind() {
	case Absent, Null:
		return true
	case String:
		return v.Str() == w.Str()
	case List:
		if v.Len() != w.Len() {
			return false
		}
		j := w.i + 1
		for c := range v.Children() {
			if !Equal(c, Value{w.t, j}) {
				return false
			}
			j += w.t.nodes[j].size
		}
		return true
	case Map:
		if v.Len() != w.Len() {
			return false
		}
		for c := range v.Children() {
			if !Equal(c, w.Get(c.Key())) {
				return false
			}
		}
		return true
	}
	return v.node().a == w.node().a && v.node().b == w.node().b
}
