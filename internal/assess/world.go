package assess

import (
	"slices"
	"sync"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
)

// world answers the functions by which a control sees the whole input: all that
// exists together, which is a chart with its values, an overlay, a cluster, or the
// loose files. Its indexes are made at first use and follow changes from then on.
// Any number of goroutines may ask at once; follow is called while nobody does.
type world struct {
	name     string // as in [fact.Origin]
	root     string // chart or overlay by which its findings are known over time; "" for others
	snapshot *fact.Snapshot
	deployed int // objects that a cluster holds

	kinds      index[kindIndex]
	names      index[nameIndex]
	roots      index[rootIndex]
	spaces     index[spaceIndex]
	pods       index[*podIndex]
	selectors  index[selectorIndexes]
	references index[referenceIndex]
	rights     *rightsIndex
	nodes      func() *rbac.Index // that knows what runs on which node, too
	reached    *networkIndex
}

// worlds splits a snapshot by the worlds that its objects belong to, in the order
// of their names. Where there is one, nothing is copied.
func worlds(s *fact.Snapshot) []*world {
	names, parts := s.Worlds()
	out := make([]*world, len(names))
	for i, part := range parts {
		objects := part.Objects()
		out[i] = newWorld(names[i], objects[0].Origin.Root, part)
		for _, o := range objects {
			out[i].counts(o, 1)
		}
	}
	return out
}

// WorldOf returns what controls over several objects look in, for who judges
// outside of an assessment: all objects together.
func WorldOf(objects []*fact.Object) control.World {
	changes := make([]fact.Change, len(objects))
	for i, o := range objects {
		changes[i] = fact.Change{Op: fact.Upsert, Object: o}
	}
	return newWorld("", "", (&fact.Snapshot{}).Apply(changes...))
}

func newWorld(name, root string, s *fact.Snapshot) *world {
	w := &world{name: name, root: root, rights: &rightsIndex{}, reached: &networkIndex{}}
	w.see(s)
	return w
}

func (w *world) counts(o *fact.Object, n int) {
	if o != nil && o.Deployed() {
		w.deployed += n
	}
}

// see makes a snapshot the one that indexes are made of from now on; those that
// are made must follow to it.
func (w *world) see(s *fact.Snapshot) {
	w.snapshot = s
	w.nodes = sync.OnceValue(func() *rbac.Index { return rbac.New(w.snapshot.Objects()) })
}

// rightsIndex is made at first use.
type rightsIndex struct {
	once  sync.Once
	index *rbac.Index
}

// followed is an index that takes objects in and out.
type followed interface {
	add(o *fact.Object)
	drop(o *fact.Object)
}

// index is made of all objects when it is first asked for.
type index[T followed] struct {
	once  sync.Once
	made  bool
	value T
}

func (x *index[T]) get(w *world, empty func() T) T {
	x.once.Do(func() {
		x.value = empty()
		for _, o := range w.snapshot.Objects() {
			x.value.add(o)
		}
		x.made = true
	})
	return x.value
}

// change puts one object in the place of another; either may be nil.
func (x *index[T]) change(before, after *fact.Object) {
	if !x.made {
		return
	}
	if before != nil {
		x.value.drop(before)
	}
	if after != nil {
		x.value.add(after)
	}
}

// follow brings every index that is made to the next snapshot, of which change
// is one difference.
func (w *world) follow(before, after *fact.Object) {
	w.counts(before, -1)
	w.counts(after, 1)
	w.kinds.change(before, after)
	w.names.change(before, after)
	w.roots.change(before, after)
	w.spaces.change(before, after)
	w.pods.change(before, after)
	w.selectors.change(before, after)
	w.references.change(before, after)
	if before != nil && before.Group == rbac.Group || after != nil && after.Group == rbac.Group {
		w.followRights(before, after)
	}
	w.followNetwork(before, after)
}

