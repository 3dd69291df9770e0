package remedy

import (
	"maps"
	"slices"

	"github.com/merlon-security/merlon/internal/finding"
)

// prove holds a result to the promise: the findings fixed are gone, and none has
// come. Where it does not hold, the fixes at fault are excluded, and false says
// to run again.
func (m *maker) prove(first *state, r *result) (bool, error) {
	after := countOf(r.findings)
	there := map[string]bool{}
	for i := range r.findings {
		there[r.findings[i].ID] = true
	}
	sound := true
	fixed := map[string]int{}
	for _, f := range r.fixes {
		fixed[keyOf(&f.Finding)] += max(1, f.Finding.Count)
	}
	for id, f := range r.fixes {
		key := keyOf(&f.Finding)
		if there[id] || m.before[key] > 0 && after[key] > max(0, m.before[key]-fixed[key]) {
			m.excluded[id] = "the patch does not mend it"
			sound = false
		}
	}
	if !sound {
		return false, nil
	}
	for i := range r.findings {
		f := &r.findings[i]
		if key := keyOf(f); after[key] > m.before[key] {
			return false, m.blame(first, r, f)
		}
	}
	return true, nil
}

// blame finds the fix that has brought a finding, by leaving out one after the
// other of those that touch its object, and excludes it: all, if it takes
// several.
func (m *maker) blame(first *state, r *result, f *finding.Finding) error {
	var suspects []string
	for _, id := range slices.Sorted(maps.Keys(r.fixes)) {
		if s := r.fixes[id].Finding.Subject; s.Kind == f.Subject.Kind && s.Namespace == f.Subject.Namespace && s.Name == f.Subject.Name {
			suspects = append(suspects, id)
		}
	}
	if len(suspects) == 0 {
		suspects = slices.Sorted(maps.Keys(r.fixes))
	}
	reason := "it would bring another finding: " + f.Control + " (" + f.Message + ")"
	key := keyOf(f)
	const trials = 64 // of fixes of one object; with more of them all are left
	for _, id := range suspects[:min(len(suspects), trials)] {
		kept := maps.Clone(m.excluded)
		m.excluded[id] = reason
		again, err := m.run(first)
		if err != nil {
			return err
		}
		if countOf(again.findings)[key] <= m.before[key] {
			return nil
		}
		m.excluded = kept
	}
	for _, id := range suspects {
		m.excluded[id] = reason
	}
	return nil
}
