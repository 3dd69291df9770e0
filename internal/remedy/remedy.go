// Package remedy turns findings into edits of the files that they come from, and
// proves them.
//
// A control's patch says what to change; yamldoc changes it and leaves every
// other byte as it was. Then the result is assessed like the input: a fix is kept
// only if its finding is gone and none has come. What only a person can know is
// left as a question, and what cannot be proven is withheld, with the reason.
//
// It is pure: files come and go as bytes.
package remedy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// Amend is the hook of assess.Options.
type Amend = func(*finding.Finding, *fact.Object, control.Amendment, error)

// Input is what is to be fixed.
type Input struct {
	Snapshot *fact.Snapshot
	// Files are the contents of the files that objects come from, by the name in
	// their origin. Objects of other files, and those of charts and overlays, are
	// not edited; their fixes are shown on the objects themselves.
	Files map[string][]byte
	// Engine makes the engine that fixes are proven by. It should hold all
	// controls, not only those that are to be fixed: a fix must not bring a finding
	// of another.
	Engine func(Amend) *assess.Engine
	// Wanted says which findings are to be fixed.
	Wanted func(*finding.Finding) bool
	// Charts are those that objects of the snapshot were rendered from.
	Charts []Chart
	// Safe leaves out fixes that ask to be tested before they go out.
	Safe bool
}

