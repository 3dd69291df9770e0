package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// step is one step of a path: a field, or a position in a list.
type step struct {
	field string
	index int
	list  bool
}

// parsePath reads a path in the form of any of the tools: `a.b[0].c`,
// `data[KEY]`, `metadata.annotations['x.y/z']`, `data["KEY"]`.
func parsePath(text string) []step {
	var out []step
	for text != "" {
		if rest, ok := strings.CutPrefix(text, "["); ok {
			inside, after, _ := strings.Cut(rest, "]")
			if i, err := strconv.Atoi(inside); err == nil {
				out = append(out, step{index: i, list: true})
			} else {
				out = append(out, step{field: strings.Trim(inside, `"'`)})
			}
			text = strings.TrimPrefix(after, ".")
			continue
		}
		end := strings.IndexAny(text, ".[")
		if end < 0 {
			end = len(text)
		}
		if end > 0 {
			out = append(out, step{field: text[:end]})
		}
		text = strings.TrimPrefix(text[end:], ".")
	}
	return out
}

// sameForm reports whether, positions left aside, one path leads to the other.
func sameForm(a, b []step) bool {
	a, b = fields(a), fields(b)
	n := min(len(a), len(b))
	return slices.Equal(a[:n], b[:n])
}

func fields(p []step) []step {
	return filter(p, func(s step) bool { return !s.list })
}

// samePlace reports whether two paths of the same form agree in their
// positions as far as both go.
func samePlace(a, b []step) bool {
	n := min(len(a), len(b))
	return slices.Equal(a[:n], b[:n])
}

// comparePaths compares paths on each object where both sides write them in
// the same form: each of theirs needs one of ours that agrees, and each of ours
// one of theirs. What no path of the other side has the form of is not
// compared. One finding may rest on several fields, so that a path of theirs
// may also be among those that our findings show besides the one at fault.
func (w wanted) comparePaths(hits []hit) string {
	for _, o := range w.objects() {
		have, seen := ours(o, hits)
		var want [][]step
		for _, any := range w[o] {
			var paths [][]step
			for _, p := range any {
				if !strings.HasPrefix(p, "relatedObjects") && p != "" {
					paths = append(paths, parsePath(p))
				}
			}
			want = append(want, paths...)
			missed := filter(paths, func(p []step) bool { return stray(p, have) && !shown(p, seen) })
			if agreed := slices.ContainsFunc(paths, func(p []step) bool { return near(p, have) }); len(missed) > 0 && !agreed {
				return fmt.Sprintf("%s: expected path %s is not among ours", o, write(missed[0]))
			}
		}
		for _, p := range have {
			if stray(p, want) {
				return fmt.Sprintf("%s: our path %s is not among those expected", o, write(p))
			}
		}
	}
	return ""
}

// ours returns the paths at which findings on an object are, and those that
// they show besides.
func ours(o wantedObject, hits []hit) (have, seen [][]step) {
	for _, h := range hits {
		p, _, _ := strings.Cut(h.path, "\x00")
		if !o.matches(&h) || h.via != "" || p == "" {
			continue
		}
		have = append(have, parsePath(p))
		for _, s := range h.seen {
			seen = append(seen, parsePath(s))
		}
	}
	return have, seen
}

// near reports whether a path is at the place of one of others.
func near(p []step, others [][]step) bool {
	return slices.ContainsFunc(others, func(q []step) bool { return sameForm(p, q) && samePlace(p, q) })
}

// stray reports whether others has paths of the same form as p, but none at the
// same place.
func stray(p []step, others [][]step) bool {
	comparable := false
	for _, q := range others {
		if sameForm(p, q) {
			if samePlace(p, q) {
				return false
			}
			comparable = true
		}
	}
	return comparable
}

// shown reports whether a path is among others, or the list it is an element of.
func shown(p []step, others [][]step) bool {
	return slices.ContainsFunc(others, func(q []step) bool { return len(fields(p)) == len(fields(q)) && sameForm(p, q) && samePlace(p, q) })
}

func write(p []step) string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case s.list:
			fmt.Fprintf(&b, "[%d]", s.index)
		case i > 0:
			b.WriteString("." + s.field)
		default:
			b.WriteString(s.field)
		}
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
