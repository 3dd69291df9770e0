package expr

import (
	"math"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/merlon-security/merlon/internal/fact"
)

// native is a function implemented here, by number of arguments; the receiver
// of a member function is the first. Arguments are never errors.
type native struct {
	one  func(f *Frame, a Value) Value
	two  func(f *Frame, a, b Value) Value
	many func(f *Frame, args []Value) Value
}

// lazily compiles the functions that do not evaluate all their arguments, or
// that look at errors.
func lazily(name string, args []code) (code, bool) {
	switch name {
	case operators.LogicalAnd:
		return logical(args[0], args[1], 0), true
	case operators.LogicalOr:
		return logical(args[0], args[1], 1), true
	case operators.Conditional:
		c, a, b := args[0], args[1], args[2]
		return func(f *Frame) Value {
			switch v := c(f); {
			case v.kind == Error:
				return v
			case v.kind != Bool:
				return noOverload("_?_:_", v)
			case v.num == 1:
				return a(f)
			}
			return b(f)
		}, true
	case operators.NotStrictlyFalse:
		a := args[0]
		return func(f *Frame) Value {
			v := a(f)
			return BoolOf(v.kind != Bool || v.num == 1)
		}, true
	case "orValue", "or":
		if len(args) != 2 {
			return nil, false
		}
		return orElse(name, args[0], args[1]), true
	}
	return nil, false
}

// logical is && (absorbing 0) and || (absorbing 1): the absorbing value wins
// over an error on either side.
func logical(a, b code, absorbing uint64) code {
	return func(f *Frame) Value {
		x := a(f)
		if x.kind == Bool && x.num == absorbing {
			return x
		}
		y := b(f)
		if y.kind == Bool && y.num == absorbing {
			return y
		}
		switch {
		case x.kind == Bool && y.kind == Bool:
			return BoolOf(absorbing == 0)
		case x.kind == Error:
			return x
		case y.kind == Error:
			return y
		}
		return noOverload("logical operator", x, y)
	}
}

func orElse(name string, a, b code) code {
	return func(f *Frame) Value {
		x := a(f)
		if x.kind == Error {
			return x
		}
		if x.kind != Optional {
			return noOverload(name, x)
		}
		v, ok := x.Get()
		if !ok {
			return b(f)
		}
		if name == "or" {
			return x
		}
		return v
	}
}

// withConstant compiles calls whose literal argument allows work to be done
// once: field names of optional selection and indexing, and patterns.
func withConstant(name string, args []ast.Expr, compiled []code) (code, bool) {
	if x, ok := inConstants(name, args, compiled); ok {
		return x, true
	}
	if len(args) != 2 || args[1].Kind() != ast.LiteralKind {
		return nil, false
	}
	text, ok := args[1].AsLiteral().Value().(string)
	if !ok {
		return nil, false
	}
	a := compiled[0]
	switch name {
	case operators.OptSelect, operators.OptIndex:
		key := fact.K(text)
		return func(f *Frame) Value { return optGet(f, a(f), text, key) }, true
	case operators.Index:
		key := fact.K(text)
		return func(f *Frame) Value { return get(f, a(f), text, key) }, true
	case "matches":
		re, err := compilePattern(text)
		return func(f *Frame) Value {
			switch v := a(f); {
			case v.kind == Error:
				return v
			case err != nil:
				return Errorf("error parsing regexp: %v", err)
			case v.kind != String:
				return noOverload("matches", v)
			default:
				return BoolOf(re.matches(v.str))
			}
		}, true
	}
	return nil, false
}

// inConstants compiles `x in ["a", "b", …]` to a look-up.
func inConstants(name string, args []ast.Expr, compiled []code) (code, bool) {
	if name != operators.In || args[1].Kind() != ast.ListKind || !constants(args[1].AsList().Elements()) {
		return nil, false
	}
	set := map[string]bool{}
	for _, e := range args[1].AsList().Elements() {
		text, ok := e.AsLiteral().Value().(string)
		if !ok {
			return nil, false
		}
		set[text] = true
	}
	a := compiled[0]
	return func(f *Frame) Value {
		v := a(f)
		switch v.kind {
		case Error:
			return v
		case String:
			return BoolOf(set[v.str])
		}
		return BoolOf(false)
	}, true
}

func equals(_ *Frame, a, b Value) Value  { return BoolOf(equal(a, b)) }
func differs(_ *Frame, a, b Value) Value { return BoolOf(!equal(a, b)) }

func not(_ *Frame, a Value) Value {
	if a.kind != Bool {
		return noOverload("!_", a)
	}
	return BoolOf(a.num == 0)
}

// ordering makes a comparison out of what it accepts.
func ordering(name string, accept func(int) bool) native {
	return native{two: func(_ *Frame, a, b Value) Value {
		switch {
		case isNumber(a) && isNumber(b):
			c := compareNumbers(a, b)
			return BoolOf(c != 2 && accept(c))
		case a.kind == String && b.kind == String:
			return BoolOf(accept(strings.Compare(a.str, b.str)))
		case a.kind == Bool && b.kind == Bool:
			return BoolOf(accept(int(a.num) - int(b.num)))
		}
		return noOverload(name, a, b)
	}}
}

