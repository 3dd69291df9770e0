package reach

// columns returns, for each class, which classes may reach it on which ports.
// Classes are given by one of their endpoints each; -1 is a class of none. It
// takes the sources that have one egress row together. Of the sources of a class
// only those count that wanted returns; without wanted, all.
func (m *Model) columns(reps []int, wanted func(class int) set) []line[Ports] {
	classesOf := make([][]int, len(m.Endpoints)) // in a comparison, one endpoint may stand for several
	var hosts []int
	for k, e := range reps {
		if e < 0 {
			continue
		}
		if classesOf[e] = append(classesOf[e], k); m.Endpoints[e].HostNetwork && len(classesOf[e]) == 1 {
			hosts = append(hosts, e)
		}
	}
	groups := m.sameEgress(reps)
	parts := map[string][]part[Ports]{}
	out := make([]line[Ports], len(reps))
	for k, e := range reps {
		if e < 0 {
			continue
		}
		var only set
		if wanted != nil {
			if only = wanted(k); only.empty() {
				continue
			}
		}
		in := m.row(Ingress, e)
		if _, ok := parts[in.id]; !ok {
			parts[in.id] = m.sources(in, classesOf, hosts)
		}
		for _, from := range parts[in.id] {
			if only != nil {
				from.set = from.set.and(only)
			}
			if from.set.count() < len(groups) {
				for s := range from.set.all() {
					if p := m.row(Egress, reps[s]).of(m, e).And(from.key); !p.Empty() {
						out[k].of(p).add(s)
					}
				}
				continue
			}
			for _, g := range groups {
				if p := g.row.of(m, e).And(from.key); !p.Empty() && g.members.meets(from.set) {
					out[k].add(p, g.members.and(from.set))
				}
			}
		}
	}
	return out
}

// group is classes of one egress row.
type group struct {
	row     *row
	members set
}

func (m *Model) sameEgress(reps []int) (out []group) {
	at := map[string]int{}
	for k, e := range reps {
		if e < 0 {
			continue
		}
		r := m.row(Egress, e)
		g, ok := at[r.id]
		if !ok {
			g = len(out)
			at[r.id] = g
			out = append(out, group{row: r})
		}
		out[g].members.add(k)
	}
	return out
}

// sources returns which classes an ingress row lets in, by ports.
func (m *Model) sources(r *row, classesOf [][]int, hosts []int) []part[Ports] {
	var out line[Ports]
	for _, p := range r.pods {
		if p.ports.Empty() {
			continue
		}
		var in set
		for e := range p.pods.all() {
			if !m.Endpoints[e].HostNetwork {
				for _, k := range classesOf[e] {
					in.add(k)
				}
			}
		}
		if !in.empty() {
			out.add(p.ports, in)
		}
	}
	for _, e := range hosts {
		if p := r.ofHost(m.Endpoints[e]); !p.Empty() {
			for _, k := range classesOf[e] {
				out.of(p).add(k)
			}
		}
	}
	return out.parts
}
