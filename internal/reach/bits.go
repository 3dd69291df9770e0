package reach

import (
	"encoding/binary"
	"iter"
	"math"
	"math/bits"
	"slices"
)

// set is a set of endpoints, by their numbers: words of 64 bits as runs of equal
// ones, zeros left out, so that equal sets are equal runs. Pods of a namespace
// stand side by side, and most sets are about one namespace or about all but a
// few pods: they take a few runs, however many endpoints there are. The zero set
// is empty. A set that is handed out is not changed any more.
type set []run

// run is n equal words from the word at on.
type run struct {
	at, n uint32
	bits  uint64
}

func (r run) end() uint32 { return r.at + r.n }

// fullSet holds the numbers below n.
func fullSet(n int) set {
	var s set
	if words := uint32(n / 64); words > 0 {
		s = append(s, run{0, words, math.MaxUint64})
	}
	if n%64 != 0 {
		s = append(s, run{uint32(n / 64), 1, 1<<(n%64) - 1})
	}
	return s
}

// setOf holds one number.
func setOf(i int) set { return set{{uint32(i / 64), 1, 1 << (i % 64)}} }

// add changes the set in place: only for one that nobody else holds. It is
// quick for numbers that are added in order.
func (s *set) add(i int) {
	word, bit := uint32(i/64), uint64(1)<<(i%64)
	last := len(*s) - 1
	switch {
	case last < 0 || (*s)[last].end() <= word:
		*s = s.put(run{word, 1, bit})
	case (*s)[last].at == word && (*s)[last].n == 1:
		r := (*s)[last]
		*s = (*s)[:last]
		*s = s.put(run{word, 1, r.bits | bit})
	case !s.has(i):
		*s = s.or(setOf(i))
	}
}

// put returns the set with a run behind its last, as one with it where both are
// alike.
func (s set) put(r run) set {
	if last := len(s) - 1; last >= 0 && s[last].end() == r.at && s[last].bits == r.bits {
		s[last].n += r.n
		return s
	}
	return append(s, r)
}

// from returns the runs that end behind a word.
func (s set) from(word uint32) set {
	i, _ := slices.BinarySearchFunc(s, word, func(r run, word uint32) int {
		if r.end() <= word {
			return -1
		}
		return 1
	})
	return s[i:]
}

func (s set) has(i int) bool {
	rest := s.from(uint32(i / 64))
	return len(rest) > 0 && rest[0].at <= uint32(i/64) && rest[0].bits&(1<<(i%64)) != 0
}

// both walks two sets side by side, in steps in which neither changes.
type both struct {
	s, t  set
	step  run // where the walk is
	other uint64
}

func (x *both) next() bool {
	at := x.step.end()
	start, end := uint32(math.MaxUint32), uint32(math.MaxUint32)
	for _, side := range [...]*set{&x.s, &x.t} {
		if len(*side) > 0 && (*side)[0].end() <= at {
			*side = (*side)[1:]
		}
		if len(*side) > 0 {
			start = min(start, max(at, (*side)[0].at))
		}
	}
	if len(x.s)+len(x.t) == 0 {
		return false
	}
	var words [2]uint64
	for i, side := range [...]set{x.s, x.t} {
		switch {
		case len(side) == 0:
		case side[0].at > start:
			end = min(end, side[0].at)
		default:
			words[i], end = side[0].bits, min(end, side[0].end())
		}
	}
	x.step, x.other = run{start, end - start, words[0]}, words[1]
	return true
}

// or returns what is in either set. It may share memory with them.
func (s set) or(t set) set {
	switch {
	case len(s) == 0:
		return t
	case len(t) == 0:
		return s
	}
	out := make(set, 0, len(s)+len(t))
	for x := (both{s: s, t: t}); x.next(); {
		out = out.put(run{x.step.at, x.step.n, x.step.bits | x.other})
	}
	return out
}

// and returns what is in both sets.
func (s set) and(t set) set {
	var out set
	for x := overlap(s, t); x.next() && len(x.s) > 0 && len(x.t) > 0; {
		if w := x.step.bits & x.other; w != 0 {
			out = out.put(run{x.step.at, x.step.n, w})
		}
	}
	return out
}

// minus returns what is in s but not in t.
func (s set) minus(t set) set {
	var out set
	for x := (both{s: s, t: behind(t, s)}); x.next() && len(x.s) > 0; {
		if w := x.step.bits &^ x.other; w != 0 {
			out = out.put(run{x.step.at, x.step.n, w})
		}
	}
	return out
}

func (s set) meets(t set) bool {
	for x := overlap(s, t); x.next() && len(x.s) > 0 && len(x.t) > 0; {
		if x.step.bits&x.other != 0 {
			return true
		}
	}
	return false
}

// within reports whether all of s is in t.
func (s set) within(t set) bool {
	for x := (both{s: s, t: behind(t, s)}); x.next() && len(x.s) > 0; {
		if x.step.bits&^x.other != 0 {
			return false
		}
	}
	return true
}

// overlap walks two sets from where both have begun.
func overlap(s, t set) both { return both{s: behind(s, t), t: behind(t, s)} }

// behind returns the runs of s that end behind the begin of t.
func behind(s, t set) set {
	if len(t) == 0 {
		return nil
	}
	return s.from(t[0].at)
}

func (s set) empty() bool { return len(s) == 0 }

func (s set) count() int {
	n := 0
	for _, r := range s {
		n += int(r.n) * bits.OnesCount64(r.bits)
	}
	return n
}

func (s set) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, r := range s {
			for word := r.at; word < r.end(); word++ {
				for w := r.bits; w != 0; w &= w - 1 {
					if !yield(int(word)*64 + bits.TrailingZeros64(w)) {
						return
					}
				}
			}
		}
	}
}

// key returns the set's contents for use in a map.
func (s set) key() string { return string(s.appendTo(make([]byte, 0, len(s)*12))) }

func (s set) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	for _, r := range s {
		b = binary.AppendUvarint(b, uint64(r.at))
		b = binary.AppendUvarint(b, uint64(r.n))
		b = binary.LittleEndian.AppendUint64(b, r.bits)
	}
	return b
}
