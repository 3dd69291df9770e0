package reach

import (
	"github.com/merlon-security/merlon/internal/fact"
)

// adminPolicy reads what the network-policy-api calls an AdminNetworkPolicy or a
// BaselineAdminNetworkPolicy (policy.networking.k8s.io/v1alpha1), or their
// successor ClusterNetworkPolicy (v1alpha2), which tells the two apart by tier.
func (n *Net) adminPolicy(o *fact.Object) {
	spec := o.Root.Get(keySpec)
	p := &Policy{Object: o, tier: admin, priority: spec.Get(fact.K("priority")).Int()}
	if o.Kind == "BaselineAdminNetworkPolicy" || spec.Get(fact.K("tier")).Str() == "Baseline" {
		p.tier = baseline
	}
	subject, ok := n.adminTerm(o, spec.Get(fact.K("subject")))
	if !ok {
		n.gapf("invalid-policy", o, spec, "subject needs namespaces or pods")
		return
	}
	p.subject = subject
	for dir, key := range [...]fact.Key{keyIngress, keyEgress} {
		peers := [...]fact.Key{keyFrom, keyTo}[dir]
		i := 0
		for r := range spec.Get(key).Children() {
			if out, ok := n.adminRule(p, r, peers, i); ok {
				p.rules[dir] = append(p.rules[dir], out)
			}
			i++
		}
	}
	n.policies = append(n.policies, p)
}

// adminTerm reads a subject, or a peer that is pods.
func (n *Net) adminTerm(o *fact.Object, v fact.Value) (*term, bool) {
	if ns := v.Get(fact.K("namespaces")); ns.Kind() == fact.Map {
		if inner := ns.Get(keyNamespaceSelector); inner.Kind() == fact.Map { // as early versions wrote it
			ns = inner
		}
		return n.intern(term{ns: readSelector(ns), place: v}), true
	}
	if pods := v.Get(fact.K("pods")); pods.Kind() == fact.Map {
		return n.intern(term{ns: readSelector(pods.Get(keyNamespaceSelector)), pods: readSelector(pods.Get(keyPodSelector)), place: v}), true
	}
	return nil, false
}

func (n *Net) adminRule(p *Policy, v fact.Value, peers fact.Key, index int) (rule, bool) {
	out := rule{policy: p, index: index, name: v.Get(keyName).Text(), place: v}
	switch a := v.Get(fact.K("action")).Str(); a {
	case "Allow", "Accept":
		out.action = Allow
	case "Deny":
		out.action = Deny
	case "Pass":
		out.action = Pass
		if p.tier == baseline {
			n.gapf("invalid-policy", p.Object, v, "a baseline policy cannot Pass")
			return out, false
		}
	default:
		n.gapf("invalid-policy", p.Object, v, "action %q is none of Allow, Deny, Pass", a)
		return out, false
	}
	for x := range v.Get(peers).Children() {
		n.adminPeers(p.Object, x, &out)
	}
	ports, protocols := v.Get(keyPorts), v.Get(fact.K("protocols"))
	out.every = ports.Len() == 0 && protocols.Len() == 0
	for x := range ports.Children() {
		if s, ok := n.adminPort(p.Object, x); ok {
			out.ports = append(out.ports, s)
		}
	}
	for x := range protocols.Children() {
		out.ports = append(out.ports, n.protocolPorts(p.Object, x)...)
	}
	return out, true
}

// adminPeers reads a peer: pods, addresses, or nodes, which are not evaluated.
func (n *Net) adminPeers(o *fact.Object, v fact.Value, r *rule) {
	if t, ok := n.adminTerm(o, v); ok {
		r.peers = append(r.peers, peer{term: t})
		return
	}
	if networks := v.Get(fact.K("networks")); networks.Kind() == fact.List {
		for c := range networks.Children() {
			b, err := newBlock(c.Text(), nil)
			if err != nil {
				n.gapf("invalid-policy", o, c, "networks: %v", err)
				continue
			}
			n.blocks = append(n.blocks, b)
			r.peers = append(r.peers, peer{block: b})
		}
		return
	}
	for _, sort := range [...]string{"nodes", "domainNames"} {
		if v.Get(fact.K(sort)).Present() {
			n.gapf("not-evaluated", o, v, "a rule names %s; which addresses those are is not known here, so its answers rest on the other rules", sort)
			r.peers = append(r.peers, peer{blind: true})
			return
		}
	}
	n.gapf("invalid-policy", o, v, "a peer needs namespaces, pods, networks or nodes")
}

// adminPort reads an entry of ports in v1alpha1.
func (n *Net) adminPort(o *fact.Object, v fact.Value) (portSpec, bool) {
	if name := v.Get(fact.K("namedPort")); name.Kind() == fact.String {
		return portSpec{name: name.Str(), anyProto: true}, true
	}
	at, from, to := v.Get(fact.K("portNumber")), int64(0), int64(0)
	if at.Kind() == fact.Map {
		from = at.Get(keyPort).Int()
		to = from
	} else {
		at = v.Get(fact.K("portRange"))
		from, to = at.Get(fact.K("start")).Int(), at.Get(fact.K("end")).Int()
	}
	proto, ok := protocolOf(at.Get(keyProtocol).Text())
	if at.Kind() != fact.Map || !ok {
		n.gapf("invalid-policy", o, v, "ports: an entry needs portNumber, portRange or namedPort with a protocol that is TCP, UDP or SCTP")
		return portSpec{}, false
	}
	return n.span(o, v, proto, from, to)
}

// protocolPorts reads an entry of protocols in v1alpha2.
func (n *Net) protocolPorts(o *fact.Object, v fact.Value) []portSpec {
	if name := v.Get(fact.K("destinationNamedPort")); name.Kind() == fact.String {
		return []portSpec{{name: name.Str()}}
	}
	for i, key := range [...]string{"tcp", "udp", "sctp"} {
		x := v.Get(fact.K(key))
		if !x.Present() {
			continue
		}
		port := x.Get(fact.K("destinationPort"))
		from, to := port.Get(fact.K("number")).Int(), port.Get(fact.K("number")).Int()
		if r := port.Get(fact.K("range")); r.Kind() == fact.Map {
			from, to = r.Get(fact.K("start")).Int(), r.Get(fact.K("end")).Int()
		}
		if port.Kind() != fact.Map {
			from, to = 1, 65535
		}
		if s, ok := n.span(o, v, Protocol(i), from, to); ok {
			return []portSpec{s}
		}
		return nil
	}
	n.gapf("invalid-policy", o, v, "protocols: an entry needs tcp, udp, sctp or destinationNamedPort")
	return nil
}
