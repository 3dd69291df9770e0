package expr

import (
	"errors"
	"fmt"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/ext"
	"k8s.io/apiserver/pkg/cel/library"
)

// Func is a function that Merlon adds to CEL. Arguments are never errors.
type Func struct {
	Name     string
	Min, Max int                                // how many arguments it takes
	Member   bool                               // called as x.name(…): x is the first argument
	Whole    bool                               // it sees more than the subject and its own arguments
	Call     func(f *Frame, args []Value) Value // does not keep args
}

// Env is what an expression may name: variables and functions. It is immutable
// and safe for concurrent use.
type Env struct {
	slots map[string]int
	order []string
	funcs map[string]*Func
	// The control's own variables, in the order of their declaration.
	named    map[string]int
	programs []*Program

	cel func() (*cel.Env, error)
	// reference says that cel-go runs every expression.
	reference bool
}

// NewEnv makes an environment of variables, all of dynamic type, and functions.
// cel-go's part is made at first use.
func NewEnv(vars []string, funcs []Func) *Env {
	e := &Env{slots: map[string]int{}, funcs: map[string]*Func{}, named: map[string]int{}}
	for _, v := range vars {
		e.slots[v] = len(e.order)
		e.order = append(e.order, v)
	}
	for i := range funcs {
		e.funcs[funcs[i].Name] = &funcs[i]
	}
	e.cel = sync.OnceValues(func() (*cel.Env, error) { return celEnv(e.order, e.funcs) })
	return e
}

// Interpreted returns an environment in which cel-go runs every expression. It is
// slow, and what tests hold the native code against.
func (e *Env) Interpreted() *Env {
	child := *e
	child.reference = true
	return &child
}

// celEnv declares the language of ValidatingAdmissionPolicy and what Merlon
// adds. Source: k8s.io/apiserver/pkg/cel/environment, Kubernetes 1.37.
func celEnv(vars []string, funcs map[string]*Func) (*cel.Env, error) {
	opts := []cel.EnvOption{
		cel.DefaultUTCTimeZone(true), cel.CrossTypeNumericComparisons(true), cel.OptionalTypes(),
		ext.Strings(ext.StringsVersion(2)), ext.Sets(), ext.TwoVarComprehensions(), ext.Lists(ext.ListsVersion(3)),
		library.URLs(), library.Regex(), library.Lists(), library.Quantity(), library.IP(), library.CIDR(), library.Format(), library.SemverLib(),
		cel.Variable("variables", cel.DynType),
	}
	for _, v := range vars {
		opts = append(opts, cel.Variable(v, cel.DynType))
	}
	for name, f := range funcs {
		var overloads []cel.FunctionOpt
		for n := f.Min; n <= f.Max; n++ {
			args := make([]*cel.Type, n)
			for i := range args {
				args[i] = cel.DynType
			}
			overload := cel.Overload
			if f.Member {
				overload = cel.MemberOverload
			}
			overloads = append(overloads, overload(fmt.Sprintf("merlon_%s_%d", name, n), args, cel.DynType))
		}
		opts = append(opts, cel.Function(name, overloads...))
	}
	return cel.NewEnv(opts...)
}

// With returns an environment that knows a control's own variable besides; its
// expression may use those declared before it.
func (e *Env) With(name, expression string) (*Env, error) {
	p, err := e.Compile(expression)
	if err != nil {
		return nil, fmt.Errorf("variable %s: %w", name, err)
	}
	return e.with(name, p), nil
}

// Fixed returns an environment in which the variable declared last has a value
// that never changes: for one that reads nothing of the subject.
func (e *Env) Fixed(v Value) *Env {
	child := *e
	child.programs = append([]*Program(nil), e.programs...)
	last := *child.programs[len(child.programs)-1]
	last.run = func(*Frame) Value { return v }
	child.programs[len(child.programs)-1] = &last
	return &child
}

// Last returns the program of the variable declared last.
func (e *Env) Last() *Program { return e.programs[len(e.programs)-1] }

