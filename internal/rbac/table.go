package rbac

import (
	"hash/maphash"
	"maps"
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
)

// shardCount is how many parts a table has: a change copies one of them.
const shardCount = 256

// table is a map of which a changed copy is cheap: the copy shares every part
// that it does not change. hash spreads keys over the parts. One that has been
// handed out is only read.
type table[K comparable, V any] struct {
	hash   func(K) uint64
	shards [shardCount]map[K]V
	owned  [shardCount]bool // not shared with an earlier table
}

// seed spreads keys over shards; nothing that is told depends on it.
var seed = maphash.MakeSeed()

// hashOf hashes two strings. maphash.Comparable would put each key on the heap.
func hashOf(a, b string) uint64 {
	h := maphash.String(seed, a)
	if b != "" {
		h = h*31 + maphash.String(seed, b)
	}
	return h
}

func hashName(name string) uint64 { return maphash.String(seed, name) }

func hashRef(r fact.Ref) uint64 { return hashOf(r.Name, r.Namespace) }

func newTable[K comparable, V any](hash func(K) uint64) *table[K, V] {
	return &table[K, V]{hash: hash}
}

func newLists[K comparable, E comparable](hash func(K) uint64) *lists[K, E] {
	return &lists[K, E]{*newTable[K, []E](hash)}
}

func (t *table[K, V]) shardOf(k K) int { return int(t.hash(k) % shardCount) }

// fork returns a copy that may be changed without changing t.
func (t *table[K, V]) fork() *table[K, V] {
	return &table[K, V]{hash: t.hash, shards: t.shards}
}

func (t *table[K, V]) get(k K) V { return t.shards[t.shardOf(k)][k] }

func (t *table[K, V]) lookup(k K) (V, bool) {
	v, ok := t.shards[t.shardOf(k)][k]
	return v, ok
}

// own makes a shard one that may be written to.
func (t *table[K, V]) own(i int) map[K]V {
	if !t.owned[i] {
		t.owned[i] = true
		if t.shards[i] == nil {
			t.shards[i] = map[K]V{}
		} else {
			t.shards[i] = maps.Clone(t.shards[i])
		}
	}
	return t.shards[i]
}

func (t *table[K, V]) set(k K, v V) { t.own(t.shardOf(k))[k] = v }

func (t *table[K, V]) delete(k K) { delete(t.own(t.shardOf(k)), k) }

// all yields every entry, in no order.
func (t *table[K, V]) all(yield func(K, V) bool) {
	for _, s := range t.shards {
		for k, v := range s {
			if !yield(k, v) {
				return
			}
		}
	}
}

// chunkSize is how many elements of a vector a change copies.
const chunkSize = 256

// vector is a list of which a changed copy is cheap, as that of a table.
type vector[T any] struct {
	chunks []*[chunkSize]T
	owned  []bool
	len    uint32
}

func (v *vector[T]) fork() *vector[T] {
	return &vector[T]{chunks: slices.Clone(v.chunks), owned: make([]bool, len(v.chunks)), len: v.len}
}

// at returns an element, which is only read.
func (v *vector[T]) at(i uint32) *T { return &v.chunks[i/chunkSize][i%chunkSize] }

// edit returns an element that may be written to.
func (v *vector[T]) edit(i uint32) *T {
	if c := i / chunkSize; !v.owned[c] {
		chunk := *v.chunks[c]
		v.chunks[c], v.owned[c] = &chunk, true
	}
	return v.at(i)
}

// grow adds an element and returns its place.
func (v *vector[T]) grow() uint32 {
	if v.len%chunkSize == 0 {
		v.chunks, v.owned = append(v.chunks, &[chunkSize]T{}), append(v.owned, true)
	}
	v.len++
	return v.len - 1
}

// lists is a table of lists.
type lists[K comparable, E comparable] struct{ table[K, []E] }

func (l *lists[K, E]) fork() *lists[K, E] { return &lists[K, E]{table: *l.table.fork()} }

// add puts e at the end of a list. The list is copied, unless building says that
// nobody else has seen it.
func (l *lists[K, E]) add(k K, e E, building bool) {
	old := l.get(k)
	if !building {
		old = old[:len(old):len(old)]
	}
	l.set(k, append(old, e))
}

// remove takes e out of a list.
func (l *lists[K, E]) remove(k K, e E) {
	old := l.get(k)
	kept := make([]E, 0, len(old))
	for _, x := range old {
		if x != e {
			kept = append(kept, x)
		}
	}
	if len(kept) == 0 {
		l.delete(k)
		return
	}
	l.set(k, kept)
}
