package expr

import (
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
)

// Call is one call of a function that Merlon adds, with what is known of its
// first argument before it runs: a text in which * stands for what is not.
type Call struct{ Name, First string }

// Calls returns the calls that the expression makes, those of the control's own
// variables included. It parses the expression anew: hardly anyone asks.
func (p *Program) Calls() []Call {
	parsed, err := p.env.parse(p.Source)
	if err != nil {
		return nil // it compiled, so it parses
	}
	return callsOf(parsed, p.env)
}

// callsOf collects the calls of a parsed expression.
func callsOf(e ast.Expr, env *Env) []Call {
	var out []Call
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() != ast.CallKind {
			return
		}
		call := x.AsCall()
		if _, ok := env.funcs[call.FunctionName()]; !ok {
			return
		}
		first := ""
		if args := call.Args(); len(args) > 0 {
			first = known(args[0])
		}
		out = append(out, Call{call.FunctionName(), first})
	}))
	for _, name := range variablesOf(e) {
		if i, ok := env.named[name]; ok {
			out = append(out, env.programs[i].Calls()...)
		}
	}
	return out
}

// known returns the text of an expression, with * for what only running it
// tells.
func known(e ast.Expr) string {
	switch e.Kind() {
	case ast.LiteralKind:
		if s, ok := e.AsLiteral().Value().(string); ok {
			return s
		}
	case ast.CallKind:
		if call := e.AsCall(); call.FunctionName() == operators.Add && len(call.Args()) == 2 {
			return known(call.Args()[0]) + known(call.Args()[1])
		}
	}
	return "*"
}

// variablesOf returns the control's own variables that an expression names.
func variablesOf(e ast.Expr) []string {
	var out []string
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(x ast.Expr) {
		if path, ok := chain(x, nil); ok && path.Var == "variables" && len(path.Fields) == 1 {
			out = append(out, path.Fields[0])
		}
	}))
	return out
}
