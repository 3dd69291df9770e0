package reach

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Flow is a connection that must stay possible: one end a workload, the other a
// workload or addresses outside.
type Flow struct {
	From, To FlowEnd
	Ports    Ports
	Why      string // where it was seen or declared
}

// FlowEnd is one end of a flow. The zero FlowEnd is any source: an Ingress
// controller or load balancer that is not known.
type FlowEnd struct {
	Workload *Workload
	Range    Range // when Workload is nil
	Except   Range // of the range, not meant; the zero Range is none
}

// Ranges returns the addresses that are meant, when the end is addresses.
func (e FlowEnd) Ranges() []Range {
	out := []Range{e.Range}
	if e.Except.First.IsValid() {
		out = without(out, e.Except)
	}
	return out
}

// outside reports whether the end is addresses, and not any source.
func (e FlowEnd) outside() bool { return e.Workload == nil && e.Range.First.IsValid() }

// Intent returns the flows that the manifests declare: what containers name in
// their environment and arguments, by the Services that they name, and what
// Ingresses, Routes and Services of the outside lead to.
func (m *Model) Intent() []Flow {
	s := newServices(m)
	maps := m.configMaps()
	var out []Flow
	for _, w := range m.Workloads {
		for _, p := range fact.PodTemplates(w.Object)[:1] {
			for _, c := range p.Containers() {
				for _, text := range textsOf(c.Value, w.Namespace, maps) {
					out = append(out, s.named(w, text)...)
				}
			}
			if m.usesAPI(w, p.Spec) {
				out = append(out, m.toAPI(w)...)
			}
		}
	}
	for _, e := range m.Entries() {
		from := FlowEnd{}
		if e.Direct {
			from.Range = everywhere()[0]
		}
		out = append(out, Flow{from, FlowEnd{Workload: e.Workload}, e.Ports, e.Object.Kind + " " + e.Object.Name})
	}
	return out
}

func (m *Model) configMaps() map[[2]string]*fact.Object {
	out := map[[2]string]*fact.Object{}
	for _, o := range m.objects {
		if o.Group == "" && o.Kind == "ConfigMap" {
			out[[2]string{o.InNamespace(), o.Name}] = o
		}
	}
	return out
}

// textsOf returns the texts of a container that may name a Service.
func textsOf(c fact.Value, namespace string, configMaps map[[2]string]*fact.Object) []string {
	var out []string
	all := func(name string) {
		if o := configMaps[[2]string{namespace, name}]; o != nil {
			for v := range o.Root.Get(fact.K("data")).Children() {
				if len(v.Str()) < 4096 {
					out = append(out, v.Str())
				}
			}
		}
	}
	for _, field := range [...]string{"command", "args"} {
		for v := range c.Get(fact.K(field)).Children() {
			out = append(out, v.Str())
		}
	}
	for e := range c.Get(fact.K("env")).Children() {
		out = append(out, e.Get(fact.K("value")).Str())
		ref := e.Get(fact.K("valueFrom")).Get(fact.K("configMapKeyRef"))
		if o := configMaps[[2]string{namespace, ref.Get(keyName).Str()}]; o != nil {
			out = append(out, o.Root.Get(fact.K("data")).Get(fact.K(ref.Get(keyKey).Str())).Str())
		}
	}
	for e := range c.Get(fact.K("envFrom")).Children() {
		all(e.Get(fact.K("configMapRef")).Get(keyName).Str())
	}
	return out
}

// named finds Services that a text names: NAME, NAME.NAMESPACE… with or without
// a port. A word alone, with neither dot nor port, counts only as the whole text.
func (s *services) named(w *Workload, text string) []Flow {
	var out []Flow
	isName := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == ':'
	}
	for _, token := range strings.FieldsFunc(text, func(r rune) bool { return !isName(r) }) {
		host, port, _ := strings.Cut(strings.Trim(token, ":"), ":")
		name, rest, dotted := strings.Cut(strings.ToLower(host), ".")
		ns, _, _ := strings.Cut(rest, ".")
		service := s.byName[[2]string{cmp.Or(ns, w.Namespace), name}]
		if service == nil || !dotted && port == "" && token != strings.TrimSpace(text) {
			continue
		}
		for _, e := range s.some(service, service, func(v fact.Value) bool { return port == "" || v.Get(keyPort).Text() == port }) {
			if e.Workload != w {
				out = append(out, Flow{FlowEnd{Workload: w}, FlowEnd{Workload: e.Workload}, e.Ports, "names Service " + service.InNamespace() + "/" + service.Name})
			}
		}
	}
	return out
}

