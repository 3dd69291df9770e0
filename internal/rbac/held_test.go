package rbac

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// TestNames holds names whose hashes are often the same against a plain map, and
// what was before a change against what it was.
func TestNames(t *testing.T) {
	n, want := newNames(func(s string) uint64 { return uint64(len(s) % 2) }), map[string]*held{}
	r := rand.New(rand.NewPCG(4, 4))
	for range 500 {
		before := n
		n = n.fork()
		name := fmt.Sprint(r.IntN(200))
		old := want[name]
		if r.IntN(3) == 0 {
			n.set(name, nil)
			delete(want, name)
		} else {
			h := &held{subject: Subject{Name: name}, list: make([]entry, r.IntN(9))}
			n.set(name, h)
			want[name] = h
		}
		if got := before.get(name); (got == nil) != (old == nil) || got != nil && len(got.list) != len(old.list) {
			t.Fatalf("%s has changed before the change", name)
		}
		count := 0
		for h := range n.all {
			count++
			if w := want[h.name]; w == nil || len(w.list) != len(h.list) || len(n.get(h.name).list) != len(h.list) {
				t.Fatalf("%s: %v", h.name, w)
			}
		}
		if count != len(want) {
			t.Fatalf("%d names, want %d", count, len(want))
		}
	}
}
