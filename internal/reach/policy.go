package reach

import (
	"cmp"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Tier is the order in which policies decide: what an earlier tier allows or
// denies, no later one changes.
type Tier uint8

// The tiers.
const (
	Admin     Tier = iota // AdminNetworkPolicy; ClusterNetworkPolicy of tier Admin
	Namespace             // NetworkPolicy
	Baseline              // BaselineAdminNetworkPolicy; ClusterNetworkPolicy of tier Baseline
)

// Action is what a rule does with what it matches.
type Action uint8

// The actions; Pass leaves the decision to the next tier.
const (
	Allow Action = iota
	Deny
	Pass
)

func (a Action) String() string { return [...]string{"allows", "denies", "passes"}[a] }

// Direction is which end of a connection a rule is about.
type Direction uint8

// The directions.
const (
	Ingress Direction = iota
	Egress
	directions
)

func (d Direction) String() string { return [...]string{"ingress", "egress"}[d] }

// Policy is one policy as it was read.
type Policy struct {
	Tier     Tier
	Priority int64
	Object   *fact.Object
	Rules    [directions][]*Rule
	Isolates [directions]bool // a NetworkPolicy of this policy type: what it does not allow is denied

	namespace string
	subject   peer
	byLabels  bool // it looks at labels of namespaces, not only at their names
	tainted   bool // part of it could not be evaluated
	selected  set
	id        int // of this policy, in every model that holds it
	gaps      []fact.Gap
}

// String names the policy as "Kind namespace/name".
func (p *Policy) String() string {
	if ns := p.Object.InNamespace(); ns != "" {
		return p.Object.Kind + " " + ns + "/" + p.Object.Name
	}
	return p.Object.Kind + " " + p.Object.Name
}

// acts reports whether the policy can change an answer in a direction.
func (p *Policy) acts(d Direction) bool { return p.Isolates[d] || len(p.Rules[d]) > 0 }

// Selects reports whether the policy applies to an endpoint.
func (p *Policy) Selects(endpoint int) bool { return p.selected.has(endpoint) }

// Rule is one rule of a policy.
type Rule struct {
	Policy    *Policy
	Direction Direction
	Index     int // from 0, in its list
	Action    Action
	Name      string
	Value     fact.Value // where it is written

	anyPeer bool // no peers given: all pods and addresses
	peers   []peer
	anyPort bool
	ports   []portRule

	pods   set
	ranges []Range
}

// peer is one thing that a rule or a subject names.
type peer struct {
	value     fact.Value
	pods      bool // it selects pods; else only ranges
	namespace string
	anyNS     bool // not only its own namespace
	ns, pod   selector
	ranges    []Range
	selected  set // the pods
}

// byLabels reports whether the peer is chosen by labels of namespaces.
func (x *peer) byLabels() bool {
	return x.anyNS && slices.ContainsFunc(x.ns.reqs, func(r requirement) bool { return r.key != nameLabel })
}

// portRule is one entry of a rule's ports.
type portRule struct {
	value    fact.Value
	ports    Ports
	name     string // a named port
	anyProto bool   // the name counts for every protocol
	proto    Protocol
}

// readPolicies reads all policies, in the order in which they decide.
func readPolicies(objects []*fact.Object, nodes []*fact.Object) (out []*Policy, gaps []fact.Gap) {
	last := map[fact.Ref]int{}
	for _, o := range objects {
		if !isPolicy(o) {
			continue
		}
		p := readPolicy(o, nodes)
		if i, ok := last[o.Ref()]; ok {
			other := out[i].Object
			gaps = append(gaps, gapAt(other, other.Root.At("metadata", "name"), "duplicate-object", "there is another "+o.Kind+" of this name at "+place(o)+", which takes its place; this one is left out"))
			out[i] = p
			continue
		}
		last[o.Ref()] = len(out)
		out = append(out, p)
	}
	for i, p := range out {
		p.id = i
	}
	order(out)
	return out, gaps
}

// order sorts policies by when they decide.
func order(list []*Policy) { slices.SortStableFunc(list, comparePolicies) }

func comparePolicies(a, b *Policy) int {
	return cmp.Or(cmp.Compare(a.Tier, b.Tier), cmp.Compare(a.Priority, b.Priority),
		strings.Compare(a.Object.InNamespace(), b.Object.InNamespace()), strings.Compare(a.Object.Name, b.Object.Name),
		strings.Compare(a.Object.Kind, b.Object.Kind), strings.Compare(a.Object.Origin.File, b.Object.Origin.File), cmp.Compare(a.Object.Origin.Doc, b.Object.Origin.Doc))
}

const adminGroup = "policy.networking.k8s.io"

func isPolicy(o *fact.Object) bool {
	switch o.Group {
	case "networking.k8s.io":
		return o.Kind == "NetworkPolicy"
	case adminGroup:
		return o.Kind == "AdminNetworkPolicy" || o.Kind == "BaselineAdminNetworkPolicy" || o.Kind == "ClusterNetworkPolicy"
	}
	return false
}

// IsPolicy reports whether this package evaluates an object as a policy.
func IsPolicy(o *fact.Object) bool { return isPolicy(o) }

func readPolicy(o *fact.Object, nodes []*fact.Object) *Policy {
	r := &policyReader{p: &Policy{Object: o, namespace: o.InNamespace()}, nodes: nodes}
	if o.Kind == "NetworkPolicy" {
		r.networkPolicy()
	} else {
		r.adminPolicy()
	}
	r.p.byLabels = r.p.subject.byLabels()
	for _, rules := range r.p.Rules {
		for _, rule := range rules {
			for i := range rule.peers {
				r.p.byLabels = r.p.byLabels || rule.peers[i].byLabels()
			}
		}
	}
	return r.p
}

// policyReader reads one policy. What is wrong is a gap at its place; the part
// concerned matches nothing, and the policy is tainted.
type policyReader struct {
	p     *Policy
	nodes []*fact.Object
}

func (r *policyReader) gap(v fact.Value, kind, message string) {
	r.p.tainted = true
	r.p.gaps = append(r.p.gaps, gapAt(r.p.Object, v, kind, message))
}

func (r *policyReader) selector(v fact.Value) selector {
	s, problem := readSelector(v)
	if problem != "" {
		r.gap(v, "invalid-selector", problem+"; it selects nothing")
	}
	return s
}

// networkPolicy reads networking.k8s.io/v1. Without policyTypes, a policy is
// about ingress, and about egress if it has egress rules.
func (r *policyReader) networkPolicy() {
	p, spec := r.p, r.p.Object.Root.Get(keySpec)
	p.Tier = Namespace
	ns := p.Object.InNamespace()
	p.subject = peer{value: spec.Get(keyPodSelector), pods: true, namespace: ns, pod: r.selector(spec.Get(keyPodSelector))}
	types := spec.Get(fact.K("policyTypes"))
	if types.Len() == 0 {
		p.Isolates = [directions]bool{true, spec.Get(fact.K("egress")).Len() > 0}
	}
	for t := range types.Children() {
		switch t.Str() {
		case "Ingress":
			p.Isolates[Ingress] = true
		case "Egress":
			p.Isolates[Egress] = true
		default:
			r.gap(t, "invalid-policy", "a policy type is Ingress or Egress")
		}
	}
	for d, field := range [...][2]string{{"ingress", "from"}, {"egress", "to"}} {
		if !p.Isolates[d] {
			continue // rules of a type that is not listed have no effect
		}
		for v := range spec.Get(fact.K(field[0])).Children() {
			rule := &Rule{Policy: p, Direction: Direction(d), Index: len(p.Rules[d]), Value: v}
			peers := v.Get(fact.K(field[1]))
			rule.anyPeer = peers.Len() == 0
			for e := range peers.Children() {
				rule.peers = append(rule.peers, r.networkPeer(e, ns))
			}
			rule.anyPort = v.Get(keyPorts).Len() == 0
			for e := range v.Get(keyPorts).Children() {
				rule.ports = append(rule.ports, r.networkPort(e))
			}
			p.Rules[d] = append(p.Rules[d], rule)
		}
	}
}

func (r *policyReader) networkPeer(v fact.Value, namespace string) peer {
	x := peer{value: v, namespace: namespace}
	pods, ns, block := v.Get(keyPodSelector), v.Get(keyNamespaceSel), v.Get(keyIPBlock)
	switch {
	case !block.IsNull() && (!pods.IsNull() || !ns.IsNull()):
		r.gap(v, "invalid-policy", "a peer with ipBlock has no selectors beside it; it matches nothing")
	case !block.IsNull():
		x.ranges = r.block(block)
	case pods.IsNull() && ns.IsNull():
		r.gap(v, "invalid-policy", "a peer needs a selector or an ipBlock; it matches nothing")
	default:
		x.pods, x.pod = true, r.selector(pods)
		if !ns.IsNull() {
			x.anyNS, x.ns = true, r.selector(ns)
		}
	}
	return x
}

func (r *policyReader) block(v fact.Value) []Range {
	all, err := parseCIDR(v.Get(fact.K("cidr")).Text())
	if err != nil {
		r.gap(v.Get(fact.K("cidr")), "invalid-cidr", err.Error()+"; the block matches nothing")
		return nil
	}
	out := []Range{all}
	for e := range v.Get(fact.K("except")).Children() {
		hole, err := parseCIDR(e.Text())
		switch {
		case err != nil:
			r.gap(e, "invalid-cidr", err.Error()+"; the exception is left out")
		case !all.Has(hole.First) || !all.Has(hole.Last) || hole == all:
			r.gap(e, "invalid-cidr", "an exception must lie within the block and be smaller")
			out = without(out, hole)
		default:
			out = without(out, hole)
		}
	}
	return out
}

func (r *policyReader) networkPort(v fact.Value) portRule {
	x := portRule{value: v}
	proto, ok := ParseProtocol(v.Get(keyProtocol).Str())
	if !ok {
		r.gap(v.Get(keyProtocol), "invalid-port", "a protocol is TCP, UDP or SCTP; the entry matches nothing")
		return x
	}
	x.proto = proto
	port, end := v.Get(keyPort), v.Get(keyEndPort)
	switch {
	case port.IsNull() && end.IsNull():
		x.ports = PortsOf(proto, 1, lastPort)
	case port.Kind() == fact.String && end.IsNull():
		x.name = port.Str()
	case port.Kind() == fact.Int && end.IsNull():
		x.ports = r.span(port, port, proto)
	case port.Kind() == fact.Int && end.Kind() == fact.Int:
		x.ports = r.span(port, end, proto)
	default:
		r.gap(v, "invalid-port", "this is no port, name or range; the entry matches nothing")
	}
	return x
}

func (r *policyReader) span(first, last fact.Value, proto Protocol) Ports {
	a, b := first.Int(), last.Int()
	if first.Kind() != fact.Int || last.Kind() != fact.Int || a < 1 || b > lastPort || a > b {
		r.gap(first, "invalid-port", "ports go from 1 to 65535; the entry matches nothing")
		return Ports{}
	}
	return PortsOf(proto, uint16(a), uint16(b))
}
