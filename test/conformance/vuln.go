package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/vuln"
	"golang.org/x/mod/semver"
)

// runVersionOrder compares the order of two versions of an ecosystem.
func runVersionOrder(_ *runner, c *testCase, _ *input) (outcome, error) {
	var pair []string
	if err := c.decode("input", &pair); err != nil {
		return outcome{}, err
	}
	if len(pair) != 2 {
		return outcome{}, fmt.Errorf("case %s: %d versions, not two", c.ID, len(pair))
	}
	out := outcome{check: c.text("ecosystem"), expected: c.text("expect")}
	order, err := vuln.Compare(out.check, pair[0], pair[1])
	switch {
	case err != nil:
		return outcome{}, err
	case order < 0:
		out.got = "<"
	case order > 0:
		out.got = ">"
	default:
		out.got = "="
	}
	out.agreed = out.got == out.expected
	return out, nil
}

// probe is one version that a case asks about.
type probe struct {
	Module   string `json:"module"`
	Version  string `json:"version"`
	Affected bool   `json:"affected"`
}

// runOSV matches versions against one advisory. ORACLES.md says which answers
// were filed wrong and how: answers were computed for each `affected` entry
// alone, so a module that is named twice has too few that are affected; these
// are to be OR-ed.
func runOSV(_ *runner, c *testCase, _ *input) (outcome, error) {
	a, err := vuln.Parse(c.fields["input"])
	if err != nil {
		return outcome{}, err
	}
	var probes []probe
	if err := c.decode("expect", &probes); err != nil {
		return outcome{}, err
	}
	out := outcome{check: a.ID, agreed: true}
	wanted := map[[2]string]bool{}
	for _, p := range probes {
		key := [2]string{p.Module, p.Version}
		wanted[key] = wanted[key] || p.Affected || namedTwice(c.fields["input"], p.Module) && inAny(a, p)
	}
	for key, want := range wanted {
		m, err := a.Match("Go", key[0], key[1])
		if err != nil {
			return outcome{}, err
		}
		if m.Affected != want {
			out.agreed = false
			out.notes = append(out.notes, fmt.Sprintf("%s %s: affected %v, expected %v", key[0], key[1], m.Affected, want))
		}
	}
	out.expected, out.got = fmt.Sprintf("%d answers", len(wanted)), strings.Join(out.notes, "; ")
	return out, nil
}

// namedTwice reports whether an advisory has several entries for a module.
func namedTwice(raw json.RawMessage, module string) bool {
	var a vuln.Advisory
	if json.Unmarshal(raw, &a) != nil {
		return false
	}
	n := 0
	for i := range a.Affected {
		if a.Affected[i].Package.Name == module {
			n++
		}
	}
	return n > 1
}

// inAny answers for each entry of a module by itself, which is what OR-ing means.
// It reckons by Go's own order of versions, apart from the code under test, so
// that the two can disagree.
func inAny(a *vuln.Advisory, p probe) bool {
	version := "v" + p.Version
	if !semver.IsValid(version) {
		return false
	}
	for i := range a.Affected {
		if a.Affected[i].Package.Name == p.Module && slices.ContainsFunc(a.Affected[i].Ranges, func(r vuln.Range) bool { return within(r, version) }) {
			return true
		}
	}
	return false
}

// within reports whether the last event at or before a version introduces.
func within(r vuln.Range, version string) bool {
	last, introduced := "", false
	for _, e := range r.Events {
		at := "v" + e.Introduced + e.Fixed
		if e.Introduced == "0" {
			at = "v0.0.0-0"
		}
		if semver.Compare(at, version) <= 0 && (last == "" || semver.Compare(at, last) >= 0) {
			last, introduced = at, e.Introduced != ""
		}
	}
	return introduced
}
