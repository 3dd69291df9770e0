// Package expr evaluates CEL over facts.
//
// cel-go parses and checks; the expressions that controls are made of are then
// compiled to closures that read [fact.Value] in place, without converting an
// object first. An expression that uses a function this package does not have
// natively is run by cel-go through an adapter; the two are held equal by
// tests over every control and by a differential fuzz test.
package expr

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Kind is the type of a [Value] at run time.
type Kind uint8

// The kinds of CEL that expressions over Kubernetes objects meet. Unset is a
// variable that has no value; Error is a value like any other until something
// needs it, as CEL's logical operators demand.
const (
	Unset Kind = iota
	Error
	Null
	Bool
	Int
	Uint
	Double
	String
	List
	Map
	Optional
	Opaque // a value of a library type: quantity, ip, cidr, regular expression …
)

var kindNames = [...]string{"unset", "error", "null_type", "bool", "int", "uint", "double", "string", "list", "map", "optional_type", "opaque"}

// String returns CEL's name of the kind.
func (k Kind) String() string { return kindNames[k] }

// Value is a CEL value. Those that come from a document keep the place they
// come from, so that a verdict can point at it. Values are immutable and may be
// copied and shared.
type Value struct {
	kind Kind
	num  uint64
	str  string
	node fact.Value
	ref  any
}

// list and dict are values made by an expression rather than read.
type list struct{ elems []Value }

type dict struct {
	keys []Value
	vals []Value
}

// FromFact returns a document's value as CEL sees it. Null and absent are alike
// for the fields of an object: see [Value.field].
func FromFact(v fact.Value) Value {
	switch v.Kind() {
	case fact.Absent:
		return Value{}
	case fact.Null:
		return Value{kind: Null, node: v}
	case fact.Bool:
		return Value{kind: Bool, num: b2u(v.Bool()), node: v}
	case fact.Int:
		return Value{kind: Int, num: uint64(v.Int()), node: v}
	case fact.Float:
		return Value{kind: Double, num: math.Float64bits(v.Float()), node: v}
	case fact.String:
		return Value{kind: String, str: v.Str(), node: v}
	case fact.List:
		return Value{kind: List, node: v}
	}
	return Value{kind: Map, node: v}
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// BoolOf returns a CEL bool.
func BoolOf(b bool) Value { return Value{kind: Bool, num: b2u(b)} }

// IntOf returns a CEL int.
func IntOf(i int64) Value { return Value{kind: Int, num: uint64(i)} }

// DoubleOf returns a CEL double.
func DoubleOf(f float64) Value { return Value{kind: Double, num: math.Float64bits(f)} }

// StringOf returns a CEL string.
func StringOf(s string) Value { return Value{kind: String, str: s} }

// ListOf returns a CEL list; the slice is the list's from then on.
func ListOf(elems []Value) Value { return Value{kind: List, ref: &list{elems}} }

// MapOf returns a CEL map of string keys, in the order given.
func MapOf(keys []string, vals []Value) Value {
	d := &dict{vals: vals}
	for _, k := range keys {
		d.keys = append(d.keys, StringOf(k))
	}
	return Value{kind: Map, ref: d}
}

// Shape makes maps of the same keys. It is immutable.
type Shape struct{ keys []Value }

// NewShape returns the shape of maps with the keys given.
func NewShape(keys ...string) Shape {
	var s Shape
	for _, k := range keys {
		s.keys = append(s.keys, StringOf(k))
	}
	return s
}

// Of returns a CEL map of the shape; the values stand in the order of its keys.
func (s Shape) Of(vals ...Value) Value { return Value{kind: Map, ref: &dict{keys: s.keys, vals: vals}} }

// Some returns an optional that holds v; None, one that holds nothing.
func Some(v Value) Value { return Value{kind: Optional, ref: &v} }

// None is the empty optional.
func None() Value { return Value{kind: Optional} }

// Errorf returns an error value.
func Errorf(format string, args ...any) Value {
	return Value{kind: Error, ref: fmt.Errorf(format, args...)}
}

func noOverload(op string, args ...Value) Value {
	names := make([]string, len(args))
	for i, a := range args {
		names[i] = a.kind.String()
	}
	return Errorf("no such overload: %s(%s)", op, strings.Join(names, ", "))
}

// Kind returns the value's type.
func (v Value) Kind() Kind { return v.kind }

// Err returns the error of an error value, else nil.
func (v Value) Err() error {
	if v.kind != Error {
		return nil
	}
	return v.ref.(error)
}

// True reports whether the value is the boolean true.
func (v Value) True() bool { return v.kind == Bool && v.num == 1 }

// Int returns the number of an int.
func (v Value) Int() int64 { return int64(v.num) }

// Double returns the number of an int, uint or double.
func (v Value) Double() float64 {
	switch v.kind {
	case Int:
		return float64(int64(v.num))
	case Uint:
		return float64(v.num)
	case Double:
		return math.Float64frombits(v.num)
	}
	return 0
}

// Str returns the text of a string.
func (v Value) Str() string {
	if v.kind != String {
		return ""
	}
	return v.str
}

// Node returns the place in a document that the value was read from; absent
// for values that were computed.
func (v Value) Node() fact.Value { return v.node }

// Ref returns what an opaque value holds.
func (v Value) Ref() any { return v.ref }

// OpaqueOf returns a value of a library's own type.
func OpaqueOf(ref any) Value { return Value{kind: Opaque, ref: ref} }

// Get unwraps an optional.
func (v Value) Get() (Value, bool) {
	if v.kind != Optional || v.ref == nil {
		return Value{}, false
	}
	return *v.ref.(*Value), true
}

// Len returns the number of elements of a list or map, of characters of a
// string; -1 for anything else. Fields that are null count as absent.
func (v Value) Len() int {
	switch v.kind {
	case String:
		n := 0
		for range v.str {
			n++
		}
		return n
	case List:
		if l, ok := v.ref.(*list); ok {
			return len(l.elems)
		}
		return v.node.Len()
	case Map:
		if d, ok := v.ref.(*dict); ok {
			return len(d.keys)
		}
		n := 0
		for c := range v.node.Children() {
			if c.Kind() != fact.Null {
				n++
			}
		}
		return n
	}
	return -1
}

// Each yields a list's elements with their index, or a map's values with their
// key, until yield returns false.
func (v Value) Each(yield func(key, val Value) bool) {
	switch r := v.ref.(type) {
	case *list:
		for i, e := range r.elems {
			if !yield(IntOf(int64(i)), e) {
				return
			}
		}
		return
	case *dict:
		for i, k := range r.keys {
			if !yield(k, r.vals[i]) {
				return
			}
		}
		return
	}
	i := int64(0)
	for c := range v.node.Children() {
		key := IntOf(i)
		if v.kind == Map {
			if c.Kind() == fact.Null {
				continue
			}
			key = StringOf(c.Key().String())
		}
		if !yield(key, FromFact(c)) {
			return
		}
		i++
	}
}

// Elems returns the elements of a list, or the values of a map, as a slice.
func (v Value) Elems() []Value {
	var out []Value
	v.Each(func(_, e Value) bool {
		out = append(out, e)
		return true
	})
	return out
}

// field returns a map's value under a string key. A null in a document is an
// absent field, as it is for the API server.
func (v Value) field(name string, key fact.Key) (Value, bool) {
	if v.ref != nil {
		d := v.ref.(*dict)
		for i := range d.keys {
			if k := &d.keys[i]; k.kind == String && k.str == name {
				return d.vals[i], true
			}
		}
		return Value{}, false
	}
	c := v.node.Get(key)
	if c.IsNull() {
		return Value{}, false
	}
	return FromFact(c), true
}

// Field returns a map's value under a key; false when it has none.
func (v Value) Field(name string) (Value, bool) {
	if v.kind != Map {
		return Value{}, false
	}
	return v.field(name, fact.K(name))
}

// equal is CEL's heterogeneous equality.
func equal(a, b Value) bool {
	if isNumber(a) && isNumber(b) {
		return compareNumbers(a, b) == 0
	}
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case Null:
		return true
	case Bool:
		return a.num == b.num
	case String:
		return a.str == b.str
	case List:
		return equalLists(a, b)
	case Map:
		return equalMaps(a, b)
	case Optional:
		x, ok := a.Get()
		y, okb := b.Get()
		return ok == okb && (!ok || equal(x, y))
	case Opaque:
		if e, ok := a.ref.(interface{ EqualTo(any) bool }); ok {
			return e.EqualTo(b.ref)
		}
		return a.ref == b.ref
	}
	return false
}

