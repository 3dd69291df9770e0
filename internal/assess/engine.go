// Package assess is the engine: it holds a snapshot of facts against controls
// and returns a report.
//
// It is pure. The same snapshot, controls and options give the same report,
// byte for byte; nothing here reads a clock, a disk or a network.
package assess

import (
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/merlon-security/merlon/internal/component"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/framework"
)

// Options say what to assess and how.
type Options struct {
	Minor   int                       // Kubernetes 1.Minor
	Params  map[string]map[string]any // settings by control id
	Cluster string                    // identity of the cluster; "" for files
	Workers int                       // how many at once; 0 for one per processor
	NoMemo  bool                      // judge everything anew: for tests, slower, never different

	// Observe, if set, is told each verdict of each control on each subject,
	// passes included; with several workers, by several goroutines at once.
	Observe func(*control.Control, control.Subject, finding.Verdict)
}

// Engine holds controls, compiled at their first use. It is safe for concurrent
// use.
type Engine struct {
	lib      *control.Library
	options  Options
	controls []*entry
	mu       sync.Mutex
	plans    map[string]*plan
	memories int // how many groups may remember
}

// entry is one control and its compiled form.
type entry struct {
	index    int
	control  *control.Control
	compiled func() (*control.Compiled, error)
}

// plan is what is to be run for objects of one kind.
type plan struct{ object, pod, container, component []group }

// New returns an engine for the controls. Nothing is compiled yet.
func New(lib *control.Library, controls []*control.Control, options Options) *Engine {
	e := &Engine{lib: lib, options: options, plans: map[string]*plan{}}
	for i, c := range controls {
		e.controls = append(e.controls, &entry{index: i, control: c, compiled: sync.OnceValues(func() (*control.Compiled, error) {
			return c.Compile(lib, options.Params[c.ID])
		})})
	}
	return e
}

// planFor finds the controls that concern a kind.
func (e *Engine) planFor(groupKind string) *plan {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p, ok := e.plans[groupKind]; ok {
		return p
	}
	byScope := map[control.Each][]*entry{}
	for _, c := range e.controls {
		s := &c.control.Scope
		if len(s.Kinds) == 0 || slices.Contains(s.Kinds, groupKind) {
			byScope[s.Each] = append(byScope[s.Each], c)
		}
	}
	p := &plan{
		object: e.grouped(byScope[control.EachObject]), pod: e.grouped(byScope[control.EachPod]),
		container: e.grouped(byScope[control.EachContainer]), component: e.grouped(byScope[control.EachComponent]),
	}
	e.plans[groupKind] = p
	return p
}

// tally counts verdicts of one control.
type tally struct{ pass, fail, unknown int }

// worker judges objects one after the other.
type worker struct {
	engine   *Engine
	judge    *control.Judge
	subject  control.Subject
	tallies  []tally
	findings []finding.Finding
	memories []memory
	parts    []fact.Value
	witness  *fact.Object // names the namespace in question, which the input does not hold
	err      error
}

func (e *Engine) worker(w *world) *worker {
	return &worker{engine: e, judge: control.NewJudge(e.lib, w, e.options.Minor), tallies: make([]tally, len(e.controls))}
}

// Assess judges the whole snapshot. The report has findings, gaps and what the
// summary counts; frameworks are rolled up from its Results. An error means a
// control that does not compile.
func (e *Engine) Assess(s *fact.Snapshot) (*Assessment, error) {
	w := newWorld(s)
	objects := s.Objects()
	n := e.options.Workers
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	n = max(1, min(n, len(objects)/64))
	workers := make([]*worker, n)
	var wg sync.WaitGroup
	for i := range workers {
		workers[i] = e.worker(w)
		part := objects[i*len(objects)/n : (i+1)*len(objects)/n]
		wg.Go(func() { workers[i].objects(part) })
	}
	wg.Wait()
	last := workers[n-1]
	last.namespaces(w)
	last.input(w)
	a := &Assessment{engine: e, tallies: make([]tally, len(e.controls)), gaps: s.Gaps(), objects: len(objects)}
	for _, k := range workers {
		if k.err != nil {
			return nil, k.err
		}
		a.add(k)
	}
	a.merge()
	return a, nil
}

func (k *worker) objects(objects []*fact.Object) {
	for _, o := range objects {
		if k.err != nil {
			return
		}
		k.object(o)
	}
}

