package reach

// resolve finds what a policy and its rules select. What one selection found is
// kept in found, under the text of the peer.
func (m *Model) resolve(p *Policy, found map[string]set) {
	if p.subject.pods {
		p.selected = m.selection(&p.subject, found)
	}
	if m.reps != nil {
		p.selected = p.selected.and(m.index.onPodNetwork) // no policy limits what is only described
	}
	for _, rules := range p.Rules {
		for _, r := range rules {
			m.resolveRule(r, found)
		}
	}
}

func (m *Model) resolveRule(r *Rule, found map[string]set) {
	if r.anyPeer {
		r.pods, r.ranges = fullSet(len(m.Endpoints)), everywhere()
		return
	}
	for i := range r.peers {
		x := &r.peers[i]
		r.ranges = append(r.ranges, x.ranges...)
		if x.pods {
			x.selected = m.selection(x, found)
			r.pods = r.pods.or(x.selected)
		}
	}
	if r.Policy.Tier != Namespace && len(r.ranges) > 0 && !m.opts.NetworksOutside && coversIPv4(r.ranges) {
		// Unlike an ipBlock, the networks of the admin tiers are about the addresses
		// of pods, too. Those are not known, so only a rule for all of IPv4 surely
		// covers them.
		r.pods = r.pods.or(m.index.onPodNetwork)
	}
}

func coversIPv4(ranges []Range) bool {
	rest := everywhere()[:1]
	for _, r := range ranges {
		rest = without(rest, r)
	}
	return len(rest) == 0
}

// selection returns the endpoints that selectors select.
func (m *Model) selection(x *peer, found map[string]set) set {
	key := x.key()
	s, ok := found[key]
	if !ok {
		s = m.selectPods(x)
		found[key] = s
	}
	return s
}

func (m *Model) selectPods(x *peer) set {
	in := m.index.onPodNetwork
	label, one := x.pod.equality()
	if one {
		in = m.index.labels[label[0]][label[1]]
	}
	switch {
	case !x.anyNS:
		in = in.and(m.index.namespaces[x.namespace])
	case !x.ns.empty():
		var spaces set
		for _, ns := range m.index.order {
			if pods := m.index.namespaces[ns]; x.ns.matches(m.labelsOfNamespace(pods)) {
				spaces = spaces.or(pods)
			}
		}
		in = in.and(spaces)
	}
	out := in
	if n := len(x.pod.reqs); n > 1 || n == 1 && !one {
		out = nil
		for i := range in.all() {
			if x.pod.matches(m.Endpoints[i].Labels) {
				out.add(i)
			}
		}
	}
	var reps set
	for _, n := range m.reps.within(x, m.labelsByName) {
		reps.add(m.reps.first + n)
	}
	return out.or(reps)
}

// labelsOfNamespace returns the labels of the namespace that some pods are in.
func (m *Model) labelsOfNamespace(pods set) map[string]string {
	for i := range pods.all() {
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
