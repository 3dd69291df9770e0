package assess_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
)

// known are controls that cel-go judges otherwise through its adapter: a
// selector that has passed through a list or an optional of cel-go has lost its
// place in the document, and selects nothing; what stands in annotations is not
// redacted in messages, as cel-go leaves no trace.
var known = map[string]string{
	"hygiene/no-host-anti-affinity": "selects() of an element of a made list",
	"sandbox/open-egress":           "an optional of a made map",
	"secret/long-lived-token":       "redaction of a message",
	"workload/pinned-node":          "metadata that is no map",
	"workload/unconfined-apparmor":  "metadata that is no map",
}

// TestControlsNativeEqualsInterpreted holds that every control says the same of
// its cases, of odd objects too, whether the native code or cel-go runs its
// expressions.
func TestControlsNativeEqualsInterpreted(t *testing.T) {
	if raced {
		t.Skip("one goroutine at a time evaluates")
	}
	native := control.NewLibrary()
	reference := native.Interpreted()
	strange := odd()
	judged, undecided := 0, 0
	for _, c := range shipped(t) {
		cases, err := c.Cases()
		if err != nil {
			t.Fatal(err)
		}
		for i := range cases {
			var changes []fact.Change
			for j, root := range cases[i].Objects {
				if o, ok := fact.NewObject(root, fact.Origin{File: "case", Doc: j}); ok {
					changes = append(changes, fact.Change{Op: fact.Upsert, Object: &o})
				}
			}
			if i == 0 { // one odd object in thirteen
				for j := len(c.ID) % 13; j < len(strange); j += 13 {
					changes = append(changes, fact.Change{Op: fact.Upsert, Object: &strange[j]})
				}
			}
			snapshot := (&fact.Snapshot{}).Apply(changes...)
			options := assess.Options{Minor: assess.NewestMinor(), Workers: 1, NoMemo: true, Params: map[string]map[string]any{c.ID: cases[i].Params}}
			var got [2]string
			var errs []string
			merged := false // what cel-go has had in hand has no place of its own: several findings may be one
			for k, lib := range []*control.Library{native, reference} {
				a, err := assess.New(lib, []*control.Control{c}, options).Assess(snapshot)
				if err != nil {
					t.Fatal(err)
				}
				var lines []string
				for _, f := range a.Report(nil, nil).Findings {
					message := f.Message
					if f.Verdict != "fail" {
						message = "" // the texts of errors differ
						errs = append(errs, f.Message)
					}
					if f.Count > 1 && k == 1 {
						merged = true
					}
					for range f.Count {
						lines = append(lines, fmt.Sprintf("%s %s/%s/%s %s", f.Verdict, f.Subject.Kind, f.Subject.Name, f.Subject.Container, message))
					}
				}
				slices.Sort(lines)
				r := a.Results()[0]
				got[k] = fmt.Sprintf("pass %d fail %d unknown %d\n%s", r.Pass, r.Fail, r.Unknown, strings.Join(slices.Compact(lines), "\n"))
			}
			judged++
			if got[0] != got[1] && !strings.Contains(got[1], "unknown 0\n") {
				// cel-go could not: see the two gaps of its adapter at known.
				undecided++
				continue
			}
			if why := known[c.ID]; why != "" {
				continue
			}
			if merged {
				got[0], _, _ = strings.Cut(got[0], "\n")
				got[1], _, _ = strings.Cut(got[1], "\n")
			}
			if got[0] != got[1] {
				t.Errorf("%s: case %q:\nnative: %s\ncel-go: %s\n%s", c.File, cases[i].Name, got[0], got[1], strings.Join(errs, "\n"))
			}
		}
	}
	t.Logf("%d cases, of which cel-go could not evaluate %d", judged, undecided)
	if undecided > judged/50 {
		t.Errorf("cel-go could not evaluate %d of %d cases", undecided, judged)
	}
}
