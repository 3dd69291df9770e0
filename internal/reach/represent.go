package reach

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// representative stands for all pods that two selectors describe, whether there
// are any or not. A rule is about it when every requirement of the rule's
// selectors is one of its own: then the rule is about each of those pods.
type representative struct {
	peer
	onNS, onPods map[string]bool // the texts of its requirements
	seen         bool            // there are such pods
}

// described are the representatives of a model. They are its last endpoints.
type described struct {
	list   []*representative // the first is any pod
	first  int               // the number of its endpoint
	wider  [][]int           // those of the list that cover each of it, but the first
	byPods map[string][]int  // of which a requirement on pods is this text
	byNS   map[string][]int  // of which a requirement on namespaces is this text
	inNS   map[string][]int  // of one namespace
	named  []*Rule           // egress rules with named ports
}

func describe(policies []*Policy) *described {
	x := &described{byPods: map[string][]int{}, byNS: map[string][]int{}, inNS: map[string][]int{}}
	seen := map[string]bool{}
	add := func(p peer) {
		p = p.named()
		key := p.key()
		if seen[key] {
			return
		}
		seen[key] = true
		r := &representative{p, texts(p.ns), texts(p.pod), false}
		n := len(x.list)
		x.list = append(x.list, r)
		for text := range r.onPods {
			x.byPods[text] = append(x.byPods[text], n)
		}
		for text := range r.onNS {
			x.byNS[text] = append(x.byNS[text], n)
		}
		if !r.anyNS {
			x.inNS[r.namespace] = append(x.inNS[r.namespace], n)
		}
	}
	add(peer{pods: true, anyNS: true}) // any pod
	for _, p := range policies {
		for d, rules := range p.Rules {
			for _, r := range rules {
				for i := range r.peers {
					if r.peers[i].pods {
						add(r.peers[i])
					}
				}
				if Direction(d) == Egress && r.Action == Allow && slices.ContainsFunc(r.ports, func(x portRule) bool { return x.name != "" }) {
					x.named = append(x.named, r)
				}
			}
		}
	}
	return x
}

func texts(s selector) map[string]bool {
	out := make(map[string]bool, len(s.reqs))
	for i := range s.reqs {
		out[s.reqs[i].text()] = true
	}
	return out
}

// named turns a selection of a namespace by its name into one of that namespace.
func (x peer) named() peer {
	if ns, ok := x.onlyNamespace(); ok {
		x.anyNS, x.namespace, x.ns = false, ns, selector{}
	}
	return x
}

// onlyNamespace returns the one namespace that a selection is about, by name.
func (x *peer) onlyNamespace() (string, bool) {
	if !x.anyNS {
		return x.namespace, true
	}
	if len(x.ns.reqs) == 1 && x.ns.reqs[0].key == nameLabel && x.ns.reqs[0].op == opIn && len(x.ns.reqs[0].values) == 1 {
		return x.ns.reqs[0].values[0], true
	}
	return "", false
}

// within returns the representatives all of whose pods a selection selects, in
// order. labels returns the labels of a namespace.
func (x *described) within(p *peer, labels func(namespace string) map[string]string) []int {
	if x == nil {
		return nil
	}
	onNS, onPods := texts(p.ns), texts(p.pod)
	var out []int
	for _, n := range x.candidates(p, onNS, onPods, labels) {
		r := x.list[n]
		var covered bool
		switch {
		case p.anyNS && r.anyNS:
			covered = contains(r.onNS, onNS)
		case p.anyNS:
			covered = p.ns.matches(labels(r.namespace))
		default:
			covered = !r.anyNS && r.namespace == p.namespace
		}
		if covered && contains(r.onPods, onPods) {
			out = append(out, n)
		}
	}
	return out
}

// candidates returns the representatives that a selection may cover, by the
// index that leaves the fewest.
func (x *described) candidates(p *peer, onNS, onPods map[string]bool, labels func(string) map[string]string) []int {
	best, found := []int(nil), false
	take := func(list []int) {
		if !found || len(list) < len(best) {
			best, found = list, true
		}
	}
	for text := range onPods {
		take(x.byPods[text])
	}
	if !p.anyNS {
		take(x.inNS[p.namespace])
	}
	if found {
		return best
	}
	if len(onNS) == 0 {
		return numbersTo(len(x.list))
	}
	for text := range onNS {
		take(x.byNS[text])
	}
	best = slices.Clone(best)
	for ns, list := range x.inNS {
		if p.ns.matches(labels(ns)) {
			best = append(best, list...)
		}
	}
	slices.Sort(best)
	return best
}

func numbersTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// contains reports whether every text of part is one of whole.
func contains(whole, part map[string]bool) bool {
	for text := range part {
		if !whole[text] {
			return false
		}
	}
	return true
}

