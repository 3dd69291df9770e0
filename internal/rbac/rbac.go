// Package rbac answers who is granted what: it resolves bindings to roles,
// aggregated ClusterRoles to rules, and subjects to bindings, knowing the roles
// that every cluster has.
package rbac

import (
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
)

// Group is the API group of roles and bindings.
const Group = "rbac.authorization.k8s.io"

// Index resolves references between RBAC objects. It is immutable and safe for
// concurrent use.
type Index struct {
	clusterRoles map[string]*fact.Object
	roles        map[[2]string]*fact.Object // namespace, name
	aggregates   []*fact.Object             // ClusterRoles with labels, candidates for aggregation
	accounts     map[[2]string][]*fact.Object
	groups       map[string][]*fact.Object
	users        map[string][]*fact.Object
}

// New indexes the RBAC objects among objects.
func New(objects []*fact.Object) *Index {
	x := &Index{
		clusterRoles: map[string]*fact.Object{}, roles: map[[2]string]*fact.Object{},
		accounts: map[[2]string][]*fact.Object{}, groups: map[string][]*fact.Object{}, users: map[string][]*fact.Object{},
	}
	for _, o := range objects {
		if o.Group != Group {
			continue
		}
		switch o.Kind {
		case "ClusterRole":
			x.clusterRoles[o.Name] = o
		case "Role":
			x.roles[[2]string{o.InNamespace(), o.Name}] = o
		case "RoleBinding", "ClusterRoleBinding":
			x.bind(o)
		}
	}
	for _, o := range defaultRoles() {
		if _, given := x.clusterRoles[o.Name]; !given {
			x.clusterRoles[o.Name] = o
		}
	}
	for _, o := range x.clusterRoles {
		if o.Root.At("metadata", "labels").Len() > 0 {
			x.aggregates = append(x.aggregates, o)
		}
	}
	slices.SortFunc(x.aggregates, func(a, b *fact.Object) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return x
}

func (x *Index) bind(o *fact.Object) {
	for s := range o.Root.Get(fact.K("subjects")).Children() {
		name := s.Get(fact.K("name")).Str()
		switch s.Get(fact.K("kind")).Str() {
		case "ServiceAccount":
			ns := s.Get(fact.K("namespace")).Str()
			if ns == "" {
				ns = o.InNamespace()
			}
			x.accounts[[2]string{ns, name}] = append(x.accounts[[2]string{ns, name}], o)
		case "Group":
			x.groups[name] = append(x.groups[name], o)
		case "User":
			x.users[name] = append(x.users[name], o)
		}
	}
}

// Role returns the role that a binding binds: nil when it is nowhere, neither
// in the input nor among the roles of every cluster.
func (x *Index) Role(binding *fact.Object) *fact.Object {
	ref := binding.Root.Get(fact.K("roleRef"))
	name := ref.Get(fact.K("name")).Str()
	if ref.Get(fact.K("kind")).Str() == "Role" {
		return x.roles[[2]string{binding.InNamespace(), name}]
	}
	return x.clusterRoles[name]
}

// Rules returns the rules of a role, those that aggregation brings in included,
// or of the role that a binding binds.
func (x *Index) Rules(o *fact.Object) []fact.Value {
	if o.Kind == "RoleBinding" || o.Kind == "ClusterRoleBinding" {
		if o = x.Role(o); o == nil {
			return nil
		}
	}
	var out []fact.Value
	seen := map[*fact.Object]bool{}
	var visit func(o *fact.Object)
	visit = func(o *fact.Object) {
		if seen[o] {
			return
		}
		seen[o] = true
		for r := range o.Root.Get(fact.K("rules")).Children() {
			out = append(out, r)
		}
		for sel := range o.Root.At("aggregationRule", "clusterRoleSelectors").Children() {
			s, ok := fact.LabelSelector(sel)
			for _, c := range x.aggregates {
				if ok && s.Matches(fact.Labels(c.Root.At("metadata", "labels"))) {
					visit(c)
				}
			}
		}
	}
	visit(o)
	return out
}

// Account returns the bindings that grant something to a service account, by
// name or through the groups that it is in by being one.
func (x *Index) Account(namespace, name string) []*fact.Object {
	out := slices.Clone(x.accounts[[2]string{namespace, name}])
	out = append(out, x.users["system:serviceaccount:"+namespace+":"+name]...)
	for _, g := range [...]string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"} {
		out = append(out, x.groups[g]...)
	}
	return out
}