// usesAPI reports whether pods carry a token of an account of their own, and so
// most likely call the API server.
func (m *Model) usesAPI(w *Workload, spec fact.Value) bool {
	account := spec.Get(fact.K("serviceAccountName")).Str()
	if account == "" || account == "default" {
		return false
	}
	if auto := spec.Get(fact.K("automountServiceAccountToken")); auto.Kind() == fact.Bool {
		return auto.Bool()
	}
	for _, o := range m.objects {
		if o.Group == "" && o.Kind == "ServiceAccount" && o.InNamespace() == w.Namespace && o.Name == account {
			auto := o.Root.Get(fact.K("automountServiceAccountToken"))
			return auto.Kind() != fact.Bool || auto.Bool()
		}
	}
	return true
}

// metadata is where a cloud hands out the node's credentials: never the API
// server.
func metadata() Range {
	a := netip.AddrFrom4([4]byte{169, 254, 169, 254})
	return Range{a, a}
}

// toAPI returns the flow to the API server: to the addresses of the Service
// kubernetes, if the input has them, else to any address on its usual ports.
func (m *Model) toAPI(w *Workload) []Flow {
	const why = "has a token for the API server"
	var out []Flow
	for _, o := range m.objects {
		if o.GroupKind() != "Endpoints" || o.InNamespace() != "default" || o.Name != "kubernetes" {
			continue
		}
		for sub := range o.Root.Get(fact.K("subsets")).Children() {
			for a := range sub.Get(fact.K("addresses")).Children() {
				addr, err := netip.ParseAddr(a.Get(fact.K("ip")).Str())
				if err != nil {
					continue
				}
				for p := range sub.Get(keyPorts).Children() {
					n := uint16(p.Get(keyPort).Int())
					out = append(out, Flow{FlowEnd{Workload: w}, FlowEnd{Range: Range{addr, addr}}, PortsOf(TCP, n, n), why})
				}
			}
		}
	}
	if out == nil {
		ports := PortsOf(TCP, 443, 443).Or(PortsOf(TCP, 6443, 6443))
		out = []Flow{{FlowEnd{Workload: w}, FlowEnd{Range: everywhere()[0], Except: metadata()}, ports, why + ", whose address is not in the input"}}
	}
	return out
}

// Advice is one policy to apply.
type Advice struct {
	Namespace, Name string
	Pods            map[string]string // labels; none: all pods
	Ingress, Egress []AdviceRule
	Isolates        [directions]bool
	Comment         string
}

// AdviceRule allows some ports with some peers; without peers, with all.
type AdviceRule struct {
	Peers   []AdvicePeer
	Ports   Ports
	Comment string // why it is wider than it looks
}

// AdvicePeer is pods by labels, or addresses.
type AdvicePeer struct {
	Namespace string // "" for the policy's own
	Pods      map[string]string
	Prefixes  []netip.Prefix
	Except    []netip.Prefix // of the one prefix
	why       string         // of any source
}

// Recommend returns the policies that allow the flows and nothing else, in an
// order in which no step cuts a flow: for each namespace names first, then one
// policy for each workload with all that it needs, default deny last.
func (m *Model) Recommend(flows []Flow) []Advice {
	r := &recommender{m: m, rules: map[*Workload]*[directions]map[Ports][]AdvicePeer{}}
	for _, f := range flows {
		if f.From.Workload != nil {
			r.add(f.From.Workload, Egress, f.To, f.Ports)
		}
		if f.To.Workload != nil {
			r.add(f.To.Workload, Ingress, f.From, f.Ports)
		}
	}
	var out []Advice
	spaces := map[string][]*Workload{}
	for _, w := range m.Workloads {
		if !m.hostOnly(w) {
			spaces[w.Namespace] = append(spaces[w.Namespace], w)
		}
	}
	for _, ns := range slices.Sorted(maps.Keys(spaces)) {
		out = append(out, r.namespace(ns, spaces[ns])...)
	}
	return out
}

