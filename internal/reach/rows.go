package reach

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/netip"
	"slices"
	"sync"
)

// row is what the policies of one end of a connection allow, for every other
// end. Endpoints with the same policies and the same named ports share it.
type row struct {
	pods []podPart // disjoint; together all endpoints
	nets []netPart // disjoint and in order; together all addresses
	host Ports     // what an end is allowed whose address is not known
	id   string    // contents, for telling rows that are alike
}

// deferred is a row that is evaluated when somebody asks: after a change of one
// policy that is about all pods most rows are new, and few are asked for.
type deferred struct {
	limited bool // some policy is about this end

	once     sync.Once
	on       *ground // nil once it is evaluated
	d        Direction
	policies []*Policy
	endpoint int
	row      *row
}

// ground is what rows are evaluated on.
type ground struct {
	endpoints []*Endpoint
	index     *index
}

func (m *Model) ground() *ground { return &ground{m.Endpoints, m.index} }

// row returns the row of an endpoint.
func (m *Model) row(d Direction, endpoint int) *row {
	r := m.rows[d][endpoint]
	r.once.Do(func() {
		r.row = r.on.row(r.d, r.policies, r.endpoint)
		r.on, r.policies = nil, nil
	})
	return r.row
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

// evaluate finds the rows of some endpoints anew.
func (m *Model) evaluate(stale [directions]set) {
	on := m.ground()
	for d := range directions {
		if m.rows[d] == nil {
			m.rows[d] = make([]*deferred, len(m.Endpoints))
		}
		of := make([][]*Policy, len(m.Endpoints))
		for _, p := range m.Policies {
			if p.acts(d) {
				for i := range p.selected.and(stale[d]).all() {
					of[i] = append(of[i], p)
				}
			}
		}
		known := map[string]*deferred{}
		var key []byte
		for i := range stale[d].all() {
			key = key[:0]
			for _, p := range of[i] {
				key = binary.AppendUvarint(key, uint64(p.id)+1)
			}
			if d == Ingress && len(m.looked.ports) > 0 && len(key) > 0 {
				key = m.appendPorts(key, i)
			}
			r, ok := known[string(key)]
			if !ok {
				r = &deferred{limited: len(key) > 0, on: on, d: d, policies: of[i], endpoint: i}
				known[string(key)] = r
			}
			m.rows[d][i] = r
		}
	}
}

// appendPorts adds how the named ports resolve on the endpoint itself.
func (m *Model) appendPorts(key []byte, i int) []byte {
	key = append(key, 0)
	for _, name := range slices.Sorted(maps.Keys(m.Endpoints[i].named)) {
		if !m.looked.ports[name] {
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
func (g *ground) effects(r *Rule, i int) []effect {
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
				fixed = fixed.Or(g.endpoints[i].named[x.name][proto])
				continue
			}
			for _, res := range g.index.named[x.name][proto] {
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
func (g *ground) row(d Direction, policies []*Policy, i int) *row {
	if g.endpoints[i].HostNetwork {
		policies = nil
	}
	var tiers [3][]effect
	isolated := false
	for _, p := range policies {
		isolated = isolated || p.Isolates[d]
		for _, r := range p.Rules[d] {
			tiers[p.Tier] = append(tiers[p.Tier], g.effects(r, i)...)
		}
	}
	tiers[Namespace] = unite(tiers[Namespace])
	s := newState(len(g.endpoints), tiers[:])
	s.tier(tiers[Admin])
	if isolated {
		s.tier(tiers[Namespace])
		return s.row() // what is still open is denied
	}
	s.tier(tiers[Baseline])
	s.each(func(c cell) cell { return cell{allowed: c.allowed.Or(c.open)} })
	return s.row()
}

// unite joins allowances, of which the order does not matter: those that are
// about the same other ends, then those that are about the same ports.
func unite(effects []effect) []effect {
	if len(effects) < 2 {
		return effects
	}
	var ends []effect
	var ports [][]Ports
	at := map[string]int{}
	var key []byte
	for _, e := range effects {
		key = e.pods.appendTo(key[:0])
		for _, r := range e.ranges {
			key = append(appendText(key, string(r.First.AsSlice())), r.Last.AsSlice()...)
		}
		i, ok := at[string(key)]
		if !ok {
			i = len(ends)
			at[string(key)] = i
			ends, ports = append(ends, e), append(ports, nil)
		}
		ports[i] = append(ports[i], e.ports)
	}
	byPorts := map[Ports]int{}
	var out []effect
	for i, e := range ends {
		e.ports = union(ports[i])
		k, ok := byPorts[e.ports]
		if !ok {
			byPorts[e.ports] = len(out)
			e.ranges = slices.Clip(e.ranges)
			out = append(out, e)
			continue
		}
		out[k].pods = out[k].pods.or(e.pods)
		out[k].ranges = append(out[k].ranges, e.ranges...)
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
	pods []podCell // few, as a rule
	cuts []Range
	nets []cell
}

type podCell struct {
	cell cell
	pods set
}

func newState(n int, tiers [][]effect) *state {
	start := cell{open: AllPorts()}
	s := &state{pods: []podCell{{start, fullSet(n)}}}
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
	var moved []podCell
	for i := range s.pods {
		p := &s.pods[i]
		if !p.pods.meets(e.pods) {
			continue
		}
		if next := p.cell.after(e); next != p.cell {
			moved = append(moved, podCell{next, p.pods.and(e.pods)})
			p.pods = p.pods.minus(e.pods)
		}
	}
	s.pods = slices.DeleteFunc(s.pods, func(p podCell) bool { return p.pods.empty() })
	for _, p := range moved {
		s.put(p.cell, p.pods)
	}
	for _, r := range e.ranges {
		for i := find(s.cuts, r.First); i < len(s.cuts) && r.Has(s.cuts[i].First); i++ {
			s.nets[i] = s.nets[i].after(e)
		}
	}
}

// put adds endpoints to a cell.
func (s *state) put(c cell, pods set) {
	for i := range s.pods {
		if s.pods[i].cell == c {
			s.pods[i].pods = s.pods[i].pods.or(pods)
			return
		}
	}
	s.pods = append(s.pods, podCell{c, pods})
}

// each changes every cell.
func (s *state) each(next func(cell) cell) {
	before := s.pods
	s.pods = make([]podCell, 0, len(before))
	for _, p := range before {
		s.put(next(p.cell), p.pods)
	}
	for i := range s.nets {
		s.nets[i] = next(s.nets[i])
	}
}

// row is what came out.
func (s *state) row() *row {
	r := &row{}
	var byPorts line[Ports]
	for _, p := range s.pods {
		byPorts.add(p.cell.allowed, p.pods)
	}
	r.pods = make([]podPart, 0, len(byPorts.parts))
	for _, p := range byPorts.parts {
		r.pods = append(r.pods, podPart{p.key, p.set})
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

// contents is a digest of all of a row: equal rows have equal ones.
func (r *row) contents() string {
	var b []byte
	for _, p := range r.pods {
		b = p.pods.appendTo(p.ports.appendTo(b))
	}
	b = append(b, '|')
	for _, n := range r.nets {
		b = append(appendText(b, string(n.First.AsSlice())), n.Last.AsSlice()...)
		b = n.ports.appendTo(b)
	}
	sum := sha256.Sum256(b)
	return string(sum[:])
}

func (p Ports) appendTo(b []byte) []byte {
	for _, spans := range p.p {
		b = appendText(b, spans)
	}
	return b
}
