package assess

import (
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
)

// selectorIndex finds the objects of one kind and namespace whose selector
// selects given labels, by one label that each must have, so that the cost
// follows the answer and not the number of selectors.
type selectorIndex struct {
	byLabel map[[2]string][]selecting
	rest    []selecting
}

type selecting struct {
	object   *fact.Object
	selector fact.Selector
	order    int
}

// selectorOf returns by what an object selects pods; false for kinds that do
// not, and for selectors that select nothing.
func selectorOf(o *fact.Object) (fact.Selector, bool) {
	spec := o.Root.Get(fact.K("spec"))
	switch o.GroupKind() {
	case "Service":
		return fact.MapSelector(spec.Get(fact.K("selector")))
	case "networking.k8s.io/NetworkPolicy":
		s, _ := fact.LabelSelector(spec.Get(fact.K("podSelector")))
		return s, true
	case "policy/PodDisruptionBudget":
		return fact.LabelSelector(spec.Get(fact.K("selector")))
	case "monitoring.coreos.com/PodMonitor":
		return fact.LabelSelector(spec.Get(fact.K("selector")))
	}
	return fact.Selector{}, false
}

func (w *world) indexSelectors() map[[2]string]*selectorIndex {
	out := map[[2]string]*selectorIndex{}
	for i, o := range w.objects {
		s, ok := selectorOf(o)
		if !ok {
			continue
		}
		key := [2]string{o.GroupKind(), o.InNamespace()}
		x := out[key]
		if x == nil {
			x = &selectorIndex{byLabel: map[[2]string][]selecting{}}
			out[key] = x
		}
		entry := selecting{o, s, i}
		if k, v, ok := s.Equality(); ok {
			x.byLabel[[2]string{k, v}] = append(x.byLabel[[2]string{k, v}], entry)
		} else {
			x.rest = append(x.rest, entry)
		}
	}
	return out
}

// Selecting returns the objects of a kind that select the pods of o.
func (w *world) Selecting(kind string, o *fact.Object) []*fact.Object {
	x := w.selectors()[[2]string{kind, o.InNamespace()}]
	pods := fact.PodTemplates(o)
	if x == nil || len(pods) == 0 {
		return nil
	}
	labels := pods[0].Metadata.Get(fact.K("labels"))
	get := fact.Labels(labels)
	candidates := slices.Clone(x.rest)
	for l := range labels.Children() {
		candidates = append(candidates, x.byLabel[[2]string{l.Key().String(), l.Text()}]...)
	}
	slices.SortFunc(candidates, func(a, b selecting) int { return a.order - b.order })
	var out []*fact.Object
	for _, c := range candidates {
		if c.selector.Matches(get) {
			out = append(out, c.object)
		}
	}
	return out
}

// Selected returns the objects whose pods the selector of o selects.
func (w *world) Selected(o *fact.Object) []*fact.Object {
	s, ok := selectorOf(o)
	if !ok {
		return nil
	}
	var out []*fact.Object
	for _, k := range w.candidates(o.InNamespace(), s) {
		if s.Matches(fact.Labels(k.labels)) {
			out = append(out, k.object)
		}
	}
	return out
}

// candidates returns the workloads of a namespace that may be selected.
func (w *world) candidates(namespace string, s fact.Selector) []*workload {
	k, v, ok := s.Equality()
	if !ok {
		return w.workloads()[namespace]
	}
	return w.labelled()[labelled{namespace, k, v}]
}

type labelled struct{ namespace, key, value string }

func (w *world) indexLabels() map[labelled][]*workload {
	out := map[labelled][]*workload{}
	for ns, list := range w.workloads() {
		for _, k := range list {
			for l := range k.labels.Children() {
				at := labelled{ns, l.Key().String(), l.Text()}
				out[at] = append(out[at], k)
			}
		}
	}
	return out
}
