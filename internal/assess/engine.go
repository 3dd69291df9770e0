// Package assess is the engine: it holds a snapshot of facts against controls
// and returns a report.
//
// It is pure. The same snapshot, controls and options give the same report,
// byte for byte; nothing here reads a clock, a disk or a network.
package assess

import (
	"runtime"
	"slices"
	"sync"

	"github.com/merlon-security/merlon/internal/component"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/vuln"
)

// Options say what to assess and how.
type Options struct {
	Minor   int                       // Kubernetes 1.Minor
	Params  map[string]map[string]any // settings by control id
	Cluster string                    // identity of the cluster; "" for files
	Live    bool                      // a cluster was read: its components and nodes are there, seen or not
	Workers int                       // how many at once; 0 for one per processor
	NoMemo  bool                      // judge everything anew: for tests, slower, never different

	// Advisories are those of Kubernetes itself, for the versions of components;
	// asked for when a component is met. nil: none.
	Advisories func() []*vuln.Advisory

	// Apart keeps findings apart that several worlds have from one line: for those
	// who change objects and not lines.
	Apart bool

	// Observe, if set, is told each verdict of each control on each subject,
	// passes included; with several workers, by several goroutines at once.
	Observe func(*control.Control, control.Subject, finding.Verdict)

	// Amend, if set, is told what the patch of a control makes of each subject
	// that fails it, or why that cannot be told; with several workers, by several
	// goroutines at once. Controls without a patch tell nothing.
	Amend func(*finding.Finding, *fact.Object, control.Amendment, error)
}

// Engine holds controls, compiled at their first use. It is safe for concurrent
// use.
type Engine struct {
	lib      *control.Library
	options  Options
	controls []*entry
	mu       sync.Mutex
	plans    map[string]*plans
	each     map[control.Each]*plan // of scopes without a kind
	scopes   int                    // how many plans there are
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
	e := &Engine{lib: lib, options: options, plans: map[string]*plans{}, each: map[control.Each]*plan{}}
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

// planEach returns the plan of a scope that has no kind, each control in a group
// of its own that remembers nothing.
func (e *Engine) planEach(each control.Each) *plan {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.each[each]
	if p == nil {
		p = &plan{index: e.scopes}
		e.scopes++
		for _, en := range e.controls {
			if en.control.Scope.Each == each {
				p.groups = append(p.groups, group{entries: []*entry{en}, sees: true})
			}
		}
		e.each[each] = p
	}
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
	world    *world
	judge    *control.Judge
	subject  control.Subject
	tallies  []tally
	findings [][]finding.Finding // blocks, for a finding is large and a slice that grows copies
	memories []memory
	witness  *fact.Object // names the namespace in question, which the input does not hold
	err      error

	// Of a session: which groups are run, and how each verdict is counted.
	only  func(*group) bool
	tally func(*entry, finding.Verdict)
}

func (e *Engine) worker(w *world) *worker {
	return &worker{engine: e, world: w, judge: control.NewJudge(e.lib, w, e.options.Minor), tallies: make([]tally, len(e.controls))}
}

// ask lets the worker's controls see the world through w.
func (k *worker) ask(w control.World) {
	k.judge = control.NewJudge(k.engine.lib, w, k.engine.options.Minor)
}

// Assess judges the whole snapshot, each of its worlds by itself. The report has
// findings, gaps and what the summary counts; frameworks are rolled up from its
// Results. An error means a control that does not compile.
func (e *Engine) Assess(s *fact.Snapshot) (*Assessment, error) {
	a := &Assessment{engine: e, tallies: make([]tally, len(e.controls)), gaps: s.Gaps(), objects: s.Len(), machine: readMachine(s)}
	for _, w := range worlds(s) {
		if err := e.world(a, w); err != nil {
			return nil, err
		}
	}
	a.findings = merge(a.findings, e.options.Apart)
	finding.Sort(a.findings)
	return a, nil
}

// world judges the objects of one world, which sees nothing of the others.
func (e *Engine) world(a *Assessment, w *world) error {
	objects := w.snapshot.Objects()
	n := e.workers(len(objects))
	workers := make([]*worker, n)
	var wg sync.WaitGroup
	for i := range workers {
		workers[i] = e.worker(w)
		part := objects[i*len(objects)/n : (i+1)*len(objects)/n]
		wg.Go(func() { workers[i].objects(part) })
	}
	wg.Wait()
	last := workers[n-1]
	last.namespaces()
	last.input()
	last.subjects()
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

// workers returns how many work on a number of objects at once.
func (e *Engine) workers(objects int) int {
	n := e.options.Workers
	if n <= 0 {
		n = runtime.GOMAXPROCS(0)
	}
	return max(1, min(n, objects/64))
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
	p := k.engine.plansFor(o.GroupKind())
	k.run(p.object, control.Subject{Object: o})
	if proc, ok := component.FromObject(o); ok {
		k.run(p.component, control.Subject{Object: o, Component: k.engine.running(proc)})
	}
	pods := fact.PodTemplates(o)
	for i := range pods {
		k.run(p.pod, control.Subject{Object: o, Pod: &pods[i]})
		containers := pods[i].Containers()
		for j := range containers {
			k.run(p.container, control.Subject{Object: o, Pod: &pods[i], Container: &containers[j]})
			if proc, ok := component.FromContainer(containers[j].Value); ok {
				k.run(p.component, control.Subject{Object: o, Pod: &pods[i], Container: &containers[j], Component: k.engine.running(proc)})
			}
		}
	}
}

// run judges one subject by the controls of a plan.
func (k *worker) run(p *plan, s control.Subject) {
	if len(p.groups) == 0 || k.err != nil {
		return
	}
	k.subject = s
	k.judge.Subject(&k.subject)
	m := k.memory(p)
	for i := range p.groups {
		g := &p.groups[i]
		if k.only != nil && !k.only(g) {
			continue
		}
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
	observe := k.engine.options.Observe
	if observe == nil && k.tally == nil {
		return // the rest is counted at the end
	}
	for j, e := range g.entries {
		if r.verdicts[j] == "" {
			continue
		}
		if observe != nil {
			observe(e.control, k.subject, r.verdicts[j])
		}
		if k.tally != nil {
			k.tally(e, r.verdicts[j])
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
	if k.tally != nil {
		k.tally(e, v)
		return
	}
	k.tallies[e.index].add(v, 1)
}

func applies(c *control.Control, s *control.Subject) bool {
	if s.Container != nil && len(c.Scope.Containers) > 0 && !slices.Contains(c.Scope.Containers, string(s.Container.Type)) {
		return false
	}
	return s.Component == nil || c.Scope.Each != control.EachComponent || c.Scope.Component == s.Component.Name() || c.Scope.Component == "*"
}

// namespaces judges each namespace of the input once.
func (k *worker) namespaces() {
	if len(k.engine.planEach(control.EachNamespace).groups) == 0 {
		return
	}
	for _, name := range k.world.namespaceNames() {
		k.namespace(name)
	}
}

func (k *worker) namespace(name string) {
	ns := k.world.Find("Namespace", "", name)
	k.witness = k.world.witness(name)
	k.run(k.engine.planEach(control.EachNamespace), control.Subject{Object: ns, Namespace: name, Declared: ns != nil})
}

// input judges the world as a whole, if it holds anything that is deployed.
func (k *worker) input() {
	if k.world.deployed > 0 {
		k.run(k.engine.planEach(control.EachInput), control.Subject{})
	}
}
