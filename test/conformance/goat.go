package main

import (
	"slices"
	"strings"
)

// runGoat asks whether every weakness that a scenario names is found. A row of
// the map may be for a weakness in full, `hostPath:/etc`, or for all with the
// same beginning, `hostPath`; then a finding must name what follows the colon.
func runGoat(r *runner, c *testCase, in *input) (outcome, error) {
	var want, found []string
	if err := c.decode("expect", &want); err != nil {
		return outcome{}, err
	}
	out := outcome{check: "weaknesses"}
	for _, weakness := range want {
		hits, err := r.weakness(in, weakness, &out)
		if err != nil {
			return outcome{}, err
		}
		if len(hits) > 0 {
			found, out.hits = append(found, weakness), append(out.hits, hits...)
		}
	}
	out.expected, out.got = strings.Join(want, " "), strings.Join(found, " ")
	out.agreed = slices.Equal(want, found)
	return out, nil
}

func (r *runner) weakness(in *input, weakness string, out *outcome) ([]hit, error) {
	id, detail := weakness, ""
	if len(r.table.rows(id)) == 0 {
		id, detail, _ = strings.Cut(weakness, ":")
	}
	a, err := r.ask(in, id, setting{})
	if err != nil {
		return nil, err
	}
	out.notes = append(out.notes, a.notes...)
	return filter(a.failed(), func(h hit) bool { return detail == "" || tells(&h, detail) }), nil
}

// tells reports whether a finding names a value, in its evidence or message.
func tells(h *hit, value string) bool {
	for _, e := range h.finding.Evidence {
		if e.Value == value {
			return true
		}
	}
	return slices.ContainsFunc(strings.Fields(h.finding.Message), func(word string) bool { return strings.Trim(word, `"'.,;:()`) == value })
}
