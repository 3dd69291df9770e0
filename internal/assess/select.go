package assess

import (
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
)

// workload is an object that carries pods, with the labels of the first.
type workload struct {
	object *fact.Object
	labels fact.Value
}

func (k *workload) compare(o *workload) int { return fact.Compare(k.object, o.object) }

// podIndex finds workloads by namespace, and there by label.
type podIndex struct {
	spaces map[string][]*workload
	labels map[labelled][]*workload
}

type labelled struct{ namespace, key, value string }

func workloadOf(o *fact.Object) *workload {
	pods := fact.PodTemplates(o)
	if len(pods) == 0 {
		return nil
	}
	return &workload{o, pods[0].Metadata.Get(fact.K("labels"))}
}

func (x *podIndex) add(o *fact.Object) {
	k := workloadOf(o)
	if k == nil {
		return
	}
	ns := o.InNamespace()
	x.spaces[ns] = putWorkload(x.spaces[ns], k)
	for l := range k.labels.Children() {
		at := labelled{ns, l.Key().String(), l.Text()}
		x.labels[at] = putWorkload(x.labels[at], k)
	}
}

func (x *podIndex) drop(o *fact.Object) {
	k := workloadOf(o)
	if k == nil {
		return
	}
	ns := o.InNamespace()
	if x.spaces[ns] = takeWorkload(x.spaces[ns], k); len(x.spaces[ns]) == 0 {
		delete(x.spaces, ns)
	}
	for l := range k.labels.Children() {
		at := labelled{ns, l.Key().String(), l.Text()}
		if x.labels[at] = takeWorkload(x.labels[at], k); len(x.labels[at]) == 0 {
			delete(x.labels, at)
		}
	}
}

func putWorkload(list []*workload, k *workload) []*workload {
	if n := len(list); n == 0 || list[n-1].compare(k) < 0 {
		return append(list, k)
	}
	i, _ := slices.BinarySearchFunc(list, k, (*workload).compare)
	return slices.Insert(list, i, k)
}

func takeWorkload(list []*workload, k *workload) []*workload {
	if i, found := slices.BinarySearchFunc(list, k, (*workload).compare); found {
		return slices.Delete(list, i, i+1)
	}
	return list
}

func (w *world) podsOf() *podIndex {
	return w.pods.get(w, func() *podIndex {
		return &podIndex{map[string][]*workload{}, map[labelled][]*workload{}}
	})
}

// selectorIndexes find selecting objects by kind and namespace.
type selectorIndexes map[[2]string]*selectorIndex

// selectorIndex finds the objects of one kind and namespace whose selector
// selects given labels, by one label that each must have, so that the cost
// follows the answer and not the number of selectors.
type selectorIndex struct {
	byLabel map[[2]string][]selecting // the zero label is for those that need none
}

type selecting struct {
	object   *fact.Object
	selector fact.Selector
}

func compareSelecting(a, b selecting) int { return fact.Compare(a.object, b.object) }

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

// needed returns the label under which a selector is found; zero for none.
func needed(s fact.Selector) [2]string {
	k, v, _ := s.Equality()
	return [2]string{k, v}
}

func (x selectorIndexes) add(o *fact.Object) {
	s, ok := selectorOf(o)
	if !ok {
		return
	}
	key := [2]string{o.GroupKind(), o.InNamespace()}
	if x[key] == nil {
		x[key] = &selectorIndex{byLabel: map[[2]string][]selecting{}}
	}
	list := x[key].byLabel[needed(s)]
	i, _ := slices.BinarySearchFunc(list, selecting{object: o}, compareSelecting)
	x[key].byLabel[needed(s)] = slices.Insert(list, i, selecting{o, s})
}

func (x selectorIndexes) drop(o *fact.Object) {
	s, ok := selectorOf(o)
	if !ok {
		return
	}
	at := x[[2]string{o.GroupKind(), o.InNamespace()}].byLabel
	list := at[needed(s)]
	if i, found := slices.BinarySearchFunc(list, selecting{object: o}, compareSelecting); found {
		list = slices.Delete(list, i, i+1)
	}
	if at[needed(s)] = list; len(list) == 0 {
		delete(at, needed(s))
	}
}

// Selecting returns the objects of a kind that select the pods of o.
func (w *world) Selecting(kind string, o *fact.Object) []*fact.Object {
	x := w.selectors.get(w, func() selectorIndexes { return selectorIndexes{} })[[2]string{kind, o.InNamespace()}]
	k := workloadOf(o)
	if x == nil || k == nil {
		return nil
	}
	get := fact.Labels(k.labels)
	candidates := slices.Clone(x.byLabel[[2]string{}])
	for l := range k.labels.Children() {
		if label := [2]string{l.Key().String(), l.Text()}; label != [2]string{} {
			candidates = append(candidates, x.byLabel[label]...)
		}
	}
	slices.SortFunc(candidates, compareSelecting)
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
		return w.podsOf().spaces[namespace]
	}
	return w.podsOf().labels[labelled{namespace, k, v}]
}
