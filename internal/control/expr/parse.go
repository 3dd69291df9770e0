package expr

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/parser"
)

// errNotSimple says that an expression uses syntax that the quick parser leaves
// to cel-go's own, which also makes the error messages.
var errNotSimple = errors.New("not simple")

// quickParse parses what the expressions of controls are written in, some forty
// times faster than cel-go's parser, into the same syntax tree. A scan of one
// file compiles hundreds of expressions; with cel-go's parser that is most of
// its time. Macros are cel-go's own. A test holds the two equal over every
// control and by fuzzing.
//
// Grammar: https://github.com/google/cel-spec/blob/master/doc/langdef.md
func quickParse(source string) (e ast.Expr, err error) {
	if !utf8.ValidString(source) {
		return nil, errNotSimple
	}
	p := &quick{lexer: lexer{s: source}, f: ast.NewExprFactoryWithAccumulator(parser.HiddenAccumulatorName)}
	defer func() {
		// Everything that is not simple unwinds through a panic of this value.
		if r := recover(); r != nil {
			if r != errNotSimple {
				panic(r)
			}
			e, err = nil, errNotSimple
		}
	}()
	p.next()
	e = p.expr()
	if p.kind != tokenEnd {
		p.fail()
	}
	return e, nil
}

type quick struct {
	lexer
	f     ast.ExprFactory
	id    int64
	depth int
}

// maxNesting is where cel-go's parser stops too.
const maxNesting = 200

func (p *quick) fail() { panic(errNotSimple) }

func (p *quick) nextID() int64 {
	p.id++
	return p.id
}

func (p *quick) accept(op string) bool {
	if p.kind == tokenOp && p.text == op {
		p.next()
		return true
	}
	return false
}

func (p *quick) expect(op string) {
	if !p.accept(op) {
		p.fail()
	}
}

func (p *quick) expr() ast.Expr {
	if p.depth++; p.depth > maxNesting {
		p.fail()
	}
	defer func() { p.depth-- }()
	c := p.binary(0)
	if !p.accept("?") {
		return c
	}
	a := p.binary(0)
	p.expect(":")
	return p.f.NewCall(p.nextID(), operators.Conditional, c, a, p.expr())
}

// binaryLevels are CEL's operators by rising precedence.
var binaryLevels = [...]map[string]string{
	{"||": operators.LogicalOr},
	{"&&": operators.LogicalAnd},
	{"<": operators.Less, "<=": operators.LessEquals, ">": operators.Greater, ">=": operators.GreaterEquals, "==": operators.Equals, "!=": operators.NotEquals, "in": operators.In},
	{"+": operators.Add, "-": operators.Subtract},
	{"*": operators.Multiply, "/": operators.Divide, "%": operators.Modulo},
}

func (p *quick) binary(level int) ast.Expr {
	if level == len(binaryLevels) {
		return p.unary()
	}
	if level < 2 {
		return p.logical(level)
	}
	left := p.binary(level + 1)
	for p.kind == tokenOp {
		fn, ok := binaryLevels[level][p.text]
		if !ok {
			break
		}
		p.next()
		left = p.f.NewCall(p.nextID(), fn, left, p.binary(level+1))
	}
	return left
}

// logical balances chains of && and ||, as cel-go does, so that long ones do
// not nest deeply.
func (p *quick) logical(level int) ast.Expr {
	terms := []ast.Expr{p.binary(level + 1)}
	op := [...]string{"||", "&&"}[level]
	for p.accept(op) {
		terms = append(terms, p.binary(level+1))
	}
	return p.balance(binaryLevels[level][op], terms)
}

func (p *quick) balance(fn string, terms []ast.Expr) ast.Expr {
	if len(terms) == 1 {
		return terms[0]
	}
	// The split is cel-go's: the left side takes the odd one.
	mid := (len(terms) + 1) / 2
	return p.f.NewCall(p.nextID(), fn, p.balance(fn, terms[:mid]), p.balance(fn, terms[mid:]))
}

func (p *quick) unary() ast.Expr {
	for _, u := range [...]struct{ op, fn string }{{"!", operators.LogicalNot}, {"-", operators.Negate}} {
		n := 0
		for p.kind == tokenOp && p.text == u.op {
			if u.op == "-" && p.digitAhead() {
				break
			}
			p.next()
			n++
		}
		if n == 0 {
			continue
		}
		if p.kind == tokenOp && p.text == "-" {
			p.fail() // signs before a number: whose is which is cel-go's to say
		}
		e := p.member()
		if n%2 == 1 {
			e = p.f.NewCall(p.nextID(), u.fn, e)
		}
		return e
	}
	return p.member()
}

