package least

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
)

// Plan is the least roles and bindings of a subject.
type Plan struct {
	Subject  rbac.Subject
	Roles    []Role
	Bindings []Binding
}

// Role is a Role, or, without a namespace, a ClusterRole.
type Role struct {
	Namespace, Name string
	Rules           []Rule
}

// Binding is a RoleBinding, or, without a namespace, a ClusterRoleBinding.
type Binding struct {
	Namespace, Name    string
	RoleKind, RoleName string
}

// Rule is a PolicyRule.
type Rule struct{ Groups, Resources, Names, Paths, Verbs []string }

// Options say how a plan is made.
type Options struct {
	Name string // of the roles and bindings
	// Names is how many names of objects a rule lists before it allows all. Names
	// that a controller has made are never listed: the next ones differ.
	Names int
}

// part is what one rule element speaks of, in one scope.
type part struct{ group, resource, path string }

// scope is what is needed in one namespace, or, under "", everywhere: parts,
// their verbs, and the names of objects, where "" is any.
type scope map[part]map[string]map[string]bool

// Make returns the least roles for uses of a subject. What every signed-in user
// may do by the roles of every cluster is left out, and what the Node authorizer
// lets a node do.
func Make(subject rbac.Subject, uses []Use, o Options) *Plan {
	given := givenTo(subject)
	scopes := map[string]scope{}
	for _, u := range uses {
		if given(u) {
			continue
		}
		ns := u.Request.Namespace
		if scopes[ns] == nil {
			scopes[ns] = scope{}
		}
		scopes[ns].add(u.Request)
	}
	for _, s := range scopes {
		s.widen(o.Names)
	}
	for ns, s := range scopes {
		if ns != "" && scopes[""] != nil {
			s.without(scopes[""])
		}
	}
	p := &Plan{Subject: subject}
	p.roles(scopes, o.Name)
	return p
}

// givenTo returns what says of a use whether it needs no role of the subject's own.
func givenTo(subject rbac.Subject) func(Use) bool {
	x, all := rbac.New(nil), everybody(subject)
	return func(u Use) bool { return x.Can(all, u.Request) || u.Allowed && rbac.NodeMay(u.User, u.Request) }
}

// everybody is what a subject is without being itself: somebody in the groups
// that the system puts it into.
func everybody(subject rbac.Subject) rbac.User {
	u := subject.User()
	u.Groups = slices.DeleteFunc(u.Groups, func(g string) bool { return subject.Kind == rbac.GroupKind && g == subject.Name })
	return rbac.User{Groups: u.Groups}
}

func (s scope) add(q rbac.Request) {
	k := part{group: q.Group, resource: q.Resource, path: q.Path}
	if q.Subresource != "" {
		k.resource += "/" + q.Subresource
	}
	if s[k] == nil {
		s[k] = map[string]map[string]bool{}
	}
	if s[k][q.Verb] == nil {
		s[k][q.Verb] = map[string]bool{}
	}
	s[k][q.Verb][q.Name] = true
}

// widen replaces names by any name where one was needed, where they are too
// many, and where they were generated.
func (s scope) widen(most int) {
	for _, verbs := range s {
		for verb, names := range verbs {
			wide := names[""] || len(names) > most
			for n := range names {
				wide = wide || generated(n)
			}
			if wide {
				verbs[verb] = map[string]bool{"": true}
			}
		}
	}
}

// generated reports whether a name ends as names do that a controller makes.
// Source: k8s.io/apimachinery/pkg/util/rand.
func generated(name string) bool {
	at := strings.LastIndexByte(name, '-')
	return at > 0 && len(name)-at == 6 && strings.Trim(name[at+1:], "bcdfghjklmnpqrstvwxz2456789") == ""
}

// without drops what is allowed everywhere anyway.
func (s scope) without(everywhere scope) {
	for k, verbs := range s {
		for verb, names := range verbs {
			wide := everywhere[k][verb]
			for n := range names {
				if wide[""] || wide[n] {
					delete(names, n)
				}
			}
			if len(names) == 0 {
				delete(verbs, verb)
			}
		}
		if len(verbs) == 0 {
			delete(s, k)
		}
	}
}

// rules says a scope in few rules that overlap nowhere: of one resource the
// verbs that go with the same names, then the resources of one group that have
// the same verbs and names.
func (s scope) rules() []Rule {
	byRest := map[string]*Rule{}
	for _, k := range slices.SortedFunc(maps.Keys(s), comparePart) {
		byNames := map[string][]string{}
		for _, verb := range slices.Sorted(maps.Keys(s[k])) {
			names := strings.Join(slices.Sorted(maps.Keys(s[k][verb])), "\x00")
			byNames[names] = append(byNames[names], verb)
		}
		for _, names := range slices.Sorted(maps.Keys(byNames)) {
			verbs := byNames[names]
			key := fmt.Sprintf("%q %q %q %t", k.group, names, verbs, k.path != "")
			r := byRest[key]
			if r == nil {
				r = &Rule{Verbs: verbs}
				if names != "" {
					r.Names = strings.Split(names, "\x00")
				}
				if k.path == "" {
					r.Groups = []string{k.group}
				}
				byRest[key] = r
			}
			if k.path != "" {
				r.Paths = append(r.Paths, k.path)
			} else {
				r.Resources = append(r.Resources, k.resource)
			}
		}
	}
	out := make([]Rule, 0, len(byRest))
	for _, r := range byRest {
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b Rule) int { return strings.Compare(a.key(), b.key()) })
	return out
}

