package assess

import (
	"fmt"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/component"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/framework"
)

// Assessment is what an engine found, before waivers and roll-ups.
type Assessment struct {
	engine   *Engine
	tallies  []tally
	findings []finding.Finding
	gaps     []fact.Gap
	objects  int
	machine  bool            // the API server's machine was read
	left     map[string]bool // controls that do not count
}

// Without returns the assessment as an engine without some controls would give
// it.
func (a *Assessment) Without(controls []*control.Control) *Assessment {
	out := *a
	out.left = map[string]bool{}
	for _, c := range controls {
		out.left[c.ID] = true
	}
	out.findings = nil
	for _, f := range a.findings {
		if !out.left[f.Control] {
			out.findings = append(out.findings, f)
		}
	}
	return &out
}

func (a *Assessment) add(k *worker) {
	for i, t := range k.tallies {
		a.tallies[i].pass += t.pass
		a.tallies[i].fail += t.fail
		a.tallies[i].unknown += t.unknown
	}
	a.findings = slices.Grow(a.findings, len(k.findings)*blockSize)
	for _, block := range k.findings {
		a.findings = append(a.findings, block...)
	}
}

// Results tells how each control stood, for the roll-up of frameworks.
func (a *Assessment) Results() []framework.Result {
	out := make([]framework.Result, 0, len(a.tallies))
	seen := a.seen()
	for i, t := range a.tallies {
		c := a.engine.controls[i].control
		if a.left[c.ID] {
			continue
		}
		about := ofNodes(c)
		unseen := a.engine.options.Live && len(about) > 0 && !slices.ContainsFunc(about, func(s string) bool { return seen[s] || a.machine && ofServer(s) })
		out = append(out, framework.Result{Control: c.ID, Frameworks: c.Frameworks(), Pass: t.pass, Fail: t.fail, Unknown: t.unknown, Run: true, Unseen: unseen})
	}
	return out
}

// seen tells which components and things of nodes were judged by any control: what
// none has judged was not in the input.
func (a *Assessment) seen() map[string]bool {
	out := map[string]bool{}
	for i, t := range a.tallies {
		if t.pass+t.fail+t.unknown == 0 {
			continue
		}
		for _, s := range ofNodes(a.engine.controls[i].control) {
			out[s] = true
		}
	}
	return out
}

// readMachine reports whether the API server was seen as a process of a machine.
func readMachine(s *fact.Snapshot) bool {
	for o := range s.OfKind(component.NodeKind) {
		if o.Origin.Source == "node" && o.Root.At("spec", "component").Str() == "kube-apiserver" {
			return true
		}
	}
	return false
}

// ofServer reports whether a kind is read with the API server's machine or not at
// all: documents that it is given by a flag, and what was asked of its etcd.
func ofServer(kind string) bool {
	return strings.HasPrefix(kind, "apiserver.config.k8s.io/") || strings.HasPrefix(kind, "audit.k8s.io/") || kind == "merlon.dev/EtcdProbe"
}

// ofNodes names what a control is about that is there in every cluster and that
// its API need not show: components, and the files and documents on machines.
func ofNodes(c *control.Control) []string {
	if c.Scope.Each == control.EachComponent {
		return []string{c.Scope.Component}
	}
	for _, kind := range c.Scope.Kinds {
		if c.Scope.Each != control.EachObject || !strings.HasPrefix(kind, "merlon.dev/") && !ofServer(kind) {
			return nil
		}
	}
	return c.Scope.Kinds
}

// Report returns the report of the assessment, with the roll-up of frameworks.
// left are controls that were left out by choice, so that an item they answer
// does not pass unseen.
func (a *Assessment) Report(frameworks []*framework.Framework, left []*control.Control) *finding.Report {
	r := &finding.Report{
		Schema: finding.Schema, Kubernetes: fmt.Sprintf("1.%d", a.engine.options.Minor),
		Findings: a.findings, Gaps: GapsOf(a.gaps), Frameworks: make([]finding.Framework, 0, len(frameworks)),
	}
	if r.Findings == nil {
		r.Findings = []finding.Finding{}
	}
	results := a.Results()
	for _, c := range left {
		results = append(results, framework.Result{Control: c.ID, Frameworks: c.Frameworks()})
	}
	for _, f := range frameworks {
		r.Frameworks = append(r.Frameworks, f.RollUp(results, unseen(a.gaps), a.engine.options.Minor))
	}
	r.Summary.Objects, r.Summary.Controls = a.objects, len(a.engine.controls)-len(a.left)
	r.Summarise()
	return r
}

// GapsOf returns gaps as reports have them: what several worlds share, such as a
// base of several overlays, is one gap that names them. They come in their order.
func GapsOf(gaps []fact.Gap) []finding.Gap {
	out := make([]finding.Gap, 0, len(gaps))
	for i, g := range gaps {
		world := g.World
		g.World = ""
		if i > 0 {
			before := gaps[i-1]
			if before.World = ""; before == g {
				last := &out[len(out)-1]
				last.Worlds = inWorld(last.Worlds, world)
				continue
			}
		}
		out = append(out, finding.Gap{
			Kind: g.Kind, Source: g.Source, Subject: g.Subject, Message: g.Message, Worlds: inWorld(nil, world),
			Location: finding.Location{File: g.File, Line: g.Pos.Line, Column: g.Pos.Column},
		})
	}
	return out
}

// inWorld adds a world to those of a gap; loose files are none, as for findings.
func inWorld(worlds []string, world string) []string {
	if world == "" || world == fact.LooseFiles {
		return worlds
	}
	return append(worlds, world)
}
