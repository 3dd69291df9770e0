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
	a := ask(q)
	if u.Name != "" && x.lets(x.users.get(u.Name), &a) {
		return true
	}
	for _, g := range u.Groups {
		if g == Masters || x.lets(x.groups.get(g), &a) {
			return true
		}
	}
	if n := u.node(); n != "" {
		return x.graph().allows(n, &a, x.role(roleOfNodes)) != ""
	}
	return false
}

// lets reports whether one of the bindings of a subject allows a request.
func (x *Index) lets(h *held, q *asked) bool {
	if h == nil {
		return false
	}
	for _, e := range h.in(0) {
		if x.slots.at(e.slot).allows(q) != nil {
			return true
		}
	}
	if q.space == 0 {
		return false
	}
	for _, e := range h.in(q.space) {
		if x.slots.at(e.slot).allows(q) != nil && e.namespace == q.Namespace {
			return true
		}
	}
	return false
}

// allows returns the first rule of the role there that allows a request, or nil.
func (s *slot) allows(q *asked) *rule {
	if s.verb&q.verb == 0 || s.word&q.word == 0 {
		return nil
	}
	return s.role.allows(q)
}

// Why returns every binding by which the user may do what is asked, each with
// the first rule that allows it: those that name the user first, then those of
// groups, in the order in which a person would follow them.
func (x *Index) Why(u User, q Request) []Grant {
	a := ask(q)
	var out []Grant
	for _, s := range u.subjects() {
		for _, ns := range scopes(a.Namespace) {
			out = x.grants(s, ns, &a, out)
		}
		if s == (Subject{Kind: GroupKind, Name: Masters}) {
			out = append(out, Grant{Subject: s, By: byMasters})
		}
	}
	if n := u.node(); n != "" {
		if by := x.graph().allows(n, &a, x.role(roleOfNodes)); by != "" {
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

// grants adds how bindings of a subject in a namespace, or everywhere, allow a
// request.
func (x *Index) grants(s Subject, namespace string, q *asked, out []Grant) []Grant {
	for _, e := range x.held(s).in(space(namespace)) {
		if e.namespace != namespace {
			continue
		}
		at := x.slots.at(e.slot)
		if one := at.allows(q); one != nil {
			out = append(out, grant(s, e.binding, at.role, one))
		}
	}
	return out
}

func grant(s Subject, b *binding, r *role, one *rule) Grant {
	return Grant{Subject: s, Namespace: b.namespace, Binding: b.object, Role: r.object, Rule: one.value, From: one.from}
}

func byNode(why string) string { return "node authorizer: " + why }

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
	for _, s := range u.subjects() {
		if s == (Subject{Kind: GroupKind, Name: Masters}) {
			out = append(out, Grant{Subject: s, By: byMasters})
		}
		for _, e := range x.held(s).byNamespace() {
			r := x.slots.at(e.slot).role
			if r == nil {
				continue
			}
			for i := range r.rules {
				out = append(out, grant(s, e.binding, r, &r.rules[i]))
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

// Subjects returns everybody whom a binding names, in order.
func (x *Index) Subjects() []Subject {
	var out []Subject
	for _, t := range [...]*names{x.users, x.groups} {
		for h := range t.all {
			out = append(out, h.subject)
		}
	}
	slices.SortFunc(out, func(a, b Subject) int { return a.compare(&b) })
	return out
}

// Namespaces returns where a subject, by this very name, has RoleBindings.
func (x *Index) Namespaces(s Subject) []string { return x.held(s).namespaces() }

// Bindings returns the bindings that name a subject, those that hold everywhere
// first, then by namespace.
func (x *Index) Bindings(s Subject) []*fact.Object {
	var out []*fact.Object
	for _, e := range x.held(s).byNamespace() {
		out = append(out, e.object)
	}
	return out
}

// Dangling returns the bindings whose role is nowhere: they grant nothing, until
// somebody makes the role.
func (x *Index) Dangling() []*fact.Object {
	var out []*fact.Object
	for o, b := range x.bindings.all {
		if x.role(b.role) == nil {
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
	if r := x.role(compileBinding(o).role); r != nil {
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
	r := x.role(key)
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
	for _, s := range u.subjects() {
		for _, b := range x.Bindings(s) {
			if !IsDefault(b) {
				out = append(out, b)
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
		q.Namespace = ns
		a := ask(q)
		out = x.grants(s, ns, &a, out)
	}
	out = slices.DeleteFunc(out, func(g Grant) bool { return IsDefault(g.Binding) })
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
		return !slices.ContainsFunc(x.held(s).list, func(e entry) bool { return !IsDefault(e.object) })
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
