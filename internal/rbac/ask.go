package rbac

import (
	"cmp"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Grant is one reason for which a request is allowed: a subject, the binding
// that names it, the role bound and the rule in it.
type Grant struct {
	Subject   Subject      // as the binding names it
	Namespace string       // where it holds; "" for everywhere
	Binding   *fact.Object // nil when By says what else grants it
	Role      *fact.Object
	Rule      fact.Value
	From      *fact.Object // the role that the rule stands in: another than Role where that aggregates
	By        string       // the authorizer that is not RBAC, and why it allows
}

// byMasters is why system:masters may do everything: kube-apiserver asks no
// authorizer about it.
const byMasters = "members of system:masters may do everything"

// Can reports whether the user may do what is asked, by any authorizer.
func (x *Index) Can(u User, q Request) bool {
	if slices.Contains(u.Groups, Masters) {
		return true
	}
	a := ask(q)
	var buffer [8]Subject
	for _, s := range u.subjects(buffer[:0]) {
		h := x.bySubject.get(s)
		if h == nil {
			continue
		}
		if x.any(h.everywhere, &a) || a.Namespace != "" && x.any(h.of(a.Namespace), &a) {
			return true
		}
	}
	if n := u.node(); n != "" {
		return x.graph().allows(n, &a) != ""
	}
	return false
}

// any reports whether one of some bindings allows a request.
func (x *Index) any(list []*binding, q *asked) bool {
	for _, b := range list {
		if r := x.roles.get(b.role); r != nil && r.allows(q) != nil {
			return true
		}
	}
	return false
}

// Why returns every binding by which the user may do what is asked, each with
// the first rule that allows it: those that name the user first, then those of
// groups, in the order in which a person would follow them.
func (x *Index) Why(u User, q Request) []Grant {
	a := ask(q)
	var out []Grant
	for _, s := range u.subjects(nil) {
		for _, ns := range scopes(a.Namespace) {
			for _, b := range x.bySubject.get(s).of(ns) {
				if g, ok := x.grant(b, s, &a); ok {
					out = append(out, g)
				}
			}
		}
		if s == (Subject{Kind: GroupKind, Name: Masters}) {
			out = append(out, Grant{Subject: s, By: byMasters})
		}
	}
	if n := u.node(); n != "" {
		if by := x.graph().allows(n, &a); by != "" {
			out = append(out, Grant{Subject: u.Subject(), By: byNode(by)})
		}
	}
	return out
}

func scopes(namespace string) []string {
	if namespace == "" {
		return []string{""}
	}
	return []string{"", namespace}
}

func (x *Index) grant(b *binding, s Subject, q *asked) (Grant, bool) {
	r := x.roles.get(b.role)
	if r == nil {
		return Grant{}, false
	}
	one := r.allows(q)
	if one == nil {
		return Grant{}, false
	}
	return Grant{Subject: s, Namespace: b.namespace, Binding: b.object, Role: r.object, Rule: one.value, From: one.from}, true
}

// Who returns everybody who may do what is asked, in order, each subject once
// for every binding that lets it: subjects as bindings name them, so that whoever
// is in a group is meant by the group; system:masters; and nodes.
func (x *Index) Who(q Request) []Grant {
	a := ask(q)
	var out []Grant
	for _, ns := range scopes(a.Namespace) {
		out = x.whoIn(ns, &a, out)
	}
	return x.rest(out, &a)
}

// Anywhere is Who for a request of any namespace: those who may do it everywhere,
// and those who may in one or another.
func (x *Index) Anywhere(q Request) []Grant {
	q.Namespace = ""
	a := ask(q)
	out := x.whoIn("", &a, nil)
	for _, ns := range x.boundNamespaces() {
		in := a
		in.Namespace = ns
		out = x.whoIn(ns, &in, out)
	}
	return x.rest(out, &a)
}

// boundNamespaces returns every namespace with a RoleBinding.
func (x *Index) boundNamespaces() []string {
	seen := map[string]bool{}
	for at := range x.byRole.all {
		if at.namespace != "" {
			seen[at.namespace] = true
		}
	}
	return sortedKeys(seen)
}

func (x *Index) whoIn(ns string, a *asked, out []Grant) []Grant {
	for _, home := range scopes(ns) {
		seen := map[*role]bool{} // only roles that several words lead to are met twice
		words := a.words()
		for i, word := range words {
			if i > 0 && word == "" {
				continue
			}
			for _, r := range x.mentions.get(mention{home, word}) {
				if i > 0 && seen[r] {
					continue
				}
				one := r.allows(a)
				if one == nil {
					continue
				}
				seen[r] = true
				out = x.holders(r, one, ns, out)
			}
		}
	}
	return out
}

// holders adds the subjects of the bindings to a role in a scope, for one rule.
func (x *Index) holders(r *role, one *rule, ns string, out []Grant) []Grant {
	list := x.byRole.get(roleScope{r.key, ns})
	if need := len(out) + 2*len(list); need > cap(out) {
		out = slices.Grow(out, max(need, 2*cap(out), 64)-len(out))
	}
	for _, b := range list {
		for i, s := range b.subjects {
			if !slices.Contains(b.subjects[:i], s) {
				out = append(out, Grant{Subject: s, Namespace: ns, Binding: b.object, Role: r.object, Rule: one.value, From: one.from})
			}
		}
	}
	return out
}

// rest adds those who may do it without a binding, and puts all in order.
func (x *Index) rest(out []Grant, a *asked) []Grant {
	out = append(out, Grant{Subject: Subject{Kind: GroupKind, Name: Masters}, By: byMasters})
	for _, n := range x.graph().holders(a) {
		out = append(out, Grant{Subject: Subject{Kind: UserKind, Name: nodePrefix + n.node}, By: byNode(n.why)})
	}
	slices.SortFunc(out, func(a, b Grant) int { return compareGrants(&a, &b) })
	return out
}

func byNode(why string) string { return "node authorizer: " + why }

func compareGrants(a, b *Grant) int {
	if a.Subject != b.Subject {
		return a.Subject.compare(b.Subject)
	}
	if a.Namespace != b.Namespace {
		return strings.Compare(a.Namespace, b.Namespace)
	}
	if a.Binding == nil || b.Binding == nil {
		return cmp.Compare(btoi(a.Binding == nil), btoi(b.Binding == nil))
	}
	return cmp.Or(
		strings.Compare(a.Binding.Kind, b.Binding.Kind), strings.Compare(a.Binding.Name, b.Binding.Name),
		strings.Compare(a.Binding.Origin.File, b.Binding.Origin.File), cmp.Compare(a.Binding.Origin.Doc, b.Binding.Origin.Doc),
	)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Show returns every rule that a user has, with the binding and role that give
// it: by name first, then by group; everywhere first, then by namespace.
func (x *Index) Show(u User) []Grant {
	var out []Grant
	for _, s := range u.subjects(nil) {
		if s == (Subject{Kind: GroupKind, Name: Masters}) {
			out = append(out, Grant{Subject: s, By: byMasters})
		}
		for _, b := range x.bindingsOf(s) {
			r := x.roles.get(b.role)
			if r == nil {
				continue
			}
			for i := range r.rules {
				one := &r.rules[i]
				out = append(out, Grant{Subject: s, Namespace: b.namespace, Binding: b.object, Role: r.object, Rule: one.value, From: one.from})
			}
		}
	}
	if n := u.node(); n != "" {
		for _, why := range x.graph().all(n) {
			out = append(out, Grant{Subject: u.Subject(), By: byNode(why)})
		}
	}
	return out
}

// bindingsOf returns the bindings of a subject, everywhere first, then by
// namespace.
func (x *Index) bindingsOf(s Subject) []*binding {
	h := x.bySubject.get(s)
	if h == nil {
		return nil
	}
	out := slices.Clone(h.everywhere)
	for _, n := range h.in {
		out = append(out, n.bindings...)
	}
	return out
}

// Subjects returns everybody whom a binding names, in order.
func (x *Index) Subjects() []Subject {
	var out []Subject
	for s := range x.bySubject.all {
		out = append(out, s)
	}
	slices.SortFunc(out, Subject.compare)
	return out
}

// Namespaces returns where a subject, by this very name, has RoleBindings.
func (x *Index) Namespaces(s Subject) []string { return x.bySubject.get(s).namespaces() }

// Bindings returns the bindings that name a subject.
func (x *Index) Bindings(s Subject) []*fact.Object {
	var out []*fact.Object
	for _, b := range x.bindingsOf(s) {
		out = append(out, b.object)
	}
	return out
}

// Dangling returns the bindings whose role is nowhere: they grant nothing, until
// somebody makes the role.
func (x *Index) Dangling() []*fact.Object {
	var out []*fact.Object
	for o, b := range x.bindings.all {
		if x.roles.get(b.role) == nil {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b *fact.Object) int {
		return cmp.Or(compareRefs(a.Ref(), b.Ref()), strings.Compare(a.Origin.File, b.Origin.File), cmp.Compare(a.Origin.Doc, b.Origin.Doc))
	})
	return out
}

// Role returns the role that a binding binds: nil when it is nowhere, neither
// in the input nor among the roles of every cluster.
func (x *Index) Role(o *fact.Object) *fact.Object {
	if r := x.roles.get(compileBinding(o).role); r != nil {
		return r.object
	}
	return nil
}

// Rules returns the rules of a role, those that aggregation brings in included,
// or of the role that a binding binds.
func (x *Index) Rules(o *fact.Object) []fact.Value {
	var key roleKey
	switch o.Kind {
	case "RoleBinding", "ClusterRoleBinding":
		key = compileBinding(o).role
	default:
		key = roleKey{o.InNamespace(), o.Name}
	}
	r := x.roles.get(key)
	var rules []rule
	switch {
	case r != nil && (r.object == o || strings.HasSuffix(o.Kind, "Binding")):
		rules = r.rules
	case strings.HasSuffix(o.Kind, "Binding"):
	case aggregates(o): // another of its name counts
		rules = x.aggregated(o)
	default:
		rules = compileRules(o)
	}
	out := make([]fact.Value, len(rules))
	for i := range rules {
		out[i] = rules[i].value
	}
	return out
}

// Account returns the bindings of the input that grant something to a service
// account, by name or through the groups that it is in by being one. Those of
// every cluster are left out.
func (x *Index) Account(namespace, name string) []*fact.Object {
	var out []*fact.Object
	u := Subject{Kind: ServiceAccountKind, Namespace: namespace, Name: name}.User()
	for _, s := range u.subjects(nil) {
		for _, b := range x.bindingsOf(s) {
			if !Builtin(b.object) {
				out = append(out, b.object)
			}
		}
	}
	return out
}

func sortedKeys(m map[string]bool) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// Held returns the bindings that name a subject itself, those of every cluster
// aside, by which it may do what is asked; with namespace "*" in any namespace.
// The widest and then the shortest come first.
func (x *Index) Held(s Subject, q Request) []Grant {
	namespaces := scopes(q.Namespace)
	if q.Namespace == "*" {
		namespaces = append([]string{""}, x.Namespaces(s)...)
	}
	var out []Grant
	for _, ns := range namespaces {
		for _, b := range x.bySubject.get(s).of(ns) {
			if IsDefault(b.object) {
				continue
			}
			a := ask(q)
			a.Namespace = ns
			if g, ok := x.grant(b, s, &a); ok {
				out = append(out, g)
			}
		}
	}
	if s == (Subject{Kind: GroupKind, Name: Masters}) {
		return nil // known, and not by a binding
	}
	slices.SortStableFunc(out, func(a, b Grant) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), cmp.Compare(btoi(a.From != a.Role), btoi(b.From != b.Role)))
	})
	return out
}

// Given returns the subjects that a binding names which not every cluster has.
func (x *Index) Given() []Subject {
	return slices.DeleteFunc(x.Subjects(), func(s Subject) bool {
		return !slices.ContainsFunc(x.bindingsOf(s), func(b *binding) bool { return !IsDefault(b.object) })
	})
}

// IsDefault reports whether a binding is one that every cluster has: built in, or
// read from a cluster, and then bound as it is everywhere, to the same subjects.
func IsDefault(o *fact.Object) bool {
	if Builtin(o) {
		return true
	}
	d := defaultsByName()[o.Ref()]
	if d == nil {
		return false
	}
	a, b := compileBinding(o), compileBinding(d)
	if a.role != b.role {
		return false
	}
	for _, s := range a.subjects {
		if !slices.Contains(b.subjects, s) {
			return false
		}
	}
	return true
}
