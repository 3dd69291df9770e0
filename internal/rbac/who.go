package rbac

import (
	"cmp"
	"slices"
	"strings"
)

// Who returns everybody who may do what is asked, in order, each subject once
// for every binding that lets it: subjects as bindings name them, so that whoever
// is in a group is meant by the group; system:masters; and nodes.
func (x *Index) Who(q Request) []Grant {
	a := ask(q)
	h := &holders{}
	for _, ns := range scopes(a.Namespace) {
		x.whoIn(ns, &a, h)
	}
	return h.grants(x, &a)
}

// Anywhere is Who for a request of any namespace: those who may do it everywhere,
// and those who may in one or another.
func (x *Index) Anywhere(q Request) []Grant {
	q.Namespace = ""
	a := ask(q)
	h := &holders{}
	x.whoIn("", &a, h)
	for _, ns := range x.boundNamespaces() {
		in := a
		in.Namespace, in.space = ns, space(ns)
		x.whoIn(ns, &in, h)
	}
	return h.grants(x, &a)
}

// boundNamespaces returns every namespace with a RoleBinding.
func (x *Index) boundNamespaces() []string {
	seen := map[string]bool{}
	for _, b := range x.bindings.all {
		if b.namespace != "" {
			seen[b.namespace] = true
		}
	}
	return sortedKeys(seen)
}

// match is a role with a rule that allows what is asked, or what allows it
// without.
type match struct {
	slot uint32
	role *role
	rule *rule
	by   string
}

// holder is a subject whom a binding lets do what is asked: a Grant, in little.
type holder struct {
	key     uint64 // orders as subject does, where keys differ
	subject *Subject
	binding *binding // nil for what match.by says
	match   uint32
}

// holders are those who may do what is asked, and by which rules.
type holders struct {
	list    []holder
	matches []match
}

// whoIn adds whom bindings that hold in a namespace, or everywhere, let do what is
// asked.
func (x *Index) whoIn(ns string, a *asked, h *holders) {
	from := len(h.matches)
	for _, home := range scopes(ns) {
		x.matching(home, a, h)
	}
	need := 0
	in := space(ns)
	for _, m := range h.matches[from:] {
		for _, e := range x.slots.at(m.slot).bound.in(in) {
			need += len(e.subjects)
		}
	}
	h.list = slices.Grow(h.list, need+1)
	for i := from; i < len(h.matches); i++ {
		for _, e := range x.slots.at(h.matches[i].slot).bound.in(in) {
			if e.namespace != ns {
				continue
			}
			for j := range e.subjects {
				h.list = append(h.list, holder{subject: &e.subjects[j], binding: e.binding, match: uint32(i)})
			}
		}
	}
}

// matching adds the roles of a namespace, or ClusterRoles, with a rule that allows
// what is asked. More than one word may lead to a role.
func (x *Index) matching(home string, a *asked, h *holders) {
	from := len(h.matches)
	for i, word := range a.words() {
		met := len(h.matches)
		for _, at := range x.mentions.get(mention{home, word}) {
			s := x.slots.at(at)
			if one := s.allows(a); one != nil {
				h.matches = append(h.matches, match{slot: at, role: s.role, rule: one})
			}
		}
		if i == 0 || met == from || met == len(h.matches) {
			continue
		}
		list := h.matches[from:]
		slices.SortFunc(list, func(a, b match) int { return cmp.Compare(a.slot, b.slot) })
		list = slices.CompactFunc(list, func(a, b match) bool { return a.slot == b.slot })
		h.matches = h.matches[:from+len(list)]
	}
}

// grants adds those who may do it without a binding, and puts all in order.
func (h *holders) grants(x *Index, a *asked) []Grant {
	add := func(s Subject, by string) {
		h.list = append(h.list, holder{subject: &s, match: uint32(len(h.matches))})
		h.matches = append(h.matches, match{by: by})
	}
	add(Subject{Kind: GroupKind, Name: Masters}, byMasters)
	for _, n := range x.graph().holders(a, x.role(roleOfNodes)) {
		add(Subject{Kind: UserKind, Name: nodePrefix + n.node}, byNode(n.why))
	}
	h.sort()
	out := make([]Grant, len(h.list))
	for i, one := range h.list {
		m := &h.matches[one.match]
		if one.binding == nil {
			out[i] = Grant{Subject: *one.subject, By: m.by}
		} else {
			out[i] = grant(*one.subject, one.binding, m.role, m.rule)
		}
	}
	return out
}

// sort puts the list in order. Names of one kind often begin alike, so the keys
// are made of what comes next.
func (h *holders) sort() {
	var common [3]string
	var known [3]bool
	for _, one := range h.list {
		if one.binding == nil {
			continue
		}
		kind, text := one.subject.sortsBy()
		if !known[kind] {
			known[kind], common[kind] = true, text
		}
		for !strings.HasPrefix(text, common[kind]) {
			common[kind] = common[kind][:len(common[kind])-1]
		}
	}
	for i := range h.list {
		kind, text := h.list[i].subject.sortsBy()
		h.list[i].key = uint64(kind)<<56 | sortKey(text, common[kind])
	}
	slices.SortFunc(h.list, compareHolders)
}

// sortKey returns the 7 bytes that follow in text after what most begin with, as a
// number. One that begins otherwise comes before them all or after.
func sortKey(text, common string) uint64 {
	rest, ok := strings.CutPrefix(text, common)
	switch {
	case !ok && text < common:
		return 0
	case !ok:
		return 1<<56 - 1
	}
	key := uint64(0)
	for i := range 7 {
		key <<= 8
		if i < len(rest) {
			key |= uint64(rest[i])
		}
	}
	return key
}

func compareHolders(a, b holder) int {
	if a.key != b.key {
		return cmp.Compare(a.key, b.key)
	}
	if c := a.subject.compare(b.subject); c != 0 {
		return c
	}
	if a.binding == nil || b.binding == nil {
		return cmp.Compare(btoi(a.binding == nil), btoi(b.binding == nil))
	}
	if c := strings.Compare(a.binding.namespace, b.binding.namespace); c != 0 {
		return c
	}
	x, y := a.binding.object, b.binding.object
	return cmp.Or(
		strings.Compare(x.Kind, y.Kind), strings.Compare(x.Name, y.Name),
		strings.Compare(x.Origin.File, y.Origin.File), cmp.Compare(x.Origin.Doc, y.Origin.Doc),
	)
}
