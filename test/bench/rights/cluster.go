package main

import (
	"fmt"
	"math/rand/v2"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
)

// madeUp is a made-up cluster: one ClusterRole for 50 bindings, one Role for 10,
// one namespace for 50; a tenth of the bindings are for the whole cluster.
type madeUp struct {
	objects                         []*fact.Object // roles, then bindings
	subjects, namespaces, bound, of int
}

var (
	verbs     = []string{"get", "list", "watch", "create", "update", "patch", "delete"}
	resources = []string{"pods", "secrets", "configmaps", "services", "pods/exec", "pods/log", "endpoints", "events", "serviceaccounts"}
)

func cluster(n int, r *rand.Rand) *madeUp {
	c := &madeUp{subjects: n * 2 / 5, namespaces: n / 50, bound: n / 50, of: n / 10}
	for i := range c.bound {
		c.role("ClusterRole", "", fmt.Sprint("role-", i), r)
	}
	for i := range c.of {
		c.role("Role", c.namespace(i), fmt.Sprint("role-", i), r)
	}
	for i := range n {
		if i%10 == 0 {
			c.binding("", fmt.Sprint("binding-", i), "ClusterRole", fmt.Sprint("role-", r.IntN(c.bound)), r)
			continue
		}
		role := r.IntN(c.of)
		if i%3 == 0 {
			c.binding(c.namespace(r.IntN(c.namespaces)), fmt.Sprint("binding-", i), "ClusterRole", fmt.Sprint("role-", r.IntN(c.bound)), r)
			continue
		}
		c.binding(c.namespace(role), fmt.Sprint("binding-", i), "Role", fmt.Sprint("role-", role), r)
	}
	return c
}

func (c *madeUp) namespace(i int) string { return fmt.Sprint("team-", i%c.namespaces) }

func pick(r *rand.Rand, list []string) string { return list[r.IntN(len(list))] }

func (c *madeUp) add(kind, namespace, name string, rest func(b *fact.Builder)) {
	b := &fact.Builder{}
	b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
	text := func(key, s string) { b.String(b.Key(key), fact.Pos{}, s) }
	text("apiVersion", rbac.Group+"/v1")
	text("kind", kind)
	b.Begin(b.Key("metadata"), fact.Pos{}, fact.Map)
	text("name", name)
	if namespace != "" {
		text("namespace", namespace)
	}
	b.End()
	rest(b)
	b.End()
	o, _ := fact.NewObject(b.Tree().Root(), fact.Origin{Source: "bench"})
	c.objects = append(c.objects, &o)
}

func (c *madeUp) role(kind, namespace, name string, r *rand.Rand) {
	c.add(kind, namespace, name, func(b *fact.Builder) {
		b.Begin(b.Key("rules"), fact.Pos{}, fact.List)
		for range 1 + r.IntN(6) {
			b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
			list := func(key string, words ...string) {
				b.Begin(b.Key(key), fact.Pos{}, fact.List)
				for _, w := range words {
					b.String(fact.Key{}, fact.Pos{}, w)
				}
				b.End()
			}
			list("apiGroups", "")
			list("resources", pick(r, resources), pick(r, resources))
			list("verbs", pick(r, verbs), pick(r, verbs), pick(r, verbs))
			if r.IntN(3) == 0 {
				list("resourceNames", fmt.Sprint("object-", r.IntN(20)))
			}
			b.End()
		}
		b.End()
	})
}

func (c *madeUp) binding(namespace, name, roleKind, role string, r *rand.Rand) {
	kind := "RoleBinding"
	if namespace == "" {
		kind = "ClusterRoleBinding"
	}
	c.add(kind, namespace, name, func(b *fact.Builder) {
		text := func(key, s string) { b.String(b.Key(key), fact.Pos{}, s) }
		b.Begin(b.Key("roleRef"), fact.Pos{}, fact.Map)
		text("kind", roleKind)
		text("name", role)
		b.End()
		b.Begin(b.Key("subjects"), fact.Pos{}, fact.List)
		for range 1 + r.IntN(3) {
			s := c.subject(r)
			b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
			text("kind", string(s.Kind))
			text("name", s.Name)
			if s.Namespace != "" {
				text("namespace", s.Namespace)
			}
			b.End()
		}
		b.End()
	})
}

// subject is one of the subjects: half of them service accounts, a fifth groups.
func (c *madeUp) subject(r *rand.Rand) rbac.Subject {
	switch i := r.IntN(c.subjects); {
	case i%10 < 5:
		return rbac.Subject{Kind: rbac.ServiceAccountKind, Namespace: c.namespace(i), Name: fmt.Sprint("account-", i)}
	case i%10 < 7:
		return rbac.Subject{Kind: rbac.GroupKind, Name: fmt.Sprint("group-", i)}
	default:
		return rbac.Subject{Kind: rbac.UserKind, Name: fmt.Sprint("user-", i)}
	}
}

func (c *madeUp) user(r *rand.Rand) rbac.User {
	s := c.subject(r)
	u := s.User()
	for range r.IntN(4) {
		u.Groups = append(u.Groups, fmt.Sprint("group-", r.IntN(c.subjects)/10*10+5))
	}
	return u
}

func (c *madeUp) request(r *rand.Rand) rbac.Request {
	q, _ := rbac.ParseRequest(pick(r, verbs), pick(r, resources))
	if r.IntN(4) > 0 {
		q.Namespace = c.namespace(r.IntN(c.namespaces))
	}
	if r.IntN(2) == 0 {
		q.Name = fmt.Sprint("object-", r.IntN(20))
	}
	return q
}
