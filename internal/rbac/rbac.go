// Package rbac answers who may do what, exactly as the API server's authorizers
// do: RBAC with the roles and bindings that every cluster has, the Node
// authorizer, and system:masters, whom nothing is refused.
//
// It is pure. An [Index] is compiled once; a question costs microseconds, and
// [Index.Apply] gives the index after a change without compiling the rest anew.
package rbac

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/merlon-security/merlon/internal/fact"
)

// Group is the API group of roles and bindings.
const Group = "rbac.authorization.k8s.io"

// Index knows all roles and bindings, and what binds nodes to objects. It is
// immutable and safe for concurrent use.
type Index struct {
	objects     *lists[fact.Ref, *fact.Object] // all of one name, built-in ones first
	slots       *vector[slot]                  // roles
	slotOf      *table[roleKey, uint32]
	free        []uint32 // slots of no role
	bindings    *table[*fact.Object, *binding]
	users       *names // service accounts are users, by their user names
	groups      *names
	mentions    *lists[mention, uint32]      // slots of roles by the words of their rules
	labelled    *lists[label, *fact.Object]  // ClusterRoles by label
	aggregating *lists[string, *fact.Object] // ClusterRoles whose rules others make, under ""
	whole       bool                         // the objects are all that a cluster has
	building    bool                         // nobody else has seen the lists
	only        bool                         // made by Only

	graph func() *graph // of the Node authorizer, made at first use
}

type (
	// mention is a word in the rules of the roles of a namespace, "" for
	// ClusterRoles.
	mention struct{ namespace, word string }
	label   struct{ key, value string }
)

// slot is the place of a role. Bindings keep the place, so that a role that
// changes leaves them as they are; and what a role may match stands with those
// of others, so that a question needs to look at few roles.
type slot struct {
	verb, word bits  // zero without a role
	role       *role // nil when bindings name it and it is nowhere
	bound      *held // the bindings to it
}

// binding is one compiled RoleBinding or ClusterRoleBinding. It is immutable.
type binding struct {
	object    *fact.Object
	namespace string // "" for a ClusterRoleBinding
	role      roleKey
	valid     bool // roleRef names a kind of role that the binding can bind
	subjects  []Subject
}

// New indexes the RBAC objects among objects, and keeps objects for the Node
// authorizer. Of two roles with one name the last counts, as when both are
// applied; bindings with one name all count. The roles and bindings that every
// cluster has are added where they are not among objects, unless these are all
// that a cluster holds.
func New(objects []*fact.Object) *Index {
	var own []*fact.Object
	for _, o := range objects {
		if o.Group == Group {
			own = append(own, o)
		}
	}
	g := sync.OnceValue(func() *graph { return newGraph(objects) })
	if w := whole(own); w || len(own) > fewOwn || !distinct(own) {
		return index(own, w, g)
	}
	return extended(own, g)
}

// fewOwn is up to how many objects an index is faster made from that of the
// built-in ones than anew.
const fewOwn = 32

// distinct reports whether no two objects have one name.
func distinct(objects []*fact.Object) bool {
	seen := make(map[fact.Ref]bool, len(objects))
	for _, o := range objects {
		seen[o.Ref()] = true
	}
	return len(seen) == len(objects)
}

// starting is the index of what every cluster has.
var starting = sync.OnceValue(func() *Index { return index(nil, false, nil) })

// extended is index for few objects beside the built-in ones.
func extended(own []*fact.Object, g func() *graph) *Index {
	changes := make([]fact.Change, len(own))
	for i, o := range own {
		changes[i] = fact.Change{Op: fact.Upsert, Object: o}
	}
	x := starting().Apply(changes...)
	x.graph = g
	return x
}

// Only is New for objects beside which there is nothing: no role or binding of
// every cluster is added, now or by Apply.
func Only(objects []*fact.Object) *Index {
	x := index(objects, true, sync.OnceValue(func() *graph { return newGraph(objects) }))
	x.only = true
	return x
}

