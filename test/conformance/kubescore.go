package main

import (
	"encoding/json"
	"strings"
)

// runKubeScore compares pass and fail of one check on the first object that has
// it, which is the only one that kube-score's own tests look at.
func runKubeScore(r *runner, c *testCase, in *input) (outcome, error) {
	a, err := r.askFirst(in, c.text("check"), setting{values: goFields(c.text("config"))})
	if err != nil {
		return outcome{}, err
	}
	grade := c.text("expect")
	expected := "fail"
	if grade == "GradeAllOK" {
		expected = "pass"
	}
	out := verdictOutcome(a, expected)
	out.expected += " (" + grade + ")"
	return out, nil
}

// askFirst is ask for the first object that any control of the check looks at.
func (r *runner) askFirst(in *input, id string, s setting) (*answer, error) {
	a, err := r.ask(in, id, s)
	if err != nil {
		return nil, err
	}
	for _, o := range in.objects() {
		for _, u := range a.units {
			if u.object == o {
				a.hits = filter(a.hits, func(h hit) bool { return h.object == o })
				a.units = filter(a.units, func(u unit) bool { return u.object == o })
				return a, nil
			}
		}
	}
	return a, nil
}

// goFields reads the fields of a Go literal as tests write them: `Name: value,`.
// Values that are no plain constants are taken as set.
func goFields(text string) map[string]any {
	out := map[string]any{}
	for part := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(part, ":")
		if !ok {
			continue
		}
		var v any = true
		if json.Unmarshal([]byte(strings.TrimSpace(value)), &v) != nil {
			v = true
		}
		out[strings.TrimSpace(name)] = v
	}
	return out
}
