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
	plans    map[string]*plans
	scopes   int // how many plans there are
}

// entry is one control and its compiled form.
type entry struct {
	index    int
	control  *control.Control
	compiled func() (*control.Compiled, error)
}

// plans are what is to be run for objects of one kind, by scope.
type plans struct{ object, pod, container, component *plan }

// New returns an engine for the controls. Nothing is compiled yet.
func New(lib *control.Library, controls []*control.Control, options Options) *Engine {
	e := &Engine{lib: lib, options: options, plans: map[string]*plans{}}
	for i, c := range controls {
		e.controls = append(e.controls, &entry{index: i, control: c, compiled: sync.OnceValues(func() (*control.Compiled, error) {
			return c.Compile(lib, options.Params[c.ID])
		})})
	}
	return e
}

// plansFor finds the controls that concern a kind.
func (e *Engine) plansFor(groupKind string) *plans {
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
	p := &plans{
		object: e.planOf(byScope[control.EachObject]), pod: e.planOf(byScope[control.EachPod]),
		container: e.planOf(byScope[control.EachContainer]), component: e.planOf(byScope[control.EachComponent]),
	}
	e.plans[groupKind] = p
	return p
}

// allPlans returns every plan made so far.
func (e *Engine) allPlans() []*plan {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []*plan
	for _, p := range e.plans {
		out = append(out, p.object, p.pod, p.container, p.component)
	}
	return out
}

// tally counts verdicts of one control.
type tally struct{ pass, fail, unknown int }

func (t *tally) add(v finding.Verdict, n int) {
	switch v {
	case finding.Pass:
		t.pass += n
	case finding.Fail:
		t.fail += n
	case finding.Unknown:
		t.unknown += n
	}
}

// worker judges objects one after the other.
type worker struct {
	engine   *Engine
	judge    *control.Judge
	subject  control.Subject
	tallies  []tally
	findings [][]finding.Finding // blocks, for a finding is large and a slice that grows copies
	memories []memory
	world    string       // chart, overlay; "" for loose files
	home     string       // its root, by which findings are known over time
	witness  *fact.Object // names the namespace in question, which the input does not hold
	err      error
}

func (e *Engine) worker(w *world) *worker {
	k := &worker{engine: e, judge: control.NewJudge(e.lib, w, e.options.Minor), tallies: make([]tally, len(e.controls))}
	if len(w.objects) > 0 {
		k.world, k.home = w.objects[0].Origin.World, w.objects[0].Origin.Root
	}
	return k
}

// Assess judges the whole snapshot. The report has findings, gaps and what the
// summary counts; frameworks are rolled up from its Results. An error means a
// control that does not compile.
func (e *Engine) Assess(s *fact.Snapshot) (*Assessment, error) {
	a := &Assessment{engine: e, tallies: make([]tally, len(e.controls)), gaps: s.Gaps(), objects: len(s.Objects())}
	for _, objects := range worlds(s.Objects()) {
		if err := e.world(a, objects); err != nil {
			return nil, err
		}
	}
	a.merge()
	return a, nil
}