func contained(_ *Frame, a, b Value) Value {
	switch b.kind {
	case List:
		return BoolOf(holds(b, a))
	case Map:
		_, ok := lookup(b, a)
		return BoolOf(ok)
	}
	return noOverload("@in", a, b)
}

// holds reports whether a list holds a value.
func holds(l, v Value) bool {
	if made, ok := l.ref.(*list); ok {
		for i := range made.elems {
			if e := &made.elems[i]; e.kind == String && v.kind == String {
				if e.str == v.str {
					return true
				}
			} else if equal(v, *e) {
				return true
			}
		}
		return false
	}
	for c := range l.node.Children() {
		if v.kind == String {
			if c.Kind() == fact.String && c.Str() == v.str {
				return true
			}
		} else if equal(v, FromFact(c)) {
			return true
		}
	}
	return false
}

func index(f *Frame, m, i Value) Value {
	if m.kind == Optional {
		return optIndex(f, m, i)
	}
	switch m.kind {
	case Map:
		if v, ok := lookup(m, i); ok {
			f.read(v)
			return v
		}
		if i.kind == String {
			f.miss(m, i.str)
		}
		return Errorf("no such key: %s", i.Text())
	case List:
		if v, ok := element(m, i); ok {
			f.read(v)
			return v
		}
		return Errorf("index out of bounds: %s", i.Text())
	}
	return noOverload("_[_]", m, i)
}

func optIndex(f *Frame, m, i Value) Value {
	if m.kind == Optional {
		inner, ok := m.Get()
		if !ok {
			return None()
		}
		m = inner
	}
	var v Value
	ok := false
	switch m.kind {
	case Map:
		v, ok = lookup(m, i)
	case List:
		v, ok = element(m, i)
	case Error:
		return m
	}
	if !ok {
		return None()
	}
	f.read(v)
	return Some(v)
}

func element(l, i Value) (Value, bool) {
	n := i.Int()
	switch i.kind {
	case Double:
		if n = int64(i.Double()); float64(n) != i.Double() {
			return Value{}, false
		}
	case Int, Uint:
	default:
		return Value{}, false
	}
	if n < 0 || n >= int64(l.Len()) {
		return Value{}, false
	}
	if made, ok := l.ref.(*list); ok {
		return made.elems[n], true
	}
	return FromFact(l.node.Index(int(n))), true
}

func add(a, b Value) Value {
	switch {
	case a.kind == Error:
		return a
	case b.kind == Error:
		return b
	case a.kind == String && b.kind == String:
		return StringOf(a.str + b.str)
	case a.kind == List && b.kind == List:
		switch {
		case b.Len() == 0:
			return a
		case a.Len() == 0:
			return b
		}
		return ListOf(append(a.Elems(), b.Elems()...))
	}
	return arithmetic(operators.Add, a, b)
}

// arithmetic computes on two numbers of one type, with CEL's overflow errors.
func arithmetic(op string, a, b Value) Value {
	if a.kind != b.kind {
		return noOverload(op, a, b)
	}
	switch a.kind {
	case Int:
		return integers(op, int64(a.num), int64(b.num))
	case Double:
		x, y := a.Double(), b.Double()
		switch op {
		case operators.Add:
			return DoubleOf(x + y)
		case operators.Subtract:
			return DoubleOf(x - y)
		case operators.Multiply:
			return DoubleOf(x * y)
		case operators.Divide:
			return DoubleOf(x / y)
		}
	}
	return noOverload(op, a, b)
}

func integers(op string, x, y int64) Value {
	overflow := Errorf("integer overflow")
	switch op {
	case operators.Add:
		if z := x + y; (z > x) == (y > 0) {
			return IntOf(z)
		}
	case operators.Subtract:
		if z := x - y; (z < x) == (y > 0) {
			return IntOf(z)
		}
	case operators.Multiply:
		if x == 0 || y == 0 {
			return IntOf(0)
		}
		if z := x * y; z/y == x && !(x == -1 && y == math.MinInt64) && !(y == -1 && x == math.MinInt64) {
			return IntOf(z)
		}
	case operators.Divide, operators.Modulo:
		if y == 0 {
			return Errorf("division by zero")
		}
		if x == math.MinInt64 && y == -1 {
			return overflow
		}
		if op == operators.Divide {
			return IntOf(x / y)
		}
		return IntOf(x % y)
	}
	return overflow
}

func negate(_ *Frame, a Value) Value {
	switch a.kind {
	case Int:
		if int64(a.num) == math.MinInt64 {
			return Errorf("integer overflow")
		}
		return IntOf(-int64(a.num))
	case Double:
		return DoubleOf(-a.Double())
	}
	return noOverload("-_", a)
}
