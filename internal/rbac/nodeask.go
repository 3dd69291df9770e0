package rbac

import (
	"slices"
	"strings"
	"sync"
)

// allows returns why the Node authorizer lets a node do what is asked, or "". The
// role is the ClusterRole system:node, nil where there is none.
func (g *graph) allows(node string, q *asked, role *role) string {
	if q.Path != "" {
		return ""
	}
	if p, ok := nodeAccess(q); ok {
		return p.allows(g, node, q)
	}
	allowed := func(r rule) bool { return r.allows(q) }
	if slices.ContainsFunc(g.rules, allowed) || slices.ContainsFunc(g.later, allowed) && (role == nil || role.allows(q) != nil) {
		return whyAny
	}
	return ""
}

// whyAny is why what every node may do is allowed.
const whyAny = "every node may"

// access is what a node may do with one resource: verbs that need nothing more,
// verbs on an object of the node's own name, on objects that something on the
// node refers to, and lists of those by a field.
type access struct {
	always, self, related []string
	selected              []string
	field                 string // that a list must select by
	namespaced            bool   // whether a related object must be asked for in a namespace
	namespace             string // the only one in which always and self hold, or ""
	holding               string // what related looks up
}

// nodeAccess returns what a node may do with a resource that is limited to what
// is on the node, and false for a resource that is not.
func nodeAccess(q *asked) (access, bool) {
	all, known := accesses[holding{resource: q.Resource, name: q.Group}]
	if !known {
		return access{}, false
	}
	if q.Resource == "leases" {
		return all[""], true // the authorizer does not look at their subresources
	}
	return all[q.Subresource], true
}

// OfNodes reports whether the Node authorizer decides about a request by what runs
// on a node, so that it takes all pods to answer.
func OfNodes(q Request) bool {
	a := ask(q)
	p, limited := nodeAccess(&a)
	return q.Path == "" && limited && contains(p.related, q.Verb)
}

// IsNode reports whether a user is a node.
func (u User) IsNode() bool { return u.node() != "" }

// NodeMay reports whether the Node authorizer lets a user do what is asked, if
// something on the node refers to what is asked for.
func NodeMay(u User, q Request) bool {
	n := u.node()
	if n == "" {
		return false
	}
	a := ask(q)
	return nodeless().allows(n, &a, nil) != "" || OfNodes(q) && q.Name != ""
}

// nodeless knows what nodes may do on which nothing runs.
var nodeless = sync.OnceValue(func() *graph { return newGraph(nil) })

// accesses are the limited resources, by resource and group, then subresource.
var accesses = map[holding]map[string]access{
	{resource: "secrets"}:    {"": {related: []string{"get", "list", "watch"}, namespaced: true, holding: "secrets"}},
	{resource: "configmaps"}: {"": {related: []string{"get", "list", "watch"}, namespaced: true, holding: "configmaps"}},
	{resource: "persistentvolumeclaims"}: {
		"":       {related: []string{"get"}, holding: "persistentvolumeclaims"},
		"status": {related: []string{"update", "patch"}, holding: "persistentvolumeclaims"},
	},
	{resource: "persistentvolumes"}:                          {"": {related: []string{"get"}, holding: "persistentvolumes"}},
	{resource: "resourceclaims", name: "resource.k8s.io"}:    {"": {related: []string{"get"}, holding: "resourceclaims.resource.k8s.io"}},
	{resource: "volumeattachments", name: "storage.k8s.io"}:  {"": {related: []string{"get"}, holding: "volumeattachments.storage.k8s.io"}},
	{resource: "serviceaccounts"}:                            {"": {related: []string{"get"}, namespaced: true, holding: "serviceaccounts"}, "token": {related: []string{"create"}, holding: "serviceaccounts"}},
	{resource: "csinodes", name: "storage.k8s.io"}:           {"": {always: []string{"create"}, self: []string{"get", "update", "patch", "delete"}}},
	{resource: "resourceslices", name: "resource.k8s.io"}:    {"": {always: []string{"create"}, related: []string{"get", "update", "patch", "delete"}, selected: []string{"watch", "list", "deletecollection"}, field: "spec.nodeName", holding: "resourceslices.resource.k8s.io"}},
	{resource: "podcertificaterequests", name: certificates}: {},
	{resource: "nodes"}: {
		"":       {always: []string{"create", "update", "patch"}, self: []string{"get", "list", "watch"}},
		"status": {always: []string{"update", "patch"}},
	},
	{resource: "pods"}: {
		"":         {always: []string{"create", "delete"}, related: []string{"get", "list", "watch"}, selected: []string{"list", "watch"}, field: "spec.nodeName", holding: "pods"},
		"status":   {always: []string{"update", "patch"}},
		"eviction": {always: []string{"create"}},
	},
	{resource: "leases", name: "coordination.k8s.io"}: {
		"": {always: []string{"create"}, self: []string{"get", "update", "patch", "delete"}, namespace: "kube-node-lease"},
	},
}

