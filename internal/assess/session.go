package assess

import (
	"cmp"
	"encoding/binary"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/rbac"
)

// Session holds an assessment and brings it from one snapshot to the next: it
// judges anew what changed, and what had asked about it. What it holds equals,
// to the byte, what Assess says of the same snapshot.
//
// It keeps of each subject its findings, its counts and the questions that its
// verdicts rest on; the memory of verdicts is made for one Update and dropped.
// It is not safe for concurrent use.
type Session struct {
	engine  *Engine
	world   *world
	objects map[*fact.Object]*unit
	spaces  map[string]*unit
	input   *unit // nil while there is no object
	given   map[control.Identity]*unit
	known   map[string][]*part
	tallies []tally
	askers  askers
	counts  map[string]string // counts of parts, each once: many are alike
	err     error
}

// unit is one subject: an object with its pods and containers, a namespace, the
// input, or somebody who is bound.
type unit struct {
	sort      sort
	object    *fact.Object
	namespace string
	identity  *control.Identity
	parts     [2]part // by controls that see nothing else, and by those that may
}

// part is what some controls say of a unit.
type part struct {
	unit     *unit
	sees     bool // more than the unit
	dirty    bool
	run      uint32
	asks     int
	findings []finding.Finding
	counts   string
}

func (u unit) ready() *unit {
	u.parts = [2]part{{unit: &u}, {unit: &u, sees: true}}
	return &u
}

// compare orders units as Assess judges them: objects, namespaces, the input,
// those who are bound.
func (u *unit) compare(v *unit) int {
	if c := cmp.Compare(u.sort, v.sort); u == v || c != 0 {
		return c
	}
	switch u.sort {
	case anObject:
		return fact.Compare(u.object, v.object)
	case somebody:
		x, y := u.identity, v.identity
		return cmp.Or(strings.Compare(x.Kind, y.Kind), strings.Compare(x.Namespace, y.Namespace), strings.Compare(x.Name, y.Name))
	}
	return strings.Compare(u.namespace, v.namespace)
}

// sort tells units apart, in the order in which they are judged.
type sort uint8

const (
	anObject sort = iota
	aNamespace
	theInput
	somebody
)

// Told is a finding that an Update judged anew: as it was and as it is. One of
// them is nil when it was opened or closed.
type Told struct{ Before, After *finding.Finding }

// Same reports whether nothing of the finding changed.
func (t *Told) Same() bool {
	return t.Before != nil && t.After != nil && reflect.DeepEqual(t.Before, t.After)
}

// Begin returns a session that holds the empty snapshot.
func (e *Engine) Begin() *Session {
	return &Session{
		engine: e, world: newWorld(&fact.Snapshot{}), objects: map[*fact.Object]*unit{}, spaces: map[string]*unit{}, given: map[control.Identity]*unit{},
		known: map[string][]*part{}, tallies: make([]tally, len(e.controls)), askers: askers{by: map[question][]asker{}}, counts: map[string]string{},
	}
}

// update is one step of a session.
type update struct {
	*Session
	dirty  []*part
	before map[string]*finding.Finding // as they were, of those that are touched
}

// Update brings the session to another snapshot and tells the findings that were
// judged anew, in the order of reports. An error means a control that does not
// compile; the session is of no use then.
func (s *Session) Update(next *fact.Snapshot) ([]Told, error) {
	if s.err != nil {
		return nil, s.err
	}
	u := &update{Session: s, before: map[string]*finding.Finding{}}
	type pair struct{ before, after *fact.Object }
	var changed []pair
	fact.Diff(s.world.snapshot, next, func(before, after *fact.Object) { changed = append(changed, pair{before, after}) })
	s.world.see(next)
	asked, spaces, bindings := map[question]bool{}, map[string]bool{}, false
	for _, c := range changed {
		s.world.follow(c.before, c.after)
		if c.before != nil && c.after != nil && c.before.Root.Same(c.after.Root) {
			continue // only the number of its pods is another, which nobody else sees
		}
		for _, o := range [...]*fact.Object{c.before, c.after} {
			if o == nil {
				continue
			}
			if len(s.objects) > 0 {
				questions(o, func(q question) { asked[q] = true })
			}
			spaces[o.InNamespace()] = true
			bindings = bindings || o.Group == rbac.Group
			if o.Group == "" && o.Kind == "Namespace" {
				spaces[o.Name] = true
			}
		}
	}
	for q := range asked {
		s.askers.each(q, u.mark)
	}
	for _, c := range changed {
		u.object(c.before, c.after)
	}
	for ns := range spaces {
		u.space(ns)
	}
	u.whole()
	if bindings {
		u.bound()
	}
	if s.err = u.judge(); s.err != nil {
		return nil, s.err
	}
	return u.told(), nil
}

