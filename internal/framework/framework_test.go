package framework

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/merlon-security/merlon/internal/finding"
)

const items = `
items:
  - {id: a, title: found}
  - {id: b, title: looked at, controls: [f/listed], support: somebody}
  - {id: c, title: left out}
  - {id: d, title: nobody looks}
  - {id: e, title: a person looks, mode: manual, look: Ask.}
  - {id: g, title: could not be judged}
  - {id: h, title: nothing of the kind}
`

// results are controls that found something, passed, were left out, could not
// judge, and had nothing to judge.
func results(name string) []Result {
	to := func(item string) map[string][]string { return map[string][]string{name: {item}} }
	return []Result{
		{Control: "f/finds", Frameworks: to("a"), Pass: 1, Fail: 2, Run: true},
		{Control: "f/listed", Pass: 3, Run: true},
		{Control: "f/left", Frameworks: to("c")},
		{Control: "f/unsure", Frameworks: to("g"), Pass: 1, Unknown: 1, Run: true},
		{Control: "f/idle", Frameworks: to("h"), Run: true},
	}
}

func verdicts(t *testing.T, text string, gaps int) (finding.Framework, map[string]finding.Verdict) {
	t.Helper()
	f, err := Parse("x.yaml", []byte(text+items))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]finding.Verdict{}
	r := f.RollUp(results(f.Name), gaps, 30)
	for _, it := range r.Items {
		out[it.ID] = it.Verdict
	}
	return r, out
}

func TestRollUp(t *testing.T) {
	r, got := verdicts(t, "name: demands\ntitle: t\n", 0)
	want := map[string]finding.Verdict{"a": "fail", "b": "pass", "c": "unknown", "d": "not-assessed", "e": "manual", "g": "unknown", "h": "not-applicable"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if r.Verdict != finding.Fail {
		t.Errorf("verdict %s", r.Verdict)
	}
	if _, got := verdicts(t, "name: demands\ntitle: t\n", 1); got["b"] != finding.Unknown {
		t.Errorf("with a gap, b is %s", got["b"])
	}
}

// TestUnseen passes nothing, and lets nothing not apply, that is there and was not
// in the input.
func TestUnseen(t *testing.T) {
	f, err := Parse("x.yaml", []byte("name: n\ntitle: t\nitems: [{id: both, title: t, controls: [f/seen, f/hidden], support: s}, {id: hidden, title: t, controls: [f/hidden], support: s}, {id: fails, title: t, controls: [f/fails, f/hidden], support: s}]"))
	if err != nil {
		t.Fatal(err)
	}
	r := f.RollUp([]Result{{Control: "f/seen", Pass: 1, Run: true}, {Control: "f/fails", Fail: 1, Run: true}, {Control: "f/hidden", Run: true, Unseen: true}}, 0, 30)
	if got := []finding.Verdict{r.Items[0].Verdict, r.Items[1].Verdict, r.Items[2].Verdict}; !slices.Equal(got, []finding.Verdict{finding.Unknown, finding.Unknown, finding.Fail}) {
		t.Error(got)
	}
}

// A list of attacks is never passed, neither an item nor the whole.
func TestCoverageIsNeverPassed(t *testing.T) {
	for _, gaps := range []int{0, 1} {
		r, got := verdicts(t, "name: attacks\ntitle: t\nview: coverage\n", gaps)
		want := map[string]finding.Verdict{"a": "fail", "b": "guarded", "c": "not-assessed", "d": "not-assessed", "e": "not-assessed", "g": "unknown", "h": "guarded"}
		if gaps > 0 {
			want["b"], want["h"] = "unknown", "unknown"
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if r.View != "coverage" {
			t.Errorf("view %q", r.View)
		}
	}
	f, err := Parse("x.yaml", []byte("name: attacks\ntitle: t\nview: coverage\nitems: [{id: b, title: t, controls: [f/listed], support: s}]"))
	if err != nil {
		t.Fatal(err)
	}
	if r := f.RollUp(results("attacks"), 0, 30); r.Verdict != finding.Unknown || r.Items[0].Verdict != finding.Guarded {
		t.Errorf("with everything guarded: %+v", r)
	}
	if _, err := Parse("x.yaml", []byte("name: n\ntitle: t\nview: other\nitems: [{id: b, title: t}]")); err == nil || !strings.Contains(err.Error(), "view") {
		t.Errorf("a view that is none: %v", err)
	}
}