const certificates = "certificates.k8s.io"

func (p *access) allows(g *graph, node string, q *asked) string {
	home := p.namespace == "" || p.namespace == q.Namespace
	switch {
	case home && contains(p.always, q.Verb):
		return whyAny
	case home && contains(p.self, q.Verb) && q.Name == node:
		return "it is the node's own"
	case contains(p.selected, q.Verb) && selects(q.Fields, p.field, node):
		return "the field selector asks for the node's own"
	case contains(p.related, q.Verb) && q.Name != "" && (!p.namespaced || q.Namespace != ""):
		return g.related(node, holding{p.holding, q.Namespace, q.Name})
	}
	return ""
}

// selects reports whether a field selector asks for one value of a field.
func selects(selector, field, value string) bool {
	for part := range strings.SplitSeq(selector, ",") {
		k, v, ok := strings.Cut(part, "=")
		if ok && !strings.HasSuffix(k, "!") && k == field && strings.TrimPrefix(v, "=") == value {
			return true
		}
	}
	return false
}

// related returns how a node needs an object, or "".
func (g *graph) related(node string, h holding) string {
	for _, n := range g.relations(h) {
		if n.node == node {
			return n.why
		}
	}
	return ""
}

// relations returns the nodes that need an object: by a pod or, for a volume and
// the Secrets to mount it, by a pod whose claim is bound to it.
func (g *graph) relations(h holding) []onNode {
	out := g.needed.get(h)
	switch h.resource {
	case "persistentvolumes":
		if h.namespace == "" {
			if claim, ok := g.claims.lookup(h.name); ok {
				return g.needed.get(claim)
			}
		}
	case "secrets":
		for _, volume := range g.mounts.get(h) {
			if claim, ok := g.claims.lookup(volume); ok {
				out = append(out[:len(out):len(out)], g.needed.get(claim)...)
			}
		}
	}
	return out
}

// nodes returns every node that something refers to.
func (g *graph) nodes() []string {
	seen := map[string]bool{}
	for _, list := range g.needed.all {
		for _, n := range list {
			seen[n.node] = true
		}
	}
	return sortedKeys(seen)
}

// holders returns the nodes that may do what is asked, by name. What every node
// may do is told of the nodes that are known.
func (g *graph) holders(q *asked, role *role) []onNode {
	if q.Path != "" {
		return nil
	}
	p, limited := nodeAccess(q)
	var out []onNode
	var candidates []string
	switch {
	case limited && contains(p.related, q.Verb) && q.Name != "" && !contains(p.selected, q.Verb):
		for _, n := range g.relations(holding{p.holding, q.Namespace, q.Name}) {
			candidates = append(candidates, n.node)
		}
		slices.Sort(candidates)
		candidates = slices.Compact(candidates)
	case limited && len(p.always)+len(p.self)+len(p.selected)+len(p.related) == 0:
		return nil
	default:
		candidates = g.nodes()
	}
	for _, node := range candidates {
		if why := g.allows(node, q, role); why != "" {
			out = append(out, onNode{node: node, why: why})
		}
	}
	return out
}

// all tells what a node may do with the objects that something on it refers to.
func (g *graph) all(node string) []string {
	var out []string
	for h, list := range g.needed.all {
		for _, n := range list {
			if n.node != node {
				continue
			}
			name := h.name
			if h.namespace != "" {
				name = h.namespace + "/" + h.name
			}
			out = append(out, "may use "+h.resource+" "+name+": "+n.why)
		}
	}
	slices.Sort(out)
	return out
}