func index(own []*fact.Object, whole bool, g func() *graph) *Index {
	x := &Index{
		objects:     newLists[fact.Ref, *fact.Object](hashRef),
		slots:       &vector[slot]{},
		slotOf:      newTable[roleKey, uint32](func(k roleKey) uint64 { return hashOf(k.name, k.namespace) }),
		bindings:    newTable[*fact.Object, *binding](func(o *fact.Object) uint64 { return hashOf(o.Name, o.Namespace) }),
		users:       newNames(hashName),
		groups:      newNames(hashName),
		mentions:    newLists[mention, uint32](func(k mention) uint64 { return hashOf(k.word, k.namespace) }),
		labelled:    newLists[label, *fact.Object](func(k label) uint64 { return hashOf(k.key, k.value) }),
		aggregating: newLists[string, *fact.Object](func(k string) uint64 { return hashOf(k, "") }),
		building:    true, graph: g, whole: whole,
	}
	all := own
	if !x.whole {
		all = append(slices.Clip(defaults()), own...)
	}
	refs := make([]fact.Ref, 0, len(all))
	for _, o := range all {
		ref := o.Ref()
		if len(x.objects.get(ref)) == 0 {
			refs = append(refs, ref)
		}
		x.objects.add(ref, o, true)
	}
	for _, ref := range refs {
		x.activate(ref)
	}
	x.aggregate()
	x.order()
	x.building = false
	return x
}

// order puts in order what was added without.
func (x *Index) order() {
	for h := range x.users.all {
		h.sort()
	}
	for h := range x.groups.all {
		h.sort()
	}
	for i := range x.slots.len {
		if h := x.slots.at(i).bound; h != nil {
			h.sort()
		}
	}
}

// whole reports whether objects come from a cluster that has its default roles:
// then what is missing among them is missing there.
func whole(objects []*fact.Object) bool {
	return slices.ContainsFunc(objects, func(o *fact.Object) bool {
		return o.Kind == "ClusterRole" && o.Name == "cluster-admin" && stored(o)
	})
}

// stored reports whether an object was read from an API server, where the rules
// of an aggregating role are filled in.
func stored(o *fact.Object) bool { return o.Root.At("metadata", "uid").Str() != "" }

// Builtin reports whether an object is one that every cluster has, and that was
// not among those given.
func Builtin(o *fact.Object) bool { return o != nil && o.Origin.Source == builtinSource }

// activate makes the objects of a name count: of roles the last, of bindings
// all, of which a built-in one gives way to others.
func (x *Index) activate(ref fact.Ref) {
	list := x.objects.get(ref)
	if len(list) == 0 {
		return
	}
	switch ref.Kind {
	case "ClusterRole", "Role":
		o := list[len(list)-1]
		own := compileRules(o)
		x.addRole(newRole(roleKey{ref.Namespace, ref.Name}, o, own))
		if ref.Kind == "ClusterRole" {
			x.label(o)
		}
	case "RoleBinding", "ClusterRoleBinding":
		for _, o := range list {
			if len(list) == 1 || !Builtin(o) {
				x.bind(o)
			}
		}
	}
}

// deactivate undoes activate.
func (x *Index) deactivate(ref fact.Ref) {
	switch ref.Kind {
	case "ClusterRole", "Role":
		if r := x.role(roleKey{ref.Namespace, ref.Name}); r != nil {
			x.removeRole(r)
			x.unlabel(r.object)
		}
	case "RoleBinding", "ClusterRoleBinding":
		for _, o := range x.objects.get(ref) {
			if b := x.bindings.get(o); b != nil {
				x.unbind(b)
			}
		}
	}
}

// role returns a role, or nil.
func (x *Index) role(k roleKey) *role {
	if at, ok := x.slotOf.lookup(k); ok {
		return x.slots.at(at).role
	}
	return nil
}