func (m *Model) hostOnly(w *Workload) bool {
	return !slices.ContainsFunc(w.Endpoints, func(e int) bool { return !m.Endpoints[e].HostNetwork })
}

type recommender struct {
	m     *Model
	rules map[*Workload]*[directions]map[Ports][]AdvicePeer
}

func (r *recommender) add(w *Workload, d Direction, other FlowEnd, ports Ports) {
	if r.rules[w] == nil {
		r.rules[w] = &[directions]map[Ports][]AdvicePeer{{}, {}}
	}
	peer := AdvicePeer{}
	switch {
	case other.Workload != nil && !r.m.hostOnly(other.Workload):
		peer.Pods = r.labels(other.Workload)
		if other.Workload.Namespace != w.Namespace {
			peer.Namespace = other.Workload.Namespace
		}
	case other.outside():
		peer.Prefixes = prefixes(other.Range)
		if len(peer.Prefixes) == 1 && other.Except.First.IsValid() {
			peer.Except = prefixes(other.Except)
		}
	case other.Workload != nil:
		peer.why = "for " + other.Workload.String() + ", on its node's network: narrow it to the addresses of the nodes"
	default:
		peer.why = "for what leads into the cluster: narrow it to the pods or addresses of the controller or load balancer"
	}
	list := r.rules[w][d][ports]
	if !slices.ContainsFunc(list, func(p AdvicePeer) bool { return equalPeers(p, peer) }) {
		r.rules[w][d][ports] = append(list, peer)
	}
}

func equalPeers(a, b AdvicePeer) bool {
	return a.Namespace == b.Namespace && a.why == b.why && maps.Equal(a.Pods, b.Pods) && slices.Equal(a.Prefixes, b.Prefixes) && slices.Equal(a.Except, b.Except)
}

// namespace makes the policies of one namespace, in order. A policy limits the
// pods that it selects from the moment on that it is there: so each has all that
// its pods need, names (DNS) included, and those for all pods come last.
func (r *recommender) namespace(ns string, workloads []*Workload) []Advice {
	dns := PortsOf(UDP, 53, 53).Or(PortsOf(TCP, 53, 53))
	names := AdviceRule{Peers: []AdvicePeer{{Namespace: "kube-system", Pods: map[string]string{"k8s-app": "kube-dns"}}}, Ports: dns}
	if slices.ContainsFunc(r.m.Workloads, func(w *Workload) bool {
		return strings.Contains(w.Name, "node-local-dns") || strings.Contains(w.Name, "nodelocaldns")
	}) {
		names.Peers = append(names.Peers, AdvicePeer{Prefixes: []netip.Prefix{nodeLocalDNS()}})
	}
	var out []Advice
	if ns == "kube-system" {
		names.Peers[0].Namespace = ""
		out = append(out, Advice{Namespace: ns, Name: "allow-dns-in", Pods: map[string]string{"k8s-app": "kube-dns"}, Isolates: [directions]bool{true, true}, Comment: "names, from all pods, and to the servers upstream",
			Ingress: []AdviceRule{{Ports: dns}}, Egress: []AdviceRule{{Ports: dns.Or(PortsOf(TCP, 443, 443)).Or(PortsOf(TCP, 6443, 6443))}}})
	}
	// Workloads with the same labels share one policy: it could not tell them apart.
	byLabels := map[string]*Advice{}
	var order []string
	for _, w := range workloads {
		rules := r.rules[w]
		if rules == nil {
			continue
		}
		labels := r.labels(w)
		key := labelText(labels)
		if byLabels[key] == nil {
			order = append(order, key)
			byLabels[key] = &Advice{Namespace: ns, Name: "allow-" + adviceName(w.Name), Pods: labels, Isolates: [directions]bool{true, true}, Comment: "what " + w.String() + " needs"}
		}
		a := byLabels[key]
		a.Ingress = append(a.Ingress, adviceRules(rules[Ingress])...)
		a.Egress = append(a.Egress, adviceRules(rules[Egress])...)
	}
	taken := map[string]int{}
	for _, key := range order {
		a := byLabels[key]
		if taken[a.Name]++; taken[a.Name] > 1 {
			a.Name += "-" + strings.Repeat("i", taken[a.Name])
		}
		a.Egress = append(a.Egress, names)
		out = append(out, *a)
	}
	out = append(out,
		Advice{Namespace: ns, Name: "allow-dns", Isolates: [directions]bool{false, true}, Comment: "names, for pods that need nothing else", Egress: []AdviceRule{names}},
		Advice{Namespace: ns, Name: "default-deny", Isolates: [directions]bool{true, true}, Comment: "everything else, last"})
	for i := range out {
		out[i].Name = r.free(ns, out[i].Name)
	}
	return out
}

