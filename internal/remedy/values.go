package remedy

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// What a chart renders is mended in its values, where they reach what is wrong.
// Where they do is a proposal, by the places at which keys come out and by their
// names; what counts is the proof: the chart is rendered with the values, nothing
// but what the fixes concern has changed, their findings are gone, and none has
// come.

// Chart is a chart that objects were rendered from.
type Chart struct {
	World string // Origin.World of its objects
	Keys  func() ([]fact.ValuesKey, error)
	// Render returns the objects with values, as YAML, merged over its own.
	Render func(values []byte) ([]*fact.Object, error)
}

// Values are values of a chart that mend what it renders.
type Values struct {
	World string
	YAML  []byte
	Fixes []Fix
}

// Bounds of what is tried for one chart.
const (
	maxRenders   = 40
	maxProposals = 4 // for one edit
)

// reviser looks for the values of one chart.
type reviser struct {
	*maker
	chart   Chart
	first   *state
	r       *result
	keys    []fact.ValuesKey
	objects []int // of the chart, by their number in a state
	before  map[string]int
	after   map[string]int // with what was proven last
	renders int
}

// revision is a set of values, and the fixes that it may stand for.
type revision struct {
	ids   []string
	edits []fact.Edit // of the values
}

// revise returns values for the fixes of what a chart renders, and false where
// there are none.
func (m *maker) revise(chart Chart, first *state, r *result) (Values, bool, error) {
	v := &reviser{maker: m, chart: chart, first: first, r: r}
	for i, o := range first.objects {
		if o.Origin.World == chart.World {
			v.objects = append(v.objects, i)
		}
	}
	ids := v.concerned()
	if len(ids) == 0 {
		return Values{}, false, nil
	}
	var err error
	if v.keys, err = chart.Keys(); err != nil {
		return Values{}, false, nil // it cannot be asked: its fixes are shown on the objects
	}
	list := make([]*fact.Object, len(v.objects))
	for n, i := range v.objects {
		list[n] = first.objects[i]
	}
	if v.before, err = v.judge(list); err != nil {
		return Values{}, false, err
	}
	best, err := v.best(ids)
	if err != nil || len(best.ids) == 0 {
		return Values{}, false, err
	}
	out := Values{World: chart.World, YAML: best.yaml()}
	for _, id := range ids {
		if slices.Contains(best.ids, id) || v.gone(id) {
			out.Fixes = append(out.Fixes, *r.fixes[id])
		}
	}
	return out, true, nil
}

// gone reports whether what was proven has mended another finding, too: a pod gets
// no token any more when its account has none to give.
func (v *reviser) gone(id string) bool {
	f := v.r.fixes[id].Finding
	f.Worlds = []string{v.chart.World}
	for _, k := range keysOf(&f) {
		if v.before[k] == 0 || v.after[k] > 0 {
			return false
		}
	}
	return true
}

// concerned returns the fixes that change objects of the chart and no others.
func (v *reviser) concerned() []string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(v.r.fixes)) {
		other := func(i int) bool { return v.first.objects[i].Origin.World != v.chart.World }
		if on := v.r.on[id]; len(on) > 0 && !slices.ContainsFunc(on, other) {
			out = append(out, id)
		}
	}
	slices.SortStableFunc(out, func(a, b string) int {
		return cmp.Compare(v.r.fixes[b].Finding.Severity, v.r.fixes[a].Finding.Severity)
	})
	return out
}

// best returns the values that mend most: all at once, or what can be added to
// what was proven, one set of keys after the other.
func (v *reviser) best(ids []string) (revision, error) {
	var rest []revision
	for _, id := range ids {
		for _, p := range v.proposals(id) {
			i := slices.IndexFunc(rest, func(r revision) bool { return slices.EqualFunc(r.edits, p, sameEdit) })
			if i < 0 {
				i = len(rest)
				rest = append(rest, revision{edits: p})
			}
			if !slices.Contains(rest[i].ids, id) {
				rest[i].ids = append(rest[i].ids, id)
			}
		}
	}
	var proven revision
	all := proven
	for _, p := range rest {
		all, _ = all.with(p)
	}
	if done, err := v.proves(all); err != nil || done {
		return all, err
	}
	for _, p := range rest {
		more, agree := proven.with(p)
		if !agree || len(more.ids) == len(proven.ids) {
			continue
		}
		done, err := v.proves(more)
		if err != nil {
			return proven, err
		}
		if done {
			proven = more
		}
	}
	return proven, nil
}

func sameEdit(a, b fact.Edit) bool { return a.Same(&b) }

