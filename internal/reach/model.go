package reach

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Options change what a model answers for. The zero Options is what Kubernetes
// documents.
type Options struct {
	// HostNetworkAsPods applies policies to host-network pods as if they had an
	// address of their own. Kubernetes leaves it to the plug-in; most cannot.
	HostNetworkAsPods bool
	// AllPods counts pods that have ended, too.
	AllPods bool
	// NetworksOutside takes the networks of admin policies to be about addresses
	// outside only. As documented they are about pods, too.
	NetworksOutside bool
	// Virtual are pods to suppose beside those seen.
	Virtual []Virtual
	// Described adds what rules describe: for each pair of selectors, all pods
	// that it selects or will ever select; see [Model.Exposure].
	Described bool
}

// Virtual is a pod that is supposed: an ingress controller that is not in the
// input, a pod of a namespace that somebody may create.
type Virtual struct {
	Name, Namespace         string
	Labels, NamespaceLabels map[string]string
}

// Model is what the policies of one snapshot allow. It is immutable and safe
// for concurrent use.
type Model struct {
	Workloads []*Workload
	Endpoints []*Endpoint
	Policies  []*Policy // in the order in which they decide
	opts      Options
	world     *world
	foreign   []*Foreign
	objects   []*fact.Object
	gaps      []fact.Gap
	policyGap []fact.Gap

	reps     []*representative
	looked   map[string]bool // keys of labels that selectors look at
	ports    map[string]bool // names of ports that rules use
	byNS     map[string]set
	byLabel  map[[2]string]set
	nsOrder  []string
	selected map[string]set                       // selections by the text of the peer
	named    map[string]map[Protocol][]resolution // how a named port resolves
	rows     [directions][]*row                   // of each endpoint
	cache    [directions]map[string]*row
	nextID   int // of the next policy that is read
}

// New computes a model.
func New(s *fact.Snapshot, opts Options) *Model {
	return build(s.Objects(), opts, nil)
}

// Pair computes two models that tell the same pods apart, for comparing them.
func Pair(before, after *fact.Snapshot, opts Options) (a, b *Model) {
	var policies []*Policy
	for _, s := range []*fact.Snapshot{before, after} {
		list, _ := readPolicies(s.Objects(), nil)
		policies = append(policies, list...)
	}
	return build(before.Objects(), opts, policies), build(after.Objects(), opts, policies)
}

// build computes a model; also are policies whose selectors count when pods are
// told apart, though they do not apply.
func build(objects []*fact.Object, opts Options, also []*Policy) *Model {
	m := &Model{opts: opts, objects: objects}
	m.world = readWorld(objects, opts)
	m.Workloads = m.world.workloads
	m.Policies, m.policyGap = readPolicies(objects, m.world.nodes)
	m.nextID = len(m.Policies)
	m.foreign = readForeign(objects)
	m.looked, m.ports = map[string]bool{}, map[string]bool{}
	m.look(m.Policies)
	m.look(also)
	if opts.Described {
		m.reps = describe(m.Policies)
	}
	m.merge()
	m.selected = map[string]set{}
	for _, p := range m.Policies {
		m.resolve(p)
	}
	for _, r := range m.reps {
		r.seen = m.selection(r.peer).meets(m.onPodNetwork())
	}
	m.cache = [directions]map[string]*row{{}, {}}
	m.evaluate(nil)
	m.gaps = m.allGaps()
	return m
}

// Gaps returns what could not be read or is not evaluated.
func (m *Model) Gaps() []fact.Gap { return m.gaps }

func (m *Model) allGaps() []fact.Gap {
	out := slices.Concat(m.world.gaps, m.policyGap)
	for _, p := range m.Policies {
		out = append(out, p.gaps...)
	}
	for _, f := range m.foreign {
		out = append(out, f.gap())
	}
	missing := map[string]bool{}
	for _, p := range m.Policies {
		ns := p.Object.InNamespace()
		if p.Tier != Namespace || missing[ns] {
			continue
		}
		if _, seen := m.world.namespaces[ns]; !seen && m.byNS[ns] == nil {
			missing[ns] = true
			out = append(out, gapAt(p.Object, p.Object.Root.At("metadata", "namespace"), "unknown-namespace", "namespace "+clip(ns)+" has no pods and is not in the input; its policies apply to nothing here"))
		}
	}
	return append(out, m.unseenNamespaces()...)
}

