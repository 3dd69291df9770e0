package reach

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/merlon-security/merlon/internal/fact"
)

// TestApply holds a changed model equal to one made anew, through sequences of
// random changes: policies that come, go and change, labels of namespaces, pods.
func TestApply(t *testing.T) {
	piecemeal, more, whole := 0, 0, 0
	for seed := range uint64(250) {
		r := random{rand.New(rand.NewPCG(seed, 11))}
		c := r.cluster()
		s := c.snapshot()
		m := New(s, Options{})
		for step := range 12 {
			change := r.change(c, s)
			s = s.Apply(change)
			before := m
			m = m.Apply(change)
			switch {
			case m.world != before.world:
				whole++
			case m.index != before.index:
				more++
			default:
				piecemeal++
			}
			same(t, fmt.Sprintf("seed %d, step %d", seed, step), m, New(s, Options{}))
		}
	}
	if piecemeal < 500 || more < 20 || whole < 500 {
		t.Errorf("%d changes were applied piecemeal, %d that look at more labels, %d as a whole: too few to tell", piecemeal, more, whole)
	}
}

// change is one change of a cluster.
func (r random) change(c *bruteCluster, s *fact.Snapshot) fact.Change {
	of := func(kinds func(*fact.Object) bool) *fact.Object {
		var list []*fact.Object
		for _, o := range s.Objects() {
			if kinds(o) {
				list = append(list, o)
			}
		}
		if len(list) == 0 {
			return nil
		}
		return list[r.IntN(len(list))]
	}
	ns := func() string { return fmt.Sprintf("ns%d", r.IntN(len(c.namespaces)+1)) } // one is not in the input
	switch old := of(isPolicy); r.IntN(8) {
	case 0, 1:
		if old != nil {
			return fact.Change{Op: fact.Delete, Object: old}
		}
	case 2: // another policy in the place of one
		p := r.policy(r.IntN(8), ns())
		if old != nil && old.Kind == p.kind {
			p.ns, p.name = old.Namespace, old.Name
			return fact.Change{Op: fact.Upsert, Object: object(p.document(), int(old.Origin.Doc))}
		}
	case 3:
		name := fmt.Sprintf("ns%d", r.IntN(len(c.namespaces)))
		doc := map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name, "labels": anyMap(r.labels())}}
		number := slices.Index(sortedKeys(c.namespaces), name)
		return fact.Change{Op: fact.Upsert, Object: object(doc, number)}
	case 4:
		if old := of(func(o *fact.Object) bool { return o.Kind == "Pod" }); old != nil && r.IntN(2) == 0 {
			return fact.Change{Op: fact.Delete, Object: old}
		}
		p := brutePod{ns: ns(), name: fmt.Sprintf("pod%d", r.IntN(9)), labels: r.labels(), host: r.IntN(8) == 0}
		return fact.Change{Op: fact.Upsert, Object: object(p.document(), 500+r.IntN(9))}
	}
	p := r.policy(20+r.IntN(20), ns())
	return fact.Change{Op: fact.Upsert, Object: object(p.document(), 1000+len(p.name)+r.IntN(40))}
}
