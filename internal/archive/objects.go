package archive

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
)

// An object is its origin, a few words about it, and its tree in document order.
// A name (a key, a file) is written once and then by its number, through all
// blocks of a file.

// What a node is, besides its kind.
const (
	nodeNull = iota
	nodeFalse
	nodeTrue
	nodeInt
	nodeFloat
	nodeString
	nodeList
	nodeMap
)

// Flags of an object.
const (
	flagPartial = 1 << iota
	flagPlaces
	flagRendered // it has a Rendering, and its origin a root
	flagNamed    // it has a name that its document does not give
)

type encoder struct {
	buf    []byte
	names  map[string]uint64
	hide   *hider
	places bool
	last   fact.Pos
}

func newEncoder() *encoder { return &encoder{names: map[string]uint64{}, hide: newHider()} }

func (e *encoder) uint(n uint64) { e.buf = binary.AppendUvarint(e.buf, n) }
func (e *encoder) int(n int64)   { e.buf = binary.AppendVarint(e.buf, n) }

func (e *encoder) text(s string) {
	e.uint(uint64(len(s)))
	e.buf = append(e.buf, s...)
}

func (e *encoder) name(s string) {
	if n, ok := e.names[s]; ok {
		e.uint(n)
		return
	}
	e.uint(0)
	e.text(s)
	e.names[s] = uint64(len(e.names) + 1)
}

func (e *encoder) object(o *fact.Object) {
	flags := uint64(0)
	if o.Partial {
		flags |= flagPartial
	}
	if o.Rendering != nil {
		flags |= flagRendered
	}
	if again, _ := fact.NewObject(o.Root, o.Origin); again.Name != o.Name {
		flags |= flagNamed
	}
	if e.places = o.Root.Pos() != (fact.Pos{}); e.places {
		flags |= flagPlaces
	}
	e.uint(flags)
	e.name(o.Origin.Source)
	e.name(o.Origin.File)
	e.name(o.Origin.World)
	e.uint(uint64(o.Origin.Doc))
	e.text(o.Alias)
	e.uint(uint64(max(0, o.Pods)))
	e.uint(uint64(len(o.Waivers)))
	for _, n := range o.Waivers {
		e.uint(uint64(n.Pos.Line))
		e.uint(uint64(n.Pos.Column))
		e.uint(uint64(n.Line))
		e.text(e.hide.detector.Hide("", n.Text))
	}
	e.last = fact.Pos{}
	hidden := e.hide.object(o)
	e.node(hidden)
	if flags&flagNamed != 0 {
		e.text(o.Name)
	}
	if o.Rendering != nil {
		e.rendering(o, hidden)
	}
}

// rendering writes where a rendered object was written: of the lines those on
// which a value of it stands, of the values, by their number in document order,
// those that are still there in the hidden form.
func (e *encoder) rendering(o *fact.Object, hidden fact.Value) {
	r := o.Rendering
	for _, name := range [...]string{o.Origin.Root, r.Known.Group, r.Known.Kind, r.Known.Namespace, r.Known.Name} {
		e.name(name)
	}
	lines := map[uint32]bool{}
	values := map[uint64]fact.Written{}
	n := uint64(0)
	alongside(o.Root, hidden, func(v, w fact.Value) {
		if _, known := r.Lines[w.Pos().Line]; known {
			lines[w.Pos().Line] = true
		}
		if at, known := r.Values[v]; known {
			values[n] = at
		}
		n++
	})
	e.uint(uint64(len(lines)))
	for _, line := range slices.Sorted(maps.Keys(lines)) {
		e.uint(uint64(line))
		e.written(r.Lines[line])
	}
	e.uint(uint64(len(values)))
	for _, place := range slices.Sorted(maps.Keys(values)) {
		e.uint(place)
		e.written(values[place])
	}
}

func (e *encoder) written(w fact.Written) {
	e.name(w.File)
	e.uint(uint64(w.Pos.Line))
	e.uint(uint64(w.Pos.Column))
	e.name(w.Root)
	e.name(w.Values)
}

// alongside calls f with each value of a hidden form, in document order, and with
// the one that it was made from.
func alongside(v, hidden fact.Value, f func(v, hidden fact.Value)) {
	f(v, hidden)
	i := 0
	for h := range hidden.Children() {
		from := v.Index(i)
		if hidden.Kind() == fact.Map {
			from = v.Get(h.Key())
		}
		alongside(from, h, f)
		i++
	}
}

func (e *encoder) place(v fact.Value) {
	if !e.places {
		return
	}
	p := v.Pos()
	e.int(int64(p.Line) - int64(e.last.Line))
	e.uint(uint64(p.Column))
	e.last = p
}

func (e *encoder) node(v fact.Value) {
	kind := map[fact.Kind]byte{fact.Int: nodeInt, fact.Float: nodeFloat, fact.String: nodeString, fact.List: nodeList, fact.Map: nodeMap}[v.Kind()]
	if v.Kind() == fact.Bool {
		if kind = nodeFalse; v.Bool() {
			kind = nodeTrue
		}
	}
	e.buf = append(e.buf, kind)
	e.place(v)
	switch kind {
	case nodeInt:
		e.int(v.Int())
	case nodeFloat:
		e.buf = binary.BigEndian.AppendUint64(e.buf, math.Float64bits(v.Float()))
	case nodeString:
		e.text(v.Str())
	case nodeList, nodeMap:
		e.uint(uint64(v.Len()))
		for c := range v.Children() {
			if kind == nodeMap {
				e.name(c.Key().String())
			}
			e.node(c)
		}
	}
}

type decoder struct {
	in    []byte
	err   error
	names []string
	b     fact.Builder
	last  fact.Pos
}

