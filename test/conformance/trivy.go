package main

import (
	"fmt"
	"strings"
)

// trivyGroup tells the checks of workloads and RBAC from those of components.
func trivyGroup(c *testCase, _ *input) []string {
	group, _, _ := strings.Cut(strings.ToLower(c.text("check")), "-")
	return []string{group}
}

// runTrivyRego compares the verdict of one check, and the number of results
// where the case states one.
func runTrivyRego(r *runner, c *testCase, in *input) (outcome, error) {
	var expect struct {
		Op      string `json:"op"`
		Count   int    `json:"count"`
		Verdict string `json:"verdict"`
	}
	if err := c.decode("expect", &expect); err != nil {
		return outcome{}, err
	}
	a, err := r.ask(in, c.text("check"), setting{})
	if err != nil {
		return outcome{}, err
	}
	out := verdictOutcome(a, expect.Verdict)
	n := a.count()
	switch expect.Op {
	case "==":
		out.agreed = out.agreed && n == expect.Count
	case ">":
		out.agreed = out.agreed && n > expect.Count
	case ">=":
		out.agreed = out.agreed && n >= expect.Count
	case "!=":
		out.agreed = out.agreed && n != expect.Count
	default:
		return outcome{}, fmt.Errorf("case %s: unknown comparison %q", c.ID, expect.Op)
	}
	out.expected += fmt.Sprintf(", count %s %d", expect.Op, expect.Count)
	out.got += fmt.Sprintf(", count %d", n)
	return out, nil
}
