package main

import (
	"maps"
	"slices"

	"github.com/merlon-security/merlon/internal/reach"
)

// The queries of network-config-analyzer about one set of policies.

// ncaFields are the rules of a policy, by direction.
var ncaFields = [...]string{"ingress", "egress"}

// empty reports whether a policy selects no pod, and which of its rules have no
// peer, in each direction.
func (m *ncaModel) empty(p *ncaPolicy) (selects bool, rules [2][]int) {
	i := slices.IndexFunc(m.Policies, func(q *reach.Policy) bool { return q.Object == p.object })
	if i < 0 {
		return false, rules // another policy of its name stands in its place
	}
	q := m.Policies[i]
	for e := range m.Endpoints {
		selects = selects || q.Selects(e)
	}
	problems, _ := m.Lint()
	for _, x := range problems {
		if x.Kind != "rule-never-matches" || x.Policy != q {
			continue
		}
		for d := range q.Rules {
			if k := slices.IndexFunc(q.Rules[d], func(r *reach.Rule) bool { return r.Value.Same(x.Value) }); k >= 0 {
				rules[d] = append(rules[d], k)
			}
		}
	}
	return selects, rules
}

// emptiness counts policies that select no pod, and rules whose peers do not.
func (s *ncaSet) emptiness() (int, error) {
	m, err := s.model()
	if err != nil {
		return 0, err
	}
	n := 0
	for _, p := range s.policies {
		selects, rules := m.empty(p)
		if !selects {
			n++
		}
		n += len(rules[0]) + len(rules[1])
	}
	return n, nil
}

// superfluous returns the policies without which the set allows the same.
func (s *ncaSet) superfluous() (map[*ncaPolicy]bool, error) {
	out := map[*ncaPolicy]bool{}
	for _, p := range s.policies {
		if len(s.policies) == 1 {
			break
		}
		same, err := equal(s, s.without(p))
		if err != nil {
			return nil, err
		}
		if same {
			out[p] = true
		}
	}
	return out, nil
}

// superfluousRules returns the rules of a policy without which the set allows
// the same; of rules that are equal, all.
func (s *ncaSet) superfluousRules(p *ncaPolicy) (out [2][]int, err error) {
	for d, f := range ncaFields {
		spec, _ := p.raw["spec"].(object)
		rules, _ := spec[f].([]any)
		for i := range rules {
			less := maps.Clone(spec)
			less[f] = slices.Delete(slices.Clone(rules), i, i+1)
			raw := maps.Clone(p.raw)
			raw["spec"] = less
			q, err := newPolicy(raw)
			if err != nil {
				return out, err
			}
			other := s.without(p)
			other.policies = append(other.policies, q)
			same, err := equal(s, other)
			if err != nil {
				return out, err
			}
			if same {
				out[d] = append(out[d], i)
			}
		}
	}
	return out, nil
}

// redundancy counts the policies and, in the others, the rules without which the
// set allows the same.
func (s *ncaSet) redundancy() (int, error) {
	policies, err := s.superfluous()
	if err != nil {
		return 0, err
	}
	n := len(policies)
	for _, p := range s.policies {
		if policies[p] {
			continue
		}
		rules, err := s.superfluousRules(p)
		if err != nil {
			return 0, err
		}
		n += len(rules[0]) + len(rules[1])
	}
	return n, nil
}

// sanity counts what emptiness, vacuity and redundancy find, nothing twice: of
// an empty policy only that, of a set that changes nothing no redundancy.
func (s *ncaSet) sanity() (int, error) {
	vacuous, err := s.vacuous()
	if err != nil {
		return 0, err
	}
	policies, err := s.superfluous()
	if err != nil {
		return 0, err
	}
	m, err := s.model()
	if err != nil {
		return 0, err
	}
	n := 0
	if vacuous {
		n = 1
	}
	for _, p := range s.policies {
		selects, empty := m.empty(p)
		if !selects {
			n++
			continue
		}
		n += len(empty[0]) + len(empty[1])
		switch {
		case vacuous:
			continue
		case policies[p]:
			n++
			continue
		}
		rules, err := s.superfluousRules(p)
		if err != nil {
			return 0, err
		}
		for d := range rules {
			for _, r := range rules[d] {
				if !slices.Contains(empty[d], r) {
					n++
				}
			}
		}
	}
	return n, nil
}

// disjointness counts pairs of policies that select some same pod.
func (s *ncaSet) disjointness() (int, error) {
	m, err := s.model()
	if err != nil {
		return 0, err
	}
	n := 0
	for i, p := range m.Policies {
		for _, q := range m.Policies[i+1:] {
			for e := range m.Endpoints {
				if p.Selects(e) && q.Selects(e) {
					n++
					break
				}
			}
		}
	}
	return n, nil
}

// uncaptured counts the workloads that no policy limits, in each direction;
// without any policy, the pods.
func (s *ncaSet) uncaptured() (int, error) {
	if len(s.policies) == 0 {
		return len(s.peers), nil
	}
	m, err := s.model()
	if err != nil {
		return 0, err
	}
	n := 0
	for _, d := range []reach.Direction{reach.Ingress, reach.Egress} {
		names := map[string]bool{}
		for p, peer := range s.peers {
			if !m.Protected(d, m.end[p]) {
				names[peer.workload] = true
			}
		}
		n += len(names)
	}
	return n, nil
}
