package reach

import (
	"net/netip"
)

// End is one end of a connection: an endpoint, or an address outside.
type End struct {
	Endpoint int // -1: an address
	Addr     netip.Addr
}

// PodEnd is an endpoint as an end.
func PodEnd(endpoint int) End { return End{Endpoint: endpoint} }

// OutsideEnd is an address outside the cluster as an end.
func OutsideEnd(a netip.Addr) End { return End{Endpoint: -1, Addr: a} }

// Reason is one step of a decision.
type Reason struct {
	Direction Direction
	Policy    *Policy // nil: the default
	Rule      *Rule   // nil: no rule of the policy matches
	Verdict   Verdict
	Ports     Ports // that it decides
	// Near are, where no rule of a policy matches, those that are about the other
	// end, but not about these ports.
	Near []*Rule
}

// Verdict is what a step of a decision comes to.
type Verdict uint8

// The verdicts.
const (
	Allowed Verdict = iota
	Denied
	Passed    // left to the policies below the admin tier, or to the default
	Isolated  // denied, for network policies select the pod and none allows it
	ByDefault // allowed, for no policy decides
	Outsider  // allowed, for policies do not apply to this end
)

func (v Verdict) String() string {
	return [...]string{"allowed", "denied", "passed on", "denied", "allowed", "allowed"}[v]
}

// Ports returns what the policies let src open to dst.
func (m *Model) Ports(src, dst End) Ports {
	switch {
	case src.Endpoint < 0 && dst.Endpoint < 0:
		return AllPorts()
	case src.Endpoint < 0:
		return m.From(src.Addr, dst.Endpoint)
	case dst.Endpoint < 0:
		return m.To(src.Endpoint, dst.Addr)
	}
	return m.Between(src.Endpoint, dst.Endpoint)
}

// Explain returns every policy and rule that decides about some ports between
// two ends: egress of the source first, then ingress of the destination.
func (m *Model) Explain(src, dst End, ports Ports) []Reason {
	return append(m.side(Egress, src, dst, ports), m.side(Ingress, dst, src, ports)...)
}

// side explains the decision of the policies of one end.
func (m *Model) side(d Direction, self, other End, open Ports) []Reason {
	if self.Endpoint < 0 || m.Endpoints[self.Endpoint].HostNetwork {
		return []Reason{{Direction: d, Verdict: Outsider, Ports: open}}
	}
	x := &explainer{m: m, d: d, self: self.Endpoint, other: other, open: open}
	x.tier(Admin)
	if x.isolated() {
		x.tier(Namespace)
		x.denyRest()
	} else {
		x.tier(Baseline)
		x.add(Reason{Verdict: ByDefault, Ports: x.open})
	}
	return x.out
}

// explainer walks the policies as the evaluation does, for one other end.
type explainer struct {
	m            *Model
	d            Direction
	self         int
	other        End
	open, passed Ports
	out          []Reason
}

func (x *explainer) add(r Reason) {
	if r.Direction = x.d; !r.Ports.Empty() {
		x.out = append(x.out, r)
	}
}

func (x *explainer) tier(t Tier) {
	all := x.open
	for _, p := range x.m.Policies {
		if p.Tier != t || !p.selected.has(x.self) {
			continue
		}
		for _, r := range p.Rules[x.d] {
			hit := x.hits(r).And(x.open)
			if t == Namespace {
				hit = x.hits(r).And(all) // every rule that allows is told, not only the first
			}
			x.add(Reason{Policy: p, Rule: r, Verdict: [...]Verdict{Allowed, Denied, Passed}[r.Action], Ports: hit})
			x.open = x.open.Minus(hit)
			if r.Action == Pass {
				x.passed = x.passed.Or(hit)
			}
		}
	}
	x.open, x.passed = x.open.Or(x.passed), Ports{}
}

// hits returns the ports on which a rule is about the other end.
func (x *explainer) hits(r *Rule) Ports {
	var out Ports
	for _, e := range x.m.ground().effects(r, x.self) {
		if x.about(e, r.Action) {
			out = out.Or(e.ports)
		}
	}
	return out
}

func (x *explainer) about(e effect, action Action) bool {
	addr := x.other.Addr
	if x.other.Endpoint >= 0 {
		o := x.m.Endpoints[x.other.Endpoint]
		if !o.HostNetwork {
			return e.pods.has(x.other.Endpoint)
		}
		addr = o.Addr
	}
	if !addr.IsValid() { // a node's address, which is not known: a rule allows only if it is for all
		rest := everywhere()[:1]
		for _, r := range e.ranges {
			rest = without(rest, r)
		}
		return len(rest) == 0 || action != Allow && len(e.ranges) > 0
	}
	for _, r := range e.ranges {
		if r.Has(addr) {
			return true
		}
	}
	return false
}

func (x *explainer) isolated() bool {
	for _, p := range x.m.Policies {
		if p.Isolates[x.d] && p.selected.has(x.self) {
			return true
		}
	}
	return false
}

// denyRest names the network policies by which what none allows is denied.
func (x *explainer) denyRest() {
	for _, p := range x.m.Policies {
		if p.Isolates[x.d] && p.selected.has(x.self) {
			x.add(Reason{Policy: p, Verdict: Isolated, Ports: x.open, Near: x.near(p)})
		}
	}
}

func (x *explainer) near(p *Policy) (out []*Rule) {
	for _, r := range p.Rules[x.d] {
		if x.about(effect{r.Action, r.pods, r.ranges, AllPorts()}, r.Action) {
			out = append(out, r)
		}
	}
	return out
}

// Named reports whether a rule names ports, and the numbers of none.
func (r *Rule) Named() bool {
	for _, x := range r.ports {
		if x.name == "" {
			return false
		}
	}
	return len(r.ports) > 0
}
