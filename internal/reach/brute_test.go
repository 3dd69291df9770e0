package reach

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"sort"
	"strconv"
	"sync"
	"testing"
)

// TestBruteForce holds the evaluator equal to the naive one, pod by pod and port
// by port, over many small random clusters: 2,000, or as many as MERLON_SEEDS says.
func TestBruteForce(t *testing.T) {
	seeds := uint64(2000)
	if n, err := strconv.ParseUint(os.Getenv("MERLON_SEEDS"), 10, 64); err == nil {
		seeds = n
	}
	for seed := range seeds {
		r := random{rand.New(rand.NewPCG(seed, 7))}
		c := r.cluster()
		compare(t, seed, c, New(c.snapshot(), Options{}), samples())
		if t.Failed() {
			return
		}
	}
}

func compare(t *testing.T, seed uint64, c *bruteCluster, m *Model, addresses []netip.Addr) {
	t.Helper()
	at := map[string]int{}
	for _, w := range m.Workloads {
		at[w.Namespace+"/"+w.Name] = w.Endpoints[0]
	}
	endpoint := func(p *brutePod) int { return at[p.ns+"/"+p.name] }
	check := func(got Ports, src, dst end, what string) {
		for proto := range protocols {
			for port := 1; port <= 17; port++ {
				want := c.connects(src, dst, proto.String(), port)
				if got.Has(proto, uint16(port)) != want {
					t.Errorf("seed %d: %s, %s %d: got %t, want %t (%s)", seed, what, proto, port, !want, want, got)
					return
				}
			}
		}
	}
	for i := range c.pods {
		a := &c.pods[i]
		for k := range c.pods {
			if b := &c.pods[k]; i != k {
				check(m.Between(endpoint(a), endpoint(b)), end{pod: a}, end{pod: b}, fmt.Sprintf("%s/%s → %s/%s", a.ns, a.name, b.ns, b.name))
			}
		}
		for _, x := range addresses {
			check(m.From(x, endpoint(a)), end{addr: x}, end{pod: a}, fmt.Sprintf("%s → %s", x, a.name))
			check(m.To(endpoint(a), x), end{pod: a}, end{addr: x}, fmt.Sprintf("%s → %s", a.name, x))
		}
	}
}

// The types below are a second, naive reading of the API documentation: every
// question is answered for one pod, one peer, one protocol and one port, by
// walking the policies. It shares nothing with the evaluator but its input.

type bruteSelector struct {
	labels map[string]string
	exprs  []bruteExpr
}

type bruteExpr struct {
	key, op string
	values  []string
}

func (s *bruteSelector) matches(labels map[string]string) bool {
	for k, v := range s.labels {
		if have, ok := labels[k]; !ok || have != v {
			return false
		}
	}
	for _, e := range s.exprs {
		have, ok := labels[e.key]
		in := false
		for _, v := range e.values {
			if v == have {
				in = true
			}
		}
		var holds bool
		switch e.op {
		case "In":
			holds = ok && in
		case "NotIn":
			holds = !ok || !in
		case "Exists":
			holds = ok
		case "DoesNotExist":
			holds = !ok
		}
		if !holds {
			return false
		}
	}
	return true
}

type brutePod struct {
	ns, name string
	labels   map[string]string
	host     bool
	ports    []brutePort // container ports
}

type brutePort struct {
	name, proto string
	number      int
}

type brutePeer struct {
	ns, pod *bruteSelector // nil: missing
	cidr    string
	except  []string
}

type brutePortRule struct {
	proto      string
	port, end  int
	name       string
	everything bool // no port given
}

type bruteRule struct {
	action  string
	peers   []brutePeer
	ports   []brutePortRule
	anyPort bool
}

type brutePolicy struct {
	kind, ns, name  string
	priority        int
	tier            string
	subNS, subPod   *bruteSelector
	types           []string // nil: not given
	ingress, egress []bruteRule
}

type bruteCluster struct {
	namespaces map[string]map[string]string
	pods       []brutePod
	policies   []brutePolicy
}

// end is one end of a connection: a pod or an address outside.
type end struct {
	pod  *brutePod
	addr netip.Addr
}

func (c *bruteCluster) nsLabels(ns string) map[string]string {
	out := map[string]string{"kubernetes.io/metadata.name": ns}
	for k, v := range c.namespaces[ns] {
		out[k] = v
	}
	return out
}

func (c *bruteCluster) selects(p *brutePolicy, pod *brutePod) bool {
	if pod.host {
		return false
	}
	if p.kind == "NetworkPolicy" {
		return pod.ns == p.ns && p.subPod.matches(pod.labels)
	}
	return p.subNS.matches(c.nsLabels(pod.ns)) && (p.subPod == nil || p.subPod.matches(pod.labels))
}

