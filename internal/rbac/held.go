package rbac

import (
	"slices"
	"strings"
)

// held is what one subject holds: its bindings, by where they hold.
type held struct {
	everywhere []*binding
	in         []inNamespace // sorted by namespace
}

type inNamespace struct {
	namespace string
	bindings  []*binding
}

// find returns where a namespace is, or would be, in the list.
func (h *held) find(namespace string) (int, bool) {
	return slices.BinarySearchFunc(h.in, namespace, func(n inNamespace, name string) int { return strings.Compare(n.namespace, name) })
}

// of returns the bindings in one scope, "" for those that hold everywhere. A nil
// held has none.
func (h *held) of(namespace string) []*binding {
	if h == nil || namespace == "" && len(h.everywhere) == 0 {
		return nil
	}
	if namespace == "" {
		return h.everywhere
	}
	if at, ok := h.find(namespace); ok {
		return h.in[at].bindings
	}
	return nil
}

// clone returns a copy that may be changed; lists are copied when they are.
func (h *held) clone() *held {
	n := &held{everywhere: slices.Clip(h.everywhere), in: slices.Clone(h.in)}
	for i := range n.in {
		n.in[i].bindings = slices.Clip(n.in[i].bindings)
	}
	return n
}

func (h *held) add(b *binding) {
	if b.namespace == "" {
		h.everywhere = append(h.everywhere, b)
		return
	}
	at, ok := h.find(b.namespace)
	if !ok {
		h.in = slices.Insert(h.in, at, inNamespace{namespace: b.namespace})
	}
	h.in[at].bindings = append(h.in[at].bindings, b)
}

func (h *held) remove(b *binding) {
	without := func(list []*binding) []*binding {
		return slices.DeleteFunc(slices.Clone(list), func(x *binding) bool { return x == b })
	}
	if b.namespace == "" {
		h.everywhere = without(h.everywhere)
		return
	}
	at, ok := h.find(b.namespace)
	if !ok {
		return
	}
	if h.in[at].bindings = without(h.in[at].bindings); len(h.in[at].bindings) == 0 {
		h.in = slices.Delete(h.in, at, at+1)
	}
}

// namespaces returns where the subject has RoleBindings, sorted.
func (h *held) namespaces() []string {
	if h == nil {
		return nil
	}
	out := make([]string, len(h.in))
	for i, n := range h.in {
		out[i] = n.namespace
	}
	return out
}
