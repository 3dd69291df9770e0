package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/finding"
)

// kubesecFile reads a manifest as kubesec's web service takes it: in the body
// of a form it may stand after "file=".
func kubesecFile(c *testCase) ([]document, error) {
	docs, err := oneManifest(c)
	if err == nil {
		docs[0].text = bytes.TrimPrefix(docs[0].text, []byte("file="))
	}
	return docs, err
}

// runKubesec compares the sign of the score: below zero is at least one finding
// of severity critical or high, zero or above is none. What kubesec refuses as
// invalid must be a gap. That its web service answered at all says nothing
// about the score.
func runKubesec(r *runner, c *testCase, in *input) (outcome, error) {
	var asserts []string
	if err := c.decode("expect", &asserts); err != nil {
		return outcome{}, err
	}
	q := &question{minor: r.catalogue.newest, controls: r.scanned()}
	j, err := r.judge.judge(q, in)
	if err != nil {
		return outcome{}, err
	}
	out := outcome{check: c.text("title"), expected: strings.Join(asserts, " "), agreed: true}
	serious := filter(j.hits, func(h hit) bool { return h.verdict == finding.Fail && h.finding.Severity >= finding.High })
	out.hits = serious
	out.got = fmt.Sprintf("%s of severity high or critical, %s", plural(len(serious), "finding"), plural(len(in.snapshot.Gaps()), "gap"))
	remote := strings.Contains(c.text("title"), "remote")
	for _, word := range strings.Fields(strings.Join(asserts, " ")) {
		if word != "assert_success" || !remote {
			out.agreed = out.agreed && kubesecHolds(word, len(serious), in)
		}
	}
	return out, nil
}

// kubesecHolds says whether one assertion of kubesec's tests holds for us.
// Source: kubesec's test/lib and test/*.bats.
func kubesecHolds(word string, serious int, in *input) bool {
	switch word {
	case "assert_lt_zero_points":
		return serious > 0
	case "assert_zero_points", "assert_gt_zero_points":
		return serious == 0
	case "assert_invalid_input":
		return in.broken()
	case "assert_failure", "assert_failure_local":
		return serious > 0 || in.broken()
	case "assert_success":
		return serious == 0 && !in.broken()
	}
	return true // words of the test's shell that assert nothing
}

// scanned returns the controls that `merlon scan` runs unless told otherwise.
func (r *runner) scanned() []*control.Control {
	var out []*control.Control
	for id, c := range r.catalogue.controls {
		if id == c.ID && !c.Hygiene() {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b *control.Control) int { return strings.Compare(a.ID, b.ID) })
	return out
}
