package reach

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// looks is what policies look at on pods: keys of labels, and names of ports.
// Pods that differ in nothing else are one endpoint.
type looks struct{ labels, ports map[string]bool }

// with returns what is looked at with some policies more. Where they look at
// nothing new, that is l itself.
func (l looks) with(policies ...*Policy) looks {
	out := l
	for _, p := range policies {
		out.labels = noteKeys(out.labels, l.labels, p.subject.pod)
		for _, rules := range p.Rules {
			for _, r := range rules {
				for i := range r.peers {
					out.labels = noteKeys(out.labels, l.labels, r.peers[i].pod)
				}
				for i := range r.ports {
					if name := r.ports[i].name; name != "" {
						out.ports = note(out.ports, l.ports, name)
					}
				}
			}
		}
	}
	return out
}

func noteKeys(names, shared map[string]bool, s selector) map[string]bool {
	for i := range s.reqs {
		names = note(names, shared, s.reqs[i].key)
	}
	return names
}

// note adds a name to names, which as long as it has no more than shared is that
// map, and not to be changed.
func note(names, shared map[string]bool, name string) map[string]bool {
	if names[name] {
		return names
	}
	if len(names) == len(shared) {
		names = make(map[string]bool, len(shared)+1)
		maps.Copy(names, shared)
	}
	names[name] = true
	return names
}

// without returns what l looks at and k does not.
func (l looks) without(k looks) looks {
	out := looks{maps.Clone(l.labels), maps.Clone(l.ports)}
	maps.DeleteFunc(out.labels, func(name string, _ bool) bool { return k.labels[name] })
	maps.DeleteFunc(out.ports, func(name string, _ bool) bool { return k.ports[name] })
	return out
}

func (l looks) empty() bool { return len(l.labels)+len(l.ports) == 0 }

// merge turns pods into endpoints.
func (m *Model) merge() {
	keys := slices.Sorted(maps.Keys(m.looked.labels))
	at := map[string]int{}
	members := map[[2]int]int{} // of an endpoint and a workload
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
		if len(m.looked.ports) > 0 {
			b.WriteString("|" + p.ep.ports)
		}
		n, ok := at[b.String()]
		if !ok {
			n = len(m.Endpoints)
			at[b.String()] = n
			e := p.ep
			e.ofNS, _ = m.world.namespaceLabels(e.Namespace)
			m.Endpoints = append(m.Endpoints, &e)
		}
		p.endpoint = n
		e, key := m.Endpoints[n], [2]int{n, p.workload}
		if _, ok := members[key]; !ok {
			members[key] = len(e.Members)
			e.Members = append(e.Members, Member{Workload: p.workload})
			w := m.Workloads[p.workload]
			w.Endpoints = append(w.Endpoints, n)
		}
		e.Members[members[key]].Pods += p.count
	}
	for _, w := range m.Workloads {
		slices.Sort(w.Endpoints)
	}
	virtual := m.opts.Virtual
	if m.opts.Gateways {
		virtual = slices.Concat(virtual, m.gateways())
	}
	for _, v := range virtual {
		e := &Endpoint{Namespace: v.Namespace, Labels: v.Labels, Virtual: v.Name, ofNS: v.NamespaceLabels}
		m.Endpoints = append(m.Endpoints, e)
	}
	if m.reps == nil {
		return
	}
	m.reps.first = len(m.Endpoints)
	for _, r := range m.reps.list {
		e := &Endpoint{Namespace: r.namespace, Virtual: r.key(), rep: r}
		e.ofNS, _ = m.world.namespaceLabels(r.namespace)
		m.Endpoints = append(m.Endpoints, e)
	}
}

// tellsApart reports whether pods that are one endpoint differ in something
// that was not looked at before.
func (m *Model) tellsApart(more looks) bool {
	keys := slices.Collect(maps.Keys(more.labels))
	for i := range m.world.pods {
		p := &m.world.pods[i]
		e := m.Endpoints[p.endpoint]
		for _, k := range keys {
			a, inPod := p.ep.Labels[k]
			if b, inEndpoint := e.Labels[k]; a != b || inPod != inEndpoint {
				return true
			}
		}
		if len(more.ports) > 0 && p.ep.ports != e.ports {
			return true
		}
	}
	return false
}

// index finds endpoints. Those on the host's network, and those that stand for
// a selection, are in none of it.
type index struct {
	onPodNetwork set
	namespaces   map[string]set
	order        []string                             // the names of the namespaces
	labels       map[string]map[string]set            // by key and value, of the keys that are looked at
	named        map[string]map[Protocol][]resolution // by name of a port
}

// resolution is the endpoints for which a named port is the same ports.
type resolution struct {
	ports Ports
	pods  set
}

func (m *Model) newIndex() *index {
	x := &index{namespaces: map[string]set{}}
	for i, e := range m.Endpoints {
		if e.HostNetwork || e.rep != nil {
			continue
		}
		x.onPodNetwork.add(i)
		in := x.namespaces[e.Namespace]
		in.add(i)
		x.namespaces[e.Namespace] = in
	}
	x.order = slices.Sorted(maps.Keys(x.namespaces))
	return x.with(m.Endpoints, m.looked)
}

// with returns an index that has some labels and ports more.
func (x *index) with(endpoints []*Endpoint, more looks) *index {
	out := *x
	out.labels, out.named = make(map[string]map[string]set, len(x.labels)), make(map[string]map[Protocol][]resolution, len(x.named))
	maps.Copy(out.labels, x.labels)
	maps.Copy(out.named, x.named)
	for k := range more.labels {
		out.labels[k] = map[string]set{}
	}
	label := func(i int, k, v string) {
		s := out.labels[k][v]
		s.add(i)
		out.labels[k][v] = s
	}
	keys := slices.Collect(maps.Keys(more.labels))
	for i := range x.onPodNetwork.all() {
		e := endpoints[i]
		if len(keys) <= len(e.Labels) {
			for _, k := range keys {
				if v, ok := e.Labels[k]; ok {
					label(i, k, v)
				}
			}
		} else {
			for k, v := range e.Labels {
				if more.labels[k] {
					label(i, k, v)
				}
			}
		}
		if len(more.ports) == 0 {
			continue
		}
		for name, protos := range e.named {
			if more.ports[name] {
				for proto, ports := range protos {
					out.resolveNamed(name, proto, ports, i)
				}
			}
		}
	}
	return &out
}

func (x *index) resolveNamed(name string, proto Protocol, ports Ports, endpoint int) {
	if x.named[name] == nil {
		x.named[name] = map[Protocol][]resolution{}
	}
	list := x.named[name][proto]
	i := slices.IndexFunc(list, func(r resolution) bool { return r.ports == ports })
	if i < 0 {
		i = len(list)
		list = append(list, resolution{ports: ports})
		x.named[name][proto] = list
	}
	list[i].pods.add(endpoint)
}
