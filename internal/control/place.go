package control

import (
	"slices"

	"github.com/merlon-security/merlon/internal/control/expr"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// maxEvidence is how many fields a finding shows.
const maxEvidence = 6

// place returns the field at fault: the first of the control's own `at` that
// exists, or else the last thing that the evaluation looked at within the
// subject, which is what decided it. A missing field is placed at the map that
// misses it.
func (j *Judge) place(paths []*expr.Program, trace *expr.Trace, item expr.Value) (at fact.Value, missing string) {
	var missed *expr.Read
	for _, p := range paths {
		t := &j.placed
		t.Reads = t.Reads[:0]
		j.frame.Trace = t
		v := p.Eval(j.frame)
		j.frame.Trace = nil
		if x, ok := v.Get(); ok {
			v = x
		}
		if v.Node().Present() {
			return v.Node(), ""
		}
		if n := len(t.Reads); n > 0 && missed == nil {
			last := t.Reads[n-1]
			missed = &last
		}
	}
	if missed != nil {
		return missed.Node, missed.Missing
	}
	within := j.subject.part()
	if item.Node().Present() {
		within = item.Node()
	}
	for _, inside := range []bool{true, false} {
		for _, r := range slices.Backward(trace.Reads) {
			mine := r.Node.Within(within)
			if !inside {
				mine = r.Node.Root().Same(within.Root())
			}
			// What lies outside the subject decides only by being there.
			if mine && (inside || r.Missing == "") {
				return r.Node, r.Missing
			}
		}
	}
	return within, ""
}

// evidence lists what was read, the field at fault first.
func (j *Judge) evidence(trace *expr.Trace, o *Outcome) []finding.Evidence {
	var out []finding.Evidence
	seen := map[string]bool{}
	add := func(node fact.Value, missing string) {
		e := finding.Evidence{Path: below(node.ShownPath(), missing), Value: "(not set)"}
		if missing == "" {
			e.Value = j.lib.secrets.shown(node, describe(node), j.control.Redact)
		}
		if !seen[e.Path] && e.Path != "" && len(out) < maxEvidence {
			seen[e.Path] = true
			out = append(out, e)
		}
	}
	add(o.At, o.Missing)
	root := j.subject.part().Root()
	for _, r := range slices.Backward(trace.Reads) {
		if r.Node.Root().Same(root) && !isWord(r.Node) {
			add(r.Node, r.Missing)
		}
	}
	return out
}

// isWord reports whether a value is an element of a list of scalars: the list
// says it all.
func isWord(v fact.Value) bool {
	return v.Key() == fact.Key{} && v.Kind() != fact.Map && v.Kind() != fact.List
}

// describe shows a value in a few words: scalars as they are, lists of scalars
// whole when short, other things by their size.
func describe(v fact.Value) string {
	switch v.Kind() {
	case fact.List:
		return describeList(v)
	case fact.Map:
		return fields(v.Len())
	case fact.Null:
		return "null"
	}
	return v.Text()
}

func describeList(v fact.Value) string {
	s := "["
	for c := range v.Children() {
		if k := c.Kind(); k == fact.Map || k == fact.List || len(s) > 200 {
			return elements(v.Len())
		}
		if len(s) > 1 {
			s += ", "
		}
		s += c.Text()
	}
	return s + "]"
}

func fields(n int) string   { return plural(n, "field") }
func elements(n int) string { return plural(n, "element") }

func plural(n int, what string) string {
	if n == 1 {
		return "{1 " + what + "}"
	}
	return "{" + expr.IntOf(int64(n)).Text() + " " + what + "s}"
}
