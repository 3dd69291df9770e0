package reach

import (
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
)

// row is what the policies of one end of a connection allow, for every other
// end. Endpoints with the same policies and the same named ports share it.
type row struct {
	pods []podPart // disjoint; together all endpoints
	nets []netPart // disjoint and in order; together all addresses
	host Ports     // what an end is allowed whose address is not known
	id   string    // contents, for telling rows that are alike
}

type podPart struct {
	ports Ports
	pods  set
}

type netPart struct {
	Range
	ports Ports
}

// of returns the ports that the row allows for an endpoint.
func (r *row) of(m *Model, i int) Ports {
	if e := m.Endpoints[i]; e.HostNetwork {
		return r.ofHost(e)
	}
	for k := range r.pods {
		if r.pods[k].pods.has(i) {
			return r.pods[k].ports
		}
	}
	return Ports{}
}

// ofHost answers for a host-network pod: it is its node's address, and what no
// address is denied is surely allowed.
func (r *row) ofHost(e *Endpoint) Ports {
	if e.Addr.IsValid() {
		return r.at(e.Addr)
	}
	return r.host
}

func (r *row) at(a netip.Addr) Ports {
	i, ok := slices.BinarySearchFunc(r.nets, a, func(n netPart, a netip.Addr) int { return n.First.Compare(a) })
	if !ok {
		i--
	}
	return r.nets[i].ports
}

// evaluate computes the rows of all endpoints, or of those given.
func (m *Model) evaluate(only set) {
	n := len(m.Endpoints)
	of := make([][]*Policy, n)
	for _, p := range m.Policies {
		for i := range p.selected.all() {
			if only == nil || only.has(i) {
				of[i] = append(of[i], p)
			}
		}
	}
	for d := range m.rows {
		if only == nil {
			m.rows[d] = make([]*row, n)
		}
		var key []byte
		for i := range n {
			if only != nil && !only.has(i) {
				continue
			}
			key = key[:0]
			for _, p := range of[i] {
				if p.Isolates[d] || len(p.Rules[d]) > 0 {
					key = binary.AppendUvarint(key, uint64(p.id)+1)
				}
			}
			if Direction(d) == Ingress && len(m.ports) > 0 && len(key) > 0 {
				key = m.appendPorts(key, i)
			}
			r, ok := m.cache[d][string(key)]
			if !ok {
				r = m.row(Direction(d), of[i], i)
				m.cache[d][string(key)] = r
			}
			m.rows[d][i] = r
		}
	}
}

// appendPorts adds how the named ports resolve on the endpoint itself.
func (m *Model) appendPorts(key []byte, i int) []byte {
	key = append(key, 0)
	for _, name := range slices.Sorted(maps.Keys(m.Endpoints[i].named)) {
		if !m.ports[name] {
			continue
		}
		key = appendText(key, name)
		for proto := range protocols {
			key = appendText(key, m.Endpoints[i].named[name][proto].p[proto])
		}
	}
	return key
}

// appendText adds a text with its length before it, so that no two sequences of
// texts are one key.
func appendText(key []byte, s string) []byte {
	return append(binary.AppendUvarint(key, uint64(len(s))), s...)
}

// effect is one rule at work: for some other ends, an action on some ports.
type effect struct {
	action Action
	pods   set
	ranges []Range
	ports  Ports
}

// effects returns what a rule does in a row of endpoint i. A named port is of
// the destination: for ingress the endpoint itself, for egress each other end.
func (m *Model) effects(r *Rule, i int) []effect {
	if r.anyPort {
		return []effect{{r.Action, r.pods, r.ranges, AllPorts()}}
	}
	var fixed Ports
	var out []effect
	for _, x := range r.ports {
		fixed = fixed.Or(x.ports)
		if x.name == "" {
			continue
		}
		for proto := range protocols {
			if !x.anyProto && proto != x.proto {
				continue
			}
			if r.Direction == Ingress {
				fixed = fixed.Or(m.Endpoints[i].named[x.name][proto])
				continue
			}
			for _, res := range m.named[x.name][proto] {
				if res.pods.meets(r.pods) {
					out = append(out, effect{r.Action, res.pods.and(r.pods), nil, res.ports})
				}
			}
		}
	}
	return append([]effect{{r.Action, r.pods, r.ranges, fixed}}, out...)
}