func (u *update) mark(p *part) {
	if !p.dirty {
		p.dirty = true
		u.dirty = append(u.dirty, p)
	}
}

// begin adds a unit, which is to be judged.
func (u *update) begin(n *unit) *unit {
	u.mark(&n.parts[0])
	u.mark(&n.parts[1])
	return n
}

// end takes a unit out with what was said of it.
func (u *update) end(n *unit) {
	for i := range n.parts {
		u.drop(&n.parts[i])
		n.parts[i].unit = nil // so that it is not judged, should it be dirty
	}
}

func (u *update) object(before, after *fact.Object) {
	if n := u.objects[before]; before != nil && n != nil {
		delete(u.objects, before)
		u.end(n)
	}
	if after != nil {
		u.objects[after] = u.begin(unit{sort: anObject, object: after}.ready())
	}
}

// space has a namespace judged in which something changed: it may be told by
// another object's place now.
func (u *update) space(name string) {
	n := u.spaces[name]
	switch known := u.world.known(name); {
	case n == nil && known:
		u.spaces[name] = u.begin(unit{sort: aNamespace, namespace: name}.ready())
	case n != nil && known:
		u.begin(n)
	case n != nil:
		delete(u.spaces, name)
		u.end(n)
	}
}

func (u *update) whole() {
	switch there := u.world.snapshot.Len() > 0; {
	case there && u.input == nil:
		u.input = u.begin(unit{sort: theInput}.ready())
	case !there && u.input != nil:
		u.end(u.input)
		u.input = nil
	}
}

// bound has everybody judged who is bound now and was not, and forgets those who
// are no longer.
func (u *update) bound() {
	if len(u.engine.planEach(control.EachSubject).groups) == 0 {
		return
	}
	now := map[control.Identity]bool{}
	for _, i := range u.world.identities() {
		now[i] = true
		if u.given[i] == nil {
			u.given[i] = u.begin(unit{sort: somebody, identity: &i}.ready())
		}
	}
	for i, n := range u.given {
		if !now[i] {
			delete(u.given, i)
			u.end(n)
		}
	}
}

// result is what a part is to become.
type result struct {
	findings []finding.Finding
	counts   []byte
	asked    []question
}

// judge judges every dirty part and puts the results in their places.
func (u *update) judge() error {
	u.dirty = slices.DeleteFunc(u.dirty, func(p *part) bool { return p.unit == nil })
	results := make([]result, len(u.dirty))
	workers := make([]*judging, u.engine.workers(len(u.dirty)))
	var wg sync.WaitGroup
	for i := range workers {
		workers[i] = u.engine.judging(u.world)
		from, to := i*len(u.dirty)/len(workers), (i+1)*len(u.dirty)/len(workers)
		wg.Go(func() {
			for j := from; j < to && workers[i].err == nil; j++ {
				results[j] = workers[i].part(u.dirty[j])
			}
		})
	}
	wg.Wait()
	for _, k := range workers {
		if k.err != nil {
			return k.err
		}
	}
	for i, p := range u.dirty {
		u.drop(p)
		u.put(p, &results[i])
		p.dirty = false
	}
	return nil
}

// touch keeps a finding as it was before this update.
func (u *update) touch(id string) {
	if _, kept := u.before[id]; !kept {
		u.before[id] = u.merged(id)
	}
}

// drop takes out what a part said.
func (u *update) drop(p *part) {
	for i := range p.findings {
		id := p.findings[i].ID
		u.touch(id)
		list := u.known[id]
		if at := slices.Index(list, p); at >= 0 {
			list = slices.Delete(list, at, at+1)
		}
		if u.known[id] = list; len(list) == 0 {
			delete(u.known, id)
		}
	}
	u.count(p.counts, -1)
	u.askers.forget(p)
	p.findings, p.counts = nil, ""
}

