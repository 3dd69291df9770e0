package remedy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// proposals returns edits of the chart's values that may do what a fix does to
// the objects: the likeliest first. An edit that has none may follow from the
// others.
func (v *reviser) proposals(id string) [][]fact.Edit {
	edits := v.r.edits[id]
	var each [][]fact.Edit
	most := 0
	for i := range edits {
		if list := v.forEdit(&edits[i]); len(list) > 0 {
			each = append(each, list)
			most = max(most, len(list))
		}
	}
	var out [][]fact.Edit
	for n := range most {
		var one []fact.Edit
		for _, list := range each {
			one = appendNew(one, list[min(n, len(list)-1)])
		}
		out = append(out, one)
	}
	return out
}

// forEdit returns what may stand for one edit of an object, the likeliest first.
func (v *reviser) forEdit(e *located) []fact.Edit {
	out := v.through(e)
	for _, k := range v.shown(e) {
		if x, ok := v.direct(k, e); ok {
			out = appendNew(out, x)
		}
	}
	return out[:min(len(out), maxProposals)]
}

// through returns edits inside the maps of the values that come out around the
// place: nearest ones first. It goes into no list, whose elements the values
// would have to repeat.
func (v *reviser) through(e *located) []fact.Edit {
	o := v.first.objects[e.object]
	type way struct {
		depth int
		fact.Edit
	}
	var ways []way
	for _, k := range v.keys {
		for _, at := range k.Outlets {
			n := len(at.Path)
			if at.Ref != o.Ref() || at.File != o.Origin.File || n >= len(e.Path) || !slices.Equal(at.Path, e.Path[:n]) {
				continue
			}
			rest := e.Path[n:]
			if slices.ContainsFunc(rest, func(s fact.Step) bool { return s.Element }) {
				continue
			}
			ways = append(ways, way{n, fact.Edit{Op: fact.Set, Path: slices.Concat(stepsOf(k.Path), rest), Value: v.value(e)}})
		}
	}
	slices.SortStableFunc(ways, func(a, b way) int {
		return cmp.Or(cmp.Compare(b.depth, a.depth), cmp.Compare(len(a.Path), len(b.Path)))
	})
	var out []fact.Edit
	for _, w := range ways {
		out = appendNew(out, w.Edit)
	}
	return out
}

func appendNew(list []fact.Edit, e fact.Edit) []fact.Edit {
	if slices.ContainsFunc(list, func(x fact.Edit) bool { return sameEdit(x, e) }) {
		return list
	}
	return append(list, e)
}

func stepsOf(path []string) []fact.Step {
	out := make([]fact.Step, len(path))
	for i, name := range path {
		out[i] = fact.Field(name)
	}
	return out
}

// value is what the place holds once all is fixed; null, which takes a key out of
// the values, where that is nothing.
func (v *reviser) value(e *located) fact.Value {
	if x := v.r.objects[e.object].Root.Follow(e.Path); x.Present() {
		return x
	}
	return (&fact.Builder{}).Tree().Root()
}

// shown returns the keys that may say what stands in the place: the one that its
// line is known to show, then those of the field's name.
func (v *reviser) shown(e *located) []fact.ValuesKey {
	o := v.first.objects[e.object]
	shows := ""
	if at := o.Root.Follow(e.Path); at.Present() {
		w, _ := o.At(at)
		shows = w.Values
	}
	last := e.Path[len(e.Path)-1]
	var first, then []fact.ValuesKey
	for _, k := range v.keys {
		switch name := strings.Join(k.Path, "."); {
		case k.Kind == fact.Map || k.Kind == fact.List:
		case shows != "" && name == shows:
			first = append(first, k)
		case !last.Element && strings.EqualFold(k.Path[len(k.Path)-1], last.Field):
			then = append(then, k)
		}
	}
	return append(first, then...)
}

// direct returns the edit that gives a key the value of a place. A switch is
// switched off where the place shall hold nothing.
func (v *reviser) direct(k fact.ValuesKey, e *located) (fact.Edit, bool) {
	out := fact.Edit{Op: fact.Set, Path: stepsOf(k.Path), Value: v.value(e)}
	switch {
	case out.Value.IsNull() && k.Kind == fact.Bool:
		b := &fact.Builder{}
		b.Bool(fact.Key{}, fact.Pos{}, false)
		out.Value = b.Tree().Root()
	case out.Value.IsNull(), k.Kind == fact.Null, k.Kind == fact.Absent:
	case k.Kind != out.Value.Kind():
		return out, false
	}
	return out, true
}