func newDecoder() *decoder { return &decoder{} }

// objects reads a block.
func (d *decoder) objects(data []byte) ([]*fact.Object, error) {
	d.in = data
	var out []*fact.Object
	for len(d.in) > 0 {
		o := d.object()
		if d.err != nil {
			return nil, d.err
		}
		out = append(out, o)
	}
	return out, nil
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", errDamaged, what)
	}
	d.in = nil
}

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.in)
	if size <= 0 {
		d.fail("a number that is none")
		return 0
	}
	d.in = d.in[size:]
	return n
}

// small reads a number that fits where it belongs.
func (d *decoder) small() uint32 {
	n := d.uint()
	if n > math.MaxUint32 {
		d.fail("a number that is too large")
		return 0
	}
	return uint32(n)
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.in)
	if size <= 0 {
		d.fail("a number that is none")
		return 0
	}
	d.in = d.in[size:]
	return n
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.in)) {
		d.fail("a text that is not there")
		return nil
	}
	out := d.in[:n]
	d.in = d.in[n:]
	return out
}

func (d *decoder) text() string { return string(d.bytes(d.uint())) }

func (d *decoder) name() string {
	n := d.uint()
	switch {
	case n == 0:
		s := d.text()
		d.names = append(d.names, s)
		return s
	case n > uint64(len(d.names)):
		d.fail("a name that is not there")
		return ""
	}
	return d.names[n-1]
}

func (d *decoder) object() *fact.Object {
	flags := d.uint()
	origin := fact.Origin{Source: d.name(), File: d.name(), World: d.name(), Doc: int(d.small())}
	alias, pods := d.text(), int(d.small())
	var notes []fact.Note
	for n := d.uint(); n > 0 && d.err == nil; n-- {
		notes = append(notes, fact.Note{Pos: fact.Pos{Line: d.small(), Column: d.small()}, Line: d.small(), Text: d.text()})
	}
	d.b.Positions, d.last = flags&flagPlaces != 0, fact.Pos{}
	d.node(fact.Key{})
	if d.err != nil {
		return nil
	}
	o, ok := fact.NewObject(d.b.Tree().Root(), origin)
	if !ok {
		d.fail("an object that is none")
		return nil
	}
	o.Alias, o.Pods, o.Waivers, o.Partial = alias, pods, notes, flags&flagPartial != 0
	if flags&flagNamed != 0 {
		o.Name = d.text()
	}
	if flags&flagRendered != 0 {
		d.rendering(&o)
	}
	return &o
}

// rendering reads where a rendered object was written. How much there may be is
// bounded by what it takes to write it.
func (d *decoder) rendering(o *fact.Object) {
	o.Origin.Root = d.name()
	r := &fact.Rendering{Known: fact.Ref{Group: d.name(), Kind: d.name(), Namespace: d.name(), Name: d.name()}}
	for n := d.uint(); n > 0 && d.err == nil; n-- {
		if r.Lines == nil {
			r.Lines = map[uint32]fact.Written{}
		}
		line := d.small()
		r.Lines[line] = d.written()
	}
	at := map[uint64]fact.Written{}
	for n := d.uint(); n > 0 && d.err == nil; n-- {
		place := d.uint()
		at[place] = d.written()
	}
	if len(at) > 0 {
		r.Values = make(map[fact.Value]fact.Written, len(at))
		n := uint64(0)
		alongside(o.Root, o.Root, func(v, _ fact.Value) {
			if w, known := at[n]; known {
				r.Values[v] = w
			}
			n++
		})
	}
	o.Rendering = r
}

func (d *decoder) written() fact.Written {
	return fact.Written{File: d.name(), Pos: fact.Pos{Line: d.small(), Column: d.small()}, Root: d.name(), Values: d.name()}
}

func (d *decoder) place() fact.Pos {
	if !d.b.Positions || d.err != nil {
		return fact.Pos{}
	}
	line := int64(d.last.Line) + d.int()
	if line < 0 || line > math.MaxUint32 {
		d.fail("a line that is none")
		return fact.Pos{}
	}
	d.last = fact.Pos{Line: uint32(line), Column: d.small()}
	return d.last
}

func (d *decoder) node(key fact.Key) {
	kind := d.bytes(1)
	if d.err != nil {
		return
	}
	at := d.place()
	switch kind[0] {
	case nodeNull:
		d.b.Null(key, at)
	case nodeFalse, nodeTrue:
		d.b.Bool(key, at, kind[0] == nodeTrue)
	case nodeInt:
		d.b.Int(key, at, d.int())
	case nodeFloat:
		if raw := d.bytes(8); raw != nil {
			d.b.Float(key, at, math.Float64frombits(binary.BigEndian.Uint64(raw)))
		}
	case nodeString:
		d.b.Text(key, at, d.bytes(d.uint()))
	case nodeList, nodeMap:
		d.container(key, at, kind[0])
	default:
		d.fail("a value of an unknown kind")
	}
}

func (d *decoder) container(key fact.Key, at fact.Pos, kind byte) {
	n := d.uint()
	if n > uint64(len(d.in)) || d.b.Depth() >= fact.MaxDepth {
		d.fail("a list that is not there")
		return
	}
	if kind == nodeList {
		d.b.Begin(key, at, fact.List)
		for ; n > 0 && d.err == nil; n-- {
			d.node(fact.Key{})
		}
	} else {
		d.b.Begin(key, at, fact.Map)
		seen := make(map[string]bool, min(n, 64))
		for ; n > 0 && d.err == nil; n-- {
			name := d.name()
			if seen[name] {
				d.fail("a key that stands twice")
				return
			}
			seen[name] = true
			d.node(d.b.Key(name))
		}
	}
	d.b.End()
}
