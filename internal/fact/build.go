package fact

import "math"

// MaxDepth is how deep a document may nest. The API server refuses deeper JSON
// at 10,000; no real object comes near.
const MaxDepth = 1000

// Builder makes a [Tree] from a stream of values in document order. The caller
// nests Begin and End properly; keys of one map must differ (the decoder keeps
// the last of duplicates, as the API server does). A Builder is used once or,
// after Tree, again; it is not safe for concurrent use.
type Builder struct {
	nodes []node
	pos   []Pos
	hash  []uint64
	text  []byte
	open  []uint32
	keys  map[string]Key
	wide  []uint32
	// Positions says whether places are kept.
	Positions bool
}

// Key interns a key, through a table of the builder's own that spares the
// global one.
func (b *Builder) Key(s string) Key {
	if k, ok := b.keys[s]; ok {
		return k
	}
	if b.keys == nil || len(b.keys) > 4096 {
		b.keys = make(map[string]Key)
	}
	k := K(s)
	b.keys[k.String()] = k
	return k
}

func (b *Builder) add(key Key, kind Kind, x, y uint32, at Pos, hash uint64) {
	if n := len(b.open); n > 0 {
		b.nodes[b.open[n-1]].a++
	}
	b.nodes = append(b.nodes, node{key: key, a: x, b: y, size: 1, kind: kind})
	b.hash = append(b.hash, mix(hash^uint64(kind)*0x9e3779b97f4a7c15))
	if b.Positions {
		b.pos = append(b.pos, at)
	}
}

// Null adds a null.
func (b *Builder) Null(key Key, at Pos) { b.add(key, Null, 0, 0, at, 1) }

// Bool adds a boolean.
func (b *Builder) Bool(key Key, at Pos, v bool) {
	var x uint32
	if v {
		x = 1
	}
	b.add(key, Bool, x, 0, at, uint64(x))
}

// Int adds an integer.
func (b *Builder) Int(key Key, at Pos, v int64) {
	b.add(key, Int, uint32(uint64(v)), uint32(uint64(v)>>32), at, uint64(v))
}

// Float adds a number that is not an integer.
func (b *Builder) Float(key Key, at Pos, v float64) {
	u := math.Float64bits(v)
	b.add(key, Float, uint32(u), uint32(u>>32), at, u)
}

// String adds a string; its bytes are copied.
func (b *Builder) String(key Key, at Pos, s string) {
	off := len(b.text)
	b.text = append(b.text, s...)
	b.add(key, String, uint32(off), uint32(len(s)), at, hashString(s))
}

// Text adds a string, as String does.
func (b *Builder) Text(key Key, at Pos, s []byte) {
	off := len(b.text)
	b.text = append(b.text, s...)
	b.add(key, String, uint32(off), uint32(len(s)), at, hashString(s))
}

// Begin opens a list or a map.
func (b *Builder) Begin(key Key, at Pos, kind Kind) {
	b.add(key, kind, 0, 0, at, 0)
	b.open = append(b.open, uint32(len(b.nodes)-1))
}

// End closes the list or map opened last.
func (b *Builder) End() {
	i := b.open[len(b.open)-1]
	b.open = b.open[:len(b.open)-1]
	n := &b.nodes[i]
	n.size = uint32(len(b.nodes)) - i
	if n.a > wide {
		b.wide = append(b.wide, i)
	}
	b.hash[i] = b.containerHash(i)
}

// containerHash folds the children's hashes: in order for a list, without
// regard to order for a map.
func (b *Builder) containerHash(i uint32) uint64 {
	n := &b.nodes[i]
	h := uint64(n.kind)
	at := i + 1
	for range n.a {
		c := &b.nodes[at]
		if n.kind == Map {
			h += mix(b.hash[at] ^ hashString(c.key.String()))
		} else {
			h = mix(h ^ b.hash[at])
		}
		at += c.size
	}
	return mix(h + uint64(n.a))
}

// Depth returns how many lists and maps are open.
func (b *Builder) Depth() int { return len(b.open) }

// Copy adds a value of another tree with all below it, under a key of its own;
// positions are kept.
func (b *Builder) Copy(key Key, v Value) {
	switch v.Kind() {
	case Null:
		b.Null(key, v.Pos())
	case Bool:
		b.Bool(key, v.Pos(), v.Bool())
	case Int:
		b.Int(key, v.Pos(), v.Int())
	case Float:
		b.Float(key, v.Pos(), v.Float())
	case String:
		b.String(key, v.Pos(), v.Str())
	case List, Map:
		b.Begin(key, v.Pos(), v.Kind())
		for c := range v.Children() {
			b.Copy(c.Key(), c)
		}
		b.End()
	}
}

// Tree returns what was built and makes the builder ready for the next
// document. With nothing added it returns a tree of one null.
func (b *Builder) Tree() *Tree {
	if len(b.nodes) == 0 {
		b.Null(Key{}, Pos{1, 1})
	}
	t := &Tree{
		nodes: append([]node(nil), b.nodes...),
		hash:  append([]uint64(nil), b.hash...),
		text:  string(b.text),
	}
	if b.Positions {
		t.pos = append([]Pos(nil), b.pos...)
	}
	for _, i := range b.wide {
		t.indexWide(i)
	}
	b.Reset()
	return t
}

// Reset forgets what was built since the last Tree.
func (b *Builder) Reset() {
	b.nodes, b.hash, b.pos, b.open, b.wide = b.nodes[:0], b.hash[:0], b.pos[:0], b.open[:0], b.wide[:0]
	b.text = b.text[:0]
}

func (t *Tree) indexWide(i uint32) {
	if t.byNum == nil {
		t.byNum, t.byKey = make(map[uint32][]uint32), make(map[uint32]map[Key]uint32)
	}
	n := &t.nodes[i]
	children := make([]uint32, 0, n.a)
	at := i + 1
	for range n.a {
		children = append(children, at)
		at += t.nodes[at].size
	}
	t.byNum[i] = children
	if n.kind == Map {
		keys := make(map[Key]uint32, len(children))
		for _, c := range children {
			keys[t.nodes[c].key] = c
		}
		t.byKey[i] = keys
	}
}

// hashString is FNV-1a, 64 bits.
func hashString[S string | []byte](s S) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(s); i++ {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// mix is the finaliser of MurmurHash3.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
