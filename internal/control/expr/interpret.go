package expr

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/functions"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/merlon-security/merlon/internal/fact"
)

// interpreted makes a program that cel-go runs: for functions that are not
// native, and as the reference that tests hold the native code against. It
// leaves no trace of single fields.
func (e *Env) interpreted(source string) (*Program, error) {
	env, err := e.cel()
	if err != nil {
		return nil, fmt.Errorf("make CEL environment: %w", err)
	}
	checked, issues := env.Compile(source)
	if issues.Err() != nil {
		return nil, fmt.Errorf("compile CEL %q: %w", source, issues.Err())
	}
	p := &Program{Source: source, env: e, names: map[string]bool{}}
	identifiers(checked.NativeRep().Expr(), p.names)
	footprintOf(checked.NativeRep().Expr(), e, nil, func(path Path) { p.footprint = append(p.footprint, path) })
	ast.PostOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() == ast.CallKind {
			if f, ok := e.funcs[x.AsCall().FunctionName()]; ok {
				p.Whole = p.Whole || f.Whole
			}
		}
	}))
	for i, v := range e.programs {
		for name, at := range e.named {
			if at == i && p.names["variables."+name] {
				p.Whole = p.Whole || v.Whole
			}
		}
	}
	p.run = func(f *Frame) Value {
		program, err := f.plan(p, func() (cel.Program, error) {
			//lint:ignore SA1019 cel.Function binds when the environment is made; these are bound to a frame
			return env.Program(checked, cel.Functions(bindings(e, f)...), cel.CostLimit(limit))
		})
		if err != nil {
			return Errorf("plan CEL: %w", err)
		}
		out, _, err := program.Eval(activation(e, f, p.names))
		if err != nil {
			return Errorf("%w", err)
		}
		return fromCEL(out)
	}
	return p, nil
}

// plan returns cel-go's program for an expression, which is bound to the frame
// through the functions that Merlon adds.
func (f *Frame) plan(p *Program, build func() (cel.Program, error)) (cel.Program, error) {
	if made, ok := f.plans[p]; ok {
		return made, nil
	}
	made, err := build()
	if err != nil {
		return nil, err
	}
	if f.plans == nil {
		f.plans = map[*Program]cel.Program{}
	}
	f.plans[p] = made
	return made, nil
}

// bindings gives cel-go the functions that Merlon adds, for one evaluation.
func bindings(e *Env, f *Frame) []*functions.Overload {
	var out []*functions.Overload
	for name, fn := range e.funcs {
		call := func(args ...ref.Val) ref.Val {
			vals := make([]Value, len(args))
			for i, a := range args {
				vals[i] = fromCEL(a)
			}
			return toCEL(fn.Call(f, vals))
		}
		for n := fn.Min; n <= fn.Max; n++ {
			out = append(out, overload(fmt.Sprintf("merlon_%s_%d", name, n), call))
		}
	}
	return out
}

func overload(id string, call func(...ref.Val) ref.Val) *functions.Overload {
	return &functions.Overload{
		Operator: id,
		Unary:    func(a ref.Val) ref.Val { return call(a) },
		Binary:   func(a, b ref.Val) ref.Val { return call(a, b) },
		Function: call,
	}
}

// activation gives cel-go the variables that an expression names, computed in
// the order in which they were declared, so that a trace is always the same.
func activation(e *Env, f *Frame, names map[string]bool) map[string]any {
	vars := map[string]any{}
	for slot, name := range e.order {
		if !names[name] {
			continue
		}
		v := f.vars[slot]
		if v.kind == Unset {
			v = f.resolve(slot)
		}
		if v.kind != Error {
			vars[name] = toCEL(v)
		}
	}
	declared := make([]string, len(e.programs))
	for name, i := range e.named {
		declared[i] = name
	}
	own := map[ref.Val]ref.Val{}
	for i, name := range declared {
		if !names["variables."+name] {
			continue
		}
		if v := f.variable(i); v.kind != Error {
			own[types.String(name)] = toCEL(v)
		}
	}
	vars["variables"] = types.NewRefValMap(types.DefaultTypeAdapter, own)
	return vars
}

// toCEL converts a value for cel-go. Null fields are left out, as everywhere.
func toCEL(v Value) ref.Val {
	switch v.kind {
	case Error:
		return types.WrapErr(v.Err())
	case Null:
		return types.NullValue
	case Bool:
		return types.Bool(v.num == 1)
	case Int:
		return types.Int(v.num)
	case Uint:
		return types.Uint(v.num)
	case Double:
		return types.Double(v.Double())
	case String:
		return types.String(v.str)
	case List:
		elems := make([]ref.Val, 0, v.Len())
		v.Each(func(_, e Value) bool {
			elems = append(elems, toCEL(e))
			return true
		})
		return types.NewRefValList(types.DefaultTypeAdapter, elems)
	case Map:
		m := make(map[ref.Val]ref.Val, v.Len())
		v.Each(func(k, e Value) bool {
			m[toCEL(k)] = toCEL(e)
			return true
		})
		return source{types.NewRefValMap(types.DefaultTypeAdapter, m), v.node}
	case Optional:
		if x, ok := v.Get(); ok {
			return types.OptionalOf(toCEL(x))
		}
		return types.OptionalNone
	case Opaque:
		if r, ok := v.ref.(ref.Val); ok {
			return r
		}
	}
	return types.NewErr("no such attribute")
}

// source is a map that remembers the document it was read from, so that a
// function that is handed the object can tell which it is.
type source struct {
	traits.Mapper
	node fact.Value
}

func fromCEL(v ref.Val) Value {
	switch x := v.(type) {
	case source:
		return FromFact(x.node).orMade(x.Mapper)
	case *types.Err:
		return Errorf("%w", x)
	case types.Null:
		return Value{kind: Null}
	case types.Bool:
		return BoolOf(bool(x))
	case types.Int:
		return IntOf(int64(x))
	case types.Uint:
		return Value{kind: Uint, num: uint64(x)}
	case types.Double:
		return DoubleOf(float64(x))
	case types.String:
		return StringOf(string(x))
	case *types.Optional:
		if x.HasValue() {
			return Some(fromCEL(x.GetValue()))
		}
		return None()
	case traits.Mapper:
		return madeMap(x)
	case traits.Lister:
		var elems []Value
		for it := x.Iterator(); it.HasNext() == types.True; {
			elems = append(elems, fromCEL(it.Next()))
		}
		return ListOf(elems)
	}
	return OpaqueOf(v)
}

// orMade returns v, or, for a map that no document holds, the map itself.
func (v Value) orMade(m traits.Mapper) Value {
	if v.kind != Unset {
		return v
	}
	return madeMap(m)
}

// madeMap is a map that an expression made, in the order of its keys: cel-go
// keeps none.
func madeMap(m traits.Mapper) Value {
	d := &dict{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		d.keys = append(d.keys, fromCEL(it.Next()))
	}
	slices.SortFunc(d.keys, func(a, b Value) int { return strings.Compare(a.Text(), b.Text()) })
	for _, k := range d.keys {
		d.vals = append(d.vals, fromCEL(m.Get(toCEL(k))))
	}
	return Value{kind: Map, ref: d}
}
