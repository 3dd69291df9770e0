package expr

import (
	"fmt"
	"math"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/merlon-security/merlon/internal/fact"
)

// code computes one node of an expression.
type code func(f *Frame) Value

// compiler turns a parsed expression into code. Variables get slots: those of
// the environment first, then one for each variable that a macro binds.
type compiler struct {
	env    *Env
	locals []string // innermost last; "" where shadowing must not find it
	depth  int      // most locals alive at once
	whole  bool     // calls a function that sees the whole input
	names  map[string]bool
	fresh  bool // what is compiled will be changed in place
}

// unsupportedError says that an expression needs cel-go itself to run.
type unsupportedError struct{ what string }

func (e unsupportedError) Error() string { return e.what + " is not available natively" }

func (c *compiler) compile(e ast.Expr) (code, error) {
	switch e.Kind() {
	case ast.LiteralKind:
		return c.literal(e)
	case ast.IdentKind:
		return c.ident(e.AsIdent())
	case ast.SelectKind:
		return c.selection(e)
	case ast.CallKind:
		return c.call(e)
	case ast.ListKind:
		return c.list(e.AsList())
	case ast.MapKind:
		return c.dict(e.AsMap())
	case ast.ComprehensionKind:
		return c.fold(e.AsComprehension())
	}
	return nil, unsupportedError{"a message literal"}
}

func (c *compiler) literal(e ast.Expr) (code, error) {
	var v Value
	switch x := e.AsLiteral().(type) {
	case types.Bool:
		v = BoolOf(bool(x))
	case types.Int:
		v = IntOf(int64(x))
	case types.Uint:
		v = Value{kind: Uint, num: uint64(x)}
	case types.Double:
		v = Value{kind: Double, num: math.Float64bits(float64(x))}
	case types.String:
		v = StringOf(string(x))
	case types.Null:
		v = Value{kind: Null}
	default:
		return nil, unsupportedError{fmt.Sprintf("a literal of type %s", e.AsLiteral().Type())}
	}
	return func(*Frame) Value { return v }, nil
}

func (c *compiler) local(name string) (int, bool) {
	for i := len(c.locals) - 1; i >= 0; i-- {
		if c.locals[i] == name {
			return i, true
		}
	}
	return 0, false
}

func (c *compiler) ident(name string) (code, error) {
	if i, ok := c.local(name); ok {
		return func(f *Frame) Value { return f.locals[i] }, nil
	}
	slot, ok := c.env.slots[name]
	if !ok && isTypeName(name) {
		v := OpaqueOf(typeName(name))
		return func(*Frame) Value { return v }, nil
	}
	if !ok {
		return nil, fmt.Errorf("undeclared reference to %q", name)
	}
	c.names[name] = true
	return func(f *Frame) Value {
		if v := f.vars[slot]; v.kind != Unset {
			return v
		}
		return f.resolve(slot)
	}, nil
}

func (c *compiler) selection(e ast.Expr) (code, error) {
	sel := e.AsSelect()
	name := sel.FieldName()
	if sel.Operand().Kind() == ast.IdentKind && sel.Operand().AsIdent() == "variables" && !sel.IsTestOnly() {
		return c.named(name)
	}
	operand, err := c.compile(sel.Operand())
	if err != nil {
		return nil, err
	}
	key := fact.K(name)
	if sel.IsTestOnly() {
		return func(f *Frame) Value { return has(f, operand(f), name, key) }, nil
	}
	return func(f *Frame) Value { return get(f, operand(f), name, key) }, nil
}

// named reads one of the control's own variables, computing it at first use.
func (c *compiler) named(name string) (code, error) {
	i, ok := c.env.named[name]
	if !ok {
		return nil, fmt.Errorf("undeclared reference to variables.%s", name)
	}
	c.names["variables."+name] = true
	return func(f *Frame) Value { return f.variable(i) }, nil
}

func (c *compiler) list(l ast.ListExpr) (code, error) {
	elems := make([]code, l.Size())
	for i, e := range l.Elements() {
		x, err := c.compile(e)
		if err != nil {
			return nil, err
		}
		elems[i] = x
	}
	optional := make([]bool, l.Size())
	for _, i := range l.OptionalIndices() {
		optional[i] = true
	}
	build := func(f *Frame) Value {
		out := make([]Value, 0, len(elems))
		for i, e := range elems {
			v := e(f)
			if v.kind == Error {
				return v
			}
			if optional[i] {
				if v.kind != Optional {
					return noOverload("[?]", v)
				}
				x, ok := v.Get()
				if !ok {
					continue
				}
				v = x
			}
			out = append(out, v)
		}
		return ListOf(out)
	}
	return c.folded(constants(l.Elements()), build), nil
}

// constants reports whether all of some expressions are literals.
func constants(all []ast.Expr) bool {
	for _, e := range all {
		if e.Kind() != ast.LiteralKind {
			return false
		}
	}
	return true
}

