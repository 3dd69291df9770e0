package reach

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// plain is a set in the plainest form.
type plain map[int]bool

func (p plain) set(order []int) set {
	var s set
	for _, i := range order {
		if p[i] {
			s.add(i)
		}
	}
	return s
}

// TestSets holds sets as runs equal to plain ones, with numbers added in any
// order: equal sets have one form.
func TestSets(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 3))
		n := 1 + r.IntN(1000)
		var p [2]plain
		var s [2]set
		for i := range p {
			p[i] = plain{}
			for range r.IntN(6) { // stretches, and single ones
				from := r.IntN(n)
				for k := from; k < min(n, from+1+r.IntN(n)*r.IntN(2)); k++ {
					p[i][k] = true
				}
			}
			s[i] = p[i].set(r.Perm(n))
			if want := p[i].set(numbers(n)); s[i].key() != want.key() {
				t.Fatalf("seed %d: the order counts: %v, %v", seed, s[i], want)
			}
		}
		if full := fullSet(n); full.count() != n || s[0].or(full).key() != full.key() || !s[0].within(full) {
			t.Fatalf("seed %d: %v is not all of %d", seed, full, n)
		}
		check := func(what string, got set, want func(int) bool) {
			wanted := plain{}
			for i := range n {
				if wanted[i] = want(i); got.has(i) != wanted[i] {
					t.Fatalf("seed %d: %s has %d: %t", seed, what, i, got.has(i))
				}
			}
			if fresh := wanted.set(numbers(n)); got.key() != fresh.key() || got.count() != fresh.count() || !slices.Equal(slices.Collect(got.all()), slices.Collect(fresh.all())) {
				t.Fatalf("seed %d: %s is %v, want %v", seed, what, got, fresh)
			}
		}
		check("or", s[0].or(s[1]), func(i int) bool { return p[0][i] || p[1][i] })
		check("and", s[0].and(s[1]), func(i int) bool { return p[0][i] && p[1][i] })
		check("minus", s[0].minus(s[1]), func(i int) bool { return p[0][i] && !p[1][i] })
		if got, want := s[0].meets(s[1]), !s[0].and(s[1]).empty(); got != want {
			t.Fatalf("seed %d: meets: %t", seed, got)
		}
		if got, want := s[0].within(s[1]), s[0].minus(s[1]).empty(); got != want {
			t.Fatalf("seed %d: within: %t", seed, got)
		}
	}
}

func numbers(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
