package main

import "fmt"

// runKubeLinter compares the number of reports of one check over all objects of
// the case. A case whose number is lost expects one.
func runKubeLinter(r *runner, c *testCase, in *input) (outcome, error) {
	var expect struct {
		Count *int `json:"count"`
	}
	if err := c.decode("expect", &expect); err != nil {
		return outcome{}, err
	}
	want := 1
	if expect.Count != nil {
		want = *expect.Count
	}
	check := c.text("check")
	if check == "" { // a check of the user's own, known by the name of the case
		check = c.ID
	}
	a, err := r.ask(in, check, setting{})
	if err != nil {
		return outcome{}, err
	}
	out := outcome{check: check, expected: plural(want, "report"), got: "not answered", hits: a.hits, notes: a.notes}
	if a.mapped {
		n := a.count()
		out.got = plural(n, "report")
		out.agreed = n == want && a.judged()
		if !a.judged() {
			out.got = fmt.Sprintf("%s, and some that could not be judged", out.got)
		}
	}
	return out, nil
}

// judged reports whether every subject got a verdict.
func (a *answer) judged() bool { return len(a.failed()) == len(a.hits) }