func (p *quick) member() ast.Expr {
	e := p.primary()
	for {
		switch {
		case p.accept("."):
			optional := p.accept("?")
			name := p.identifier(false)
			switch {
			case optional:
				e = p.f.NewCall(p.nextID(), operators.OptSelect, e, p.f.NewLiteral(p.nextID(), types.String(name)))
			case p.kind == tokenOp && p.text == "(":
				p.next()
				e = p.method(e, name, p.list(")"))
			default:
				e = p.f.NewSelect(p.nextID(), e, name)
			}
		case p.accept("["):
			fn := operators.Index
			if p.accept("?") {
				fn = operators.OptIndex
			}
			i := p.expr()
			p.expect("]")
			e = p.f.NewCall(p.nextID(), fn, e, i)
		default:
			return e
		}
	}
}

// identifier reads a name. Reserved words may name fields, not variables.
func (p *quick) identifier(variable bool) string {
	if p.kind != tokenIdent || variable && reserved(p.text) || p.text == "true" || p.text == "false" || p.text == "null" {
		p.fail()
	}
	name := p.text
	p.next()
	return name
}

// reserved are words that may not be names. Source: the CEL grammar, RESERVED.
func reserved(s string) bool {
	switch s {
	case "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace", "return", "var", "void", "while":
		return true
	}
	return false
}

// list parses expressions up to a closing mark; none is fine.
func (p *quick) list(end string) []ast.Expr {
	var out []ast.Expr
	for !p.accept(end) {
		if len(out) > 0 {
			p.expect(",")
		}
		out = append(out, p.expr())
	}
	return out
}

func (p *quick) primary() ast.Expr {
	switch p.kind {
	case tokenString:
		s := p.text
		p.next()
		return p.f.NewLiteral(p.nextID(), types.String(s))
	case tokenNumber:
		return p.number("")
	case tokenIdent:
		return p.word()
	case tokenOp:
		switch {
		case p.text == "-" && p.digitAhead():
			p.next()
			return p.number("-")
		case p.accept("("):
			e := p.expr()
			p.expect(")")
			return e
		case p.accept("["):
			return p.listLiteral()
		case p.accept("{"):
			return p.mapLiteral()
		}
	}
	p.fail()
	return nil
}

func (p *quick) number(sign string) ast.Expr {
	text := sign + p.text
	p.next()
	if strings.ContainsAny(text, ".eE") {
		x, err := strconv.ParseFloat(text, 64)
		if err != nil {
			p.fail()
		}
		return p.f.NewLiteral(p.nextID(), types.Double(x))
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		p.fail()
	}
	return p.f.NewLiteral(p.nextID(), types.Int(n))
}

// word parses a constant, a variable or a function's call.
func (p *quick) word() ast.Expr {
	var constant ref.Val
	switch p.text {
	case "true":
		constant = types.True
	case "false":
		constant = types.False
	case "null":
		constant = types.NullValue
	}
	if constant != nil {
		p.next()
		return p.f.NewLiteral(p.nextID(), constant)
	}
	name := p.identifier(true)
	if p.kind == tokenOp && p.text == "{" {
		p.fail() // a message
	}
	if !p.accept("(") {
		return p.f.NewIdent(p.nextID(), name)
	}
	args := p.list(")")
	if name == "has" && len(args) == 1 {
		return p.expand(parser.MakeHas, nil, args)
	}
	return p.f.NewCall(p.nextID(), name, args...)
}

func (p *quick) listLiteral() ast.Expr {
	var elems []ast.Expr
	var optional []int32
	for !p.accept("]") {
		if len(elems) > 0 {
			p.expect(",")
			if p.accept("]") {
				break
			}
		}
		if p.accept("?") {
			optional = append(optional, int32(len(elems)))
		}
		elems = append(elems, p.expr())
	}
	return p.f.NewList(p.nextID(), elems, optional)
}

func (p *quick) mapLiteral() ast.Expr {
	var entries []ast.EntryExpr
	for !p.accept("}") {
		if len(entries) > 0 {
			p.expect(",")
			if p.accept("}") {
				break
			}
		}
		optional := p.accept("?")
		k := p.expr()
		p.expect(":")
		entries = append(entries, p.f.NewMapEntry(p.nextID(), k, p.expr(), optional))
	}
	return p.f.NewMap(p.nextID(), entries)
}