// world judges the objects of one world, which sees nothing of the others.
func (e *Engine) world(a *Assessment, objects []*fact.Object) error {
	w := newWorld(objects)
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
	plans := e.allPlans()
	for _, k := range workers {
		for _, p := range plans {
			k.settle(p)
		}
		if k.err != nil {
			return k.err
		}
		a.add(k)
	}
	return nil
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
	p := k.engine.plansFor(o.GroupKind())
	k.run(p.object, control.Subject{Object: o})
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

// run judges one subject by the controls of a plan.
func (k *worker) run(p *plan, s control.Subject) {
	if len(p.groups) == 0 {
		return
	}
	k.subject = s
	k.judge.Subject(&k.subject)
	m := k.memory(p)
	for i := range p.groups {
		g := &p.groups[i]
		known, ok := m.key(p, g, &k.subject)
		if !ok {
			k.group(g, nil)
			continue
		}
		r := m.groups[i][known]
		if r == nil {
			k.group(g, m.remember(i, known, len(g.entries)))
			continue
		}
		k.recall(g, r)
	}
}

// remember makes room for what a group says of a content; nil when there is
// none.
func (m *memory) remember(i int, at key, n int) *remembered {
	if len(m.groups[i]) >= maxMemo {
		return nil
	}
	if m.groups[i] == nil {
		m.groups[i] = map[key]*remembered{}
	}
	r := &remembered{verdicts: make([]finding.Verdict, n)}
	m.groups[i][at] = r
	return r
}

// group judges the subject by every control of a group, and fills r, if there
// is one, with what they said.
func (k *worker) group(g *group, r *remembered) {
	for j, e := range g.entries {
		if !applies(e.control, &k.subject) {
			continue
		}
		verdict := k.one(e)
		k.count(e, verdict)
		if r == nil {
			continue
		}
		r.verdicts[j] = verdict
		if verdict != finding.Pass && verdict != finding.NotApplicable {
			r.again = append(r.again, j)
		}
	}
}

// recall counts what a group is known to say of the subject, and judges anew
// those of its controls that did not pass.
func (k *worker) recall(g *group, r *remembered) {
	r.hits++
	for _, j := range r.again {
		k.again(g.entries[j], r.verdicts[j])
	}
	if k.engine.options.Observe == nil {
		return // the rest is counted at the end
	}
	for j, e := range g.entries {
		if r.verdicts[j] != "" {
			k.engine.options.Observe(e.control, k.subject, r.verdicts[j])
		}
	}
}

// settle counts the verdicts that were remembered.
func (k *worker) settle(p *plan) {
	if p.index >= len(k.memories) {
		return
	}
	for i, known := range k.memories[p.index].groups {
		for _, r := range known {
			for j, e := range p.groups[i].entries {
				k.tallies[e.index].add(r.verdicts[j], r.hits)
			}
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

// again judges the subject by a control that is known not to pass.
func (k *worker) again(e *entry, v finding.Verdict) {
	c, err := e.compiled()
	if err != nil || v != finding.Fail {
		k.one(e)
		return
	}
	k.judge.Again(c, func(o control.Outcome) { k.emit(c, o) })
}

func (k *worker) count(e *entry, v finding.Verdict) {
	if observe := k.engine.options.Observe; observe != nil {
		observe(e.control, k.subject, v)
	}
	k.tallies[e.index].add(v, 1)
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
		k.run(k.engine.alone(entries), control.Subject{Object: ns, Namespace: name, Declared: ns != nil})
	}
}

// alone puts each control into a group of its own that remembers nothing.
func (e *Engine) alone(entries []*entry) *plan {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := &plan{index: e.scopes, groups: make([]group, len(entries))}
	e.scopes++
	for i, en := range entries {
		p.groups[i] = group{entries: []*entry{en}}
	}
	return p
}

// input judges the input as a whole.
func (k *worker) input(w *world) {
	var entries []*entry
	for _, e := range k.engine.controls {
		if e.control.Scope.Each == control.EachInput {
			entries = append(entries, e)
		}
	}
	if len(entries) > 0 && slices.ContainsFunc(w.objects, (*fact.Object).Deployed) && k.err == nil {
		k.run(k.engine.alone(entries), control.Subject{})
	}
}

// blockSize is how many findings lie in one block.
const blockSize = 128

// emit makes a finding of a verdict that is not a pass.
func (k *worker) emit(c *control.Compiled, o control.Outcome) {
	s := &k.subject
	f := finding.Finding{
		Control: c.ID, Family: c.Family(), Title: c.Title, Severity: c.Level(), Verdict: o.Verdict,
		Evidence: o.Evidence, Message: o.Message, Count: 1, Frameworks: c.Frameworks(), Fix: c.Fix,
	}
	known := fact.Ref{} // the owner as it is called where it was written
	root := k.home
	switch {
	case s.Object != nil:
		f.Subject = finding.Subject{APIVersion: s.Object.APIVersion(), Kind: s.Object.Kind, Namespace: s.Object.Namespace, Name: s.Object.Name}
		at, line := s.Object.At(o.At)
		f.Location, root = finding.Location{File: at.File, Line: at.Pos.Line, Column: at.Pos.Column}, at.Root
		if r := s.Object.Rendering; r != nil {
			f.Rendered, known = &finding.Rendered{File: s.Object.Origin.File, Line: line, Values: at.Values}, r.Known
		}
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
	if k.world != "" {
		f.Worlds = []string{k.world}
	}
	k.identify(&f, c, known, root, o.Path())
	last := len(k.findings) - 1
	if last < 0 || len(k.findings[last]) == blockSize {
		k.findings = append(k.findings, make([]finding.Finding, 0, blockSize))
		last++
	}
	k.findings[last] = append(k.findings[last], f)
}

// identify gives a finding its id. known is what the owner is called where it
// was written, if that is another name; root the chart or overlay of that place.
func (k *worker) identify(f *finding.Finding, c *control.Compiled, known fact.Ref, root, path string) {
	group, namespace, name := "", f.Subject.Namespace, f.Subject.Name
	if o := k.subject.Object; o != nil {
		group, namespace = o.Group, o.InNamespace()
	}
	if known != (fact.Ref{}) {
		namespace, name = known.Namespace, known.Name
	}
	f.ID = finding.ID(c.Identity(), f.Subject.Cluster+root, group, f.Subject.Kind, namespace, name, f.Subject.Container, path)
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
	a.findings = slices.Grow(a.findings, len(k.findings)*blockSize)
	for _, block := range k.findings {
		a.findings = append(a.findings, block...)
	}
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
		r.Frameworks = append(r.Frameworks, f.RollUp(results, len(r.Gaps), a.engine.options.Minor))
	}
	r.Summary.Objects, r.Summary.Controls = a.objects, len(a.engine.controls)
	r.Summarise()
	return r
}