// row evaluates the policies of one end: the admin tier in order, then network
// policies together, then the baseline tier in order, then allow.
func (m *Model) row(d Direction, policies []*Policy, i int) *row {
	if m.Endpoints[i].HostNetwork {
		policies = nil
	}
	var tiers [3][]effect
	isolated := false
	for _, p := range policies {
		isolated = isolated || p.Isolates[d]
		for _, r := range p.Rules[d] {
			tiers[p.Tier] = append(tiers[p.Tier], m.effects(r, i)...)
		}
	}
	tiers[Namespace] = unite(tiers[Namespace])
	s := newState(len(m.Endpoints), tiers[:])
	s.tier(tiers[Admin])
	if isolated {
		s.tier(tiers[Namespace])
		return s.row() // what is still open is denied
	}
	s.tier(tiers[Baseline])
	s.each(func(c cell) cell { return cell{allowed: c.allowed.Or(c.open)} })
	return s.row()
}

// unite joins the allowances that are about the same ports.
func unite(effects []effect) []effect {
	at := map[Ports]int{}
	var out []effect
	for _, e := range effects {
		i, ok := at[e.ports]
		if !ok {
			at[e.ports] = len(out)
			e.pods, e.ranges = slices.Clone(e.pods), slices.Clone(e.ranges)
			out = append(out, e)
			continue
		}
		out[i].pods.or(e.pods)
		out[i].ranges = append(out[i].ranges, e.ranges...)
	}
	return out
}

// cell is how far the decision is for some other ends: ports still open in this
// tier, left to the next one, and allowed. The others are denied.
type cell struct{ open, passed, allowed Ports }

func (c cell) after(e effect) cell {
	hit := c.open.And(e.ports)
	c.open = c.open.Minus(e.ports)
	switch e.action {
	case Allow:
		c.allowed = c.allowed.Or(hit)
	case Pass:
		c.passed = c.passed.Or(hit)
	}
	return c
}

// state is an evaluation under way.
type state struct {
	pods map[cell]set
	cuts []Range
	nets []cell
}

func newState(n int, tiers [][]effect) *state {
	start := cell{open: AllPorts()}
	s := &state{pods: map[cell]set{start: fullSet(n)}}
	var ranges []Range
	for _, effects := range tiers {
		for _, e := range effects {
			ranges = append(ranges, e.ranges...)
		}
	}
	s.cuts = cut(ranges)
	s.nets = make([]cell, len(s.cuts))
	for i := range s.nets {
		s.nets[i] = start
	}
	return s
}

// tier applies rules of which the first that matches decides, and leaves what
// is undecided or passed to the next tier.
func (s *state) tier(effects []effect) {
	for _, e := range effects {
		s.step(e)
	}
	s.each(func(c cell) cell { return cell{open: c.open.Or(c.passed), allowed: c.allowed} })
}

// step applies one effect to the other ends that it is about.
func (s *state) step(e effect) {
	if e.ports.Empty() {
		return
	}
	moved := map[cell]set{}
	for c, pods := range s.pods {
		if c.after(e) != c && pods.meets(e.pods) {
			moved[c] = pods
		}
	}
	for c, pods := range moved {
		if rest := pods.minus(e.pods); rest.empty() {
			delete(s.pods, c)
		} else {
			s.pods[c] = rest
		}
	}
	for c, pods := range moved {
		s.put(c.after(e), pods.and(e.pods))
	}
	for _, r := range e.ranges {
		for i := find(s.cuts, r.First); i < len(s.cuts) && r.Has(s.cuts[i].First); i++ {
			s.nets[i] = s.nets[i].after(e)
		}
	}
}

// put adds endpoints, which the state owns from now on, to a cell.
func (s *state) put(c cell, pods set) {
	if have, ok := s.pods[c]; ok {
		pods.or(have)
	}
	s.pods[c] = pods
}

// each changes every cell.
func (s *state) each(next func(cell) cell) {
	before := s.pods
	s.pods = map[cell]set{}
	for c, pods := range before {
		s.put(next(c), pods)
	}
	for i := range s.nets {
		s.nets[i] = next(s.nets[i])
	}
}

// row is what came out.
func (s *state) row() *row {
	r := &row{}
	byPorts := map[Ports]set{}
	for c, pods := range s.pods {
		if have, ok := byPorts[c.allowed]; ok {
			have.or(pods)
			continue
		}
		byPorts[c.allowed] = slices.Clone(pods)
	}
	for ports, pods := range byPorts {
		r.pods = append(r.pods, podPart{ports, pods})
	}
	slices.SortFunc(r.pods, func(a, b podPart) int { return slices.Compare(b.ports.p[:], a.ports.p[:]) })
	for i, c := range s.nets {
		last := len(r.nets) - 1
		if last >= 0 && r.nets[last].ports == c.allowed && r.nets[last].First.BitLen() == s.cuts[i].First.BitLen() {
			r.nets[last].Last = s.cuts[i].Last
			continue
		}
		r.nets = append(r.nets, netPart{s.cuts[i], c.allowed})
	}
	r.host = AllPorts()
	for _, n := range r.nets {
		if n.First.Is4() {
			r.host = r.host.And(n.ports)
		}
	}
	r.id = r.contents()
	return r
}
