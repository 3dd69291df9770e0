package fact

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Snapshot is all state at one moment. It is immutable and safe for concurrent
// use; Apply gives the next one. The zero Snapshot is empty.
//
// What it holds has one order, whatever the way by which the state was reached:
// see [Compare] and Gaps.
type Snapshot struct {
	kinds   []*page // by kind
	gaps    []Gap
	count   int
	ordered func() []*Object
}

// page is the objects of one kind, in shards by namespace.
type page struct {
	kind   string
	shards []*shard
}

// shard is the objects of one kind and namespace, by name and then origin. A
// snapshot shares with the one before it every shard that did not change.
type shard struct {
	namespace string
	objects   []*Object
}

// Len returns the number of objects.
func (s *Snapshot) Len() int { return s.count }

// Objects returns all objects in their order. The caller does not change the
// slice. It is made at the first call, which costs a sort.
func (s *Snapshot) Objects() []*Object {
	if s.ordered == nil {
		return nil
	}
	return s.ordered()
}

// OfKind returns the objects of one kind ("Kind", "group/Kind"), in no order that
// means anything.
func (s *Snapshot) OfKind(kind string) iter.Seq[*Object] {
	return func(yield func(*Object) bool) {
		i, known := slices.BinarySearchFunc(s.kinds, kind, func(p *page, k string) int { return strings.Compare(p.kind, k) })
		if !known {
			return
		}
		for _, h := range s.kinds[i].shards {
			for _, o := range h.objects {
				if !yield(o) {
					return
				}
			}
		}
	}
}

// Gaps returns what could not be seen, each once: by file and place, then by
// kind, source, subject and message.
func (s *Snapshot) Gaps() []Gap { return s.gaps }

func (s *Snapshot) sorted() []*Object {
	out := make([]*Object, 0, s.count)
	for _, p := range s.kinds {
		for _, h := range p.shards {
			out = append(out, h.objects...)
		}
	}
	slices.SortFunc(out, Compare)
	return out
}

// Compare orders objects: as they stand in their files, and where there are no
// files by kind, namespace and name. Two objects of one snapshot are never equal.
func Compare(a, b *Object) int {
	if a == b {
		return 0
	}
	if c := comparePaths(a.Origin.File, b.Origin.File); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Origin.Doc, b.Origin.Doc); c != 0 {
		return c
	}
	if c := a.Root.Pos().compare(b.Root.Pos()); c != 0 { // items of a list
		return c
	}
	if c := strings.Compare(a.GroupKind(), b.GroupKind()); c != 0 {
		return c
	}
	if c := strings.Compare(a.InNamespace(), b.InNamespace()); c != 0 {
		return c
	}
	return comparePlaces(a, b)
}

// comparePlaces orders objects of one kind and namespace. It is 0 for what takes
// the place of one another: files may hold two objects of one name, so the same
// name from another origin is another object.
func comparePlaces(a, b *Object) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	if a.Origin == b.Origin {
		return 0
	}
	return cmp.Or(
		comparePaths(a.Origin.File, b.Origin.File),
		cmp.Compare(a.Origin.Doc, b.Origin.Doc),
		strings.Compare(a.Origin.World, b.Origin.World),
		strings.Compare(a.Origin.Source, b.Origin.Source),
	)
}

// comparePaths orders files as a walk meets them that goes through each folder
// by name: a/z comes before a-b/c.
func comparePaths(a, b string) int {
	if a == b {
		return 0
	}
	for i := range min(len(a), len(b)) {
		switch x, y := a[i], b[i]; {
		case x == y:
		case x == '/':
			return -1
		case y == '/':
			return 1
		default:
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(len(a), len(b))
}

func (p Pos) compare(q Pos) int {
	if c := cmp.Compare(p.Line, q.Line); c != 0 {
		return c
	}
	return cmp.Compare(p.Column, q.Column)
}

func compareGaps(a, b Gap) int {
	return cmp.Or(
		comparePaths(a.File, b.File), a.Pos.compare(b.Pos),
		strings.Compare(a.Kind, b.Kind), strings.Compare(a.Source, b.Source), strings.Compare(a.Subject, b.Subject),
		strings.Compare(a.Hides, b.Hides), strings.Compare(a.Message, b.Message), strings.Compare(a.World, b.World),
	)
}

// Apply returns the snapshot after some changes, in their order. It copies the
// shards that they touch and the way to them, and shares the rest: an Upsert
// puts an object in the place of the one with its name and origin, a Delete
// takes that out, a gap is open or it is not.
func (s *Snapshot) Apply(changes ...Change) *Snapshot {
	type key struct{ kind, namespace string }
	touched := map[key][]*Change{}
	var order []key
	var gaps map[Gap]bool
	for i := range changes {
		c := &changes[i]
		switch c.Op {
		case Upsert, Delete:
			k := key{c.Object.GroupKind(), c.Object.InNamespace()}
			list := touched[k]
			if list == nil {
				order = append(order, k)
			}
			touched[k] = append(list, c)
		case GapOpened, GapClosed:
			if gaps == nil {
				gaps = map[Gap]bool{}
			}
			gaps[c.Gap] = c.Op == GapOpened
		}
	}
	next := &Snapshot{kinds: s.kinds, gaps: applyGaps(s.gaps, gaps), count: s.count, ordered: s.ordered}
	if len(order) == 0 {
		return next
	}
	slices.SortFunc(order, func(a, b key) int {
		return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.namespace, b.namespace))
	})
	for from := 0; from < len(order); {
		to := from
		for to < len(order) && order[to].kind == order[from].kind {
			to++
		}
		next.kind(order[from].kind, func(p *page) {
			for _, k := range order[from:to] {
				next.count += p.apply(k.namespace, touched[k])
			}
		})
		from = to
	}
	next.ordered = sync.OnceValue(next.sorted)
	return next
}

