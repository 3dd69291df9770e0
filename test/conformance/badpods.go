package main

import "strings"

// runBadPods judges by both levels of the Pod Security Standards at the newest
// version, and looks for each dangerous field by a map row of its name.
func runBadPods(r *runner, c *testCase, in *input) (outcome, error) {
	var expect struct {
		Baseline   string   `json:"baseline"`
		Restricted string   `json:"restricted"`
		MustFind   []string `json:"must_find"`
	}
	if err := c.decode("expect", &expect); err != nil {
		return outcome{}, err
	}
	out := outcome{check: "pss", expected: "baseline " + expect.Baseline + ", restricted " + expect.Restricted}
	if len(expect.MustFind) > 0 {
		out.expected += ", found: " + strings.Join(expect.MustFind, " ")
	}
	baseline, err := r.level(in, "baseline", r.catalogue.newest)
	if err != nil {
		return outcome{}, err
	}
	restricted, err := r.level(in, "restricted", r.catalogue.newest)
	if err != nil {
		return outcome{}, err
	}
	out.hits = restricted
	out.got = "baseline " + decision(baseline) + ", restricted " + decision(restricted)
	found, err := r.found(in, expect.MustFind, &out)
	if err != nil {
		return outcome{}, err
	}
	if len(found) > 0 {
		out.got += ", found: " + strings.Join(found, " ")
	}
	out.agreed = out.got == out.expected
	return out, nil
}

// found returns those of some weaknesses that are reported.
func (r *runner) found(in *input, weaknesses []string, out *outcome) ([]string, error) {
	var found []string
	for _, name := range weaknesses {
		a, err := r.ask(in, name, setting{})
		if err != nil {
			return nil, err
		}
		out.notes = append(out.notes, a.notes...)
		if len(a.failed()) > 0 {
			found = append(found, name)
		}
	}
	return found, nil
}