func equalLists(a, b Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	x, y := a.Elems(), b.Elems()
	for i := range x {
		if !equal(x[i], y[i]) {
			return false
		}
	}
	return true
}

func equalMaps(a, b Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	same := true
	a.Each(func(k, v Value) bool {
		w, ok := lookup(b, k)
		same = ok && equal(v, w)
		return same
	})
	return same
}

// lookup finds a key of any kind in a map.
func lookup(m, key Value) (Value, bool) {
	if key.kind == String {
		if m.ref != nil {
			return m.field(key.str, fact.Key{})
		}
		return m.field(key.str, fact.K(key.str))
	}
	if d, ok := m.ref.(*dict); ok {
		for i, k := range d.keys {
			if equal(k, key) {
				return d.vals[i], true
			}
		}
	}
	return Value{}, false
}

func isNumber(v Value) bool { return v.kind == Int || v.kind == Uint || v.kind == Double }

// compareNumbers orders numbers of any type by value; 2 when either is NaN.
func compareNumbers(a, b Value) int {
	if a.kind == Int && b.kind == Int {
		switch x, y := int64(a.num), int64(b.num); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	x, y := a.Double(), b.Double()
	switch {
	case math.IsNaN(x) || math.IsNaN(y):
		return 2
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// Text returns the value as a message would show it.
func (v Value) Text() string {
	switch v.kind {
	case String:
		return v.str
	case Bool:
		return strconv.FormatBool(v.True())
	case Int:
		return strconv.FormatInt(v.Int(), 10)
	case Uint:
		return strconv.FormatUint(v.num, 10)
	case Double:
		return strconv.FormatFloat(v.Double(), 'g', -1, 64)
	case Null:
		return "null"
	case List:
		parts := make([]string, 0, v.Len())
		v.Each(func(_, e Value) bool {
			parts = append(parts, e.Text())
			return true
		})
		return strings.Join(parts, ", ")
	case Optional:
		if x, ok := v.Get(); ok {
			return x.Text()
		}
		return "(not set)"
	case Opaque:
		return fmt.Sprint(v.ref)
	}
	return ""
}
