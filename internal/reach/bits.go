package reach

import (
	"iter"
	"math/bits"
	"slices"
)

// set is a set of endpoints, by their numbers. Sets of one model have one
// length; a set that is handed out is not changed any more.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

// fullSet holds the numbers below n.
func fullSet(n int) set {
	s := newSet(n)
	for i := range s {
		s[i] = ^uint64(0)
	}
	if n%64 != 0 {
		s[len(s)-1] = 1<<(n%64) - 1
	}
	return s
}

func (s set) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s set) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

func (s set) or(t set) {
	for i, w := range t {
		s[i] |= w
	}
}

func (s set) and(t set) set {
	out := slices.Clone(s)
	for i, w := range t {
		out[i] &= w
	}
	return out
}

func (s set) minus(t set) set {
	out := slices.Clone(s)
	for i, w := range t {
		out[i] &^= w
	}
	return out
}

func (s set) meets(t set) bool {
	for i, w := range t {
		if s[i]&w != 0 {
			return true
		}
	}
	return false
}

func (s set) empty() bool {
	for _, w := range s {
		if w != 0 {
			return false
		}
	}
	return true
}

func (s set) count() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

func (s set) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range s {
			for w != 0 {
				if !yield(i*64 + bits.TrailingZeros64(w)) {
					return
				}
				w &= w - 1
			}
		}
	}
}

// key returns the set's contents for use in a map.
func (s set) key() string {
	b := make([]byte, 0, len(s)*8)
	for _, w := range s {
		for k := 0; k < 64; k += 8 {
			b = append(b, byte(w>>k))
		}
	}
	return string(b)
}