// free returns a name for a policy that takes the place of nobody else's.
func (r *recommender) free(ns, name string) string {
	for _, p := range r.m.Policies {
		managed := p.Object.Root.Get(keyMetadata).Get(keyLabels).Get(fact.K("app.kubernetes.io/managed-by")).Str()
		if p.Tier == Namespace && p.namespace == ns && p.Object.Name == name && managed != "merlon" {
			return r.free(ns, "merlon-"+name)
		}
	}
	return name
}

// nodeLocalDNS is the address at which the cache of names on each node listens,
// where there is one. Source: the documentation of NodeLocal DNSCache.
func nodeLocalDNS() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{169, 254, 20, 10}), 32)
}

// adviceName shortens a name to what still fits behind a prefix.
func adviceName(s string) string {
	s = strings.NewReplacer("#", "-", "_", "-").Replace(strings.ToLower(s))
	return strings.TrimRight(s[:min(len(s), 200)], "-.")
}

func labelText(labels map[string]string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(k + "=" + labels[k] + ",")
	}
	return b.String()
}

// adviceRules makes one rule for each set of ports; peers that are any make one
// rule without peers.
func adviceRules(byPorts map[Ports][]AdvicePeer) []AdviceRule {
	var out []AdviceRule
	for _, p := range slices.SortedFunc(maps.Keys(byPorts), func(a, b Ports) int { return strings.Compare(a.String(), b.String()) }) {
		peers := byPorts[p]
		slices.SortFunc(peers, func(a, b AdvicePeer) int {
			return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(labelText(a.Pods), labelText(b.Pods)), cmp.Compare(len(a.Prefixes), len(b.Prefixes)), strings.Compare(a.why, b.why))
		})
		rule := AdviceRule{Peers: peers, Ports: p}
		if i := slices.IndexFunc(peers, func(x AdvicePeer) bool { return x.Pods == nil && x.Prefixes == nil }); i >= 0 {
			rule.Peers, rule.Comment = nil, "any peer, "+peers[i].why
		}
		out = append(out, rule)
	}
	return out
}

// changing are labels that controllers give and change with each roll-out.
var changing = []string{"pod-template-hash", "controller-revision-hash", "pod-template-generation", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index",
	"controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index"}

// labels returns the labels by which a policy knows a workload's pods: those of
// its own selector, else all that do not change.
func (r *recommender) labels(w *Workload) map[string]string {
	if sel := w.Object.Root.Get(keySpec).Get(fact.K("selector")).Get(keyMatchLabels); sel.Len() > 0 {
		return labelsOf(sel)
	}
	out := map[string]string{}
	for k, v := range r.m.Endpoints[w.Endpoints[0]].Labels {
		if !slices.Contains(changing, k) {
			out[k] = v
		}
	}
	return out
}

// prefixes writes a range as prefixes.
func prefixes(r Range) []netip.Prefix {
	var out []netip.Prefix
	for a := r.First; a.IsValid() && a.Compare(r.Last) <= 0 && len(out) < 256; {
		bits := 0
		for ; bits < a.BitLen(); bits++ {
			p := netip.PrefixFrom(a, bits)
			if p.Masked().Addr() == a && prefixRange(p).Last.Compare(r.Last) <= 0 {
				break
			}
		}
		p := netip.PrefixFrom(a, bits)
		out = append(out, p)
		a = prefixRange(p).Last.Next()
	}
	return out
}
