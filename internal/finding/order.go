package finding

import (
	"cmp"
	"slices"
)

// Sort puts findings in the one order that every output uses: what is worst
// first, then by subject and place.
func Sort(findings []Finding) {
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(
			cmp.Compare(b.Severity, a.Severity),
			cmp.Compare(a.Location.File, b.Location.File),
			cmp.Compare(a.Location.Line, b.Location.Line),
			cmp.Compare(a.Location.Column, b.Location.Column),
			cmp.Compare(a.Control, b.Control),
			cmp.Compare(a.Subject.Namespace, b.Subject.Namespace),
			cmp.Compare(a.Subject.Kind, b.Subject.Kind),
			cmp.Compare(a.Subject.Name, b.Subject.Name),
			cmp.Compare(a.Subject.Container, b.Subject.Container),
			cmp.Compare(a.ID, b.ID),
		)
	})
}

// Summarise counts findings and gaps into s, leaving its other fields.
func (r *Report) Summarise() {
	s := &r.Summary
	s.Findings, s.Waived, s.Baseline, s.Gaps = 0, 0, 0, len(r.Gaps)
	s.Severities = map[string]int{}
	for _, level := range []Severity{Critical, High, Medium, Low} {
		s.Severities[level.String()] = 0
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		switch {
		case f.Waived != nil:
			s.Waived++
		case f.Baseline:
			s.Baseline++
		default:
			s.Findings++
			s.Severities[f.Severity.String()]++
		}
	}
}

// Worst returns the highest severity among open findings; None when there are
// none.
func (r *Report) Worst() Severity {
	worst := None
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Open() && f.Severity > worst {
			worst = f.Severity
		}
	}
	return worst
}
