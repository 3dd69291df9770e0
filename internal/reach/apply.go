package reach

import (
	"maps"
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
)

// Apply returns the model after some changes. A change of policies costs what
// the pods concerned cost; any other change costs a new model. The model given
// stays as it is.
func (m *Model) Apply(changes ...fact.Change) *Model {
	objects := slices.Clone(m.objects)
	only := true
	for _, c := range changes {
		if c.Op != fact.Upsert && c.Op != fact.Delete {
			continue
		}
		i := slices.IndexFunc(objects, func(o *fact.Object) bool {
			return o.Name == c.Object.Name && o.Ref() == c.Object.Ref() && o.Origin == c.Object.Origin
		})
		if i >= 0 {
			objects = slices.Delete(objects, i, i+1)
		}
		if c.Op == fact.Upsert { // in the order of a snapshot, as a new model would see them
			at, _ := slices.BinarySearchFunc(objects, c.Object, fact.Compare)
			objects = slices.Insert(objects, at, c.Object)
		}
		only = only && isPolicy(c.Object)
	}
	if !only || m.opts.Described {
		return build(objects, m.opts, nil)
	}
	if next := m.applyPolicies(objects, changes); next != nil {
		return next
	}
	return build(objects, m.opts, nil)
}

// applyPolicies changes policies only. It returns nil when that cannot be done
// piecemeal: two policies have one name, or a selector looks at a label that
// none looked at before.
func (m *Model) applyPolicies(objects []*fact.Object, changes []fact.Change) *Model {
	if len(m.policyGap) > 0 {
		return nil // of two policies of one name
	}
	next := *m
	next.objects, next.Policies = objects, slices.Clone(m.Policies)
	stale := newSet(len(m.Endpoints))
	for _, c := range changes {
		if c.Op != fact.Upsert && c.Op != fact.Delete {
			continue
		}
		i := slices.IndexFunc(next.Policies, func(p *Policy) bool { return p.Object.Name == c.Object.Name && p.Object.Ref() == c.Object.Ref() })
		if i >= 0 {
			if next.Policies[i].Object.Origin != c.Object.Origin {
				return nil
			}
			stale.or(next.Policies[i].selected)
			next.Policies = slices.Delete(next.Policies, i, i+1)
		}
		if c.Op == fact.Delete {
			continue
		}
		p := readPolicy(c.Object, m.world.nodes)
		p.id = next.nextID
		next.nextID++
		next.looked, next.ports = maps.Clone(next.looked), maps.Clone(next.ports)
		if next.look([]*Policy{p}) {
			return nil
		}
		next.selected = maps.Clone(next.selected)
		next.resolve(p)
		stale.or(p.selected)
		at, _ := slices.BinarySearchFunc(next.Policies, p, comparePolicies)
		next.Policies = slices.Insert(next.Policies, at, p)
	}
	for d := range next.rows {
		next.rows[d], next.cache[d] = slices.Clone(next.rows[d]), maps.Clone(next.cache[d])
	}
	next.evaluate(stale)
	next.gaps = next.allGaps()
	return &next
}
