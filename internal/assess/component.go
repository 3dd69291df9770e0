package assess

import (
	"fmt"

	"github.com/merlon-security/merlon/internal/component"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/vuln"
)

// running is a component as controls see it: what is in force, and what is known
// to be wrong with its version.
type running struct {
	*component.Process
	advisories func() []*vuln.Advisory
}

// running judges a component as one of the version judged for, where it does not
// say itself which it is.
func (e *Engine) running(p *component.Process) running {
	return running{p.At(e.options.Minor), e.options.Advisories}
}

// Advisories returns what is published about the version, the gravest first.
func (r running) Advisories() []control.Advisory {
	var out []control.Advisory
	if r.advisories == nil {
		return nil
	}
	for _, v := range vuln.Of(r.advisories(), r, r.Version()) {
		out = append(out, control.Advisory{
			ID: v.Advisory.ID, Summary: v.Advisory.Summary, Severity: v.Match.Level, Score: v.Match.Score, Fixed: v.Match.Fixed,
			Applies: v.Applies, Evidence: v.Evidence,
		})
	}
	return out
}

// Conflicts returns what is given twice with different values.
func (r running) Conflicts() []control.Conflict {
	var out []control.Conflict
	for _, c := range r.Process.Conflicts() {
		out = append(out, control.Conflict{Flag: c.Flag, Value: c.Winner, Place: c.At, OtherValue: c.Loser, OtherPlace: c.Other})
	}
	return out
}

// NotApplicable tells, for each component of a node, which advisories concern its
// version and still do not apply, and what says so.
func (e *Engine) NotApplicable(s *fact.Snapshot) []string {
	var out []string
	for _, o := range s.Objects() {
		p, ok := component.FromObject(o)
		if !ok {
			continue
		}
		for _, a := range e.running(p).Advisories() {
			if !a.Applies {
				out = append(out, fmt.Sprintf("%s %s: %s does not apply: %s", p.Name(), p.Version(), a.ID, a.Evidence))
			}
		}
	}
	return out
}