// roles returns the RBAC objects in order.
func (w *world) roles() []*fact.Object {
	var out []*fact.Object
	for _, kind := range [...]string{"ClusterRole", "Role", "ClusterRoleBinding", "RoleBinding"} {
		out = append(out, w.Objects(rbac.Group+"/"+kind, "*")...)
	}
	slices.SortFunc(out, fact.Compare)
	return out
}

// rbac returns the index of roles and bindings. It knows nothing of nodes.
func (w *world) rbac() *rbac.Index {
	w.rights.once.Do(func() { w.rights.index = rbac.New(w.roles()) })
	return w.rights.index
}

// followRights brings that index to a change. Of roles with one name the last
// counts, which the index cannot know from one change: then it is made anew, as
// it is when it becomes known what every cluster has.
func (w *world) followRights(before, after *fact.Object) {
	if w.rights.index == nil {
		return
	}
	var changes []fact.Change
	for _, o := range [...]*fact.Object{before, after} {
		if o != nil && (len(w.others(o.Ref())) > 0 || o.Name == "cluster-admin") {
			w.rights = &rightsIndex{}
			return
		}
	}
	if before != nil && after == nil {
		changes = append(changes, fact.Change{Op: fact.Delete, Object: before})
	} else {
		changes = append(changes, fact.Change{Op: fact.Upsert, Object: after})
	}
	w.rights.index = w.rights.index.Apply(changes...)
}

// put puts an object into a list that is in order.
func put(list []*fact.Object, o *fact.Object) []*fact.Object {
	if n := len(list); n == 0 || fact.Compare(list[n-1], o) < 0 {
		return append(list, o)
	}
	i, _ := slices.BinarySearchFunc(list, o, fact.Compare)
	return slices.Insert(list, i, o)
}

// take takes an object out of a list that is in order.
func take(list []*fact.Object, o *fact.Object) []*fact.Object {
	if i, found := slices.BinarySearchFunc(list, o, fact.Compare); found {
		return slices.Delete(list, i, i+1)
	}
	return list
}

// lists is what many indexes are: objects in order under a key.
type lists[K comparable] map[K][]*fact.Object

func (x lists[K]) put(key K, o *fact.Object) { x[key] = put(x[key], o) }

func (x lists[K]) take(key K, o *fact.Object) {
	if x[key] = take(x[key], o); len(x[key]) == 0 {
		delete(x, key)
	}
}

// kindIndex finds objects by kind, and namespace or "*".
type kindIndex struct{ lists[[2]string] }

func (x kindIndex) add(o *fact.Object) {
	x.put([2]string{o.GroupKind(), "*"}, o)
	x.put([2]string{o.GroupKind(), o.InNamespace()}, o)
}

func (x kindIndex) drop(o *fact.Object) {
	x.take([2]string{o.GroupKind(), "*"}, o)
	x.take([2]string{o.GroupKind(), o.InNamespace()}, o)
}

// nameIndex finds objects by name: the first of those that have it, and the
// others, which only files can have.
type nameIndex struct {
	first  map[fact.Ref]*fact.Object
	others lists[fact.Ref]
}

func (x nameIndex) add(o *fact.Object) {
	ref := o.Ref()
	switch first := x.first[ref]; {
	case first == nil:
		x.first[ref] = o
	case fact.Compare(first, o) < 0:
		x.others.put(ref, o)
	default:
		x.first[ref] = o
		x.others.put(ref, first)
	}
}

func (x nameIndex) drop(o *fact.Object) {
	ref := o.Ref()
	switch others := x.others[ref]; {
	case x.first[ref] != o:
		x.others.take(ref, o)
	case len(others) > 0:
		x.first[ref] = others[0]
		x.others.take(ref, others[0])
	default:
		delete(x.first, ref)
	}
}

// rootIndex finds the object of a document.
type rootIndex map[fact.Value]*fact.Object

func (x rootIndex) add(o *fact.Object) { x[o.Root] = o }

func (x rootIndex) drop(o *fact.Object) {
	if x[o.Root] == o {
		delete(x, o.Root)
	}
}

