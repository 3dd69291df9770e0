// Package vuln matches versions against advisories in the form of OSV, and says
// whether what an advisory needs is there at all.
//
// It is pure: advisories come as bytes, versions as strings, and nothing is
// fetched. The form is the OSV schema 1.7 (https://ossf.github.io/osv-schema).
package vuln

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Advisory is one record of OSV, as far as matching needs it.
type Advisory struct {
	ID         string      `json:"id"`
	Aliases    []string    `json:"aliases,omitempty"`
	Summary    string      `json:"summary,omitempty"`
	Published  string      `json:"published,omitempty"`
	Modified   string      `json:"modified,omitempty"`
	Withdrawn  string      `json:"withdrawn,omitempty"`
	Severity   []Score     `json:"severity,omitempty"`
	Affected   []Affected  `json:"affected,omitempty"`
	References []Reference `json:"references,omitempty"`

	// Needs is Merlon's own addition under database_specific.merlon.needs: all of
	// it must hold for the advisory to apply.
	Needs []Need `json:"-"`
}

// Score is a severity as OSV has it: a CVSS vector, by type.
type Score struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

// Reference points to what is known of the advisory elsewhere.
type Reference struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

// Affected is one package and which of its versions an advisory concerns. An
// advisory may name a package several times; any of them will do.
type Affected struct {
	Package  Package  `json:"package"`
	Severity []Score  `json:"severity,omitempty"`
	Ranges   []Range  `json:"ranges,omitempty"`
	Versions []string `json:"versions,omitempty"`
}

// Package names a package of an ecosystem.
type Package struct {
	Ecosystem string `json:"ecosystem"`
	Name      string `json:"name"`
	PURL      string `json:"purl,omitempty"`
}

// Range is a list of events along the order of versions.
type Range struct {
	Type   string  `json:"type"` // SEMVER, ECOSYSTEM; GIT ranges are of commits and match nothing here
	Events []Event `json:"events"`
}

// Event is one point of a range; exactly one field is set.
type Event struct {
	Introduced   string `json:"introduced,omitempty"`
	Fixed        string `json:"fixed,omitempty"`
	LastAffected string `json:"last_affected,omitempty"`
	Limit        string `json:"limit,omitempty"`
}

func (e *Event) version() string {
	return e.Introduced + e.Fixed + e.LastAffected + e.Limit
}

// Match is what an advisory says of one version.
type Match struct {
	Affected bool
	Fixed    string // the next version that mends it, "" where none is known
	Score    float64
	Level    string // critical, high, medium, low, "" where nothing says
}

// Match holds one version of a package against the advisory. A version or event
// that cannot be ordered is an error, so that nobody takes it for unaffected.
func (a *Advisory) Match(ecosystem, name, version string) (Match, error) {
	var m Match
	if a.Withdrawn != "" {
		return m, nil
	}
	for i := range a.Affected {
		at := &a.Affected[i]
		if !at.Package.is(ecosystem, name) {
			continue
		}
		hit, fixed, err := at.match(ecosystem, version)
		if err != nil {
			return m, fmt.Errorf("advisory %s: %w", a.ID, err)
		}
		if hit && !m.Affected {
			m = Match{Affected: true, Fixed: fixed}
			scores := at.Severity
			if len(scores) == 0 {
				scores = a.Severity
			}
			m.Score, m.Level = Worst(scores)
		}
	}
	return m, nil
}

// is compares names; an ecosystem may carry a release after a colon, which a
// query without one does not ask for.
func (p Package) is(ecosystem, name string) bool {
	if p.Name != name {
		return false
	}
	if p.Ecosystem == ecosystem {
		return true
	}
	base, _, _ := strings.Cut(p.Ecosystem, ":")
	return base == ecosystem
}

func (at *Affected) match(ecosystem, version string) (bool, string, error) {
	if slices.Contains(at.Versions, version) {
		return true, at.nextFix(ecosystem, version), nil
	}
	var errs []error
	for i := range at.Ranges {
		hit, fixed, err := at.Ranges[i].holds(ecosystem, version)
		switch {
		case err != nil:
			errs = append(errs, err)
		case hit:
			return true, fixed, nil
		}
	}
	return false, "", errors.Join(errs...)
}

// nextFix is the first fix above a version that is listed by itself.
func (at *Affected) nextFix(ecosystem, version string) string {
	for i := range at.Ranges {
		if hit, fixed, err := at.Ranges[i].holds(ecosystem, version); err == nil && hit {
			return fixed
		}
	}
	return ""
}

// holds walks the events in the order of their versions, as the schema's own
// evaluation does: introduced switches on, fixed at its version and last_affected
// above its version switch off, and nothing holds from a limit on.
func (r *Range) holds(ecosystem, version string) (hit bool, fixed string, err error) {
	if r.Type == "GIT" {
		return false, "", nil
	}
	if r.Type == "SEMVER" && ecosystem != "Go" {
		ecosystem = semver
	}
	order, err := newOrder(ecosystem, version)
	if err != nil {
		return false, "", err
	}
	events, err := sorted(ecosystem, r.Events)
	if err != nil {
		return false, "", err
	}
	limited, below := false, false
	for i := range events {
		e := &events[i]
		if e.Limit != "" {
			limited = true
			if e.Limit == "*" || order.compare(e.Limit) < 0 {
				below = true
			}
			continue
		}
		c := 1
		if e.Introduced != "0" {
			c = order.compare(e.version())
		}
		switch {
		case e.Introduced != "" && c >= 0:
			hit, fixed = true, ""
		case e.Fixed != "" && c >= 0, e.LastAffected != "" && c > 0:
			hit = false
		case e.Fixed != "" && hit && fixed == "":
			fixed = e.Fixed
		}
	}
	hit = hit && (!limited || below)
	if !hit {
		fixed = ""
	}
	return hit, fixed, nil
}

// sorted orders events by version. At the same version a fix comes before a new
// introduction, so that the version itself is affected.
func sorted(ecosystem string, events []Event) ([]Event, error) {
	out := slices.Clone(events)
	for i := range out {
		if v := out[i].version(); v != "0" && v != "*" {
			if _, err := newOrder(ecosystem, v); err != nil {
				return nil, err
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Event) int {
		va, vb := a.version(), b.version()
		switch {
		case a.Introduced == "0" && b.Introduced == "0":
			return 0
		case a.Introduced == "0":
			return -1
		case b.Introduced == "0":
			return 1
		case va == "*" || vb == "*":
			return strings.Compare(vb, va)
		}
		if c, err := Compare(ecosystem, va, vb); err == nil && c != 0 {
			return c
		}
		return rank(a) - rank(b)
	})
	return out, nil
}

func rank(e Event) int {
	if e.Introduced != "" {
		return 1
	}
	return 0
}
