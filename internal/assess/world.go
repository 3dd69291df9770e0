package assess

import (
	"slices"
	"sync"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
)

// world answers the functions by which a control sees the whole input. Its
// indexes are made at first use; it is safe for concurrent use.
type world struct {
	objects []*fact.Object

	byKind     func() map[[2]string][]*fact.Object // kind, namespace or "*"
	byName     func() map[fact.Ref]*fact.Object
	byRoot     func() map[fact.Value]*fact.Object
	workloads  func() map[string][]*workload
	selectors  func() map[[2]string]*selectorIndex // kind, namespace
	references func() map[reference][]*fact.Object
	labelled   func() map[labelled][]*workload
	firsts     func() map[string]*fact.Object // of each namespace
	rbac       func() *rbac.Index
}

// workload is an object that carries pods, with the labels of the first.
type workload struct {
	object *fact.Object
	labels fact.Value
	spec   fact.Value
}

// worlds splits objects by the world that they belong to, in the order of their
// first objects. Nothing is copied when there is one, or when those of each world
// stand together.
func worlds(objects []*fact.Object) [][]*fact.Object {
	var out [][]*fact.Object
	at := map[string]int{}
	for i := 0; i < len(objects); {
		name := objects[i].Origin.World
		end := i + 1
		for end < len(objects) && objects[end].Origin.World == name {
			end++
		}
		run := objects[i:end:end]
		if k, known := at[name]; known {
			out[k] = append(out[k], run...)
		} else {
			at[name] = len(out)
			out = append(out, run)
		}
		i = end
	}
	return out
}

func newWorld(objects []*fact.Object) *world {
	w := &world{objects: objects}
	w.byKind = sync.OnceValue(w.indexKinds)
	w.byName = sync.OnceValue(w.indexNames)
	w.byRoot = sync.OnceValue(w.indexRoots)
	w.workloads = sync.OnceValue(w.indexWorkloads)
	w.selectors = sync.OnceValue(w.indexSelectors)
	w.references = sync.OnceValue(w.indexReferences)
	w.labelled = sync.OnceValue(w.indexLabels)
	w.firsts = sync.OnceValue(w.indexFirsts)
	w.rbac = sync.OnceValue(func() *rbac.Index { return rbac.New(w.objects) })
	return w
}

func (w *world) indexKinds() map[[2]string][]*fact.Object {
	out := map[[2]string][]*fact.Object{}
	for _, o := range w.objects {
		kind := o.GroupKind()
		for _, key := range [...][2]string{{kind, "*"}, {kind, o.InNamespace()}} {
			out[key] = append(out[key], o)
		}
	}
	return out
}

func (w *world) indexNames() map[fact.Ref]*fact.Object {
	out := make(map[fact.Ref]*fact.Object, len(w.objects))
	for _, o := range w.objects {
		if _, taken := out[o.Ref()]; !taken {
			out[o.Ref()] = o
		}
	}
	return out
}

func (w *world) indexRoots() map[fact.Value]*fact.Object {
	out := make(map[fact.Value]*fact.Object, len(w.objects))
	for _, o := range w.objects {
		out[o.Root] = o
	}
	return out
}

func (w *world) indexWorkloads() map[string][]*workload {
	out := map[string][]*workload{}
	for _, o := range w.objects {
		if pods := fact.PodTemplates(o); len(pods) > 0 {
			ns := o.InNamespace()
			out[ns] = append(out[ns], &workload{o, pods[0].Metadata.Get(fact.K("labels")), pods[0].Spec})
		}
	}
	return out
}

// Objects returns the objects of a kind, in one namespace or ("*") in all.
func (w *world) Objects(kind, namespace string) []*fact.Object {
	return w.byKind()[[2]string{kind, namespace}]
}

// Find returns one object, or nil.
func (w *world) Find(kind, namespace, name string) *fact.Object {
	group, kind := splitKind(kind)
	return w.byName()[fact.Ref{Group: group, Kind: kind, Namespace: namespace, Name: name}]
}

func splitKind(kind string) (group, name string) {
	for i := len(kind) - 1; i >= 0; i-- {
		if kind[i] == '/' {
			return kind[:i], kind[i+1:]
		}
	}
	return "", kind
}

// Of returns the object that a document belongs to.
func (w *world) Of(root fact.Value) *fact.Object { return w.byRoot()[root] }

// Workloads returns what carries pods in a namespace.
func (w *world) Workloads(namespace string) []*fact.Object {
	list := w.workloads()[namespace]
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

// namespaceNames returns every namespace that the input declares or names.
func (w *world) namespaceNames() []string {
	seen := map[string]bool{}
	for _, o := range w.objects {
		if o.Kind == "Namespace" && o.Group == "" {
			seen[o.Name] = true
		} else if ns := o.InNamespace(); ns != "" {
			seen[ns] = true
		}
	}
	out := make([]string, 0, len(seen))
	for name := range seen {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// witness returns the object by which a namespace is known to the input: the
// first that carries pods in it, else the first in it.
func (w *world) witness(namespace string) *fact.Object {
	if list := w.workloads()[namespace]; len(list) > 0 {
		return list[0].object
	}
	return w.firsts()[namespace]
}

func (w *world) indexFirsts() map[string]*fact.Object {
	out := map[string]*fact.Object{}
	for _, o := range w.objects {
		if ns := o.InNamespace(); out[ns] == nil {
			out[ns] = o
		}
	}
	return out
}
