package reach

import "net/netip"

// Party is one end of a connection: pods of a class, or an address outside of
// the cluster.
type Party struct {
	Class *Class
	Addr  netip.Addr // when Class is nil
}

// Step is one rule that decides something about a connection, or, with Rule
// nil, what holds where no rule does.
type Step struct {
	Direction Direction
	Policy    *Policy // nil: no policy
	Rule      int     // its number; -1: the policy isolates, and none of its rules matches
	Action    Action
	Ports     Ports
}

// Allowed returns the ports on which a connection is possible: let out at its
// source and let in at its destination.
func (n *Net) Allowed(src, dst Party) Ports {
	out := AllPorts()
	if src.Class != nil {
		out = side(src.Class, Egress, dst, nil)
	}
	if dst.Class != nil && !out.Empty() {
		out = out.Intersect(side(dst.Class, Ingress, src, nil))
	}
	return out
}

// Explain returns what decides about a connection, in order.
func (n *Net) Explain(src, dst Party) []Step {
	var steps []Step
	if src.Class != nil {
		side(src.Class, Egress, dst, &steps)
	}
	if dst.Class != nil {
		side(dst.Class, Ingress, src, &steps)
	}
	return steps
}

// side returns what one end allows. Administrators' rules decide first, in
// order; what they leave open or pass on, the network policies of the namespace
// decide, if any isolates the pods; else the baseline; else it is allowed.
func side(subject *Class, dir Direction, other Party, steps *[]Step) Ports {
	at := other.Class // where named ports are looked up
	if dir == Ingress {
		at = subject
	}
	allowed, open, passed := Ports{}, AllPorts(), Ports{}
	for _, r := range subject.admin[dir] {
		hit := r.hits(other, at, open)
		if hit.Empty() {
			continue
		}
		note(steps, Step{dir, r.policy, r.index, r.action, hit})
		open = open.Minus(hit)
		switch r.action {
		case Allow:
			allowed = allowed.Union(hit)
		case Pass:
			passed = passed.Union(hit)
		}
		if open.Empty() {
			break
		}
	}
	open = open.Union(passed)
	if open.Empty() {
		return allowed
	}
	if subject.isolated[dir] {
		return allowed.Union(namespaced(subject, dir, other, at, open, steps))
	}
	for _, r := range subject.base[dir] {
		hit := r.hits(other, at, open)
		if hit.Empty() {
			continue
		}
		note(steps, Step{dir, r.policy, r.index, r.action, hit})
		open = open.Minus(hit)
		if r.action == Allow {
			allowed = allowed.Union(hit)
		}
	}
	if !open.Empty() {
		note(steps, Step{Direction: dir, Action: Allow, Ports: open})
	}
	return allowed.Union(open)
}

// namespaced returns what network policies allow of what is open: the union of
// what their rules do.
func namespaced(subject *Class, dir Direction, other Party, at *Class, open Ports, steps *[]Step) Ports {
	var out Ports
	for _, r := range subject.developer[dir] {
		hit := r.hits(other, at, open)
		if hit.Empty() {
			continue
		}
		note(steps, Step{dir, r.policy, r.index, Allow, hit})
		if out = out.Union(hit); steps == nil && out.Equal(open) {
			return out
		}
	}
	if rest := open.Minus(out); steps != nil && !rest.Empty() {
		*steps = append(*steps, Step{Direction: dir, Rule: -1, Action: Deny, Ports: rest})
	}
	return out
}

func note(steps *[]Step, s Step) {
	if steps != nil {
		*steps = append(*steps, s)
	}
}

// hits returns the ports, of those still open, that a rule decides.
func (r *rule) hits(other Party, at *Class, open Ports) Ports {
	if !r.names(other) {
		return Ports{}
	}
	if r.every {
		return open
	}
	return r.resolve(at).Intersect(open)
}

// names reports whether a rule is about the other end.
func (r *rule) names(other Party) bool {
	if r.any {
		return true
	}
	for i := range r.peers {
		p := &r.peers[i]
		switch {
		case p.blind:
		case p.term == nil:
			if other.Class == nil && p.block.has(other.Addr) {
				return true
			}
		case other.Class != nil && other.Class.in.has(p.term.id):
			return true
		}
	}
	return false
}