// slotFor returns the place of a role, which it makes when there is none.
func (x *Index) slotFor(k roleKey) uint32 {
	at, ok := x.slotOf.lookup(k)
	if ok {
		return at
	}
	if n := len(x.free); n > 0 {
		at, x.free = x.free[n-1], x.free[:n-1:n-1]
	} else {
		at = x.slots.grow()
	}
	x.slotOf.set(k, at)
	return at
}

// release gives a place back that neither a role nor a binding needs.
func (x *Index) release(k roleKey, at uint32) {
	if s := x.slots.at(at); s.role == nil && s.bound == nil {
		x.slotOf.delete(k)
		x.free = append(x.free, at)
	}
}

func (x *Index) addRole(r *role) {
	at := x.slotFor(r.key)
	s := x.slots.edit(at)
	s.role, s.verb, s.word = r, r.verb, r.word
	for _, w := range r.words() {
		x.mentions.add(mention{r.key.namespace, w}, at, x.building)
	}
}

func (x *Index) removeRole(r *role) {
	at := x.slotFor(r.key)
	s := x.slots.edit(at)
	s.role, s.verb, s.word = nil, 0, 0
	for _, w := range r.words() {
		x.mentions.remove(mention{r.key.namespace, w}, at)
	}
	x.release(r.key, at)
}

// of returns where what a subject holds stands, and under which name.
func (x *Index) of(s Subject) (*names, string) {
	switch s.Kind {
	case GroupKind:
		return x.groups, s.Name
	case ServiceAccountKind:
		return x.users, accountPrefix + s.Namespace + ":" + s.Name
	}
	return x.users, s.Name
}

func (x *Index) held(s Subject) *held {
	t, name := x.of(s)
	return t.get(name)
}

func (x *Index) bind(o *fact.Object) {
	b := compileBinding(o)
	x.bindings.set(o, b)
	e := entry{space(b.namespace), x.slotFor(b.role), b}
	at := x.slots.edit(e.slot)
	at.bound = x.with(at.bound, e)
	for i, s := range b.subjects {
		t, name := x.of(s)
		h := t.get(name)
		n := x.with(h, e)
		if h == nil {
			n.subject = s
		}
		if b.subjects[i] = n.subject; n != h {
			t.set(name, n)
		}
	}
}

// with adds an entry to a list, or to a copy of it when others have seen it.
func (x *Index) with(h *held, e entry) *held {
	switch {
	case h == nil:
		h = &held{}
	case !x.building:
		h = h.clone()
	}
	h.add(e, x.building)
	return h
}

func (x *Index) unbind(b *binding) {
	x.bindings.delete(b.object)
	slot := x.slotFor(b.role)
	at := x.slots.edit(slot)
	at.bound = without(at.bound, b)
	x.release(b.role, slot)
	for _, s := range b.subjects {
		t, name := x.of(s)
		t.set(name, without(t.get(name), b))
	}
}

// without returns a list without a binding, nil for an empty one.
func without(h *held, b *binding) *held {
	h = h.clone()
	if h.remove(b); len(h.list) == 0 {
		return nil
	}
	return h
}

// compileBinding reads a binding. A subject of a kind that RBAC does not know,
// and a service account without a namespace in a ClusterRoleBinding, are nobody.
func compileBinding(o *fact.Object) *binding {
	b := &binding{object: o, namespace: o.InNamespace()}
	if o.Kind == "ClusterRoleBinding" {
		b.namespace = ""
	}
	ref := o.Root.Get(keyRoleRef)
	b.role.name = ref.Get(keyName).Str()
	switch ref.Get(keyKind).Str() {
	case "Role":
		b.role.namespace, b.valid = b.namespace, b.namespace != ""
	case "ClusterRole":
		b.valid = true
	}
	if !b.valid {
		b.role = roleKey{"", "\x00no role"}
	}
	list := o.Root.Get(keySubjects)
	seen := map[Subject]bool{}
	for v := range list.Children() {
		if s, ok := subjectOf(v, b.namespace); ok && (list.Len() == 1 || !seen[s]) {
			seen[s] = true
			b.subjects = append(b.subjects, s)
		}
	}
	return b
}

