package main

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/merlon-security/merlon/internal/reach"
)

func counted(yes bool, err error) (int, error) {
	if yes {
		return 1, err
	}
	return 0, err
}

func countedNot(yes bool, err error) (int, error) { return counted(!yes && err == nil, err) }

// each sums a query's numbers over all sets, pairs over all pairs of two, and
// against over the first with each of the others.
func each(f func(*ncaSet) (int, error)) func([]*ncaSet) (int, error) {
	return func(list []*ncaSet) (int, error) {
		sum := 0
		for _, s := range list {
			n, err := f(s)
			if err != nil {
				return 0, err
			}
			sum += n
		}
		return sum, nil
	}
}

func pairs(f func(a, b *ncaSet) (int, error)) func([]*ncaSet) (int, error) {
	return func(list []*ncaSet) (int, error) {
		sum := 0
		for i := range list {
			n, err := against(f)(list[i:])
			if err != nil {
				return 0, err
			}
			sum += n
		}
		return sum, nil
	}
}

func against(f func(first, other *ncaSet) (int, error)) func([]*ncaSet) (int, error) {
	return func(list []*ncaSet) (int, error) {
		if len(list) == 0 {
			return 0, nil
		}
		return each(func(other *ncaSet) (int, error) { return f(list[0], other) })(list[1:])
	}
}

// ncaConn is what two sets allow on one way, and whether policies of theirs are
// about it.
type ncaConn struct {
	first, second                 reach.Ports
	firstCaptured, secondCaptured bool
}

// compare goes through all ways between pods of the first set, and those with
// all addresses, until see says no. It reports whether it
// never did.
func compare(a, b *ncaSet, see func(ncaConn) bool) (bool, error) {
	x, y, err := both(a, b)
	if err != nil {
		return false, err
	}
	captured := func(m *ncaModel, src, dst int) bool {
		return src >= 0 && m.Protected(reach.Egress, src) || dst >= 0 && m.Protected(reach.Ingress, dst)
	}
	for _, p := range slices.Sorted(maps.Keys(a.peers)) {
		i, k := x.end[p], y.end[p]
		for _, q := range slices.Sorted(maps.Keys(a.peers)) {
			j, l := x.end[q], y.end[q]
			if p != q && !see(ncaConn{x.Between(i, j), y.Between(k, l), captured(x, i, j), captured(y, k, l)}) {
				return false, nil
			}
		}
		for _, r := range reach.Cuts(reach.Ingress, x.Model, y.Model) {
			if !see(ncaConn{x.From(r.First, i), y.From(r.First, k), captured(x, -1, i), captured(y, -1, k)}) {
				return false, nil
			}
		}
		for _, r := range reach.Cuts(reach.Egress, x.Model, y.Model) {
			if !see(ncaConn{x.To(i, r.First), y.To(k, r.First), captured(x, i, -1), captured(y, k, -1)}) {
				return false, nil
			}
		}
	}
	return true, nil
}

// comparable reports whether two sets are about the same pods and services.
func comparable(a, b *ncaSet) bool {
	same := func(v, w any) bool {
		x, _ := json.Marshal(v)
		y, _ := json.Marshal(w)
		return string(x) == string(y)
	}
	services := func(s *ncaSet) object {
		out := object{}
		for k, o := range s.others {
			if textAt(o, "kind") == "Service" {
				out[k] = o["spec"]
			}
		}
		return out
	}
	return slices.Equal(slices.Sorted(maps.Keys(a.peers)), slices.Sorted(maps.Keys(b.peers))) && same(services(a), services(b))
}

func equal(a, b *ncaSet) (bool, error) {
	if !comparable(a, b) {
		return false, nil
	}
	return compare(a, b, func(c ncaConn) bool { return c.first == c.second })
}

func (s *ncaSet) vacuous() (bool, error) { return equal(s, s.with()) }

// stronglyEqual reports whether the policies of each name are equal.
func stronglyEqual(a, b *ncaSet) (bool, error) {
	names := func(s *ncaSet) map[string]*ncaPolicy {
		out := map[string]*ncaPolicy{}
		for _, p := range s.policies {
			out[p.name] = p
		}
		return out
	}
	x, y := names(a), names(b)
	if len(x) != len(y) || !comparable(a, b) {
		return false, nil
	}
	for name, p := range x {
		if y[name] == nil {
			return false, nil
		}
		if same, err := equal(a.with(p), b.with(y[name])); !same || err != nil {
			return false, err
		}
	}
	return true, nil
}

