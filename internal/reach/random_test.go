package reach

import (
	"fmt"
	"math/rand/v2"
)

// random makes small clusters with much overlap.
type random struct{ *rand.Rand }

func (r random) one(list ...string) string { return list[r.IntN(len(list))] }

func (r random) labels() map[string]string {
	out := map[string]string{}
	for _, k := range []string{"app", "tier", "env"} {
		if r.IntN(3) > 0 {
			out[k] = r.one("a", "b", "c")
		}
	}
	return out
}

func (r random) selector() *bruteSelector {
	s := &bruteSelector{labels: map[string]string{}}
	if r.IntN(3) > 0 {
		s.labels[r.one("app", "tier", "env")] = r.one("a", "b", "c")
	}
	if r.IntN(4) == 0 {
		e := bruteExpr{key: r.one("app", "tier", "env"), op: r.one("In", "NotIn", "Exists", "DoesNotExist")}
		if e.op == "In" || e.op == "NotIn" {
			e.values = []string{r.one("a", "b", "c"), r.one("a", "b", "c")}
		}
		s.exprs = append(s.exprs, e)
	}
	return s
}

func (r random) portRule(admin bool) brutePortRule {
	p := brutePortRule{proto: r.one("TCP", "UDP", "SCTP"), port: 1 + r.IntN(12)}
	switch r.IntN(5) {
	case 0:
		p.end = p.port + r.IntN(5)
	case 1:
		p.name = r.one("http", "dns", "admin")
	case 2:
		if !admin {
			p.everything = true
		}
	}
	return p
}

func (r random) peer(kind string, egress bool) brutePeer {
	if r.IntN(4) == 0 && (kind == "NetworkPolicy" || egress) {
		x := brutePeer{cidr: r.one("0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/24", "::/0", "2001:db8::/32")}
		if kind == "NetworkPolicy" {
			switch {
			case x.cidr == "10.0.0.0/8" && r.IntN(2) == 0:
				x.except = []string{"10.1.0.0/16"}
			case x.cidr == "0.0.0.0/0" && r.IntN(2) == 0:
				x.except = []string{"10.0.0.0/8", "192.168.0.128/25"}
			}
		}
		return x
	}
	x := brutePeer{}
	if kind != "NetworkPolicy" {
		x.ns = r.selector()
		if r.IntN(2) == 0 {
			x.pod = r.selector()
		}
		return x
	}
	if r.IntN(2) == 0 {
		x.ns = r.selector()
	}
	if x.ns == nil || r.IntN(2) == 0 {
		x.pod = r.selector()
	}
	return x
}

func (r random) rules(kind string, egress bool) []bruteRule {
	var out []bruteRule
	for range r.IntN(3) {
		x := bruteRule{action: "Allow"}
		if kind != "NetworkPolicy" {
			x.action = r.one("Allow", "Deny", "Pass")
		}
		for range r.IntN(3) {
			x.peers = append(x.peers, r.peer(kind, egress))
		}
		if kind != "NetworkPolicy" && len(x.peers) == 0 {
			x.peers = []brutePeer{r.peer(kind, egress)}
		}
		for range r.IntN(3) {
			x.ports = append(x.ports, r.portRule(kind != "NetworkPolicy"))
		}
		x.anyPort = len(x.ports) == 0
		out = append(out, x)
	}
	return out
}

func (r random) cluster() *bruteCluster {
	c := &bruteCluster{namespaces: map[string]map[string]string{}}
	for i := range 1 + r.IntN(3) {
		c.namespaces[fmt.Sprintf("ns%d", i)] = r.labels()
	}
	ns := func() string { return fmt.Sprintf("ns%d", r.IntN(len(c.namespaces))) }
	for i := range 1 + r.IntN(6) {
		p := brutePod{ns: ns(), name: fmt.Sprintf("pod%d", i), labels: r.labels(), host: r.IntN(8) == 0}
		for _, name := range []string{"http", "dns", "admin", ""} {
			if r.IntN(2) == 0 {
				p.ports = append(p.ports, brutePort{name, r.one("TCP", "UDP", "SCTP"), 1 + r.IntN(12)})
			}
		}
		c.pods = append(c.pods, p)
	}
	baseline := false // there is one at most
	for i := range r.IntN(6) {
		p := r.policy(i, ns())
		if p.kind == "BaselineAdminNetworkPolicy" {
			if baseline {
				continue
			}
			baseline = true
		}
		c.policies = append(c.policies, p)
	}
	return c
}

func (r random) policy(i int, ns string) brutePolicy {
	p := brutePolicy{name: fmt.Sprintf("policy%d", i), priority: i}
	switch r.IntN(6) {
	case 0:
		p.kind, p.tier = "AdminNetworkPolicy", "Admin"
	case 1:
		p.kind, p.tier = "ClusterNetworkPolicy", r.one("Admin", "Baseline")
	case 2:
		p.kind, p.tier, p.name, p.priority = "BaselineAdminNetworkPolicy", "Baseline", "default", 1000
	default:
		p.kind, p.ns, p.subPod = "NetworkPolicy", ns, r.selector()
		switch r.IntN(4) {
		case 0:
			p.types = []string{"Ingress"}
		case 1:
			p.types = []string{"Egress"}
		case 2:
			p.types = []string{"Ingress", "Egress"}
		}
	}
	if p.kind != "NetworkPolicy" {
		p.subNS = r.selector()
		if r.IntN(2) == 0 {
			p.subPod = r.selector()
		}
	}
	p.ingress, p.egress = r.rules(p.kind, false), r.rules(p.kind, true)
	return p
}