// subjectOf reads a subject of a binding in a namespace. A service account and a
// user of its user name are the same.
func subjectOf(v fact.Value, namespace string) (Subject, bool) {
	s := Subject{Kind: SubjectKind(v.Get(keyKind).Str()), Name: v.Get(keyName).Str()}
	if s.Name == "" {
		return s, false // the API server refuses it
	}
	switch s.Kind {
	case UserKind:
		return userSubject(s.Name), true
	case GroupKind:
		s.Kind = GroupKind // equal strings at one place are told equal at once
		return s, true
	case ServiceAccountKind:
		s.Kind = ServiceAccountKind
		if s.Namespace = v.Get(keyNamespace).Str(); s.Namespace == "" {
			s.Namespace = namespace
		}
		if strings.Contains(s.Namespace, ":") || strings.Contains(s.Name, ":") {
			return userSubject(accountPrefix + s.Namespace + ":" + s.Name), s.Namespace != ""
		}
		return s, s.Namespace != ""
	}
	return s, false
}

var (
	keyRoleRef   = fact.K("roleRef")
	keySubjects  = fact.K("subjects")
	keyKind      = fact.K("kind")
	keyName      = fact.K("name")
	keyNamespace = fact.K("namespace")
)

// Apply returns the index after some changes. It shares with x all that they do
// not touch.
func (x *Index) Apply(changes ...fact.Change) *Index {
	n := &Index{
		objects: x.objects.fork(), slots: x.slots.fork(), slotOf: x.slotOf.fork(), free: slices.Clip(x.free),
		bindings: x.bindings.fork(), users: x.users.fork(), groups: x.groups.fork(),
		mentions: x.mentions.fork(), labelled: x.labelled.fork(), aggregating: x.aggregating.fork(),
		graph: x.graph, whole: x.whole, only: x.only,
	}
	again, recheck := false, false
	var others []fact.Change
	for _, c := range changes {
		if c.Op != fact.Upsert && c.Op != fact.Delete {
			continue
		}
		if c.Object.Group != Group {
			others = append(others, c)
			continue
		}
		n.change(c)
		again = again || c.Object.Kind == "ClusterRole"
		recheck = recheck || c.Object.Kind == "ClusterRole" && c.Object.Name == "cluster-admin"
	}
	if len(others) > 0 {
		old := x.graph
		n.graph = sync.OnceValue(func() *graph { return old().apply(others) })
	}
	if recheck && !n.only {
		if own := n.own(); whole(own) != n.whole {
			return index(own, whole(own), n.graph)
		}
	}
	if again {
		n.aggregate()
	}
	return n
}

// change applies one change of a role or binding.
func (x *Index) change(c fact.Change) {
	ref := c.Object.Ref()
	x.deactivate(ref)
	list := slices.Clone(x.objects.get(ref))
	at := slices.IndexFunc(list, func(o *fact.Object) bool { return o.Origin == c.Object.Origin })
	if at >= 0 {
		list = slices.Delete(list, at, at+1)
	}
	if c.Op == fact.Upsert { // of two of one name the last of a snapshot counts
		i, _ := slices.BinarySearchFunc(list, c.Object, fact.Compare)
		list = slices.Insert(list, i, c.Object)
	}
	if len(list) == 0 {
		x.objects.delete(ref)
		return
	}
	x.objects.set(ref, list)
	x.activate(ref)
}

// own returns every object that was given, in a stable order.
func (x *Index) own() []*fact.Object {
	var out []*fact.Object
	for _, ref := range x.refs() {
		for _, o := range x.objects.get(ref) {
			if !Builtin(o) {
				out = append(out, o)
			}
		}
	}
	return out
}

// refs returns the names of all objects, sorted.
func (x *Index) refs() []fact.Ref {
	var out []fact.Ref
	for ref := range x.objects.all {
		out = append(out, ref)
	}
	slices.SortFunc(out, compareRefs)
	return out
}

func compareRefs(a, b fact.Ref) int {
	return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
}
