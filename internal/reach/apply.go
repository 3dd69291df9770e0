package reach

import (
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
)

// Apply returns the model after some changes. A change of policies costs what
// the pods concerned cost; any other change costs a new model. The model given
// stays as it is.
func (m *Model) Apply(changes ...fact.Change) *Model {
	var own, objects []fact.Change
	only := !m.opts.Described && !slices.ContainsFunc(m.snapshot.Gaps(), isRefusal)
	for _, c := range changes {
		if c.Op == fact.GapOpened || c.Op == fact.GapClosed {
			own = append(own, c)
			only = only && !isRefusal(c.Gap)
		}
		if c.Op == fact.Upsert || c.Op == fact.Delete {
			own, objects = append(own, c), append(objects, c)
			only = only && isPolicy(c.Object)
		}
	}
	after := m.snapshot.Apply(own...)
	if only {
		if next := m.applyPolicies(objects); next != nil {
			next.snapshot = after
			return next
		}
	}
	return build(after, m.opts, looks{})
}

// applyPolicies changes policies only. It returns nil when that cannot be done
// piecemeal: two policies have one name, or a selector or port tells pods apart
// that were alike before.
func (m *Model) applyPolicies(changes []fact.Change) *Model {
	if len(m.policyGap) > 0 {
		return nil // of two policies of one name
	}
	next := *m
	next.Policies = slices.Clone(m.Policies)
	var stale [directions]set
	for _, c := range changes {
		i := slices.IndexFunc(next.Policies, func(p *Policy) bool {
			return p.Object.Name == c.Object.Name && p.Object.Ref() == c.Object.Ref()
		})
		if i >= 0 {
			if next.Policies[i].Object.Origin != c.Object.Origin {
				return nil
			}
			next.Policies[i].concerns(&stale)
			next.Policies = slices.Delete(next.Policies, i, i+1)
		}
		if c.Op == fact.Delete {
			continue
		}
		p := readPolicy(c.Object, m.world.nodes)
		p.id = next.nextID
		next.nextID++
		if !next.lookMore(p) {
			return nil
		}
		next.resolve(p, map[string]set{})
		p.concerns(&stale)
		at, _ := slices.BinarySearchFunc(next.Policies, p, comparePolicies)
		next.Policies = slices.Insert(next.Policies, at, p)
	}
	for d := range next.rows {
		next.rows[d] = slices.Clone(next.rows[d])
	}
	next.evaluate(stale)
	next.settle()
	return &next
}

// concerns adds the endpoints of which a policy limits or opens something.
func (p *Policy) concerns(stale *[directions]set) {
	for d := range stale {
		if p.acts(Direction(d)) {
			stale[d] = stale[d].or(p.selected)
		}
	}
}

// lookMore makes the model look at what a policy looks at. It returns false
// when that tells pods apart that are one endpoint.
func (m *Model) lookMore(p *Policy) bool {
	all := m.looked.with(p)
	more := all.without(m.looked)
	if more.empty() {
		return true
	}
	if m.tellsApart(more) {
		return false
	}
	m.looked, m.index = all, m.index.with(m.Endpoints, more)
	return true
}