// put lets a part say something.
func (u *update) put(p *part, r *result) {
	for i := range r.findings {
		id := r.findings[i].ID
		u.touch(id)
		list := u.known[id]
		if slices.Contains(list, p) {
			continue
		}
		at, _ := slices.BinarySearchFunc(list, p, func(x, y *part) int { return x.unit.compare(y.unit) })
		u.known[id] = slices.Insert(list, at, p)
	}
	p.findings, p.counts = r.findings, u.once(r.counts)
	u.count(p.counts, 1)
	u.askers.note(p, r.asked)
}

// once returns the counts as a text that is held once.
func (s *Session) once(counts []byte) string {
	if known, ok := s.counts[string(counts)]; ok {
		return known
	}
	if len(s.counts) > 2*len(s.objects)+1024 {
		clear(s.counts) // those in use live on where they are used
	}
	text := string(counts)
	s.counts[text] = text
	return text
}

// count adds counts to the tallies, or takes them off.
func (s *Session) count(counts string, times int) {
	next := func() int {
		n, size := binary.Uvarint([]byte(counts[:min(len(counts), binary.MaxVarintLen64)]))
		counts = counts[size:]
		return int(n)
	}
	for at := 0; counts != ""; {
		at += next()
		t := &s.tallies[at]
		t.pass += times * next()
		t.fail += times * next()
		t.unknown += times * next()
	}
}

// merged returns the finding of an id as a report has it; nil for none. It may
// be a part's own and is not to be changed.
func (s *Session) merged(id string) *finding.Finding {
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

// told compares the findings that were touched with what they are now.
func (u *update) told() []Told {
	out := make([]Told, 0, len(u.before))
	for id, before := range u.before {
		if t := (Told{before, u.merged(id)}); t.Before != nil || t.After != nil {
			out = append(out, t)
		}
	}
	slices.SortFunc(out, func(a, b Told) int { return finding.Order(a.Either(), b.Either()) })
	return out
}

// Either returns the finding as it is, or else as it was.
func (t *Told) Either() *finding.Finding {
	if t.After != nil {
		return t.After
	}
	return t.Before
}

// Assessment returns what Assess would say of the session's snapshot.
func (s *Session) Assessment() *Assessment {
	snapshot := s.world.snapshot
	a := &Assessment{engine: s.engine, tallies: slices.Clone(s.tallies), gaps: snapshot.Gaps(), objects: snapshot.Len()}
	a.findings = make([]finding.Finding, 0, len(s.known))
	for id := range s.known {
		a.findings = append(a.findings, *s.merged(id))
	}
	finding.Sort(a.findings)
	return a
}

// judging is a worker that keeps what it finds apart for each part.
type judging struct {
	*worker
	world   *asking
	sees    bool
	touched []int // controls that have a tally
}

func (e *Engine) judging(w *world) *judging {
	k := &judging{world: &asking{world: w}}
	k.worker = e.worker(w)
	k.worker.ask(k.world)
	k.only = func(g *group) bool { return g.sees == k.sees }
	k.tally = func(en *entry, v finding.Verdict) {
		t := &k.tallies[en.index]
		if *t == (tally{}) {
			k.touched = append(k.touched, en.index)
		}
		t.add(v, 1)
	}
	return k
}

// part judges one part.
func (k *judging) part(p *part) result {
	k.sees = p.sees
	k.judge.Forget()
	switch u := p.unit; u.sort {
	case anObject:
		k.object(u.object)
	case aNamespace:
		k.namespace(u.namespace)
	case theInput:
		k.input()
	case somebody:
		k.identity(*u.identity)
	}
	slices.Sort(k.world.asked)
	r := result{findings: slices.Concat(k.findings...), asked: slices.Clone(slices.Compact(k.world.asked))}
	k.world.asked = k.world.asked[:0]
	if len(k.findings) > 0 {
		k.findings = k.findings[:1]
		k.findings[0] = k.findings[0][:0]
	}
	r.counts = k.counts()
	return r
}

// counts writes the tallies of the part in hand and clears them.
func (k *judging) counts() []byte {
	var out []byte
	slices.Sort(k.touched)
	last := 0
	for _, at := range slices.Compact(k.touched) {
		t := &k.tallies[at]
		if *t == (tally{}) {
			continue
		}
		for _, n := range [...]int{at - last, t.pass, t.fail, t.unknown} {
			out = binary.AppendUvarint(out, uint64(n))
		}
		last, *t = at, tally{}
	}
	k.touched = k.touched[:0]
	return out
}
