package reach

import (
	"net/netip"

	"github.com/merlon-security/merlon/internal/fact"
)

// maxPriority is the largest that the API takes.
const maxPriority = 1000

// adminPolicy reads AdminNetworkPolicy, BaselineAdminNetworkPolicy (v1alpha1)
// and ClusterNetworkPolicy (v1alpha2).
func (r *policyReader) adminPolicy() {
	p, spec := r.p, r.p.Object.Root.Get(keySpec)
	priority := spec.Get(fact.K("priority"))
	p.Priority = priority.Int()
	if p.Object.Kind != "BaselineAdminNetworkPolicy" && (p.Priority < 0 || p.Priority > maxPriority) {
		r.gap(priority, "invalid-policy", "a priority goes from 0 to 1000: the API server refuses the policy")
	}
	switch tier := spec.Get(fact.K("tier")); {
	case p.Object.Kind == "BaselineAdminNetworkPolicy":
		// There is one, without a priority; it decides after all that have one.
		p.Tier, p.Priority = Baseline, 1<<32
	case p.Object.Kind == "AdminNetworkPolicy" || tier.Str() == "Admin":
		p.Tier = Admin
	case tier.Str() == "Baseline":
		p.Tier = Baseline
	default:
		r.gap(tier, "invalid-policy", "a tier is Admin or Baseline; the policy is left out")
		return
	}
	p.subject = r.adminPods(spec.Get(fact.K("subject")))
	for d, field := range [...][2]string{{"ingress", "from"}, {"egress", "to"}} {
		for v := range spec.Get(fact.K(field[0])).Children() {
			rule := &Rule{Policy: p, Direction: Direction(d), Index: len(p.Rules[d]), Value: v, Name: v.Get(keyName).Str()}
			if !r.action(rule, v.Get(fact.K("action"))) {
				continue
			}
			for e := range v.Get(fact.K(field[1])).Children() {
				rule.peers = append(rule.peers, r.adminPeer(e, Direction(d)))
			}
			r.adminPorts(rule, v)
			p.Rules[d] = append(p.Rules[d], rule)
		}
	}
}

func (r *policyReader) action(rule *Rule, v fact.Value) bool {
	switch v.Str() {
	case "Allow", "Accept":
		rule.Action = Allow
	case "Deny":
		rule.Action = Deny
	case "Pass":
		rule.Action = Pass
	default:
		r.gap(v, "invalid-policy", "an action is Allow (Accept in a ClusterNetworkPolicy), Deny or Pass; the rule is left out")
		return false
	}
	return true
}

// adminPods reads a subject, or a peer that selects pods: either namespaces,
// with all of their pods, or pods, by two selectors.
func (r *policyReader) adminPods(v fact.Value) peer {
	x := peer{value: v, anyNS: true}
	namespaces, pods := v.Get(keyNamespaces), v.Get(keyPods)
	switch {
	case !namespaces.IsNull() && !pods.IsNull():
		r.gap(v, "invalid-policy", "either namespaces or pods can stand here; it matches nothing")
	case !namespaces.IsNull():
		x.pods, x.ns = true, r.selector(namespaces)
	case !pods.IsNull():
		x.pods, x.ns, x.pod = true, r.selector(pods.Get(keyNamespaceSel)), r.selector(pods.Get(keyPodSelector))
	}
	return x
}

func (r *policyReader) adminPeer(v fact.Value, d Direction) peer {
	nodes, networks, domains := v.Get(fact.K("nodes")), v.Get(fact.K("networks")), v.Get(fact.K("domainNames"))
	x := r.adminPods(v)
	if d == Ingress {
		if !x.pods {
			r.gap(v, "invalid-policy", "a peer of an ingress rule is namespaces or pods; it matches nothing")
		}
		return x
	}
	for n := range networks.Children() {
		c, err := parseCIDR(n.Text())
		if err != nil {
			r.gap(n, "invalid-cidr", err.Error()+"; it matches nothing")
			continue
		}
		x.ranges = append(x.ranges, c)
	}
	if !nodes.IsNull() {
		x.ranges = append(x.ranges, r.nodeAddresses(nodes)...)
	}
	if !domains.IsNull() {
		r.gap(domains, "not-evaluated", "names of domains are not evaluated, for no address is known for them; they match nothing")
	}
	if !x.pods && nodes.IsNull() && networks.IsNull() && domains.IsNull() {
		r.gap(v, "invalid-policy", "this kind of peer is not known; it matches nothing")
	}
	return x
}