// Change is one edit as people read it.
type Change struct {
	Op    string `json:"op"` // set, remove, add
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// Fix is a finding that is fixed.
type Fix struct {
	Finding finding.Finding `json:"finding"`
	File    string          `json:"file"`
	Changes []Change        `json:"changes"`
	Tests   []string        `json:"test,omitempty"` // what to try before it goes out
}

// Reasons why a finding is left.
const (
	Question  = "question"  // a person has to decide
	Withheld  = "withheld"  // the fix could not be made, or not be proven
	Generated = "generated" // the object comes from a chart or overlay: the fix is shown on the object
	NoPatch   = "no-patch"  // the control has no patch
)

// Left is a finding that is not fixed.
type Left struct {
	Finding finding.Finding `json:"finding"`
	Kind    string          `json:"kind"`
	Why     []string        `json:"why,omitempty"`
	Before  []byte          `json:"-"` // Generated: the object as YAML, and as it should be
	After   []byte          `json:"-"`
}

// File is a file that is changed.
type File struct {
	Name          string
	Before, After []byte
}

// Plan is what fixing comes to. Everything in it is in a fixed order.
type Plan struct {
	Files []File
	Fixes []Fix
	// Values mend what charts render. Nobody but a person writes them.
	Values []Values
	Left   []Left
}

// Make computes the plan. An error means a control that does not compile.
func Make(in Input) (*Plan, error) {
	m := &maker{Input: in, excluded: map[string]string{}, types: yamldoc.NewTypes()}
	m.engine = in.Engine(m.amend)
	first, err := m.begin()
	if err != nil {
		return nil, err
	}
	m.before = countOf(first.findings)
	for {
		r, err := m.run(first)
		if err != nil {
			return nil, err
		}
		sound, err := m.prove(first, r)
		if err != nil {
			return nil, err
		}
		if sound {
			return m.plan(first, r)
		}
	}
}

// place is where an object stands.
type place struct {
	file string
	doc  int
	item int // of a list; -1 for an object on its own
}

// state is the input after some fixes.
type state struct {
	files    map[string][]byte
	objects  []*fact.Object
	places   []place // of objects; file is "" where there is none to edit
	findings []finding.Finding
	amended  []amended
}

// amended is what a control's patch makes of one subject.
type amended struct {
	finding finding.Finding
	object  int
	control.Amendment
	err error
}

// maker makes one plan.
type maker struct {
	Input
	engine   *assess.Engine
	types    *yamldoc.Types
	excluded map[string]string // reasons by the ids of findings
	before   map[string]int
	notes    notes
}

// result is the end of a run.
type result struct {
	state
	fixes map[string]*Fix // by the finding's id
	left  map[string]*Left
	on    map[string][]int // objects that a fix has changed, by the finding's id
	edits map[string][]located
}

// run applies fixes until there are none left to apply.
func (m *maker) run(first *state) (*result, error) {
	r := &result{state: *first.copy(), fixes: map[string]*Fix{}, left: map[string]*Left{}, on: map[string][]int{}, edits: map[string][]located{}}
	const rounds = 8 // a fix may uncover what needs one of its own
	for range rounds {
		changed := m.round(r)
		if !changed {
			break
		}
		if err := m.assess(&r.state); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// keysOf names what a finding is about, in each world that has it, without the
// field: fixing may move that.
func keysOf(f *finding.Finding) []string {
	s := &f.Subject
	key := fmt.Sprintf("%s\x00%s\x00%s\x00%s\x00%s\x00", f.Control, s.Kind, s.Namespace, s.Name, s.Container)
	if len(f.Worlds) == 0 {
		return []string{key}
	}
	out := make([]string, len(f.Worlds))
	for i, w := range f.Worlds {
		out[i] = key + w
	}
	return out
}

func countOf(findings []finding.Finding) map[string]int {
	out := map[string]int{}
	for i := range findings {
		keys := keysOf(&findings[i])
		for _, k := range keys {
			out[k] += (max(1, findings[i].Count) + len(keys) - 1) / len(keys)
		}
	}
	return out
}

// more returns the first key by which a finding is met more often than before.
func (m *maker) more(f *finding.Finding, now map[string]int) (string, bool) {
	for _, k := range keysOf(f) {
		if now[k] > m.before[k] {
			return k, true
		}
	}
	return "", false
}

// wanted reports whether a finding is to be fixed: one that was asked for, or one
// that a fix has brought.
func (m *maker) wanted(f *finding.Finding, now map[string]int) bool {
	if m.Wanted(f) {
		return true
	}
	_, come := m.more(f, now)
	return come
}

// plan writes down what a run came to.
func (m *maker) plan(first *state, r *result) (*Plan, error) {
	p := &Plan{}
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		if before, after := first.files[name], r.files[name]; string(before) != string(after) {
			p.Files = append(p.Files, File{name, before, after})
		}
	}
	revised, err := m.values(p, first, r)
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(r.fixes)) {
		if revised[id] {
			continue
		}
		fix, on := r.fixes[id], r.on[id]
		generated := slices.IndexFunc(on, func(i int) bool { return r.places[i].file == "" })
		if generated < 0 {
			p.Fixes = append(p.Fixes, *fix)
			continue
		}
		i := on[generated]
		p.Left = append(p.Left, Left{
			Finding: fix.Finding, Kind: Generated, Before: written(first.objects[i]), After: written(r.objects[i]),
			Why: []string{generatedBy(r.objects[i])},
		})
	}
	for i := range first.findings {
		f := &first.findings[i]
		if _, fixed := r.fixes[f.ID]; fixed || !m.Wanted(f) {
			continue
		}
		switch l, known := r.left[f.ID]; {
		case m.excluded[f.ID] != "":
			p.Left = append(p.Left, Left{Finding: *f, Kind: Withheld, Why: []string{m.excluded[f.ID]}})
		case known:
			p.Left = append(p.Left, *l)
		default:
			p.Left = append(p.Left, Left{Finding: *f, Kind: NoPatch})
		}
	}
	slices.SortFunc(p.Fixes, func(a, b Fix) int { return findingOrder(&a.Finding, &b.Finding) })
	slices.SortFunc(p.Left, func(a, b Left) int { return findingOrder(&a.Finding, &b.Finding) })
	return p, nil
}

// values adds to a plan the values of charts that mend what they render, and
// returns the ids of what they mend.
func (m *maker) values(p *Plan, first *state, r *result) (map[string]bool, error) {
	mended := map[string]bool{}
	for _, c := range m.Charts {
		v, found, err := m.revise(c, first, r)
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		for i := range v.Fixes {
			mended[v.Fixes[i].Finding.ID] = true
		}
		slices.SortFunc(v.Fixes, func(a, b Fix) int { return findingOrder(&a.Finding, &b.Finding) })
		p.Values = append(p.Values, v)
	}
	slices.SortFunc(p.Values, func(a, b Values) int { return cmp.Compare(a.World, b.World) })
	return mended, nil
}

func generatedBy(o *fact.Object) string {
	if o.Origin.World != "" {
		return "the object is made by " + o.Origin.World + ": change its values or its patch"
	}
	return "the object comes from no file that can be edited"
}
