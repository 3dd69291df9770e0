package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// runCheckov compares how many objects passed and failed one check. Checkov
// judges each object by itself, fails it once, however many of its containers
// fail, and counts neither what a check does not concern nor what an annotation
// lets be. A case without counts lists the objects themselves.
func runCheckov(r *runner, c *testCase, in *input) (outcome, error) {
	var expect struct {
		Passed, Failed *int
		PassingNames   []string `json:"passing_resources"`
		FailingNames   []string `json:"failing_resources"`
	}
	if err := c.decode("expect", &expect); err != nil {
		return outcome{}, err
	}
	wantPassed, wantFailed := len(expect.PassingNames), len(expect.FailingNames)
	if expect.Passed != nil && expect.Failed != nil {
		wantPassed, wantFailed = *expect.Passed, *expect.Failed
	}
	check := c.text("check")
	out := outcome{check: check, got: "not answered", expected: counts(wantPassed, wantFailed)}
	passed, failed, judged, mapped := 0, 0, true, true
	for _, o := range in.objects() {
		if o.Name == "" && o.Root.At("metadata", "labels").IsNull() || skipped(o, check) {
			continue
		}
		a, err := r.ask(in.only(o), check, setting{})
		if err != nil {
			return outcome{}, err
		}
		out.hits, out.notes = append(out.hits, a.hits...), append(out.notes, a.notes...)
		mapped = mapped && a.mapped
		concerned, passes, err := r.concerned(a, in, o)
		switch {
		case err != nil:
			return outcome{}, err
		case concerned && len(a.failed()) > 0:
			failed++
		case concerned && passes:
			passed++
			judged = judged && a.judged()
		}
	}
	if mapped && len(in.objects()) > 0 {
		out.got = counts(passed, failed)
		out.agreed = passed == wantPassed && failed == wantFailed && judged
	}
	return out, nil
}

func counts(passed, failed int) string { return fmt.Sprintf("passed %d, failed %d", passed, failed) }

// concerned reports whether a check concerns an object, by the rows that
// answer it, and whether a pass of it is counted.
func (r *runner) concerned(a *answer, in *input, o *fact.Object) (concerned, passes bool, err error) {
	for _, row := range a.rows {
		ok, err := r.rowConcerns(row, a, in, o)
		if err != nil {
			return false, false, err
		}
		if ok {
			concerned = true
			passes = passes || !row.options.noPass
		}
	}
	return concerned, passes, nil
}

func (r *runner) rowConcerns(row *row, a *answer, in *input, o *fact.Object) (bool, error) {
	opt := &row.options
	if !kindAllowed(opt.kinds, o, o.Kind) {
		return false, nil
	}
	if opt.only != "" {
		c := r.catalogue.controls[opt.only]
		if c == nil {
			return false, fmt.Errorf("%s: there is no control %s", row.place(), opt.only)
		}
		j, err := r.judge.judge(&question{controls: []*control.Control{c}, minor: r.catalogue.newest}, in.only(o))
		if err != nil || len(j.hits) == 0 {
			return false, err
		}
	}
	switch opt.subjects {
	case "objects":
		return !malformed(o), nil
	case "pods":
		return podKind(o) && !malformed(o) && hasContainer(o, opt.containers), nil
	}
	return !malformed(o) && slices.ContainsFunc(a.units, func(u unit) bool { return opt.naPasses || u.verdict != finding.NotApplicable }), nil
}

// podKind reports whether Checkov knows that an object of the kind carries a
// pod.
func podKind(o *fact.Object) bool {
	switch o.Kind {
	case "Pod", "PodTemplate", "Deployment", "DaemonSet", "StatefulSet", "ReplicaSet", "ReplicationController", "Job", "CronJob":
		return true
	}
	return false
}

// hasContainer reports whether an object has a container of some types; of any
// but ephemeral ones, which Checkov does not know, where none are named.
func hasContainer(o *fact.Object, types []string) bool {
	for _, p := range fact.PodTemplates(o) {
		for _, c := range p.Containers() {
			if len(types) == 0 && c.Type != fact.EphemeralContainer || slices.Contains(types, string(c.Type)) {
				return true
			}
		}
	}
	return false
}

// skipped reports whether an annotation of an object lets a check be:
// `checkov.io/skip1: CKV_K8S_1=reason`. Source: Checkov's documentation,
// "Suppressing and Skipping Policies".
func skipped(o *fact.Object, check string) bool {
	for a := range o.Root.At("metadata", "annotations").Children() {
		key := a.Key().String()
		for _, prefix := range []string{"checkov.io/skip", "bridgecrew.io/skip", "cortex.io/skip"} {
			id, _, _ := strings.Cut(a.Text(), "=")
			if strings.Contains(key, prefix) && strings.TrimSpace(id) == check {
				return true
			}
		}
	}
	return false
}

// malformed reports whether a pod is one that no API server takes: with
// something else where its lists belong. Checkov says neither passed nor failed
// of those.
func malformed(o *fact.Object) bool {
	for _, p := range fact.PodTemplates(o) {
		if noList(p.Spec, "containers", "initContainers", "ephemeralContainers", "volumes") {
			return true
		}
		for _, c := range p.Containers() {
			if noList(c.Value, "env", "envFrom", "ports", "volumeMounts", "command", "args") {
				return true
			}
		}
	}
	return false
}

func noList(v fact.Value, names ...string) bool {
	for _, name := range names {
		if x := v.Get(fact.K(name)); !x.IsNull() && x.Kind() != fact.List {
			return true
		}
	}
	return false
}