func comparePart(a, b part) int { return strings.Compare(a.key(), b.key()) }

func (k part) key() string { return k.path + "\x00" + k.group + "\x00" + k.resource }

func (r *Rule) key() string {
	return fmt.Sprintf("%q %q %q %q %q", r.Paths, r.Groups, r.Resources, r.Names, r.Verbs)
}

// roles makes roles and bindings of scopes. Namespaces with the same needs share
// one ClusterRole.
func (p *Plan) roles(scopes map[string]scope, name string) {
	shared := map[string][]string{}
	rules := map[string][]Rule{}
	for _, ns := range slices.Sorted(maps.Keys(scopes)) {
		list := scopes[ns].rules()
		if len(list) == 0 {
			continue
		}
		if ns == "" {
			p.Roles = append(p.Roles, Role{Name: name, Rules: list})
			p.Bindings = append(p.Bindings, Binding{Name: name, RoleKind: "ClusterRole", RoleName: name})
			continue
		}
		key := fmt.Sprintf("%q", list)
		shared[key], rules[key] = append(shared[key], ns), list
	}
	n := 0
	for _, key := range slices.SortedFunc(maps.Keys(shared), func(a, b string) int { return strings.Compare(shared[a][0], shared[b][0]) }) {
		kind, role := "Role", Role{Name: name, Rules: rules[key]}
		if len(shared[key]) > 1 {
			n++
			kind, role.Name = "ClusterRole", name+"-namespaced"
			if n > 1 {
				role.Name += fmt.Sprintf("-%d", n)
			}
		} else {
			role.Namespace = shared[key][0]
		}
		p.Roles = append(p.Roles, role)
		for _, ns := range shared[key] {
			p.Bindings = append(p.Bindings, Binding{Namespace: ns, Name: name, RoleKind: kind, RoleName: role.Name})
		}
	}
}

// Objects returns the plan as objects.
func (p *Plan) Objects() []*fact.Object {
	var out []*fact.Object
	for _, r := range p.Roles {
		out = append(out, r.object())
	}
	for _, x := range p.Bindings {
		out = append(out, x.object(p.Subject))
	}
	return out
}

func (r *Role) object() *fact.Object { return object(r.kind(), r.Namespace, r.Name, r.build) }

func (x *Binding) object(s rbac.Subject) *fact.Object {
	kind := "RoleBinding"
	if x.Namespace == "" {
		kind = "ClusterRoleBinding"
	}
	return object(kind, x.Namespace, x.Name, func(b *fact.Builder) { x.build(b, s) })
}

// object makes an object of a kind; rest builds what is not the same for all.
func object(kind, namespace, name string, rest func(b *fact.Builder)) *fact.Object {
	b := &fact.Builder{}
	b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
	text(b, "apiVersion", rbac.Group+"/v1")
	text(b, "kind", kind)
	b.Begin(b.Key("metadata"), fact.Pos{}, fact.Map)
	text(b, "name", name)
	if namespace != "" {
		text(b, "namespace", namespace)
	}
	b.End()
	rest(b)
	b.End()
	o, _ := fact.NewObject(b.Tree().Root(), fact.Origin{Source: "least"})
	return &o
}

func (r *Role) kind() string {
	if r.Namespace == "" {
		return "ClusterRole"
	}
	return "Role"
}

func (r *Role) build(b *fact.Builder) {
	b.Begin(b.Key("rules"), fact.Pos{}, fact.List)
	for _, rule := range r.Rules {
		b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
		for _, f := range rule.fields() {
			if len(f.list) == 0 {
				continue
			}
			b.Begin(b.Key(f.name), fact.Pos{}, fact.List)
			for _, s := range f.list {
				b.String(fact.Key{}, fact.Pos{}, s)
			}
			b.End()
		}
		b.End()
	}
	b.End()
}

type field struct {
	name string
	list []string
}

func (r *Rule) fields() []field {
	return []field{{"apiGroups", r.Groups}, {"resources", r.Resources}, {"resourceNames", r.Names}, {"nonResourceURLs", r.Paths}, {"verbs", r.Verbs}}
}

func (x *Binding) build(b *fact.Builder, s rbac.Subject) {
	b.Begin(b.Key("roleRef"), fact.Pos{}, fact.Map)
	text(b, "apiGroup", rbac.Group)
	text(b, "kind", x.RoleKind)
	text(b, "name", x.RoleName)
	b.End()
	b.Begin(b.Key("subjects"), fact.Pos{}, fact.List)
	b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
	text(b, "kind", string(s.Kind))
	if s.Kind == rbac.ServiceAccountKind {
		text(b, "namespace", s.Namespace)
	} else {
		text(b, "apiGroup", rbac.Group)
	}
	text(b, "name", s.Name)
	b.End()
	b.End()
}

func text(b *fact.Builder, field, s string) { b.String(b.Key(field), fact.Pos{}, s) }
