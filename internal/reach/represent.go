package reach

import (
	"cmp"
	"slices"
	"strings"
)

// representative stands for all pods that two selectors describe, whether there
// are any or not. A rule is about it when every requirement of the rule's
// selectors is one of its own: then the rule is about each of those pods.
type representative struct {
	peer
	seen bool // there are such pods
}

func describe(policies []*Policy) []*representative {
	out := []*representative{{peer: peer{pods: true, anyNS: true}}} // any pod
	seen := map[string]bool{out[0].key(): true}
	for _, p := range policies {
		for _, rules := range p.Rules {
			for _, r := range rules {
				for _, x := range r.peers {
					if x.pods && !seen[x.key()] {
						seen[x.key()] = true
						out = append(out, &representative{peer: x.named()})
					}
				}
			}
		}
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

// within reports whether a selection covers all that r stands for.
func (r *representative) within(x *peer, ofNS map[string]string) bool {
	switch {
	case x.anyNS && r.anyNS:
		if !contains(r.ns, x.ns) {
			return false
		}
	case x.anyNS:
		if !x.ns.matches(ofNS) {
			return false
		}
	default:
		if only, ok := r.onlyNamespace(); !ok || only != x.namespace {
			return false
		}
	}
	return contains(r.pod, x.pod)
}

// contains reports whether every requirement of part is one of whole.
func contains(whole, part selector) bool {
	for _, p := range part.reqs {
		if !slices.ContainsFunc(whole.reqs, func(w requirement) bool { return w.text() == p.text() }) {
			return false
		}
	}
	return true
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
	first := len(m.Endpoints) - len(m.reps)
	all := make([]Described, len(m.reps))
	for i, r := range m.reps {
		x := Described{Namespaces: requirements(r.ns), Pods: requirements(r.pod), Ports: m.rows[d][endpoint].of(m, first+i), Seen: r.seen}
		if !r.anyNS {
			x.Namespace = r.namespace
		}
		if d == Egress && !x.Ports.All() {
			x.Named = m.namesTo(endpoint, first+i)
		}
		all[i] = x
	}
	var out []Described
	for i, r := range m.reps {
		told := false
		for k, wider := range m.reps {
			told = told || k != i && all[k].Ports == all[i].Ports && slices.Equal(all[k].Named, all[i].Named) && r.within(&wider.peer, m.Endpoints[first+i].ofNS)
		}
		if i == 0 || !told {
			out = append(out, all[i])
		}
	}
	return out
}

// namesTo returns the named ports that rules allow to a described set.
func (m *Model) namesTo(endpoint, rep int) []string {
	var out []string
	for _, p := range m.Policies {
		if !p.selected.has(endpoint) {
			continue
		}
		for _, r := range p.Rules[Egress] {
			if r.Action != Allow || !r.pods.has(rep) {
				continue
			}
			for _, x := range r.ports {
				switch {
				case x.name == "":
				case x.anyProto:
					out = append(out, " "+x.name)
				default:
					out = append(out, x.proto.String()+" "+x.name)
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
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