func (k *worker) object(o *fact.Object) {
	if o.Partial {
		return // it answers whether it exists; a gap says the rest
	}
	p := k.engine.planFor(o.GroupKind())
	if len(p.object) > 0 {
		k.run(p.object, control.Subject{Object: o})
	}
	pods := fact.PodTemplates(o)
	for i := range pods {
		k.run(p.pod, control.Subject{Object: o, Pod: &pods[i]})
		containers := pods[i].Containers()
		for j := range containers {
			k.run(p.container, control.Subject{Object: o, Pod: &pods[i], Container: &containers[j]})
			if proc, ok := component.FromContainer(containers[j].Value); ok {
				k.run(p.component, control.Subject{Object: o, Pod: &pods[i], Container: &containers[j], Component: proc.At(k.engine.options.Minor)})
			}
		}
	}
}

// run judges one subject by several controls.
func (k *worker) run(groups []group, s control.Subject) {
	k.subject = s
	k.judge.Subject(&k.subject)
	for i := range groups {
		g := &groups[i]
		var known, fresh *remembered
		if g.index >= 0 {
			if g.index >= len(k.memories) {
				k.memories = append(k.memories, make([]memory, g.index+1-len(k.memories))...)
			}
			known, fresh = k.recall(g, &k.subject)
		}
		for j, e := range g.entries {
			if !applies(e.control, &k.subject) {
				continue
			}
			verdict := finding.Verdict("")
			if known != nil {
				verdict = known.verdicts[j]
			}
			if verdict != finding.Pass && verdict != finding.NotApplicable {
				verdict = k.one(e)
			}
			if fresh != nil {
				fresh.verdicts[j] = verdict
			}
			k.count(e, verdict)
		}
	}
}

// one judges the subject by one control and keeps what it finds.
func (k *worker) one(e *entry) finding.Verdict {
	c, err := e.compiled()
	if err != nil {
		k.err = err
		return finding.Unknown
	}
	return k.judge.Run(c, func(o control.Outcome) { k.emit(c, o) })
}

func (k *worker) count(e *entry, v finding.Verdict) {
	if observe := k.engine.options.Observe; observe != nil {
		observe(e.control, k.subject, v)
	}
	t := &k.tallies[e.index]
	switch v {
	case finding.Pass:
		t.pass++
	case finding.Fail:
		t.fail++
	case finding.Unknown:
		t.unknown++
	}
}

func applies(c *control.Control, s *control.Subject) bool {
	if s.Container != nil && len(c.Scope.Containers) > 0 && !slices.Contains(c.Scope.Containers, string(s.Container.Type)) {
		return false
	}
	return s.Component == nil || c.Scope.Each != control.EachComponent || c.Scope.Component == s.Component.Name()
}

// namespaces judges each namespace of the input once.
func (k *worker) namespaces(w *world) {
	var entries []*entry
	for _, e := range k.engine.controls {
		if e.control.Scope.Each == control.EachNamespace {
			entries = append(entries, e)
		}
	}
	if len(entries) == 0 || k.err != nil {
		return
	}
	for _, name := range w.namespaceNames() {
		ns := w.Find("Namespace", "", name)
		k.witness = w.witness(name)
		k.run(alone(entries), control.Subject{Object: ns, Namespace: name, Declared: ns != nil})
	}
}

// alone puts each control into a group of its own that remembers nothing.
func alone(entries []*entry) []group {
	out := make([]group, len(entries))
	for i, e := range entries {
		out[i] = group{index: -1, entries: []*entry{e}}
	}
	return out
}

// input judges the input as a whole.
func (k *worker) input(w *world) {
	var entries []*entry
	for _, e := range k.engine.controls {
		if e.control.Scope.Each == control.EachInput {
			entries = append(entries, e)
		}
	}
	if len(entries) > 0 && len(w.objects) > 0 && k.err == nil {
		k.run(alone(entries), control.Subject{})
	}
}