// with returns a revision with another in it, and false where they contradict
// each other. A fix that it has already is not taken from the other.
func (r revision) with(p revision) (revision, bool) {
	fresh := slices.DeleteFunc(slices.Clone(p.ids), func(id string) bool { return slices.Contains(r.ids, id) })
	if len(fresh) == 0 {
		return r, true
	}
	if contradict(r.edits, p.edits) {
		return r, false
	}
	out := revision{ids: slices.Concat(r.ids, fresh), edits: slices.Clone(r.edits)}
	for _, e := range p.edits {
		out.edits = appendNew(out.edits, e)
	}
	slices.SortFunc(out.edits, func(a, b fact.Edit) int { return strings.Compare(fact.PathText(a.Path), fact.PathText(b.Path)) })
	return out, true
}

// yaml writes the values.
func (r revision) yaml() []byte {
	b := &fact.Builder{}
	b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
	b.End()
	root := b.Tree().Root()
	for _, e := range r.edits {
		if next, err := e.Apply(root); err == nil { // they do not contradict each other
			root = next
		}
	}
	return yamldoc.YAML(root)
}

// proves renders the chart with a revision, and reports whether all that it is to
// mend is mended, and nothing else is changed.
func (v *reviser) proves(p revision) (bool, error) {
	if len(p.ids) == 0 || v.renders == maxRenders {
		return false, nil
	}
	v.renders++
	objects, err := v.chart.Render(p.yaml())
	if err != nil || !v.confined(objects, p.ids) {
		return false, nil
	}
	after, err := v.judge(objects)
	if err != nil {
		return false, err
	}
	fixed := map[string]int{}
	for _, id := range p.ids {
		f := v.r.fixes[id].Finding
		f.Worlds = []string{v.chart.World}
		for _, k := range keysOf(&f) {
			fixed[k] += max(1, f.Count)
		}
	}
	for k, n := range after {
		if n > max(0, v.before[k]-fixed[k]) {
			return false, nil
		}
	}
	v.after = after
	return true, nil
}

// judge assesses objects of the chart by themselves, and counts the findings: by
// what they are about.
func (v *reviser) judge(objects []*fact.Object) (map[string]int, error) {
	s := &state{objects: objects}
	if err := v.assess(s); err != nil {
		return nil, err
	}
	for i := range s.findings {
		s.findings[i].Worlds = []string{v.chart.World}
	}
	return countOf(s.findings), nil
}

// confined reports whether objects are those of the chart, but for the fields
// that some fixes change.
func (v *reviser) confined(objects []*fact.Object, ids []string) bool {
	changed := map[int][]fact.Edit{}
	for _, id := range ids {
		for _, c := range v.r.edits[id] {
			changed[c.object] = append(changed[c.object], c.Edit)
		}
	}
	type name struct {
		ref  fact.Ref
		file string
	}
	left := map[name][]*fact.Object{}
	for _, o := range objects {
		n := name{o.Ref(), o.Origin.File}
		left[n] = append(left[n], o)
	}
	for _, i := range v.objects {
		o := v.first.objects[i]
		n := name{o.Ref(), o.Origin.File}
		if len(left[n]) == 0 || !within(o.Root, left[n][0].Root, nil, changed[i]) {
			return false
		}
		left[n] = left[n][1:]
	}
	return len(objects) == len(v.objects)
}

// within reports whether two values differ only where edits change something.
func within(a, b fact.Value, path []fact.Step, edits []fact.Edit) bool {
	if fact.Equal(a, b) || void(a) && void(b) {
		return true
	}
	if slices.ContainsFunc(edits, func(e fact.Edit) bool {
		return len(e.Path) <= len(path) && slices.Equal(e.Path, path[:len(e.Path)])
	}) {
		return true
	}
	switch {
	case fields(a) && fields(b):
		for _, x := range [2]fact.Value{a, b} {
			for c := range x.Children() {
				if !within(a.Get(c.Key()), b.Get(c.Key()), append(slices.Clip(path), fact.Field(c.Key().String())), edits) {
					return false
				}
			}
		}
		return true
	case a.Kind() == fact.List && b.Kind() == fact.List && a.Len() == b.Len():
		for i := range a.Len() {
			if !within(a.Index(i), b.Index(i), append(slices.Clip(path), fact.Element(i)), edits) {
				return false
			}
		}
		return true
	}
	return false
}

// fields reports whether a value is a map, or none yet.
func fields(v fact.Value) bool { return v.Kind() == fact.Map || v.IsNull() }

// void reports whether a value says nothing.
func void(v fact.Value) bool { return v.IsNull() || v.Kind() == fact.Map && v.Len() == 0 }

// located is an edit of an object, by its number in a state.
type located struct {
	object int
	fact.Edit
}

// findingOrder sorts as people want to read: the most severe first, then by place.
func findingOrder(a, b *finding.Finding) int {
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), cmp.Compare(a.Location.File, b.Location.File),
		cmp.Compare(a.Location.Line, b.Location.Line), cmp.Compare(a.Control, b.Control), cmp.Compare(a.ID, b.ID))
}