// containedIn reports whether a allows nothing that b does not: of what its policies
// are about only, or of everything.
func containedIn(a, b *ncaSet, captured bool) (bool, error) {
	for p := range a.peers {
		if _, ok := b.peers[p]; !ok {
			return false, nil
		}
	}
	return compare(a, b, func(c ncaConn) bool { return captured && !c.firstCaptured || c.first.Within(c.second) })
}

// twoWay is 3 for equal sets, 2 when the second contains the first, 1 when the
// first contains the second.
func twoWay(a, b *ncaSet) (int, error) {
	ab, err := counted(containedIn(a, b, false))
	if err != nil {
		return 0, err
	}
	ba, err := counted(containedIn(b, a, false))
	return 2*ab + ba, err
}

// permits reports whether made allows all that the policies of spec allow.
func permits(made, spec *ncaSet) (bool, error) {
	if len(spec.policies) == 0 || !comparable(made, spec) {
		return true, nil // not executed
	}
	return containedIn(spec, made, true)
}

// forbids reports whether made allows nothing of it.
func forbids(made, spec *ncaSet) (bool, error) {
	if len(spec.policies) == 0 || !comparable(made, spec) {
		return true, nil
	}
	return compare(spec, made, func(c ncaConn) bool { return !c.firstCaptured || c.first.And(c.second).Empty() })
}

// interferes reports whether other allows more of what policies of both are about.
func interferes(first, other *ncaSet) (bool, error) {
	if !comparable(first, other) {
		return false, nil
	}
	none, err := compare(first, other, func(c ncaConn) bool {
		return !c.firstCaptured || !c.secondCaptured || c.second.Within(c.first)
	})
	return !none, err
}

func interfere(a, b *ncaSet) (int, error) {
	ab, err := counted(interferes(a, b))
	if err != nil {
		return 0, err
	}
	ba, err := counted(interferes(b, a))
	return ab + ba, err
}

// semanticDiff counts the kinds of changes there are: connections between pods
// that are gone, stay and are new, with each other and with addresses; where
// both ends stay, lost and new ones are two kinds.
func semanticDiff(a, b *ncaSet) (int, error) {
	x, y, err := both(a, b)
	if err != nil {
		return 0, err
	}
	seen := map[string]bool{}
	note := func(kind string, before, after reach.Ports) {
		seen[kind+" lost"] = seen[kind+" lost"] || !before.Within(after)
		seen[kind+" new"] = seen[kind+" new"] || !after.Within(before)
	}
	state := func(p string) string {
		_, before := a.peers[p]
		_, after := b.peers[p]
		return map[[2]bool]string{{true, false}: "gone", {true, true}: "stays", {false, true}: "added"}[[2]bool{before, after}]
	}
	all := maps.Clone(a.peers)
	maps.Copy(all, b.peers)
	ask := func(m *ncaModel, p string, of func(end int) reach.Ports) reach.Ports {
		if end, ok := m.end[p]; ok {
			return of(end)
		}
		return reach.Ports{}
	}
	for p := range all {
		for q := range all {
			kind := [2]string{state(p), state(q)}
			slices.Sort(kind[:])
			if p != q {
				at := func(m *ncaModel) reach.Ports {
					return ask(m, p, func(i int) reach.Ports { return ask(m, q, func(j int) reach.Ports { return m.Between(i, j) }) })
				}
				note(kind[0]+" "+kind[1], at(x), at(y))
			}
		}
		for d, cuts := range [][]reach.Range{reach.Cuts(reach.Ingress, x.Model, y.Model), reach.Cuts(reach.Egress, x.Model, y.Model)} {
			for _, r := range cuts {
				at := func(m *ncaModel) reach.Ports {
					return ask(m, p, func(i int) reach.Ports {
						if reach.Direction(d) == reach.Ingress {
							return m.From(r.First, i)
						}
						return m.To(i, r.First)
					})
				}
				note(state(p)+" addresses", at(x), at(y))
			}
		}
	}
	n := 0
	for _, yes := range seen {
		if yes {
			n++
		}
	}
	return n, nil
}