func (c *bruteCluster) peerMatches(p *brutePolicy, x *brutePeer, e end) bool {
	if x.cidr != "" {
		admin := p.kind != "NetworkPolicy"
		switch {
		case e.pod == nil:
			return inBlock(x, e.addr)
		default:
			return admin && x.cidr == "0.0.0.0/0"
		}
	}
	if e.pod == nil || e.pod.host {
		return false
	}
	if x.ns == nil {
		return e.pod.ns == p.ns && x.pod.matches(e.pod.labels)
	}
	return x.ns.matches(c.nsLabels(e.pod.ns)) && (x.pod == nil || x.pod.matches(e.pod.labels))
}

func inBlock(x *brutePeer, a netip.Addr) bool {
	if !netip.MustParsePrefix(x.cidr).Contains(a) {
		return false
	}
	for _, e := range x.except {
		if netip.MustParsePrefix(e).Contains(a) {
			return false
		}
	}
	return true
}

// portMatches: a named port is one of the destination's container ports.
func portMatches(p *brutePolicy, r *brutePortRule, dst end, proto string, port int) bool {
	if r.name != "" {
		if dst.pod == nil {
			return false
		}
		for _, cp := range dst.pod.ports {
			if cp.name == r.name && cp.proto == proto && cp.number == port && (p.kind != "NetworkPolicy" || r.proto == proto) {
				return true
			}
		}
		return false
	}
	if r.proto != proto {
		return false
	}
	if r.everything {
		return true
	}
	if r.end > 0 {
		return port >= r.port && port <= r.end
	}
	return port == r.port
}

func (c *bruteCluster) ruleMatches(p *brutePolicy, r *bruteRule, peer, dst end, proto string, port int) bool {
	peerOK := len(r.peers) == 0 && p.kind == "NetworkPolicy"
	for i := range r.peers {
		peerOK = peerOK || c.peerMatches(p, &r.peers[i], peer)
	}
	portOK := r.anyPort
	for i := range r.ports {
		portOK = portOK || portMatches(p, &r.ports[i], dst, proto, port)
	}
	return peerOK && portOK
}

func (p *brutePolicy) has(direction string) bool {
	if p.types == nil {
		return direction == "Ingress" || len(p.egress) > 0
	}
	for _, t := range p.types {
		if t == direction {
			return true
		}
	}
	return false
}

func (p *brutePolicy) rules(direction string) []bruteRule {
	if direction == "Ingress" {
		return p.ingress
	}
	return p.egress
}

// allows answers for one side of a connection.
func (c *bruteCluster) allows(direction string, self *brutePod, peer, dst end, proto string, port int) bool {
	tiers := map[string][]*brutePolicy{}
	isolated, allowed := false, false
	for i := range c.policies {
		p := &c.policies[i]
		if !c.selects(p, self) {
			continue
		}
		if p.kind != "NetworkPolicy" {
			tiers[p.tier] = append(tiers[p.tier], p)
			continue
		}
		if !p.has(direction) {
			continue
		}
		isolated = true
		for k := range p.rules(direction) {
			if c.ruleMatches(p, &p.rules(direction)[k], peer, dst, proto, port) {
				allowed = true
			}
		}
	}
	first := func(tier string) string {
		list := tiers[tier]
		sort.SliceStable(list, func(i, j int) bool { return list[i].priority < list[j].priority })
		for _, p := range list {
			for k := range p.rules(direction) {
				if r := &p.rules(direction)[k]; c.ruleMatches(p, r, peer, dst, proto, port) {
					return r.action
				}
			}
		}
		return ""
	}
	switch first("Admin") {
	case "Allow":
		return true
	case "Deny":
		return false
	}
	if isolated {
		return allowed
	}
	return first("Baseline") != "Deny"
}

func (c *bruteCluster) connects(src, dst end, proto string, port int) bool {
	if src.pod != nil {
		for _, e := range seen(dst) {
			if !c.allows("Egress", src.pod, e, e, proto, port) {
				return false
			}
		}
	}
	if dst.pod != nil {
		for _, e := range seen(src) {
			if !c.allows("Ingress", dst.pod, e, dst, proto, port) {
				return false
			}
		}
	}
	return true
}

// seen is what a policy takes an end for: a host-network pod is its node's
// address, which is not known, so that what is surely allowed is what every
// address is. The samples hit every range that the random policies make.
func seen(e end) []end {
	if e.pod == nil || !e.pod.host {
		return []end{e}
	}
	var out []end
	for _, a := range samples() {
		if a.Is4() {
			out = append(out, end{addr: a})
		}
	}
	return out
}

var samples = sync.OnceValue(func() []netip.Addr {
	var out []netip.Addr
	for _, a := range []string{"0.0.0.0", "8.8.8.8", "10.0.0.1", "10.1.2.3", "192.168.0.7", "192.168.0.200", "255.255.255.255", "2001:db8::1", "2001:db9::1"} {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
})
