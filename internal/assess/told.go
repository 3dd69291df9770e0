package assess

import (
	"slices"

	"github.com/merlon-security/merlon/internal/finding"
)

// What a session tells of findings. One finding of a report is what several parts
// say with one id, and what several worlds say of one line of a file; ids that
// share a line, by way of others too, are kin and told together.

// lineIndex finds the ids of findings that stand in a line, and how many there
// are of each. Only what was rendered is in it.
type lineIndex map[sourceLine]map[string]int

func (x lineIndex) add(f *finding.Finding) {
	l, ok := lineOf(f)
	if !ok {
		return
	}
	if x[l] == nil {
		x[l] = map[string]int{}
	}
	x[l][f.ID]++
}

func (x lineIndex) drop(f *finding.Finding) {
	l, ok := lineOf(f)
	if !ok {
		return
	}
	if x[l][f.ID]--; x[l][f.ID] == 0 {
		delete(x[l], f.ID)
	}
	if len(x[l]) == 0 {
		delete(x, l)
	}
}

// kin returns the ids that are kin to some, those included, and calls line with
// each line that they share.
func (s *Session) kin(ids []string, line func(sourceLine)) []string {
	if len(s.lines) == 0 || s.engine.options.Apart {
		return ids
	}
	seen, lines := map[string]bool{}, map[sourceLine]bool{}
	var out []string
	meet := func(id string) {
		if !seen[id] {
			seen[id] = true
			out = append(out, id)
		}
	}
	for _, id := range ids {
		meet(id)
	}
	for i := 0; i < len(out); i++ {
		for _, p := range s.known[out[i]] {
			for k := range p.findings {
				l, traced := lineOf(&p.findings[k])
				if !traced || p.findings[k].ID != out[i] || lines[l] {
					continue
				}
				lines[l] = true
				line(l)
				for id := range s.lines[l] {
					meet(id)
				}
			}
		}
	}
	return out
}

// touch keeps as they were before this update the findings that one which comes
// or goes may change.
func (u *update) touch(f *finding.Finding) {
	if _, kept := u.before[f.ID]; !kept {
		u.keep([]string{f.ID})
	}
	if l, ok := lineOf(f); ok && !u.touched[l] {
		u.touched[l] = true
		var ids []string
		for id := range u.lines[l] {
			ids = append(ids, id)
		}
		u.keep(ids)
	}
}

func (u *update) keep(ids []string) {
	kin := u.kin(ids, func(l sourceLine) { u.touched[l] = true })
	now := u.merged(kin)
	for _, id := range kin {
		if _, kept := u.before[id]; !kept {
			u.before[id] = now(id)
		}
	}
}

// merged returns the findings of ids, all kin of one another, as a report has
// them: nil for none, or for one that is told with another. They may be a part's
// own and are not to be changed.
func (s *Session) merged(kin []string) func(id string) *finding.Finding {
	if len(kin) == 1 {
		one := s.single(kin[0])
		return func(string) *finding.Finding { return one }
	}
	in, met := map[string]bool{}, map[*part]bool{}
	var parts []*part
	for _, id := range kin {
		in[id] = true
		for _, p := range s.known[id] {
			if !met[p] {
				met[p] = true
				parts = append(parts, p)
			}
		}
	}
	slices.SortFunc(parts, func(x, y *part) int { return x.unit.compare(y.unit) })
	var all []finding.Finding
	for _, p := range parts {
		for i := range p.findings {
			if in[p.findings[i].ID] {
				all = append(all, p.findings[i])
			}
		}
	}
	out := map[string]*finding.Finding{}
	all = merge(all, s.engine.options.Apart)
	for i := range all {
		out[all[i].ID] = &all[i]
	}
	return func(id string) *finding.Finding { return out[id] }
}

// single is merged of one id without kin.
func (s *Session) single(id string) *finding.Finding {
	var out *finding.Finding
	for _, p := range s.known[id] {
		for i := range p.findings {
			f := &p.findings[i]
			switch {
			case f.ID != id:
			case out == nil:
				out = f
			default:
				if out.Count == 1 {
					first := *out
					out = &first
				}
				again(out, f)
			}
		}
	}
	return out
}

// families calls f with each group of ids that are kin.
func families[V any](s *Session, ids map[string]V, f func(kin []string)) {
	done := map[string]bool{}
	for id := range ids {
		if done[id] {
			continue
		}
		kin := s.kin([]string{id}, func(sourceLine) {})
		if len(kin) > 1 {
			for _, k := range kin {
				done[k] = true
			}
		}
		f(kin)
	}
}

// told compares the findings that were touched with what they are now.
func (u *update) told() []Told {
	out := make([]Told, 0, len(u.before))
	families(u.Session, u.before, func(kin []string) {
		now := u.merged(kin)
		for _, id := range kin {
			before, touched := u.before[id]
			if t := (Told{before, now(id)}); touched && (t.Before != nil || t.After != nil) {
				out = append(out, t)
			}
		}
	})
	slices.SortFunc(out, func(a, b Told) int { return finding.Order(a.Either(), b.Either()) })
	return out
}

// Assessment returns what Assess would say of the session's snapshot.
func (s *Session) Assessment() *Assessment {
	a := &Assessment{engine: s.engine, tallies: slices.Clone(s.tallies), gaps: s.snapshot.Gaps(), objects: s.snapshot.Len(), machine: readMachine(s.snapshot)}
	a.findings = make([]finding.Finding, 0, len(s.known))
	families(s, s.known, func(kin []string) {
		now := s.merged(kin)
		for _, id := range kin {
			if f := now(id); f != nil {
				a.findings = append(a.findings, *f)
			}
		}
	})
	finding.Sort(a.findings)
	return a
}