// unseenNamespaces are those whose labels are not known although some selector
// looks at the labels of namespaces.
func (m *Model) unseenNamespaces() (out []fact.Gap) {
	if !m.namespaceLabelsMatter() {
		return nil
	}
	told := map[string]bool{}
	for _, w := range m.Workloads {
		if _, seen := m.world.namespaces[w.Namespace]; seen || told[w.Namespace] {
			continue
		}
		told[w.Namespace] = true
		out = append(out, gapAt(w.Object, w.Object.Root.At("metadata", "namespace"), "unknown-namespace", "namespace "+clip(w.Namespace)+" is not in the input: its labels are not known, and selectors that ask for them do not match it"))
	}
	return out
}

func (m *Model) namespaceLabelsMatter() bool {
	matters := func(x peer) bool {
		return x.anyNS && slices.ContainsFunc(x.ns.reqs, func(r requirement) bool { return r.key != nameLabel })
	}
	for _, p := range m.Policies {
		if matters(p.subject) {
			return true
		}
		for _, rules := range p.Rules {
			for _, r := range rules {
				if slices.ContainsFunc(r.peers, matters) {
					return true
				}
			}
		}
	}
	return false
}

// look notes the labels and named ports that policies look at; it reports
// whether any is new.
func (m *Model) look(policies []*Policy) bool {
	before := len(m.looked) + len(m.ports)
	keys := func(s selector) {
		for _, r := range s.reqs {
			m.looked[r.key] = true
		}
	}
	for _, p := range policies {
		keys(p.subject.pod)
		for _, rules := range p.Rules {
			for _, r := range rules {
				for _, x := range r.peers {
					keys(x.pod)
				}
				for _, x := range r.ports {
					if x.name != "" {
						m.ports[x.name] = true
					}
				}
			}
		}
	}
	return len(m.looked)+len(m.ports) > before
}

// merge turns pods into endpoints and indexes them.
func (m *Model) merge() {
	m.Endpoints = nil
	keys := slices.Sorted(maps.Keys(m.looked))
	at := map[string]int{}
	var b strings.Builder
	for i := range m.world.pods {
		p := &m.world.pods[i]
		b.Reset()
		fmt.Fprintf(&b, "%q %t %v %t", p.ep.Namespace, p.ep.HostNetwork, p.ep.Addr, p.ep.control)
		for _, k := range keys {
			if v, ok := p.ep.Labels[k]; ok {
				b.WriteString(" ")
				b.WriteString(strconv.Quote(k))
				b.WriteString(strconv.Quote(v))
			}
		}
		if len(m.ports) > 0 {
			b.WriteString("|" + p.ports)
		}
		n, ok := at[b.String()]
		if !ok {
			n = len(m.Endpoints)
			at[b.String()] = n
			e := p.ep
			e.ofNS, _ = m.world.namespaceLabels(e.Namespace)
			m.Endpoints = append(m.Endpoints, &e)
		}
		m.Endpoints[n].join(p)
		p.endpoint = n
	}
	for _, v := range m.opts.Virtual {
		e := &Endpoint{Namespace: v.Namespace, Labels: v.Labels, Virtual: v.Name, ofNS: v.NamespaceLabels}
		m.Endpoints = append(m.Endpoints, e)
	}
	for _, r := range m.reps {
		e := &Endpoint{Namespace: r.namespace, Virtual: r.key(), rep: r}
		e.ofNS, _ = m.world.namespaceLabels(r.namespace)
		m.Endpoints = append(m.Endpoints, e)
	}
	for _, w := range m.Workloads {
		w.Endpoints = nil
	}
	for i, e := range m.Endpoints {
		for _, x := range e.Members {
			m.Workloads[x.Workload].Endpoints = append(m.Workloads[x.Workload].Endpoints, i)
		}
	}
	m.index()
}

func (e *Endpoint) join(p *pod) {
	for i := range e.Members {
		if e.Members[i].Workload == p.workload {
			e.Members[i].Pods += p.count
			return
		}
	}
	e.Members = append(e.Members, Member{p.workload, p.count})
}

// index prepares the look-ups of selections. Endpoints on the host's network and
// those that stand for a selection are found by neither.
func (m *Model) index() {
	n := len(m.Endpoints)
	m.byNS, m.byLabel, m.nsOrder = map[string]set{}, map[[2]string]set{}, nil
	m.named = map[string]map[Protocol][]resolution{}
	for i, e := range m.Endpoints {
		if e.HostNetwork || e.rep != nil {
			continue
		}
		if m.byNS[e.Namespace] == nil {
			m.byNS[e.Namespace] = newSet(n)
			m.nsOrder = append(m.nsOrder, e.Namespace)
		}
		m.byNS[e.Namespace].add(i)
		for k, v := range e.Labels {
			if !m.looked[k] {
				continue
			}
			if m.byLabel[[2]string{k, v}] == nil {
				m.byLabel[[2]string{k, v}] = newSet(n)
			}
			m.byLabel[[2]string{k, v}].add(i)
		}
		for name, protos := range e.named {
			if m.ports[name] {
				for proto, ports := range protos {
					m.resolveNamed(name, proto, ports, i)
				}
			}
		}
	}
	slices.Sort(m.nsOrder)
}