// emit makes a finding of a verdict that is not a pass.
func (k *worker) emit(c *control.Compiled, o control.Outcome) {
	s := &k.subject
	f := finding.Finding{
		Control: c.ID, Family: c.Family(), Title: c.Title, Severity: c.Level(), Verdict: o.Verdict,
		Evidence: o.Evidence, Message: o.Message, Count: 1, Frameworks: c.Frameworks(), Fix: c.Fix,
	}
	pos := o.At.Pos()
	group := ""
	switch {
	case s.Object != nil:
		group = s.Object.Group
		f.Subject = finding.Subject{APIVersion: s.Object.APIVersion(), Kind: s.Object.Kind, Namespace: s.Object.Namespace, Name: s.Object.KnownAs()}
		f.Pods, f.ManagedBy = s.Object.Pods, managers(s.Object)
		f.Location = finding.Location{File: s.Object.Origin.File, Line: pos.Line, Column: pos.Column}
	case s.Namespace != "":
		f.Subject = finding.Subject{APIVersion: "v1", Kind: "Namespace", Name: s.Namespace}
		f.Location = namedAt(k.witness)
	default:
		f.Subject = finding.Subject{Kind: "Input", Name: "input"}
	}
	if s.Container != nil {
		f.Subject.Container = s.Container.Value.Get(fact.K("name")).Str()
	}
	f.Subject.Cluster = k.engine.options.Cluster
	namespace := f.Subject.Namespace
	if s.Object != nil {
		namespace = s.Object.InNamespace()
	}
	f.ID = finding.ID(c.Identity(), f.Subject.Cluster, group, f.Subject.Kind, namespace, f.Subject.Name, f.Subject.Container, o.Path())
	k.findings = append(k.findings, f)
}

// namedAt returns where an object names its namespace, or, when it leaves that
// open, its metadata.
func namedAt(o *fact.Object) finding.Location {
	if o == nil {
		return finding.Location{}
	}
	at := o.Root.Get(keyMetadata)
	if ns := at.Get(fact.K("namespace")); ns.Present() {
		at = ns
	}
	return finding.Location{File: o.Origin.File, Line: at.Pos().Line, Column: at.Pos().Column}
}

// Assessment is what an engine found, before waivers and roll-ups.
type Assessment struct {
	engine   *Engine
	tallies  []tally
	findings []finding.Finding
	gaps     []fact.Gap
	objects  int
}

func (a *Assessment) add(k *worker) {
	for i, t := range k.tallies {
		a.tallies[i].pass += t.pass
		a.tallies[i].fail += t.fail
		a.tallies[i].unknown += t.unknown
	}
	a.findings = append(a.findings, k.findings...)
}

// maxAlso is how many further places of one finding are listed.
const maxAlso = 20

// merge makes one finding of those with one identity.
func (a *Assessment) merge() {
	at := make(map[string]int, len(a.findings))
	kept := a.findings[:0]
	for _, f := range a.findings {
		if i, ok := at[f.ID]; ok {
			kept[i].Count++
			if len(kept[i].Also) < maxAlso && f.Location != kept[i].Location {
				kept[i].Also = append(kept[i].Also, f.Location)
			}
			continue
		}
		at[f.ID] = len(kept)
		kept = append(kept, f)
	}
	a.findings = kept
	finding.Sort(a.findings)
}

// Results tells how each control stood, for the roll-up of frameworks.
func (a *Assessment) Results() []framework.Result {
	out := make([]framework.Result, len(a.tallies))
	for i, t := range a.tallies {
		c := a.engine.controls[i].control
		out[i] = framework.Result{Control: c.ID, Frameworks: c.Frameworks(), Pass: t.pass, Fail: t.fail, Unknown: t.unknown, Run: true}
	}
	return out
}

// Report returns the report of the assessment, with the roll-up of frameworks.
// left are controls that were left out by choice, so that an item they answer
// does not pass unseen.
func (a *Assessment) Report(frameworks []*framework.Framework, left []*control.Control) *finding.Report {
	r := &finding.Report{
		Schema: finding.Schema, Kubernetes: fmt.Sprintf("1.%d", a.engine.options.Minor),
		Findings: a.findings, Gaps: make([]finding.Gap, 0, len(a.gaps)), Frameworks: make([]finding.Framework, 0, len(frameworks)),
	}
	if r.Findings == nil {
		r.Findings = []finding.Finding{}
	}
	for _, g := range a.gaps {
		r.Gaps = append(r.Gaps, finding.Gap{
			Kind: g.Kind, Source: g.Source, Subject: g.Subject, Message: g.Message,
			Location: finding.Location{File: g.File, Line: g.Pos.Line, Column: g.Pos.Column},
		})
	}
	results := a.Results()
	for _, c := range left {
		results = append(results, framework.Result{Control: c.ID, Frameworks: c.Frameworks()})
	}
	for _, f := range frameworks {
		r.Frameworks = append(r.Frameworks, f.RollUp(results, unseen(a.gaps), a.engine.options.Minor))
	}
	r.Summary.Objects, r.Summary.Controls = a.objects, len(a.engine.controls)
	r.Summarise()
	return r
}