// kind hands a copy of a kind's page to change, and keeps what becomes of it.
// The list of pages is the snapshot's own from the first call on.
func (s *Snapshot) kind(kind string, change func(*page)) {
	i, known := slices.BinarySearchFunc(s.kinds, kind, func(p *page, k string) int { return strings.Compare(p.kind, k) })
	p := &page{kind: kind}
	if known {
		p.shards = slices.Clone(s.kinds[i].shards)
	}
	change(p)
	kinds := make([]*page, 0, len(s.kinds)+1)
	kinds = append(kinds, s.kinds[:i]...)
	if len(p.shards) > 0 {
		kinds = append(kinds, p)
	}
	if known {
		i++
	}
	s.kinds = append(kinds, s.kinds[i:]...)
}

// apply changes the shard of a namespace and returns by how much it grew.
func (p *page) apply(namespace string, changes []*Change) int {
	i, known := slices.BinarySearchFunc(p.shards, namespace, func(h *shard, n string) int { return strings.Compare(h.namespace, n) })
	var before []*Object
	if known {
		before = p.shards[i].objects
	}
	after := mergeShard(before, changes)
	switch {
	case len(after) > 0 && known:
		p.shards[i] = &shard{namespace, after}
	case len(after) > 0:
		p.shards = slices.Insert(p.shards, i, &shard{namespace, after})
	case known:
		p.shards = slices.Delete(p.shards, i, i+1)
	}
	return len(after) - len(before)
}

// mergeShard returns a new list: the objects of before and what some changes
// make of them. Of several changes of one place the last counts.
func mergeShard(before []*Object, changes []*Change) []*Object {
	slices.SortStableFunc(changes, func(a, b *Change) int { return comparePlaces(a.Object, b.Object) })
	out := make([]*Object, 0, len(before)+len(changes))
	for i, c := range changes {
		for len(before) > 0 && comparePlaces(before[0], c.Object) < 0 {
			out, before = append(out, before[0]), before[1:]
		}
		if len(before) > 0 && comparePlaces(before[0], c.Object) == 0 {
			before = before[1:]
		}
		last := i+1 == len(changes) || comparePlaces(changes[i+1].Object, c.Object) != 0
		if last && c.Op == Upsert {
			out = append(out, c.Object)
		}
	}
	return append(out, before...)
}

// applyGaps returns the gaps after some were opened (true) or closed.
func applyGaps(before []Gap, changes map[Gap]bool) []Gap {
	if len(changes) == 0 {
		return before
	}
	out := make([]Gap, 0, len(before)+len(changes))
	for _, g := range before {
		if open, changed := changes[g]; open || !changed {
			out = append(out, g)
		}
		delete(changes, g)
	}
	for g, open := range changes {
		if open {
			out = append(out, g)
		}
	}
	slices.SortFunc(out, compareGaps)
	return out
}

// Worlds splits a snapshot by the worlds of its objects, and returns their names
// in order and what each holds, without gaps. Where there is one, that is s.
func (s *Snapshot) Worlds() (names []string, parts []*Snapshot) {
	objects := s.Objects()
	if len(objects) == 0 {
		return nil, nil
	}
	only := objects[0].Origin.World
	if !slices.ContainsFunc(objects, func(o *Object) bool { return o.Origin.World != only }) {
		return []string{only}, []*Snapshot{s}
	}
	changes := map[string][]Change{}
	for _, o := range objects {
		changes[o.Origin.World] = append(changes[o.Origin.World], Change{Op: Upsert, Object: o})
	}
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		names, parts = append(names, name), append(parts, (&Snapshot{}).Apply(changes[name]...))
	}
	return names, parts
}

// Diff calls changed for every object that a and b do not share: with what was
// before and what is after, of which one may be nil. It costs what changed, and
// a comparison for each kind.
func Diff(a, b *Snapshot, changed func(before, after *Object)) {
	merge(a.kinds, b.kinds, func(x, y *page) int { return strings.Compare(x.kind, y.kind) }, func(x, y *page) {
		merge(x.list(), y.list(), func(x, y *shard) int { return strings.Compare(x.namespace, y.namespace) }, func(x, y *shard) {
			merge(x.list(), y.list(), comparePlaces, changed)
		})
	})
}

func (p *page) list() []*shard {
	if p == nil {
		return nil
	}
	return p.shards
}

func (h *shard) list() []*Object {
	if h == nil {
		return nil
	}
	return h.objects
}

// merge walks two sorted lists together and calls differ for each pair that is
// not the same, with nil for what only one of them has.
func merge[T any](a, b []*T, compare func(x, y *T) int, differ func(x, y *T)) {
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(a) > 0 && len(b) > 0 && a[0] == b[0]:
			a, b = a[1:], b[1:]
		case len(b) == 0 || len(a) > 0 && compare(a[0], b[0]) < 0:
			differ(a[0], nil)
			a = a[1:]
		case len(a) == 0 || compare(a[0], b[0]) > 0:
			differ(nil, b[0])
			b = b[1:]
		default:
			differ(a[0], b[0])
			a, b = a[1:], b[1:]
		}
	}
}
