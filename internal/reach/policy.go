package reach

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Direction is which side of a connection a rule is about.
type Direction uint8

// A connection must be let out at its source and let in at its destination.
const (
	Ingress Direction = iota
	Egress
)

// String returns the direction as policies write it.
func (d Direction) String() string { return [...]string{"Ingress", "Egress"}[d] }

// Action is what a rule does with what it matches.
type Action string

// The actions. Pass leaves the decision to the network policies of namespaces.
const (
	Allow Action = "Allow"
	Deny  Action = "Deny"
	Pass  Action = "Pass"
)

// term is a set of pods by labels: of one namespace or of those selected. Terms
// that say the same are one.
type term struct {
	id         int
	namespace  string     // "" where ns selects
	ns         selector   // zero: all namespaces
	pods       selector   // zero: all pods
	everywhere bool       // all pods of all namespaces
	place      fact.Value // where it was first written
}

// selector is a label selector with what it was written as.
type selector struct {
	fact.Selector
	reqs []string // its requirements, canonical, in order; none: everything
	text string   // as people read it
}

// readSelector reads a LabelSelector; absent is the zero selector.
func readSelector(v fact.Value) selector {
	s, ok := fact.LabelSelector(v)
	if !ok {
		return selector{}
	}
	out := selector{Selector: s}
	var labels, exprs []string
	for l := range v.Get(keyMatchLabels).Children() {
		labels = append(labels, l.Key().String()+"="+l.Text())
	}
	for e := range v.Get(keyMatchExpressions).Children() {
		var values []string
		for x := range e.Get(keyValues).Children() {
			values = append(values, x.Text())
		}
		exprs = append(exprs, fmt.Sprintf("{Key:%s,Operator:%s,Values:[%s],}", e.Get(keyKey).Text(), e.Get(keyOperator).Text(), strings.Join(values, " ")))
	}
	slices.Sort(labels)
	slices.Sort(exprs)
	out.reqs = append(labels, exprs...)
	out.text = "{" + strings.Join(out.reqs, ",") + "}"
	return out
}

func (t *term) key() string {
	return t.namespace + "\x00" + strings.Join(t.ns.reqs, "\x01") + "\x00" + strings.Join(t.pods.reqs, "\x01") + fmt.Sprint(t.namespace == "")
}

// peer is one side that a rule names: a set of pods, or addresses.
type peer struct {
	term  *term
	block block
	// blind says that the peer is of a sort that is not evaluated.
	blind bool
}

// portSpec is one entry of a rule's ports.
type portSpec struct {
	proto    Protocol
	from, to uint16
	name     string // of a container's port; from and to are 0 then
	anyProto bool   // the name counts whatever its protocol
}

// rule is one rule of a policy.
type rule struct {
	policy *Policy
	name   string
	index  int
	action Action
	// peers is nil for everything, within the cluster and without.
	peers []peer
	any   bool
	ports []portSpec
	every bool // all ports
	place fact.Value
}

// Policy is one policy object of any kind that is evaluated.
type Policy struct {
	Object   *fact.Object
	tier     tier
	priority int64
	subject  *term
	isolates [2]bool // NetworkPolicy: directions in which it isolates what it selects
	rules    [2][]rule
}

// tier orders kinds of policies: the administrator's come before those of
// namespaces, the baseline after.
type tier uint8

const (
	admin tier = iota
	developer
	baseline
)

// Name returns the policy's kind and name for people.
func (p *Policy) Name() string {
	if p.Object.Namespace == "" && p.tier != developer {
		return p.Object.Kind + " " + p.Object.Name
	}
	return p.Object.Kind + " " + p.Object.InNamespace() + "/" + p.Object.Name
}

// gapf reports something of a policy that cannot be evaluated.
func (n *Net) gapf(kind string, o *fact.Object, at fact.Value, format string, args ...any) {
	g := fact.Gap{Kind: kind, Source: "reach", Subject: o.GroupKind() + " " + strings.TrimPrefix(o.Namespace+"/"+o.Name, "/"), Message: fmt.Sprintf(format, args...)}
	g.File, g.Pos = o.Origin.File, at.Pos()
	n.gaps = append(n.gaps, g)
}

// intern returns the one term that says what t says.
func (n *Net) intern(t term) *term {
	t.everywhere = t.namespace == "" && len(t.ns.reqs) == 0 && len(t.pods.reqs) == 0
	k := t.key()
	if known, ok := n.terms[k]; ok {
		return known
	}
	t.id = len(n.ordered)
	n.terms[k] = &t
	n.ordered = append(n.ordered, &t)
	return &t
}