// folded makes a list or map of literals once instead of at every evaluation.
// What a comprehension starts from is never folded: it is appended to in place.
func (c *compiler) folded(constant bool, build code) code {
	if !constant || c.fresh {
		return build
	}
	v := build(nil)
	return func(*Frame) Value { return v }
}

func (c *compiler) dict(m ast.MapExpr) (code, error) {
	type entry struct {
		key, val code
		optional bool
	}
	var entries []entry
	var parts []ast.Expr
	for _, e := range m.Entries() {
		parts = append(parts, e.AsMapEntry().Key(), e.AsMapEntry().Value())
		k, err := c.compile(e.AsMapEntry().Key())
		if err != nil {
			return nil, err
		}
		v, err := c.compile(e.AsMapEntry().Value())
		if err != nil {
			return nil, err
		}
		entries = append(entries, entry{k, v, e.AsMapEntry().IsOptional()})
	}
	build := func(f *Frame) Value {
		d := &dict{}
		for _, e := range entries {
			k, v := e.key(f), e.val(f)
			if k.kind == Error {
				return k
			}
			if v.kind == Error {
				return v
			}
			if e.optional {
				x, ok := v.Get()
				if !ok {
					continue
				}
				v = x
			}
			if _, dup := lookup(Value{kind: Map, ref: d}, k); dup {
				return Errorf("insert failed: key %s already exists", k.Text())
			}
			d.keys, d.vals = append(d.keys, k), append(d.vals, v)
		}
		return Value{kind: Map, ref: d}
	}
	return c.folded(constants(parts), build), nil
}

// bind makes names visible while build runs and returns the slot of the first.
func (c *compiler) bind(names []string, build func(slot int) error) error {
	slot := len(c.locals)
	c.locals = append(c.locals, names...)
	c.depth = max(c.depth, len(c.locals))
	err := build(slot)
	c.locals = c.locals[:slot]
	return err
}

func (c *compiler) call(e ast.Expr) (code, error) {
	call := e.AsCall()
	if x, ok, err := c.shortOptional(call); ok || err != nil {
		return x, err
	}
	name, args := call.FunctionName(), call.Args()
	if call.IsMemberFunction() {
		if qualified, ok := c.namespaced(call.Target(), name); ok {
			name = qualified
		} else {
			args = append([]ast.Expr{call.Target()}, args...)
		}
	}
	if i, ok := c.isAppend(args); ok && name == operators.Add {
		return c.appending(i, args[1])
	}
	compiled := make([]code, len(args))
	for i, a := range args {
		// The field of a.?b and the like is a literal; a macro argument is not
		// met here.
		x, err := c.compile(a)
		if err != nil {
			return nil, err
		}
		compiled[i] = x
	}
	if x, ok := lazily(name, compiled); ok {
		return x, nil
	}
	if x, ok := withConstant(name, args, compiled); ok {
		return x, nil
	}
	return c.function(name, compiled)
}

// namespaced recognises calls such as sets.contains(…), where what looks like a
// receiver is part of the name.
func (c *compiler) namespaced(target ast.Expr, name string) (string, bool) {
	if target.Kind() != ast.IdentKind {
		return "", false
	}
	ident := target.AsIdent()
	if _, ok := c.local(ident); ok {
		return "", false
	}
	if _, ok := c.env.slots[ident]; ok {
		return "", false
	}
	return ident + "." + name, true
}

func (c *compiler) function(name string, args []code) (code, error) {
	if fn, ok := natives(name); ok {
		return strict(name, fn, args), nil
	}
	own, ok := c.env.funcs[name]
	if !ok {
		return nil, unsupportedError{"function " + name}
	}
	if len(args) < own.Min || len(args) > own.Max {
		return nil, fmt.Errorf("found no matching overload for %s with %d arguments", name, len(args))
	}
	c.whole = c.whole || own.Whole
	return func(f *Frame) Value {
		from := len(f.args)
		for _, a := range args {
			v := a(f)
			if v.kind == Error {
				f.args = f.args[:from]
				return v
			}
			f.args = append(f.args, v)
		}
		v := own.Call(f, f.args[from:])
		f.args = f.args[:from]
		return v
	}, nil
}

// strict evaluates all arguments and passes the first error on.
func strict(name string, fn native, args []code) code {
	switch {
	case len(args) == 1 && fn.one != nil:
		a := args[0]
		return func(f *Frame) Value {
			x := a(f)
			if x.kind == Error {
				return x
			}
			return fn.one(f, x)
		}
	case len(args) == 2 && fn.two != nil:
		a, b := args[0], args[1]
		return func(f *Frame) Value {
			x := a(f)
			if x.kind == Error {
				return x
			}
			y := b(f)
			if y.kind == Error {
				return y
			}
			return fn.two(f, x, y)
		}
	case fn.many == nil:
		return func(*Frame) Value { return Errorf("no such overload: %s with %d arguments", name, len(args)) }
	}
	return func(f *Frame) Value {
		vals := make([]Value, len(args))
		for i, a := range args {
			if vals[i] = a(f); vals[i].kind == Error {
				return vals[i]
			}
		}
		return fn.many(f, vals)
	}
}
