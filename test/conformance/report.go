package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// results is the outcome of a run; its JSON form is that of -o json.
type results struct {
	Oracles []*result `json:"oracles"`
}

// result is how one oracle or group went.
type result struct {
	Name          string         `json:"name"`
	Agreed        int            `json:"agreed"`
	Total         int            `json:"total"`
	Excluded      int            `json:"excluded"`
	Groups        []*result      `json:"groups,omitempty"`
	Disagreements []disagreement `json:"disagreements,omitempty"`
	Left          []leftOut      `json:"left_out,omitempty"`
}

// disagreement is one case that did not agree.
type disagreement struct {
	Case     string   `json:"case"`
	Groups   []string `json:"groups,omitempty"`
	Check    string   `json:"check,omitempty"`
	Expected string   `json:"expected"`
	Got      string   `json:"got"`
	Findings []string `json:"findings,omitempty"`
	Notes    []string `json:"notes,omitempty"`
}

// leftOut is one case that is not judged.
type leftOut struct {
	Case   string `json:"case"`
	Reason string `json:"reason"`
}

func newResult(o *oracle) *result {
	r := &result{Name: o.name}
	for _, g := range o.groups {
		r.Groups = append(r.Groups, &result{Name: o.name + "/" + g})
	}
	return r
}

// count counts a case for the oracle and for the groups it is in.
func (r *result) count(groups []string, f func(*result)) {
	f(r)
	for _, g := range r.Groups {
		for _, name := range groups {
			if g.Name == r.Name+"/"+name {
				f(g)
			}
		}
	}
}

func (r *result) exclude(c *testCase, groups []string, reason string) {
	r.count(groups, func(x *result) { x.Total++; x.Excluded++ })
	r.Left = append(r.Left, leftOut{c.ID, reason})
}

func (r *result) add(c *testCase, groups []string, o *outcome) {
	r.count(groups, func(x *result) {
		x.Total++
		if o.agreed {
			x.Agreed++
		}
	})
	if o.agreed {
		return
	}
	d := disagreement{Case: c.ID, Groups: groups, Check: o.check, Expected: o.expected, Got: o.got}
	seen := map[string]bool{}
	for _, n := range o.notes {
		if !seen[n] {
			seen[n] = true
			d.Notes = append(d.Notes, n)
		}
	}
	for _, h := range o.hits {
		d.Findings = append(d.Findings, h.shown())
	}
	r.Disagreements = append(r.Disagreements, d)
}

// write prints the results in the form asked for.
func (r *results) write(w io.Writer, q *request) error {
	if q.json {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	var b strings.Builder
	for _, o := range r.Oracles {
		o.line(&b)
		for _, g := range o.Groups {
			g.line(&b)
		}
		if q.verbose {
			o.details(&b)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *result) line(b *strings.Builder) {
	fmt.Fprintf(b, "%s %d/%d excluded=%d\n", r.Name, r.Agreed, r.Total, r.Excluded)
}

func (r *result) details(b *strings.Builder) {
	for _, d := range r.Disagreements {
		fmt.Fprintf(b, "\n%s %s\n", r.Name, d.Case)
		if d.Check != "" {
			fmt.Fprintf(b, "  check    %s\n", d.Check)
		}
		fmt.Fprintf(b, "  expected %s\n  got      %s\n", d.Expected, d.Got)
		for _, f := range d.Findings {
			fmt.Fprintf(b, "    %s\n", f)
		}
		for _, n := range d.Notes {
			fmt.Fprintf(b, "    note: %s\n", n)
		}
	}
	for _, x := range r.Left {
		fmt.Fprintf(b, "\n%s %s\n  left out: %s\n", r.Name, x.Case, x.Reason)
	}
	if len(r.Disagreements)+len(r.Left) > 0 {
		b.WriteString("\n")
	}
}
