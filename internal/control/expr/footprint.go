package expr

import (
	"slices"
	"strings"

	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
)

// Path is a place that an expression reads, with all below it: a variable and
// the field names that follow it.
type Path struct {
	Var    string
	Fields []string
}

// String returns the path as the expression would write it.
func (p Path) String() string { return strings.Join(append([]string{p.Var}, p.Fields...), ".") }

// Footprint returns what the expression can read, and no more: two subjects
// that are equal there get the same result. Nothing is known of an expression
// that calls a function which sees more than its arguments; see Whole. The
// control's own variables are followed into what they read.
func (p *Program) Footprint() []Path { return p.footprint }

// footprintOf collects the paths of a parsed expression. Variables that macros
// bind stand for parts of what they range over, which is collected as a whole.
func footprintOf(e ast.Expr, env *Env, bound []string, add func(Path)) {
	if path, ok := chain(e, bound); ok {
		_, variable := env.slots[path.Var]
		switch {
		case path.Var == "variables":
			followVariable(path, env, add)
		case variable || !isTypeName(path.Var):
			add(path)
		}
		return
	}
	switch e.Kind() {
	case ast.SelectKind:
		footprintOf(e.AsSelect().Operand(), env, bound, add)
	case ast.CallKind:
		call := e.AsCall()
		if call.IsMemberFunction() {
			footprintOf(call.Target(), env, bound, add)
		}
		for _, a := range call.Args() {
			footprintOf(a, env, bound, add)
		}
	case ast.ListKind:
		for _, x := range e.AsList().Elements() {
			footprintOf(x, env, bound, add)
		}
	case ast.MapKind:
		for _, x := range e.AsMap().Entries() {
			footprintOf(x.AsMapEntry().Key(), env, bound, add)
			footprintOf(x.AsMapEntry().Value(), env, bound, add)
		}
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		footprintOf(c.IterRange(), env, bound, add)
		footprintOf(c.AccuInit(), env, bound, add)
		inner := append(slices.Clone(bound), c.AccuVar(), c.IterVar(), c.IterVar2())
		for _, x := range []ast.Expr{c.LoopCondition(), c.LoopStep(), c.Result()} {
			footprintOf(x, env, inner, add)
		}
	}
}

func followVariable(path Path, env *Env, add func(Path)) {
	if len(path.Fields) == 0 {
		return
	}
	if i, ok := env.named[path.Fields[0]]; ok {
		for _, p := range env.programs[i].footprint {
			add(p)
		}
	}
}

// chain recognises a variable followed by constant field names, in any of the
// ways that CEL writes a selection. A name that a macro binds is no variable.
func chain(e ast.Expr, bound []string) (Path, bool) {
	switch e.Kind() {
	case ast.IdentKind:
		name := e.AsIdent()
		return Path{Var: name}, !slices.Contains(bound, name)
	case ast.SelectKind:
		return extend(e.AsSelect().Operand(), e.AsSelect().FieldName(), bound)
	case ast.CallKind:
		call := e.AsCall()
		switch call.FunctionName() {
		case operators.OptSelect, operators.Index, operators.OptIndex:
			if key := call.Args()[1]; key.Kind() == ast.LiteralKind {
				if name, ok := key.AsLiteral().Value().(string); ok {
					return extend(call.Args()[0], name, bound)
				}
			}
		}
	}
	return Path{}, false
}

func extend(operand ast.Expr, name string, bound []string) (Path, bool) {
	p, ok := chain(operand, bound)
	if !ok {
		return Path{}, false
	}
	return Path{p.Var, append(slices.Clone(p.Fields), name)}, true
}
