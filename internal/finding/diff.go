package finding

import (
	"fmt"
	"slices"
)

// DiffSchema is the version of the JSON form of a comparison.
const DiffSchema = "merlon.diff/v1"

// Diff is what became of the findings of one report in a later one.
type Diff struct {
	Schema  string    `json:"schema"`
	Opened  []Finding `json:"opened"`  // open now, and not before: new, or no longer waived or known
	Closed  []Finding `json:"closed"`  // open before, and gone
	Unseen  []Finding `json:"unseen"`  // open before, and gone from a file or chart that could not be read now
	Changed []Change  `json:"changed"` // in both, and judged otherwise
	Gaps    GapDiff   `json:"gaps"`
	Notices []string  `json:"notices"` // why the two may not be comparable
}

// Change is one finding before and after.
type Change struct {
	What   []string `json:"what"`
	Before Finding  `json:"before"`
	After  Finding  `json:"after"`
}

// GapDiff is what could not be seen now and could before, and the other way.
type GapDiff struct {
	Opened []Gap `json:"opened"`
	Closed []Gap `json:"closed"`
}

// Compare says what is new in a report. Findings are the same by their id, so
// that moved lines and changed texts are no difference. What is gone from where
// nobody could look is not closed.
func Compare(before, after *Report) *Diff {
	d := &Diff{Schema: DiffSchema, Opened: []Finding{}, Closed: []Finding{}, Unseen: []Finding{}, Changed: []Change{}, Notices: []string{}}
	d.Gaps = gapDiff(before.Gaps, after.Gaps)
	was := byID(before.Findings)
	for i := range after.Findings {
		f := &after.Findings[i]
		old := was[f.ID]
		switch {
		case f.Open() && (old == nil || !old.Open()):
			d.Opened = append(d.Opened, *f)
		case old != nil:
			if what := changes(old, f); len(what) > 0 {
				d.Changed = append(d.Changed, Change{what, *old, *f})
			}
		}
	}
	is := byID(after.Findings)
	unseen := unseenBy(after.Gaps)
	for i := range before.Findings {
		f := &before.Findings[i]
		switch {
		case !f.Open() || is[f.ID] != nil:
		case unseen(f):
			d.Unseen = append(d.Unseen, *f)
		default:
			d.Closed = append(d.Closed, *f)
		}
	}
	d.Notices = append(d.Notices, incomparable(before, after)...)
	return d
}

// unseenBy tells which findings may be gone because nobody could look: those of a
// file with a gap, and those of a chart or an overlay that was not rendered, or
// not all of it.
func unseenBy(gaps []Gap) func(*Finding) bool {
	files, worlds := map[string]bool{}, map[string]bool{}
	for i := range gaps {
		g := &gaps[i]
		files[g.Location.File] = true
		switch g.Kind {
		case "render-failed", "not-rendered", "refused", "values-missing", "values-invalid", "dependency-missing":
			for _, w := range g.Worlds {
				worlds[w] = true
			}
		}
	}
	return func(f *Finding) bool {
		return files[""] || files[f.Location.File] || slices.ContainsFunc(f.Worlds, func(w string) bool { return worlds[w] })
	}
}

func byID(list []Finding) map[string]*Finding {
	out := make(map[string]*Finding, len(list))
	for i := range list {
		out[list[i].ID] = &list[i]
	}
	return out
}

func changes(old, now *Finding) []string {
	what := []string{}
	if old.Severity != now.Severity {
		what = append(what, fmt.Sprintf("severity %s, was %s", now.Severity, old.Severity))
	}
	if old.Verdict != now.Verdict {
		what = append(what, fmt.Sprintf("verdict %s, was %s", now.Verdict, old.Verdict))
	}
	if old.Count != now.Count {
		what = append(what, fmt.Sprintf("met %d times, was %d", now.Count, old.Count))
	}
	switch {
	case old.Waived == nil && now.Waived != nil:
		what = append(what, "waived until "+now.Waived.Until)
	case old.Open() && now.Baseline:
		what = append(what, "known from the baseline")
	}
	return what
}

func gapDiff(before, after []Gap) GapDiff {
	type key struct{ kind, file, subject, message string }
	keyOf := func(g *Gap) key { return key{g.Kind, g.Location.File, g.Subject, g.Message} }
	lacking := func(from, in []Gap) []Gap {
		known := map[key]bool{}
		for i := range in {
			known[keyOf(&in[i])] = true
		}
		out := []Gap{}
		for i := range from {
			if !known[keyOf(&from[i])] {
				out = append(out, from[i])
			}
		}
		return out
	}
	return GapDiff{Opened: lacking(after, before), Closed: lacking(before, after)}
}

// incomparable tells what else than the input may make the difference.
func incomparable(before, after *Report) []string {
	var out []string
	for _, x := range []struct{ what, before, after string }{
		{"Merlon", before.Merlon, after.Merlon},
		{"Kubernetes", before.Kubernetes, after.Kubernetes},
		{"number of controls", fmt.Sprint(before.Summary.Controls), fmt.Sprint(after.Summary.Controls)},
		{"target", fmt.Sprint(before.Target), fmt.Sprint(after.Target)},
	} {
		if x.before != x.after {
			out = append(out, fmt.Sprintf("not the same %s: %s, then %s", x.what, x.before, x.after))
		}
	}
	return out
}
