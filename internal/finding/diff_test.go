package finding

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// report writes findings as words: an id, and behind it s for another severity,
// w waived, b baseline, u unknown, 2 met twice, @ in a file of that name.
func report(words string, gaps ...string) *Report {
	r := &Report{}
	for _, word := range strings.Fields(words) {
		word, file, _ := strings.Cut(word, "@")
		f := Finding{ID: word[:1], Severity: High, Verdict: Fail, Count: 1, Location: Location{File: file, Line: 7}}
		for _, c := range word[1:] {
			switch c {
			case 's':
				f.Severity = Low
			case 'w':
				f.Waived = &Waived{Until: "2099-12-31"}
			case 'b':
				f.Baseline = true
			case 'u':
				f.Verdict = Unknown
			case '2':
				f.Count = 2
			}
		}
		r.Findings = append(r.Findings, f)
	}
	for _, file := range gaps {
		r.Gaps = append(r.Gaps, Gap{Kind: "invalid-yaml", Location: Location{File: file}})
	}
	return r
}

func ids(list []Finding) string {
	var out []string
	for _, f := range list {
		out = append(out, f.ID)
	}
	return strings.Join(out, " ")
}

func TestCompare(t *testing.T) {
	for _, c := range []struct {
		name                           string
		before, after                  *Report
		opened, closed, unseen, change string
	}{
		{"nothing", report(""), report(""), "", "", "", ""},
		{"the same", report("a b"), report("b a"), "", "", "", ""},
		{"opened and closed", report("a b"), report("b c"), "c", "a", "", ""},
		{"new but waived", report(""), report("aw bb"), "", "", "", ""},
		{"a waiver ended", report("aw"), report("a"), "a", "", "", ""},
		{"waived", report("a"), report("aw"), "", "", "", "a: waived until 2099-12-31"},
		{"known now", report("a"), report("ab"), "", "", "", "a: known from the baseline"},
		{"waived and gone", report("aw"), report(""), "", "", "", ""},
		{"judged otherwise", report("a b c"), report("as bu c2"), "", "", "", "a: severity low, was high; b: verdict unknown, was fail; c: met 2 times, was 1"},
		{"gone, nobody could look", report("a@x b@y"), report("", "x"), "", "b", "a", ""},
		{"gone, something somewhere could not be read", report("a@x"), report("", ""), "", "", "a", ""},
	} {
		d := Compare(c.before, c.after)
		var changed []string
		for _, x := range d.Changed {
			changed = append(changed, x.After.ID+": "+strings.Join(x.What, ", "))
		}
		got := []string{ids(d.Opened), ids(d.Closed), ids(d.Unseen), strings.Join(changed, "; ")}
		if diff := cmp.Diff([]string{c.opened, c.closed, c.unseen, c.change}, got); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
	// A chart that is not rendered hides what its templates held.
	a0, b0 := report("a@t"), report("")
	a0.Findings[0].Worlds = []string{"chart"}
	for kind, want := range map[string]string{"render-failed": "a", "not-asked": ""} {
		b0.Gaps = []Gap{{Kind: kind, Location: Location{File: "chart/Chart.yaml"}, Worlds: []string{"chart"}}}
		if got := ids(Compare(a0, b0).Unseen); got != want {
			t.Errorf("%s: unseen %q, want %q", kind, got, want)
		}
	}
	d := Compare(report("", "x", "y"), report("", "y", "z"))
	if len(d.Gaps.Opened) != 1 || d.Gaps.Opened[0].Location.File != "z" || len(d.Gaps.Closed) != 1 || d.Gaps.Closed[0].Location.File != "x" {
		t.Errorf("gaps %+v", d.Gaps)
	}
	a, b := report(""), report("")
	a.Summary.Controls, b.Kubernetes = 3, "1.30"
	if d := Compare(a, b); len(d.Notices) != 2 {
		t.Errorf("notices %q", d.Notices)
	}
}