// describeAll finds which representatives there are pods for, and which cover
// which.
func (m *Model) describeAll(found map[string]set) {
	x := m.reps
	x.wider = make([][]int, len(x.list))
	for k, r := range x.list {
		r.seen = m.selection(&r.peer, found).meets(m.index.onPodNetwork)
		if k == 0 {
			continue // it covers all
		}
		for _, i := range x.within(&r.peer, m.labelsByName) {
			if i != k {
				x.wider[i] = append(x.wider[i], k)
			}
		}
	}
}

func (m *Model) labelsByName(namespace string) map[string]string {
	l, _ := m.world.namespaceLabels(namespace)
	return l
}

// Described is a set of pods that some rule describes, and what an endpoint may
// exchange with each of them as far as its own policies go.
type Described struct {
	Namespace  string        // the one namespace meant, "" for a choice by labels
	Namespaces []Requirement // labels of the namespaces; none: all
	Pods       []Requirement // labels of the pods; none: all
	Ports      Ports
	Named      []string // ports by name, "TCP http", whose numbers depend on the pod; egress only
	Seen       bool     // there are such pods in the input
}

// Requirement is one requirement of a selector.
type Requirement struct {
	Key, Operator string
	Values        []string
	Label         bool // written as one of matchLabels
}

// Any reports whether the set is all pods of the cluster.
func (d *Described) Any() bool {
	return d.Namespace == "" && len(d.Namespaces) == 0 && len(d.Pods) == 0
}

// Exposure returns what an endpoint may exchange with pods that are described
// by rules and need not exist: first with any pod, then with the sets for which
// the answer is not that of a wider set. It needs a model made with Described.
func (m *Model) Exposure(d Direction, endpoint int) []Described {
	x, r := m.reps, m.row(d, endpoint)
	all := Described{Ports: r.of(m, x.first)}
	names := map[int][]string{}
	if d == Egress && m.Protected(d, endpoint) {
		names = m.namesTo(endpoint)
	}
	if !all.Ports.All() {
		all.Named = names[0]
	}
	differ := map[int]Described{} // from the answer for any pod
	see := func(n int, p Ports) {
		y := Described{Ports: p}
		if !p.All() {
			y.Named = names[n]
		}
		if y.Ports != all.Ports || !slices.Equal(y.Named, all.Named) {
			differ[n] = y
		}
	}
	described := fullSet(x.first + len(x.list)).minus(fullSet(x.first))
	for _, p := range r.pods {
		if p.ports != all.Ports {
			for e := range p.pods.and(described).all() {
				see(e-x.first, p.ports)
			}
		}
	}
	for n := range names {
		see(n, r.of(m, x.first+n))
	}
	out := []Described{m.nameDescribed(0, all)}
	for _, n := range slices.Sorted(maps.Keys(differ)) {
		if n == 0 {
			continue
		}
		told := slices.ContainsFunc(x.wider[n], func(k int) bool {
			y, ok := differ[k]
			return ok && y.Ports == differ[n].Ports && slices.Equal(y.Named, differ[n].Named)
		})
		if !told {
			out = append(out, m.nameDescribed(n, differ[n]))
		}
	}
	return out
}

// nameDescribed says which pods are meant.
func (m *Model) nameDescribed(n int, x Described) Described {
	r := m.reps.list[n]
	x.Namespaces, x.Pods, x.Seen = requirements(r.ns), requirements(r.pod), r.seen
	if !r.anyNS {
		x.Namespace = r.namespace
	}
	return x
}

// namesTo returns the named ports that rules allow an endpoint to each described
// set.
func (m *Model) namesTo(endpoint int) map[int][]string {
	x := m.reps
	described := fullSet(x.first + len(x.list)).minus(fullSet(x.first))
	out := map[int][]string{}
	for _, r := range x.named {
		if !r.Policy.selected.has(endpoint) {
			continue
		}
		var names []string
		for _, p := range r.ports {
			switch {
			case p.name == "":
			case p.anyProto:
				names = append(names, " "+p.name)
			default:
				names = append(names, p.proto.String()+" "+p.name)
			}
		}
		for e := range r.pods.and(described).all() {
			out[e-x.first] = append(out[e-x.first], names...)
		}
	}
	for n, names := range out {
		slices.Sort(names)
		out[n] = slices.Compact(names)
	}
	return out
}

func requirements(s selector) []Requirement {
	var out []Requirement
	for _, r := range s.reqs {
		out = append(out, Requirement{r.key, r.op, r.written, r.label})
	}
	slices.SortFunc(out, func(a, b Requirement) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Operator, b.Operator), slices.Compare(a.Values, b.Values))
	})
	return out
}