// method makes a member call, or what the macro of that name expands to.
func (p *quick) method(target ast.Expr, name string, args []ast.Expr) ast.Expr {
	switch {
	case len(args) == 2 && name == "all":
		return p.expand(parser.MakeAll, target, args)
	case len(args) == 2 && name == "exists":
		return p.expand(parser.MakeExists, target, args)
	case len(args) == 2 && (name == "exists_one" || name == "existsOne"):
		return p.expand(parser.MakeExistsOne, target, args)
	case (len(args) == 2 || len(args) == 3) && name == "map":
		return p.expand(parser.MakeMap, target, args)
	case len(args) == 2 && name == "filter":
		return p.expand(parser.MakeFilter, target, args)
	case len(args) == 2 && name == "optMap" && args[0].Kind() == ast.IdentKind:
		return p.optMap(target, args[0].AsIdent(), args[1])
	case len(args) == 3 && (name == "all" || name == "exists" || name == "existsOne"),
		name == "optMap", name == "optFlatMap", strings.HasPrefix(name, "transform"), name == "bind", name == "greatest", name == "least", name == "sortBy":
		p.fail() // macros of extensions, whose expansion cel-go keeps to itself
	}
	return p.f.NewMemberCall(p.nextID(), name, target, args...)
}

// optMap expands as cel-go's optional library does.
func (p *quick) optMap(target ast.Expr, name string, e ast.Expr) ast.Expr {
	value := p.NewMemberCall("value", p.Copy(target))
	bound := p.NewComprehension(p.NewList(), "#unused", name, value, p.NewLiteral(types.False), p.NewIdent(name), e)
	return p.NewCall(operators.Conditional, p.NewMemberCall("hasValue", target), p.NewCall("optional.of", bound), p.NewCall("optional.none"))
}

func (p *quick) expand(macro parser.MacroExpander, target ast.Expr, args []ast.Expr) ast.Expr {
	e, err := macro(p, target, args)
	if err != nil || e == nil {
		p.fail()
	}
	return e
}

// The methods below make quick a parser.ExprHelper, what macros build with.

func (p *quick) Copy(e ast.Expr) ast.Expr                 { return p.f.CopyExpr(e) }
func (p *quick) NewLiteral(v ref.Val) ast.Expr            { return p.f.NewLiteral(p.nextID(), v) }
func (p *quick) NewList(elems ...ast.Expr) ast.Expr       { return p.f.NewList(p.nextID(), elems, nil) }
func (p *quick) NewMap(entries ...ast.EntryExpr) ast.Expr { return p.f.NewMap(p.nextID(), entries) }
func (p *quick) NewIdent(name string) ast.Expr            { return p.f.NewIdent(p.nextID(), name) }
func (p *quick) NewAccuIdent() ast.Expr                   { return p.f.NewAccuIdent(p.nextID()) }
func (p *quick) AccuIdentName() string                    { return p.f.AccuIdentName() }
func (p *quick) NewCall(fn string, args ...ast.Expr) ast.Expr {
	return p.f.NewCall(p.nextID(), fn, args...)
}
func (p *quick) NewPresenceTest(e ast.Expr, field string) ast.Expr {
	return p.f.NewPresenceTest(p.nextID(), e, field)
}
func (p *quick) NewSelect(e ast.Expr, field string) ast.Expr {
	return p.f.NewSelect(p.nextID(), e, field)
}
func (p *quick) OffsetLocation(int64) common.Location { return common.NoLocation }

func (p *quick) NewMapEntry(k, v ast.Expr, optional bool) ast.EntryExpr {
	return p.f.NewMapEntry(p.nextID(), k, v, optional)
}

func (p *quick) NewStruct(name string, fields ...ast.EntryExpr) ast.Expr {
	return p.f.NewStruct(p.nextID(), name, fields)
}

func (p *quick) NewStructField(field string, v ast.Expr, optional bool) ast.EntryExpr {
	return p.f.NewStructField(p.nextID(), field, v, optional)
}

func (p *quick) NewComprehension(over ast.Expr, v, accu string, init, cond, step, result ast.Expr) ast.Expr {
	return p.f.NewComprehension(p.nextID(), over, v, accu, init, cond, step, result)
}

func (p *quick) NewComprehensionTwoVar(over ast.Expr, v, w, accu string, init, cond, step, result ast.Expr) ast.Expr {
	return p.f.NewComprehensionTwoVar(p.nextID(), over, v, w, accu, init, cond, step, result)
}

func (p *quick) NewMemberCall(fn string, target ast.Expr, args ...ast.Expr) ast.Expr {
	return p.f.NewMemberCall(p.nextID(), fn, target, args...)
}

func (p *quick) NewError(_ int64, message string) *common.Error {
	return &common.Error{Message: message}
}
