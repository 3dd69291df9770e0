package expr

import (
	"github.com/google/cel-go/cel"
	"github.com/merlon-security/merlon/internal/fact"
)

// Frame is what one evaluation reads and remembers. It is reused for the next
// subject and is not safe for concurrent use.
type Frame struct {
	// World is handed to the functions that see more than the subject.
	World any
	// Lazy computes a variable that has no value yet; the result is kept until
	// the next Reset.
	Lazy func(name string) Value
	// Trace, when set, records what the evaluation reads.
	Trace *Trace

	env    *Env
	vars   []Value
	locals []Value
	named  []Value
	args   []Value // of the calls under way, innermost last
	used   int     // how many of locals the running expression takes
	steps  int
	over   bool

	patterns map[string]*pattern      // made at run time
	plans    map[*Program]cel.Program // of expressions that cel-go runs
}

// limit is how many elements one evaluation may visit, all loops together. The
// API server's cost limit stops expressions at a comparable size.
const limit = 10_000_000

// NewFrame returns a frame for expressions of the environment.
func (e *Env) NewFrame() *Frame {
	return &Frame{env: e, vars: make([]Value, len(e.slots)), locals: make([]Value, 64)}
}

// Set gives a variable its value.
func (f *Frame) Set(name string, v Value) {
	if i, ok := f.env.slots[name]; ok {
		f.vars[i] = v
	}
}

// Reset forgets all variables.
func (f *Frame) Reset() { clear(f.vars) }

func (f *Frame) resolve(slot int) Value {
	if f.Lazy != nil {
		if v := f.Lazy(f.env.order[slot]); v.kind != Unset {
			f.vars[slot] = v
			return v
		}
	}
	return Errorf("no such attribute: %s", f.env.order[slot])
}

// variable returns one of the control's own variables, computing it at first
// use on a stretch of locals above those in use.
func (f *Frame) variable(i int) Value {
	if v := f.named[i]; v.kind != Unset {
		return v
	}
	p := f.env.programs[i]
	below := f.locals
	f.locals = below[f.used:]
	if len(f.locals) < p.depth {
		f.locals = make([]Value, p.depth+8)
	}
	used := f.used
	f.used = p.depth
	v := p.run(f)
	f.used, f.locals = used, below
	f.named[i] = v
	return v
}

func (f *Frame) spend() bool {
	f.steps++
	f.over = f.over || f.steps > limit
	return !f.over
}

// Trace is what an evaluation read, in order. Of a path only the last step is
// kept: reading a.b.c notes c.
type Trace struct{ Reads []Read }

// Read is one field that was looked at. For a field that was not there, Node is
// the map it was missed in and Missing its name.
type Read struct {
	Node    fact.Value
	Missing string
}

func (f *Frame) read(v Value) {
	if f.Trace != nil && v.node.Present() {
		f.Trace.add(Read{Node: v.node})
	}
}

func (f *Frame) miss(m Value, name string) {
	if f.Trace != nil && m.node.Present() {
		f.Trace.add(Read{Node: m.node, Missing: name})
	}
}

// add notes a read. When it goes on from the one before, it replaces that.
func (t *Trace) add(r Read) {
	if n := len(t.Reads); n > 0 {
		last := t.Reads[n-1]
		below := r.Node.Within(last.Node) && last.Missing == "" && (r.Missing != "" || !r.Node.Same(last.Node))
		if below || last == r {
			t.Reads[n-1] = r
			return
		}
	}
	if len(t.Reads) < 4096 {
		t.Reads = append(t.Reads, r)
	} else {
		t.Reads[len(t.Reads)-1] = r
	}
}

// Note records what a function read on the expression's behalf.
func (f *Frame) Note(node fact.Value) {
	if f.Trace != nil && node.Present() {
		f.Trace.add(Read{Node: node})
	}
}

// get is the selection m.name.
func get(f *Frame, m Value, name string, key fact.Key) Value {
	switch m.kind {
	case Map:
		if v, ok := m.field(name, key); ok {
			f.read(v)
			return v
		}
		f.miss(m, name)
		return Errorf("no such key: %s", name)
	case Error:
		return m
	case Optional:
		return optGet(f, m, name, key)
	}
	return Errorf("no such overload: %s has no fields, asked for %s", m.kind, name)
}

// has is the macro has(m.name).
func has(f *Frame, m Value, name string, key fact.Key) Value {
	switch m.kind {
	case Map:
		if v, ok := m.field(name, key); ok {
			f.read(v)
			return BoolOf(true)
		}
		f.miss(m, name)
		return BoolOf(false)
	case Error:
		return m
	case Optional:
		v := optGet(f, m, name, key)
		if v.kind == Error {
			return v
		}
		_, ok := v.Get()
		return BoolOf(ok)
	}
	return Errorf("no such overload: %s has no fields, asked for %s", m.kind, name)
}

// optGet is m.?name for a map or an optional of one.
func optGet(f *Frame, m Value, name string, key fact.Key) Value {
	if m.kind == Optional {
		inner, ok := m.Get()
		if !ok {
			return None()
		}
		m = inner
	}
	switch m.kind {
	case Error:
		return m
	case Map:
		if v, ok := m.field(name, key); ok {
			f.read(v)
			return Some(v)
		}
		f.miss(m, name)
		return None()
	case List:
		return Errorf("unsupported index type 'string' in list")
	}
	return None()
}
