package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/framework"
)

// podDefaults reads a pod as the API server hands it to admission: a volume
// without a source is an emptyDir there.
func podDefaults(c *testCase) ([]document, error) {
	var pod map[string]any
	if err := c.decode("input", &pod); err != nil {
		return nil, err
	}
	if spec, ok := pod["spec"].(map[string]any); ok {
		volumes, _ := spec["volumes"].([]any)
		for _, v := range volumes {
			if v, ok := v.(map[string]any); ok && len(v) == 1 && v["name"] != nil {
				v["emptyDir"] = map[string]any{}
			}
		}
	}
	text, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("case %s: write the pod: %w", c.ID, err)
	}
	return []document{{"input", text}}, nil
}

// runPSS evaluates a level of the Pod Security Standards at every minor version
// of the case. A denial must come from the check that the case is about.
func runPSS(r *runner, c *testCase, in *input) (outcome, error) {
	var versions []string
	if err := c.decode("versions", &versions); err != nil {
		return outcome{}, err
	}
	minors, err := minorsOf(versions)
	if err != nil {
		return outcome{}, fmt.Errorf("case %s: %w", c.ID, err)
	}
	level, check, expect := c.text("level"), c.text("check"), c.text("expect")
	out := outcome{check: check + "@" + level, expected: expect, agreed: true, got: expect}
	id := check
	if len(r.table.rows(check+"@"+level)) > 0 {
		id = check + "@" + level
	}
	for _, minor := range minors {
		hits, err := r.level(in, level, minor)
		if err != nil {
			return outcome{}, err
		}
		got := decision(hits)
		note := ""
		if got == expect && expect == "deny" {
			a, err := r.ask(in, id, setting{minor: &minor})
			if err != nil {
				return outcome{}, err
			}
			if !slices.ContainsFunc(a.failed(), func(h hit) bool { return fired(hits, h.finding.Control) }) {
				got, note = "deny, but not by the controls of "+id, strings.Join(a.notes, "; ")
			}
		}
		if got != expect {
			out.agreed, out.got, out.hits = false, fmt.Sprintf("%s at 1.%d", got, minor), hits
			if note != "" {
				out.notes = append(out.notes, note)
			}
			break
		}
	}
	return out, nil
}

// fired reports whether a control is among those that fail.
func fired(hits []hit, control string) bool {
	return slices.ContainsFunc(hits, func(h hit) bool { return h.verdict == finding.Fail && h.finding.Control == control })
}

// minorsOf lists every minor version from the first to the last, both included.
func minorsOf(versions []string) ([]int, error) {
	var ends []int
	for _, v := range versions {
		n, err := strconv.Atoi(strings.TrimPrefix(v, "v1."))
		if err != nil {
			return nil, fmt.Errorf("version %q is not of the form v1.30", v)
		}
		ends = append(ends, n)
	}
	if len(ends) == 0 {
		return nil, fmt.Errorf("no versions")
	}
	var out []int
	for n := slices.Min(ends); n <= slices.Max(ends); n++ {
		out = append(out, n)
	}
	return out, nil
}

// decision is what a level's admission does.
func decision(hits []hit) string {
	got := "allow"
	for _, h := range hits {
		if h.verdict == finding.Fail {
			return "deny"
		}
		got = "unknown"
	}
	return got
}

// level judges an input by all controls that answer the items which a level has
// at a version.
func (r *runner) level(in *input, level string, minor int) ([]hit, error) {
	f := r.catalogue.frameworks["pss-"+level]
	if f == nil {
		return nil, fmt.Errorf("there is no framework pss-%s", level)
	}
	q := &question{minor: minor, controls: r.answering(f, minor)}
	j, err := r.judge.judge(q, in)
	if err != nil {
		return nil, err
	}
	return j.hits, nil
}

// answering returns the controls that answer the items of a framework which are
// valid at a Kubernetes version, sorted by id.
func (r *runner) answering(f *framework.Framework, minor int) []*control.Control {
	items := map[string]bool{}
	var out []*control.Control
	for _, it := range f.Items {
		if since, err := strconv.Atoi(strings.TrimPrefix(it.Since, "1.")); err == nil && minor < since {
			continue
		}
		items[it.ID] = true
		for _, id := range it.Controls {
			if c := r.catalogue.controls[id]; c != nil {
				out = append(out, c)
			}
		}
	}
	for _, c := range r.catalogue.controls {
		if slices.ContainsFunc(c.Maps[f.Name].Items, func(id string) bool { return items[id] }) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *control.Control) int { return strings.Compare(a.ID, b.ID) })
	return slices.Compact(out)
}