// spaceIndex finds everything in a namespace.
type spaceIndex struct{ lists[string] }

func (x spaceIndex) add(o *fact.Object)  { x.put(o.InNamespace(), o) }
func (x spaceIndex) drop(o *fact.Object) { x.take(o.InNamespace(), o) }

// Objects returns the objects of a kind, in one namespace or ("*") in all.
func (w *world) Objects(kind, namespace string) []*fact.Object {
	return w.kinds.get(w, func() kindIndex { return kindIndex{lists[[2]string]{}} }).lists[[2]string{kind, namespace}]
}

// Find returns one object, or nil.
func (w *world) Find(kind, namespace, name string) *fact.Object {
	group, kind := fact.InGroup(kind)
	return w.find(fact.Ref{Group: group, Kind: kind, Namespace: namespace, Name: name})
}

func (w *world) find(ref fact.Ref) *fact.Object { return w.namesOf().first[ref] }

// others returns the objects of a name besides the first.
func (w *world) others(ref fact.Ref) []*fact.Object { return w.namesOf().others[ref] }

func (w *world) namesOf() nameIndex {
	return w.names.get(w, func() nameIndex {
		return nameIndex{make(map[fact.Ref]*fact.Object, w.snapshot.Len()), lists[fact.Ref]{}}
	})
}

// Of returns the object that a document belongs to.
func (w *world) Of(root fact.Value) *fact.Object {
	return w.roots.get(w, func() rootIndex { return make(rootIndex, w.snapshot.Len()) })[root]
}

// Workloads returns what carries pods in a namespace.
func (w *world) Workloads(namespace string) []*fact.Object {
	list := w.podsOf().spaces[namespace]
	out := make([]*fact.Object, len(list))
	for i, k := range list {
		out[i] = k.object
	}
	return out
}

// ServiceAccount returns what the pods of o run as.
func (w *world) ServiceAccount(o *fact.Object) *fact.Object {
	return w.Find("ServiceAccount", o.InNamespace(), accountName(o))
}

func accountName(o *fact.Object) string {
	if o.Kind == "ServiceAccount" && o.Group == "" {
		return o.Name
	}
	for _, p := range fact.PodTemplates(o) {
		if name := p.Spec.Get(fact.K("serviceAccountName")).Str(); name != "" {
			return name
		}
	}
	return "default"
}

// Role returns what a binding binds.
func (w *world) Role(binding *fact.Object) *fact.Object { return w.rbac().Role(binding) }

// Rules returns the rules of a role or of a binding's role.
func (w *world) Rules(o *fact.Object) []fact.Value { return w.rbac().Rules(o) }

// Bindings returns what grants something to a service account.
func (w *world) Bindings(o *fact.Object) []*fact.Object {
	return w.rbac().Account(o.InNamespace(), accountName(o))
}

func (w *world) spacesOf() spaceIndex {
	return w.spaces.get(w, func() spaceIndex { return spaceIndex{lists[string]{}} })
}

// namespaceNames returns every namespace that the input declares or names.
func (w *world) namespaceNames() []string {
	var out []string
	for ns := range w.spacesOf().lists {
		if ns != "" {
			out = append(out, ns)
		}
	}
	for _, o := range w.Objects("Namespace", "*") {
		out = append(out, o.Name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// known reports whether the input declares or names a namespace.
func (w *world) known(namespace string) bool {
	return namespace != "" && len(w.spacesOf().lists[namespace]) > 0 || w.Find("Namespace", "", namespace) != nil
}

// witness returns the object by which a namespace is known to the input: the
// first that carries pods in it, else the first in it.
func (w *world) witness(namespace string) *fact.Object {
	if list := w.podsOf().spaces[namespace]; len(list) > 0 {
		return list[0].object
	}
	if list := w.spacesOf().lists[namespace]; len(list) > 0 {
		return list[0]
	}
	return nil
}
