package finding

import (
	"cmp"
	"slices"
)

// Sort puts findings in the one order that every output uses: what is worst
// first, then by subject and place.
func Sort(findings []Finding) {
	order := make([]*Finding, len(findings)) // a finding is large; a pointer is swapped sooner
	for i := range findings {
		order[i] = &findings[i]
	}
	slices.SortFunc(order, Order)
	sorted := make([]Finding, len(findings))
	for i, f := range order {
		sorted[i] = *f
	}
	copy(findings, sorted)
}

// Order is the comparison that gives that order.
func Order(a, b *Finding) int {
	// By hand, not with cmp.Or, which compares everything before it looks.
	if c := cmp.Compare(b.Severity, a.Severity); c != 0 {
		return c
	}
	if c := compareLocations(&a.Location, &b.Location); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Control, b.Control); c != 0 {
		return c
	}
	return cmp.Or(
		cmp.Compare(a.Subject.Namespace, b.Subject.Namespace),
		cmp.Compare(a.Subject.Kind, b.Subject.Kind),
		cmp.Compare(a.Subject.Name, b.Subject.Name),
		cmp.Compare(a.Subject.Container, b.Subject.Container),
		cmp.Compare(a.ID, b.ID),
	)
}

func compareLocations(a, b *Location) int {
	if c := cmp.Compare(a.File, b.File); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
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