// nodeAddresses returns the addresses of the nodes that a selector selects.
func (r *policyReader) nodeAddresses(v fact.Value) []Range {
	sel := r.selector(v)
	if len(r.nodes) == 0 {
		r.gap(v, "no-nodes", "the input has no nodes, so the addresses that this selects are not known; it matches nothing")
	}
	var out []Range
	for _, n := range r.nodes {
		if !sel.matches(labelsOf(n.Root.Get(keyMetadata).Get(keyLabels))) {
			continue
		}
		for a := range n.Root.Get(keyStatus).Get(fact.K("addresses")).Children() {
			if addr, err := netip.ParseAddr(a.Get(fact.K("address")).Str()); err == nil {
				out = append(out, Range{addr.Unmap(), addr.Unmap()})
			}
		}
	}
	return out
}

func (r *policyReader) adminPorts(rule *Rule, v fact.Value) {
	ports, list := v.Get(keyPorts), v.Get(fact.K("protocols"))
	rule.anyPort = ports.Len() == 0 && list.Len() == 0
	for e := range ports.Children() {
		x := portRule{value: e}
		number, span, name := e.Get(fact.K("portNumber")), e.Get(fact.K("portRange")), e.Get(fact.K("namedPort"))
		switch {
		case !number.IsNull():
			x.ports = r.adminSpan(number, number.Get(keyPort), number.Get(keyPort))
		case !span.IsNull():
			x.ports = r.adminSpan(span, span.Get(fact.K("start")), span.Get(fact.K("end")))
		case name.Str() != "":
			x.name, x.anyProto = name.Str(), true
		default:
			r.gap(e, "invalid-port", "a port is portNumber, portRange or namedPort; the entry matches nothing")
		}
		rule.ports = append(rule.ports, x)
	}
	for e := range list.Children() {
		rule.ports = append(rule.ports, r.clusterPort(e))
	}
}

func (r *policyReader) adminSpan(v, first, last fact.Value) Ports {
	proto, ok := ParseProtocol(v.Get(keyProtocol).Str())
	if !ok {
		r.gap(v, "invalid-port", "a protocol is TCP, UDP or SCTP; the entry matches nothing")
		return Ports{}
	}
	return r.span(first, last, proto)
}

// clusterPort reads an entry of a ClusterNetworkPolicy's protocols.
func (r *policyReader) clusterPort(e fact.Value) portRule {
	x := portRule{value: e}
	if name := e.Get(fact.K("destinationNamedPort")).Str(); name != "" {
		x.name, x.anyProto = name, true
		return x
	}
	for proto, field := range [protocols]string{"sctp", "tcp", "udp"} {
		v := e.Get(fact.K(field))
		if !v.Present() {
			continue
		}
		port := v.Get(fact.K("destinationPort"))
		number, span := port.Get(fact.K("number")), port.Get(fact.K("range"))
		switch {
		case port.IsNull():
			x.ports = PortsOf(Protocol(proto), 1, lastPort)
		case !number.IsNull():
			x.ports = r.span(number, number, Protocol(proto))
		default:
			x.ports = r.span(span.Get(fact.K("start")), span.Get(fact.K("end")), Protocol(proto))
		}
		return x
	}
	r.gap(e, "invalid-port", "an entry of protocols is tcp, udp, sctp or destinationNamedPort; it matches nothing")
	return x
}
