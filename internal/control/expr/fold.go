package expr

import (
	"github.com/google/cel-go/common/ast"
	"github.com/merlon-security/merlon/internal/fact"
)

// fold compiles a comprehension, which is what every macro expands to.
func (c *compiler) fold(e ast.ComprehensionExpr) (code, error) {
	iterRange, err := c.compile(e.IterRange())
	if err != nil {
		return nil, err
	}
	fresh := c.fresh
	c.fresh = true
	init, err := c.compile(e.AccuInit())
	c.fresh = fresh
	if err != nil {
		return nil, err
	}
	var cond, step, result code
	var accu, iter int
	err = c.bind([]string{e.AccuVar()}, func(slot int) error {
		accu = slot
		if result, err = c.compile(e.Result()); err != nil {
			return err
		}
		return c.bind([]string{e.IterVar(), e.IterVar2()}, func(slot int) error {
			iter = slot
			if cond, err = c.compile(e.LoopCondition()); err != nil {
				return err
			}
			step, err = c.compile(e.LoopStep())
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	l := &loop{cond: cond, step: step, accu: accu, iter: iter, two: e.HasIterVar2()}
	return func(f *Frame) Value {
		over := iterRange(f)
		if over.kind == Error {
			return over
		}
		if over.kind != List && over.kind != Map {
			return noOverload("iterate", over)
		}
		f.locals[accu] = init(f)
		l.run(f, over)
		if f.over {
			return Errorf("operation cancelled: actual cost limit exceeded")
		}
		return result(f)
	}, nil
}

// loop is the body of a comprehension.
type loop struct {
	cond, step code
	accu, iter int
	two        bool
}

// run goes through a list or map. Those of a document are walked in place; this
// is where an engine of controls spends its time.
func (l *loop) run(f *Frame, over Value) {
	switch r := over.ref.(type) {
	case *list:
		for i := range r.elems {
			if !l.turn(f, over.kind, IntOf(int64(i)), r.elems[i]) {
				return
			}
		}
		return
	case *dict:
		for i := range r.keys {
			if !l.turn(f, over.kind, r.keys[i], r.vals[i]) {
				return
			}
		}
		return
	}
	i := int64(0)
	for c := range over.node.Children() {
		key := Value{kind: Int, num: uint64(i)}
		if over.kind == Map {
			if c.Kind() == fact.Null {
				continue
			}
			key = Value{kind: String, str: c.Key().String()}
		}
		if !l.turn(f, over.kind, key, FromFact(c)) {
			return
		}
		i++
	}
}

func (l *loop) turn(f *Frame, over Kind, key, val Value) bool {
	switch {
	case l.two:
		f.locals[l.iter], f.locals[l.iter+1] = key, val
	case over == Map:
		f.locals[l.iter] = key
	default:
		f.locals[l.iter] = val
	}
	if c := l.cond(f); c.kind == Bool && c.num == 0 {
		return false // decided by the element before this one
	}
	if f.Trace != nil {
		f.read(val)
	}
	f.locals[l.accu] = l.step(f)
	return f.spend()
}

// isAppend recognises `accu + [x]`, the step of map and filter, which would
// otherwise copy the list once for each element.
func (c *compiler) isAppend(args []ast.Expr) (int, bool) {
	if len(args) != 2 || args[0].Kind() != ast.IdentKind || args[1].Kind() != ast.ListKind {
		return 0, false
	}
	name := args[0].AsIdent()
	if name != "@result" && name != "__result__" {
		return 0, false
	}
	return c.local(name)
}

// appending compiles `accu + [x]` to an append in place: the list belongs to
// the running comprehension alone.
func (c *compiler) appending(slot int, elems ast.Expr) (code, error) {
	if l := elems.AsList(); l.Size() == 1 && len(l.OptionalIndices()) == 0 {
		return c.appendingOne(slot, l.Elements()[0])
	}
	more, err := c.compile(elems)
	if err != nil {
		return nil, err
	}
	return func(f *Frame) Value { return add(f.locals[slot], more(f)) }, nil
}

func (c *compiler) appendingOne(slot int, elem ast.Expr) (code, error) {
	one, err := c.compile(elem)
	if err != nil {
		return nil, err
	}
	return func(f *Frame) Value {
		v := one(f)
		if v.kind == Error {
			return v
		}
		acc := f.locals[slot]
		l, ok := acc.ref.(*list)
		if !ok {
			return add(acc, ListOf([]Value{v}))
		}
		if l.elems == nil {
			l.elems = make([]Value, 0, 4) // most lists are short; growing from one costs three allocations
		}
		l.elems = append(l.elems, v)
		return acc
	}, nil
}
