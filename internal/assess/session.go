package assess

import (
	"cmp"
	"encoding/binary"
	"maps"
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
	engine   *Engine
	snapshot *fact.Snapshot
	worlds   map[string]*judged // by name; those that hold an object
	objects  map[*fact.Object]*unit
	known    map[string][]*part
	lines    lineIndex
	tallies  []tally
	counts   map[string]string // counts of parts, each once: many are alike
	err      error
}

// judged is one world of a session: its subjects besides objects, and who asked
// what of it.
type judged struct {
	*world
	spaces map[string]*unit
	input  *unit // nil while there is no object
	given  map[control.Identity]*unit
	askers askers
}

// unit is one subject of a world: an object with its pods and containers, a
// namespace, the world as a whole, or somebody who is bound.
type unit struct {
	in        *judged
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

// compare orders units as Assess judges them: world by world, and there objects,
// namespaces, the whole, those who are bound.
func (u *unit) compare(v *unit) int {
	if u == v {
		return 0
	}
	if u.in != v.in {
		return strings.Compare(u.in.name, v.in.name)
	}
	if c := cmp.Compare(u.sort, v.sort); c != 0 {
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
		engine: e, snapshot: &fact.Snapshot{}, worlds: map[string]*judged{}, objects: map[*fact.Object]*unit{},
		known: map[string][]*part{}, lines: lineIndex{}, tallies: make([]tally, len(e.controls)), counts: map[string]string{},
	}
}

// update is one step of a session.
type update struct {
	*Session
	first   bool // nothing was judged before
	dirty   []*part
	before  map[string]*finding.Finding // as they were, of those that are touched
	touched map[sourceLine]bool         // those lines whose findings all are
}

// pair is one object, before and after; one of them is nil where it came or went.
type pair struct{ before, after *fact.Object }

func (p pair) either() *fact.Object {
	if p.after != nil {
		return p.after
	}
	return p.before
}

// Update brings the session to another snapshot and tells the findings that were
// judged anew, in the order of reports. An error means a control that does not
// compile; the session is of no use then.
func (s *Session) Update(next *fact.Snapshot) ([]Told, error) {
	if s.err != nil {
		return nil, s.err
	}
	u := &update{Session: s, first: len(s.objects) == 0, before: map[string]*finding.Finding{}, touched: map[sourceLine]bool{}}
	changed := map[string][]pair{}
	fact.Diff(s.snapshot, next, func(before, after *fact.Object) {
		c := pair{before, after}
		name := c.either().Origin.World
		changed[name] = append(changed[name], c)
	})
	s.snapshot = next
	for _, name := range slices.Sorted(maps.Keys(changed)) {
		u.world(name, changed[name])
	}
	if s.err = u.judge(); s.err != nil {
		return nil, s.err
	}
	return u.told(), nil
}

// world brings one world to its changes: its objects, indexes and subjects. What
// is to be judged anew is marked.
func (u *update) world(name string, changed []pair) {
	j := u.worlds[name]
	if j == nil {
		j = &judged{
			world: newWorld(name, changed[0].either().Origin.Root, &fact.Snapshot{}), spaces: map[string]*unit{}, given: map[control.Identity]*unit{},
			askers: askers{by: map[question][]asker{}},
		}
		u.worlds[name] = j
	}
	j.see(u.snapshotOf(j, changed))
	asked, spaces, bindings := map[question]bool{}, map[string]bool{}, false
	for _, c := range changed {
		j.follow(c.before, c.after)
		if c.before != nil && c.after != nil && c.before.Root.Same(c.after.Root) {
			continue // only the number of its pods is another, which nobody else sees
		}
		for _, o := range [...]*fact.Object{c.before, c.after} {
			if o == nil {
				continue
			}
			if !u.first {
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
		j.askers.each(q, u.mark)
	}
	for _, c := range changed {
		u.object(j, c)
	}
	for ns := range spaces {
		u.space(j, ns)
	}
	u.whole(j)
	if bindings {
		u.bound(j)
	}
	if j.snapshot.Len() == 0 {
		delete(u.worlds, name)
	}
}

// snapshotOf returns what a world holds now. The only one holds everything.
func (u *update) snapshotOf(j *judged, changed []pair) *fact.Snapshot {
	if len(u.worlds) == 1 && j.snapshot.Len()+grown(changed) == u.snapshot.Len() {
		return u.snapshot
	}
	changes := make([]fact.Change, len(changed))
	for i, c := range changed {
		changes[i] = fact.Change{Op: fact.Upsert, Object: c.after}
		if c.after == nil {
			changes[i] = fact.Change{Op: fact.Delete, Object: c.before}
		}
	}
	return j.snapshot.Apply(changes...)
}

// grown returns how many more objects there are after some changes.
func grown(changed []pair) int {
	n := 0
	for _, c := range changed {
		switch {
		case c.before == nil:
			n++
		case c.after == nil:
			n--
		}
	}
	return n
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

func (u *update) object(j *judged, c pair) {
	if n := u.objects[c.before]; c.before != nil && n != nil {
		delete(u.objects, c.before)
		u.end(n)
	}
	if c.after != nil {
		u.objects[c.after] = u.begin(unit{in: j, sort: anObject, object: c.after}.ready())
	}
}

// space has a namespace judged in which something changed: it may be told by
// another object's place now.
func (u *update) space(j *judged, name string) {
	n := j.spaces[name]
	switch known := j.known(name); {
	case n == nil && known:
		j.spaces[name] = u.begin(unit{in: j, sort: aNamespace, namespace: name}.ready())
	case n != nil && known:
		u.begin(n)
	case n != nil:
		delete(j.spaces, name)
		u.end(n)
	}
}

func (u *update) whole(j *judged) {
	switch there := j.deployed > 0; {
	case there && j.input == nil:
		j.input = u.begin(unit{in: j, sort: theInput}.ready())
	case !there && j.input != nil:
		u.end(j.input)
		j.input = nil
	}
}

// bound has everybody judged who is bound now and was not, and forgets those who
// are no longer.
func (u *update) bound(j *judged) {
	if len(u.engine.planEach(control.EachSubject).groups) == 0 {
		return
	}
	now := map[control.Identity]bool{}
	for _, i := range j.identities() {
		now[i] = true
		if j.given[i] == nil {
			j.given[i] = u.begin(unit{in: j, sort: somebody, identity: &i}.ready())
		}
	}
	for i, n := range j.given {
		if !now[i] {
			delete(j.given, i)
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
		workers[i] = u.engine.judging()
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

// drop takes out what a part said.
func (u *update) drop(p *part) {
	for i := range p.findings {
		id := p.findings[i].ID
		u.touch(&p.findings[i])
		u.lines.drop(&p.findings[i])
		list := u.known[id]
		if at := slices.Index(list, p); at >= 0 {
			list = slices.Delete(list, at, at+1)
		}
		if u.known[id] = list; len(list) == 0 {
			delete(u.known, id)
		}
	}
	u.count(p.counts, -1)
	p.unit.in.askers.forget(p)
	p.findings, p.counts = nil, ""
}

// put lets a part say something.
func (u *update) put(p *part, r *result) {
	for i := range r.findings {
		id := r.findings[i].ID
		u.touch(&r.findings[i])
		u.lines.add(&r.findings[i])
		list := u.known[id]
		if slices.Contains(list, p) {
			continue
		}
		at, _ := slices.BinarySearchFunc(list, p, func(x, y *part) int { return x.unit.compare(y.unit) })
		u.known[id] = slices.Insert(list, at, p)
	}
	p.findings, p.counts = r.findings, u.once(r.counts)
	u.count(p.counts, 1)
	p.unit.in.askers.note(p, r.asked)
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

// Either returns the finding as it is, or else as it was.
func (t *Told) Either() *finding.Finding {
	if t.After != nil {
		return t.After
	}
	return t.Before
}

// judging is a worker that keeps what it finds apart for each part.
type judging struct {
	*worker
	asking  *asking
	sees    bool
	touched []int // controls that have a tally
}

func (e *Engine) judging() *judging {
	k := &judging{asking: &asking{}}
	k.worker = e.worker(nil)
	k.worker.ask(k.asking)
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
	k.worker.world, k.asking.world = p.unit.in.world, p.unit.in.world
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
	slices.Sort(k.asking.asked)
	r := result{findings: slices.Concat(k.findings...), asked: slices.Clone(slices.Compact(k.asking.asked))}
	k.asking.asked = k.asking.asked[:0]
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