func (e *Env) with(name string, p *Program) *Env {
	child := *e
	child.named = make(map[string]int, len(e.named)+1)
	for k, v := range e.named {
		child.named[k] = v
	}
	child.named[name] = len(e.programs)
	child.programs = append(append([]*Program(nil), e.programs...), p)
	return &child
}

// Program is a compiled expression: immutable and safe for concurrent use, each
// evaluation with a [Frame] of its own.
type Program struct {
	Source string
	// Whole says that a function is called that sees more than the subject.
	Whole bool
	// Native says that the expression runs without cel-go.
	Native bool

	env       *Env
	names     map[string]bool
	footprint []Path
	depth     int
	run       code
}

// Reads reports whether the expression names a variable of the environment.
func (p *Program) Reads(name string) bool { return p.names[name] }

// Compile parses an expression and makes it ready to run. It finds unknown
// names but does not check types; see [Env.Check].
func (e *Env) Compile(source string) (*Program, error) {
	if e.reference {
		return e.interpreted(source)
	}
	parsed, err := e.parse(source)
	if err != nil {
		return nil, err
	}
	p := &Program{Source: source, env: e, Native: true}
	footprintOf(parsed, e, nil, func(path Path) { p.footprint = append(p.footprint, path) })
	c := &compiler{env: e, names: map[string]bool{}}
	p.run, err = c.compile(parsed)
	var unsupported unsupportedError
	if errors.As(err, &unsupported) {
		return e.interpreted(source)
	}
	if err != nil {
		return nil, fmt.Errorf("compile CEL %q: %w", source, err)
	}
	p.depth, p.Whole, p.names = c.depth, c.whole, c.names
	for i, v := range e.programs {
		for name, at := range e.named {
			if at == i && p.names["variables."+name] {
				p.Whole = p.Whole || v.Whole
				for n := range v.names {
					p.names[n] = true
				}
			}
		}
	}
	return p, nil
}

func (e *Env) parse(source string) (ast.Expr, error) {
	if parsed, err := quickParse(source); err == nil {
		return parsed, nil
	}
	env, err := e.cel()
	if err != nil {
		return nil, fmt.Errorf("make CEL environment: %w", err)
	}
	parsed, issues := env.Parse(source)
	if issues.Err() != nil {
		return nil, fmt.Errorf("parse CEL: %w", issues.Err())
	}
	return parsed.NativeRep().Expr(), nil
}

// Check verifies an expression with cel-go's type checker, as the API server
// does when a policy is created.
func (e *Env) Check(source string) error {
	env, err := e.cel()
	if err != nil {
		return fmt.Errorf("make CEL environment: %w", err)
	}
	if _, issues := env.Compile(source); issues.Err() != nil {
		return fmt.Errorf("check CEL: %w", issues.Err())
	}
	return nil
}

// Eval runs the expression. The result may be an error value.
func (p *Program) Eval(f *Frame) Value {
	if len(f.locals) < p.depth {
		f.locals = make([]Value, p.depth+8)
	}
	f.steps, f.over, f.used = 0, false, p.depth
	return p.run(f)
}

// Begin makes the frame ready for the expressions of an environment that has
// the control's own variables.
func (f *Frame) Begin(e *Env) {
	if cap(f.named) < len(e.programs) {
		f.named = make([]Value, len(e.programs))
	}
	f.named = f.named[:len(e.programs)]
	clear(f.named)
	f.env = e
}

// Identifiers returns the names of variables that a parsed expression uses,
// macro variables left out: what cel-go needs to be given.
func identifiers(e ast.Expr, into map[string]bool) {
	ast.PostOrderVisit(e, ast.NewExprVisitor(func(x ast.Expr) {
		if x.Kind() == ast.IdentKind {
			into[x.AsIdent()] = true
		}
		if x.Kind() == ast.SelectKind && x.AsSelect().Operand().Kind() == ast.IdentKind && x.AsSelect().Operand().AsIdent() == "variables" {
			into["variables."+x.AsSelect().FieldName()] = true
		}
	}))
}