// networkPolicy reads a NetworkPolicy (networking.k8s.io/v1).
func (n *Net) networkPolicy(o *fact.Object) {
	spec := o.Root.Get(keySpec)
	p := &Policy{Object: o, tier: developer}
	p.subject = n.intern(term{namespace: o.InNamespace(), pods: readSelector(spec.Get(keyPodSelector)), place: spec.Get(keyPodSelector)})
	types := spec.Get(fact.K("policyTypes"))
	if types.Len() == 0 { // as the API server defaults them
		p.isolates = [2]bool{Ingress: true, Egress: spec.Get(keyEgress).Len() > 0}
	}
	for t := range types.Children() {
		switch t.Str() {
		case "Ingress":
			p.isolates[Ingress] = true
		case "Egress":
			p.isolates[Egress] = true
		default:
			n.gapf("invalid-policy", o, t, "policyTypes: %q is neither Ingress nor Egress", t.Text())
		}
	}
	for dir, key := range [...]fact.Key{keyIngress, keyEgress} {
		peers := [...]fact.Key{keyFrom, keyTo}[dir]
		i := 0
		for r := range spec.Get(key).Children() {
			p.rules[dir] = append(p.rules[dir], n.networkRule(p, r, peers, i))
			i++
		}
	}
	n.policies = append(n.policies, p)
}

func (n *Net) networkRule(p *Policy, v fact.Value, peers fact.Key, index int) rule {
	out := rule{policy: p, index: index, action: Allow, place: v, any: v.Get(peers).Len() == 0, every: v.Get(keyPorts).Len() == 0}
	for x := range v.Get(peers).Children() {
		if b := x.Get(fact.K("ipBlock")); b.Kind() == fact.Map {
			if blk, ok := n.ipBlock(p.Object, b); ok {
				out.peers = append(out.peers, peer{block: blk})
			}
			continue
		}
		ns, pods := x.Get(keyNamespaceSelector), x.Get(keyPodSelector)
		if ns.Kind() != fact.Map && pods.Kind() != fact.Map {
			n.gapf("invalid-policy", p.Object, x, "a peer needs podSelector, namespaceSelector or ipBlock")
			continue
		}
		t := term{pods: readSelector(pods), place: x}
		if ns.Kind() == fact.Map {
			t.ns = readSelector(ns)
		} else {
			t.namespace = p.Object.InNamespace()
		}
		out.peers = append(out.peers, peer{term: n.intern(t)})
	}
	for x := range v.Get(keyPorts).Children() {
		if s, ok := n.networkPort(p.Object, x); ok {
			out.ports = append(out.ports, s)
		}
	}
	return out
}

func (n *Net) ipBlock(o *fact.Object, v fact.Value) (block, bool) {
	var except []string
	for e := range v.Get(fact.K("except")).Children() {
		except = append(except, e.Text())
	}
	b, err := newBlock(v.Get(fact.K("cidr")).Text(), except)
	if err != nil {
		n.gapf("invalid-policy", o, v, "ipBlock: %v", err)
		return block{}, false
	}
	n.blocks = append(n.blocks, b)
	return b, true
}

// networkPort reads an entry of a NetworkPolicy's ports.
func (n *Net) networkPort(o *fact.Object, v fact.Value) (portSpec, bool) {
	proto, ok := protocolOf(v.Get(keyProtocol).Text())
	if !ok {
		n.gapf("invalid-policy", o, v, "ports: protocol %q is none of TCP, UDP, SCTP", v.Get(keyProtocol).Text())
		return portSpec{}, false
	}
	port := v.Get(keyPort)
	switch port.Kind() {
	case fact.String:
		return portSpec{proto: proto, name: port.Str()}, true
	case fact.Absent, fact.Null:
		return portSpec{proto: proto, from: 1, to: 65535}, true
	}
	from, to := port.Int(), port.Int()
	if end := v.Get(fact.K("endPort")); !end.IsNull() {
		to = end.Int()
	}
	return n.span(o, v, proto, from, to)
}

func (n *Net) span(o *fact.Object, v fact.Value, proto Protocol, from, to int64) (portSpec, bool) {
	if from < 1 || to > math.MaxUint16 || from > to {
		n.gapf("invalid-policy", o, v, "ports: %d to %d are no ports", from, to)
		return portSpec{}, false
	}
	return portSpec{proto: proto, from: uint16(from), to: uint16(to)}, true
}

// resolve returns the ports of a rule at a destination; named ones mean what
// the destination's containers call so. Outside the cluster nothing has names.
func (r *rule) resolve(dst *Class) Ports {
	if r.every {
		return AllPorts()
	}
	var out Ports
	for _, s := range r.ports {
		if s.name == "" {
			out = out.Union(PortsOf(s.proto, s.from, s.to))
			continue
		}
		if dst == nil {
			continue
		}
		for _, c := range dst.named {
			if c.name == s.name && (s.anyProto || c.proto == s.proto) {
				out = out.Union(PortsOf(c.proto, c.port, c.port))
			}
		}
	}
	return out
}
