package remedy

import (
	"maps"
	"slices"
	"strings"

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
		for _, k := range keysOf(&f.Finding) {
			fixed[k] += max(1, f.Finding.Count)
		}
	}
	for id, f := range r.fixes {
		left := func(k string) bool { return m.before[k] > 0 && after[k] > max(0, m.before[k]-fixed[k]) }
		if there[id] || slices.ContainsFunc(keysOf(&f.Finding), left) {
			m.excluded[id] = "the patch does not mend it"
			sound = false
		}
	}
	if !sound {
		return false, nil
	}
	for i := range r.findings {
		f := &r.findings[i]
		if key, come := m.more(f, after); come {
			return false, m.blame(first, r, f, key)
		}
	}
	return true, nil
}

// blame finds the fix that has brought a finding, by leaving out one after the
// other of those that touch its object, and excludes it: all, if it takes
// several.
func (m *maker) blame(first *state, r *result, f *finding.Finding, key string) error {
	suspects := r.suspects(f, key[strings.LastIndexByte(key, 0)+1:])
	reason := "it would bring another finding: " + f.Control + " (" + f.Message + ")"
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

// suspects returns the ids of fixes that may have brought a finding to a world:
// those of its object, else those in the namespace that it is about, else all that
// were made there.
func (r *result) suspects(f *finding.Finding, world string) []string {
	var same, inside, all []string
	for _, id := range slices.Sorted(maps.Keys(r.fixes)) {
		x := &r.fixes[id].Finding
		if len(x.Worlds) == 0 && world != "" || len(x.Worlds) > 0 && !slices.Contains(x.Worlds, world) {
			continue
		}
		all = append(all, id)
		switch s := &x.Subject; {
		case s.Kind == f.Subject.Kind && s.Namespace == f.Subject.Namespace && s.Name == f.Subject.Name:
			same = append(same, id)
		case f.Subject.Kind == "Namespace" && s.Namespace == f.Subject.Name:
			inside = append(inside, id)
		}
	}
	switch {
	case len(same) > 0:
		return same
	case len(inside) > 0:
		return inside
	}
	return all
}
