package rbac

import (
	"cmp"
	"hash/maphash"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// held is what bindings give: to one subject, or of one role. They are ordered
// by the hash of their namespace, those that hold everywhere first, and then as
// their objects are, so that a change and making all anew give the same order.
type held struct {
	name    string  // of the subject among names
	subject Subject // for that of a subject
	list    []entry
	next    *held // of another name with the same hash
}

// names finds what subjects hold by their names. A name is hashed once and
// compared once.
type names struct {
	hash  func(string) uint64
	table *table[uint64, *held]
}

func newNames(hash func(string) uint64) *names {
	return &names{hash, newTable[uint64, *held](func(h uint64) uint64 { return h })}
}

func (n *names) fork() *names { return &names{n.hash, n.table.fork()} }

func (n *names) get(name string) *held {
	for h := n.table.get(n.hash(name)); h != nil; h = h.next {
		if h.name == name {
			return h
		}
	}
	return nil
}

// set puts h, which nobody else has seen, under its name, in place of what was
// there; nil takes that away.
func (n *names) set(name string, h *held) {
	key := n.hash(name)
	var all *held
	for o := n.table.get(key); o != nil; o = o.next {
		if o.name != name {
			other := *o
			other.next, all = all, &other
		}
	}
	if h != nil {
		h.name, h.next, all = name, all, h
	}
	if all == nil {
		n.table.delete(key)
		return
	}
	n.table.set(key, all)
}

// all yields what every subject holds, in no order.
func (n *names) all(yield func(*held) bool) {
	for _, h := range n.table.all {
		for ; h != nil; h = h.next {
			if !yield(h) {
				return
			}
		}
	}
}

// entry is a binding, with what a question looks at first.
type entry struct {
	space uint64 // of its namespace
	slot  uint32 // of its role
	*binding
}

// space hashes a namespace; that of "", everywhere, is 0. Namespaces may share
// one, so that names are compared, too.
func space(namespace string) uint64 {
	if namespace == "" {
		return 0
	}
	return maphash.String(seed, namespace) | 1
}

// in returns the bindings with a space. A nil held has none.
func (h *held) in(space uint64) []entry {
	if h == nil {
		return nil
	}
	from := 0
	if space != 0 {
		from = h.first(space)
	}
	to := from
	for to < len(h.list) && h.list[to].space == space {
		to++
	}
	return h.list[from:to]
}

// first returns the place of the first binding whose space is not smaller.
func (h *held) first(space uint64) int {
	low, high := 0, len(h.list)
	for low < high {
		mid := int(uint(low+high) >> 1)
		if h.list[mid].space < space {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

func (h *held) clone() *held { return &held{subject: h.subject, list: slices.Clip(h.list)} }

// add adds an entry in its place. unordered puts it at the end, until sort.
func (h *held) add(e entry, unordered bool) {
	if unordered {
		h.list = append(h.list, e)
		return
	}
	at, _ := slices.BinarySearchFunc(h.list, e, compareEntries)
	h.list = slices.Insert(h.list, at, e)
}

func (h *held) sort() {
	if !slices.IsSortedFunc(h.list, compareEntries) {
		slices.SortStableFunc(h.list, compareEntries)
	}
}

func (h *held) remove(b *binding) {
	h.list = slices.DeleteFunc(slices.Clone(h.list), func(e entry) bool { return e.binding == b })
}

func compareEntries(a, b entry) int {
	if a.space != b.space {
		return cmp.Compare(a.space, b.space)
	}
	return compareObjects(a.object, b.object)
}

// compareObjects orders objects as snapshots do, built-in ones first.
func compareObjects(a, b *fact.Object) int {
	return cmp.Or(cmp.Compare(btoi(!Builtin(a)), btoi(!Builtin(b))), fact.Compare(a, b))
}

// byNamespace returns the bindings in an order for people: everywhere first,
// then by the names of namespaces.
func (h *held) byNamespace() []entry {
	if h == nil {
		return nil
	}
	out := slices.Clone(h.list)
	slices.SortStableFunc(out, func(a, b entry) int { return strings.Compare(a.namespace, b.namespace) })
	return out
}

// namespaces returns where there are RoleBindings, sorted.
func (h *held) namespaces() []string {
	var out []string
	for _, e := range h.byNamespace() {
		if e.namespace != "" && (len(out) == 0 || out[len(out)-1] != e.namespace) {
			out = append(out, e.namespace)
		}
	}
	return out
}