// resolution is the endpoints for which a named port is the same ports.
type resolution struct {
	ports Ports
	pods  set
}

func (m *Model) resolveNamed(name string, proto Protocol, ports Ports, endpoint int) {
	if m.named[name] == nil {
		m.named[name] = map[Protocol][]resolution{}
	}
	list := m.named[name][proto]
	i := slices.IndexFunc(list, func(r resolution) bool { return r.ports == ports })
	if i < 0 {
		i = len(list)
		list = append(list, resolution{ports, newSet(len(m.Endpoints))})
		m.named[name][proto] = list
	}
	list[i].pods.add(endpoint)
}

// resolve finds what a policy and its rules select.
func (m *Model) resolve(p *Policy) {
	p.selected = newSet(len(m.Endpoints))
	if p.subject.pods {
		p.selected = m.selection(p.subject)
	}
	if len(m.reps) > 0 {
		p.selected = p.selected.and(m.onPodNetwork()) // no policy limits what is only described
	}
	for _, rules := range p.Rules {
		for _, r := range rules {
			m.resolveRule(r)
		}
	}
}

func (m *Model) resolveRule(r *Rule) {
	if r.anyPeer {
		r.pods, r.ranges = fullSet(len(m.Endpoints)), everywhere()
		return
	}
	r.ranges = nil
	var pods set
	shared := false // pods is a set that others hold, too
	for _, x := range r.peers {
		r.ranges = append(r.ranges, x.ranges...)
		if !x.pods {
			continue
		}
		s := m.selection(x)
		if pods == nil {
			pods, shared = s, true
			continue
		}
		if shared {
			pods, shared = slices.Clone(pods), false
		}
		pods.or(s)
	}
	if pods == nil {
		pods, shared = newSet(len(m.Endpoints)), false
	}
	if r.Policy.Tier != Namespace && len(r.ranges) > 0 && !m.opts.NetworksOutside {
		if shared {
			pods = slices.Clone(pods)
		}
		m.podsIn(r.ranges, pods)
	}
	r.pods = pods
}

// podsIn adds the pods that networks of the admin tiers cover: unlike an
// ipBlock, these are about the addresses of pods, too. Their addresses are not
// known, so only a rule for all of IPv4 surely covers them.
func (m *Model) podsIn(ranges []Range, pods set) {
	rest := everywhere()[:1]
	for _, r := range ranges {
		rest = without(rest, r)
	}
	if len(rest) == 0 {
		pods.or(m.onPodNetwork())
	}
}

func (m *Model) onPodNetwork() set {
	out := newSet(len(m.Endpoints))
	for i, e := range m.Endpoints {
		if !e.HostNetwork && e.rep == nil {
			out.add(i)
		}
	}
	return out
}

// selection returns the endpoints that selectors select. It is shared: nobody
// changes it.
func (m *Model) selection(x peer) set {
	key := x.key()
	if s, ok := m.selected[key]; ok {
		return s
	}
	out := newSet(len(m.Endpoints))
	switch {
	case !x.anyNS:
		if in := m.byNS[x.namespace]; in != nil {
			out.or(in)
		}
	case x.ns.empty():
		for _, in := range m.byNS {
			out.or(in)
		}
	default:
		for _, ns := range m.nsOrder {
			if x.ns.matches(m.labelsOfNamespace(ns)) {
				out.or(m.byNS[ns])
			}
		}
	}
	if label, ok := x.pod.equality(); ok {
		in, known := m.byLabel[label]
		if !known {
			out = newSet(len(m.Endpoints))
		} else {
			out = out.and(in)
		}
	}
	if !x.pod.empty() {
		for i := range out.all() {
			if !x.pod.matches(m.Endpoints[i].Labels) {
				out[i/64] &^= 1 << (i % 64)
			}
		}
	}
	for i := len(m.Endpoints) - len(m.reps); i < len(m.Endpoints); i++ {
		if e := m.Endpoints[i]; e.rep.within(x, e.ofNS) {
			out.add(i)
		}
	}
	m.selected[key] = out
	return out
}

func (m *Model) labelsOfNamespace(ns string) map[string]string {
	for i := range m.byNS[ns].all() {
		return m.Endpoints[i].ofNS
	}
	return nil
}

// key writes the selection so that equal ones are equal texts.
func (x *peer) key() string {
	if x.anyNS {
		return "*" + x.ns.text() + "\x00" + x.pod.text()
	}
	return x.namespace + "\x00" + x.pod.text()
}
