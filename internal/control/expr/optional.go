package expr

import (
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/merlon-security/merlon/internal/fact"
)

// optCode computes an expression of optional type without making the optional:
// the value and whether there is one. An error is a value that is not there.
type optCode func(f *Frame) (Value, bool)

// optional compiles chains such as a.?b.c[?"d"].or(e.?f), which is how controls
// walk into objects. It reports false for anything that is not seen to be of
// optional type.
func (c *compiler) optional(e ast.Expr) (optCode, bool, error) {
	switch e.Kind() {
	case ast.SelectKind:
		if s := e.AsSelect(); !s.IsTestOnly() {
			inner, ok, err := c.optional(s.Operand())
			if !ok || err != nil {
				return nil, false, err
			}
			return stepAfter(inner, s.FieldName()), true, nil
		}
	case ast.CallKind:
		return c.optionalCall(e.AsCall())
	}
	return nil, false, nil
}

func (c *compiler) optionalCall(call ast.CallExpr) (optCode, bool, error) {
	args := call.Args()
	switch fn := call.FunctionName(); fn {
	case operators.OptSelect, operators.OptIndex, operators.Index:
		if args[1].Kind() != ast.LiteralKind {
			return nil, false, nil
		}
		name, ok := args[1].AsLiteral().Value().(string)
		if !ok {
			return nil, false, nil
		}
		inner, ok, err := c.optional(args[0])
		if err != nil {
			return nil, false, err
		}
		if ok {
			return stepAfter(inner, name), true, nil
		}
		if fn == operators.Index {
			return nil, false, nil
		}
		operand, err := c.compile(args[0])
		if err != nil {
			return nil, false, err
		}
		return stepAfter(opened(operand), name), true, nil
	case "or":
		if !call.IsMemberFunction() || len(args) != 1 {
			return nil, false, nil
		}
		a, ok, err := c.optional(call.Target())
		if !ok || err != nil {
			return nil, false, err
		}
		b, ok, err := c.optional(args[0])
		if !ok || err != nil {
			return nil, false, err
		}
		return func(f *Frame) (Value, bool) {
			v, ok := a(f)
			if ok || v.kind == Error {
				return v, ok
			}
			return b(f)
		}, true, nil
	}
	return nil, false, nil
}

// opened runs plain code whose result may be an optional or not.
func opened(operand code) optCode {
	return func(f *Frame) (Value, bool) {
		v := operand(f)
		if v.kind == Optional {
			return v.Get()
		}
		return v, v.kind != Error
	}
}

// stepAfter selects a field of what there is.
func stepAfter(inner optCode, name string) optCode {
	key := fact.K(name)
	return func(f *Frame) (Value, bool) {
		m, ok := inner(f)
		if !ok {
			return m, false
		}
		if m.kind == List {
			return Errorf("unsupported index type 'string' in list"), false
		}
		if m.kind != Map {
			return Value{}, false
		}
		v, ok := m.field(name, key)
		if !ok {
			f.miss(m, name)
			return Value{}, false
		}
		f.read(v)
		return v, true
	}
}

// shortOptional compiles the calls that end a chain of optionals.
func (c *compiler) shortOptional(call ast.CallExpr) (code, bool, error) {
	name := call.FunctionName()
	if !call.IsMemberFunction() || !(name == "orValue" && len(call.Args()) == 1 || name == "hasValue" && len(call.Args()) == 0) {
		return nil, false, nil
	}
	chain, ok, err := c.optional(call.Target())
	if !ok || err != nil {
		return nil, false, err
	}
	if name == "hasValue" {
		return func(f *Frame) Value {
			v, ok := chain(f)
			if v.kind == Error {
				return v
			}
			return BoolOf(ok)
		}, true, nil
	}
	otherwise, err := c.compile(call.Args()[0])
	if err != nil {
		return nil, false, err
	}
	return func(f *Frame) Value {
		v, ok := chain(f)
		if ok || v.kind == Error {
			return v
		}
		return otherwise(f)
	}, true, nil
}
