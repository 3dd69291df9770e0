package assess_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// TestIncrementalEqualsFull makes random changes and holds after each that the
// session says what a full run says of the same state, to the byte; and that
// what it tells of the change is the whole difference.
func TestIncrementalEqualsFull(t *testing.T) {
	steps := 400
	switch {
	case os.Getenv("MERLON_LONG") != "": // no flag: go keeps what passed with those it knows only
		steps = 10_000
	case testing.Short(), raced:
		steps = 60
	}
	list := shipped(t)
	lib := control.NewLibrary()
	options := assess.Options{Minor: assess.NewestMinor(), Workers: 1}
	full := assess.New(lib, list, options)
	var seeing []*control.Control
	for _, c := range list {
		if compiled, err := c.Compile(lib, nil); err != nil {
			t.Fatal(err)
		} else if compiled.Whole() && c.Scope.Each != control.EachComponent || strings.Contains(c.When+c.Require+c.Items, "namespaceObject") {
			seeing = append(seeing, c)
		}
	}
	t.Logf("%d of %d controls see more than their subject", len(seeing), len(list))
	pool, values := poolOf(t, list), map[string][]any{}
	valuesOf(pool, values)
	for seed := uint64(1); seed <= 3; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			run := options
			run.NoMemo = seed == 2
			g := &game{t: t, r: rand.New(rand.NewPCG(seed, 7)), worlds: seed > 1, pool: pool, values: values, state: &fact.Snapshot{}, held: map[string]held{}, told: map[string]*finding.Finding{}}
			// Only controls that see more than their subject can go wrong, so
			// they are held to it after each change, and all after some.
			g.sides = []side{{assess.New(lib, seeing, run).Begin(), assess.New(lib, seeing, options), 1}, {assess.New(lib, list, run).Begin(), full, 50}}
			for step := range steps {
				g.step(step)
			}
			t.Logf("%d changes, %d findings opened, %d closed, %d changed", steps, g.opened, g.closed, g.changed)
			if g.opened == 0 || g.closed == 0 || g.changed == 0 {
				t.Error("nothing happened")
			}
		})
	}
}

// game is one way of random changes.
type game struct {
	t      *testing.T
	r      *rand.Rand
	worlds bool // objects of charts beside those of a cluster and of files
	pool   []any
	values map[string][]any
	state  *fact.Snapshot
	sides  []side
	held   map[string]held
	gaps   []fact.Gap
	told   map[string]*finding.Finding

	opened, closed, changed int
}

// side is a session and what it is held against, every so many steps.
type side struct {
	session *assess.Session
	full    *assess.Engine
	every   int
}

type held struct {
	doc    any
	object *fact.Object
}

func (g *game) step(step int) {
	var changes []fact.Change
	var what []string
	n := 1
	if g.r.IntN(20) == 0 {
		n = 1 + g.r.IntN(6)
	}
	for range n {
		c, text := g.change()
		changes, what = append(changes, c), append(what, text)
	}
	g.state = g.state.Apply(changes...)
	for i := range g.sides {
		g.compare(step, &g.sides[i], strings.Join(what, "; "))
	}
}

func (g *game) compare(step int, x *side, what string) {
	told, err := x.session.Update(g.state)
	if err != nil {
		g.t.Fatal(err)
	}
	if x.every == 1 {
		g.hear(step, told)
	}
	if step%x.every != 0 {
		return
	}
	a, err := x.full.Assess(g.state)
	if err != nil {
		g.t.Fatal(err)
	}
	b := x.session.Assessment()
	want, got := a.Report(nil, nil), b.Report(nil, nil)
	if x.every == 1 {
		g.heard(step, what, want)
	}
	// Writing bytes costs as much as judging, so that most steps compare what
	// they are made of.
	if step%50 == 0 {
		if x, y := encode(g.t, want, a.Results()), encode(g.t, got, b.Results()); x != y {
			g.t.Fatalf("step %d: %s\n%s", step, what, difference(x, y))
		}
	} else if !reflect.DeepEqual(a.Results(), b.Results()) || !same(want, got) {
		g.t.Fatalf("step %d: %s\n%s\n%s", step, what, difference(encode(g.t, want, nil), encode(g.t, got, nil)), counts(a.Results(), b.Results()))
	}
}

// counts tells in which controls' numbers two runs differ.
func counts(want, got any) string {
	x, y := strings.Fields(fmt.Sprint(want)), strings.Fields(fmt.Sprint(got))
	for i := range min(len(x), len(y)) {
		if x[i] != y[i] {
			return fmt.Sprintf("%s, want %s", y[max(0, i-6):i+1], x[max(0, i-6):i+1])
		}
	}
	return ""
}

func encode(t *testing.T, r *finding.Report, results any) string {
	out, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	more, err := json.Marshal(results)
	if err != nil {
		t.Fatal(err)
	}
	return string(out) + "\n" + string(more)
}

func same(a, b *finding.Report) bool {
	if len(a.Findings) != len(b.Findings) || !reflect.DeepEqual(a.Gaps, b.Gaps) || !maps.Equal(a.Summary.Severities, b.Summary.Severities) || a.Summary.Objects != b.Summary.Objects {
		return false
	}
	for i := range a.Findings {
		if t := (assess.Told{Before: &a.Findings[i], After: &b.Findings[i]}); !t.Same() {
			return false
		}
	}
	return true
}

// hear holds what an update tells against what it has told before.
func (g *game) hear(step int, told []assess.Told) {
	for i := range told {
		x := &told[i]
		id := ""
		switch {
		case x.Before == nil:
			id = x.After.ID
			g.opened++
		case x.After == nil:
			id = x.Before.ID
			g.closed++
		default:
			id = x.After.ID
			if !x.Same() {
				g.changed++
			}
		}
		if known := (assess.Told{Before: g.told[id], After: x.Before}); (known.Before == nil) != (known.After == nil) || known.Before != nil && !known.Same() {
			g.t.Fatalf("step %d: %s was not as it is told", step, id)
		}
		if x.After == nil {
			delete(g.told, id)
			continue
		}
		g.told[id] = x.After
	}
}

// heard holds what was told against the report.
func (g *game) heard(step int, what string, want *finding.Report) {
	for i := range want.Findings {
		f := &want.Findings[i]
		if known := (assess.Told{Before: g.told[f.ID], After: f}); !known.Same() {
			g.t.Fatalf("step %d: %s: %s of %+v was not told, or not as it is\n%+v\n%+v", step, what, f.Control, f.Subject, f, g.told[f.ID])
		}
	}
	if len(g.told) != len(want.Findings) {
		g.t.Fatalf("step %d: %s: %d findings were told, %d are there", step, what, len(g.told), len(want.Findings))
	}
}

// limit is how many objects a game holds: few, so that they meet.
const limit = 14

func (g *game) change() (fact.Change, string) {
	keys := slices.Sorted(maps.Keys(g.held))
	switch n := g.r.IntN(100); {
	case n < 5:
		return g.gap(), "gap"
	case len(keys) > limit || len(keys) > 0 && n < 25:
		key := keys[g.r.IntN(len(keys))]
		h := g.held[key]
		delete(g.held, key)
		return fact.Change{Op: fact.Delete, Object: h.object}, "delete " + key
	case len(keys) > 0 && n < 65:
		key := keys[g.r.IntN(len(keys))]
		doc := g.mutate(clone(g.held[key].doc), 1+g.r.IntN(3))
		if o := built(doc, g.held[key].object.Origin); o != nil && keyOf(o) == key {
			o.Rendering = g.held[key].object.Rendering
			g.held[key] = held{doc, o}
			return fact.Change{Object: o}, "change " + key
		}
	}
	doc := clone(g.pool[g.r.IntN(len(g.pool))])
	g.place(doc)
	if g.r.IntN(3) == 0 {
		g.mutate(doc, 1)
	}
	origin := fact.Origin{Source: "cluster"}
	if g.r.IntN(4) == 0 {
		origin = fact.Origin{Source: "manifest", File: fmt.Sprint("f", g.r.IntN(3)), Doc: g.r.IntN(3)}
	}
	chart := g.worlds && g.r.IntN(2) == 0
	if chart {
		// Two charts, one of them with two sets of values, from few lines.
		origin.Root = []string{"a", "b"}[g.r.IntN(2)]
		origin.World = origin.Root + []string{"", " with x.yaml"}[g.r.IntN(2)]
	}
	o := built(doc, origin)
	if o == nil {
		return g.gap(), "gap"
	}
	if chart {
		at := fact.Written{File: "t.yaml", Pos: fact.Pos{Line: uint32(g.r.IntN(4))}, Root: origin.Root}
		o.Rendering = &fact.Rendering{Lines: map[uint32]fact.Written{0: at}}
	}
	o.Pods = g.r.IntN(3)
	key := keyOf(o)
	g.held[key] = held{doc, o}
	return fact.Change{Object: o}, "put " + key
}

func keyOf(o *fact.Object) string { return fmt.Sprintf("%+v %+v", o.Ref(), o.Origin) }

func (g *game) gap() fact.Change {
	if len(g.gaps) > 0 && g.r.IntN(2) == 0 {
		i := g.r.IntN(len(g.gaps))
		gap := g.gaps[i]
		g.gaps = slices.Delete(g.gaps, i, i+1)
		return fact.Change{Op: fact.GapClosed, Gap: gap}
	}
	gap := fact.Gap{Kind: "forbidden", Source: "cluster", Subject: fmt.Sprint("list things", g.r.IntN(4))}
	if !slices.Contains(g.gaps, gap) {
		g.gaps = append(g.gaps, gap)
	}
	return fact.Change{Op: fact.GapOpened, Gap: gap}
}

// place gives an object one of a few names and namespaces, mostly, so that
// objects meet that were written apart.
func (g *game) place(doc any) {
	meta, ok := doc.(map[string]any)["metadata"].(map[string]any)
	if !ok {
		return
	}
	if g.r.IntN(3) > 0 {
		meta["namespace"] = []any{"shop", "default", "kube-system"}[g.r.IntN(3)]
	}
	if g.r.IntN(3) == 0 {
		meta["name"] = []any{"app", "web", "default", "shop", "x"}[g.r.IntN(5)]
	}
}

// mutate changes fields at random: it drops one, or gives it the value that a
// field of its name has elsewhere.
func (g *game) mutate(doc any, times int) any {
	for range times {
		at := doc
		for depth := 0; ; depth++ {
			m, isMap := at.(map[string]any)
			l, isList := at.([]any)
			if isMap && len(m) > 0 {
				key := slices.Sorted(maps.Keys(m))[g.r.IntN(len(m))]
				if depth == 0 && (key == "apiVersion" || key == "kind") {
					break
				}
				if _, deep := m[key].(map[string]any); deep && g.r.IntN(5) > 0 {
					at = m[key]
					continue
				}
				if _, deep := m[key].([]any); deep && g.r.IntN(5) > 0 {
					at = m[key]
					continue
				}
				if g.r.IntN(4) == 0 && key != "name" {
					delete(m, key)
				} else if v, ok := g.other(key); ok {
					m[key] = v
				}
			} else if isList && len(l) > 0 {
				i := g.r.IntN(len(l))
				if s, ok := l[i].(string); ok {
					l[i] = []any{s, "x", "*", "app"}[g.r.IntN(4)]
					break
				}
				at = l[i]
				continue
			}
			break
		}
	}
	return doc
}

// other finds a value that some object of the pool has under a key.
func (g *game) other(key string) (any, bool) {
	values := g.values[key]
	if len(values) == 0 {
		return nil, false
	}
	return clone(values[g.r.IntN(len(values))]), true
}

// valuesOf lists what stands under each key.
func valuesOf(v any, out map[string][]any) {
	switch x := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(x)) {
			out[k] = append(out[k], x[k])
			valuesOf(x[k], out)
		}
	case []any:
		for _, e := range x {
			valuesOf(e, out)
		}
	}
}

// poolOf is what games are made of: the objects of all controls' cases, which
// are what controls look at, and some that go together.
func poolOf(t *testing.T, list []*control.Control) []any {
	var out []any
	for _, o := range casesOf(t, list) {
		out = append(out, plain(o.Root))
	}
	made := generated(60)
	for range 20 {
		for i := range made {
			out = append(out, plain(made[i].Root))
		}
	}
	return out
}

func plain(v fact.Value) any {
	switch v.Kind() {
	case fact.Map:
		m := map[string]any{}
		for c := range v.Children() {
			m[c.Key().String()] = plain(c)
		}
		return m
	case fact.List:
		l := []any{}
		for c := range v.Children() {
			l = append(l, plain(c))
		}
		return l
	case fact.String:
		return v.Str()
	case fact.Int:
		return v.Int()
	case fact.Float:
		return v.Float()
	case fact.Bool:
		return v.Bool()
	}
	return nil
}

func clone(v any) any {
	switch x := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(x))
		for k, e := range x {
			m[k] = clone(e)
		}
		return m
	case []any:
		l := make([]any, len(x))
		for i, e := range x {
			l[i] = clone(e)
		}
		return l
	}
	return v
}

func built(doc any, origin fact.Origin) *fact.Object {
	b := &fact.Builder{}
	var add func(key fact.Key, v any)
	add = func(key fact.Key, v any) {
		switch x := v.(type) {
		case nil:
			b.Null(key, fact.Pos{})
		case bool:
			b.Bool(key, fact.Pos{}, x)
		case int64:
			b.Int(key, fact.Pos{}, x)
		case float64:
			b.Float(key, fact.Pos{}, x)
		case string:
			b.String(key, fact.Pos{}, x)
		case []any:
			b.Begin(key, fact.Pos{}, fact.List)
			for _, e := range x {
				add(fact.Key{}, e)
			}
			b.End()
		case map[string]any:
			b.Begin(key, fact.Pos{}, fact.Map)
			for _, k := range slices.Sorted(maps.Keys(x)) {
				add(b.Key(k), x[k])
			}
			b.End()
		}
	}
	add(fact.Key{}, doc)
	o, ok := fact.NewObject(b.Tree().Root(), origin)
	if !ok {
		return nil
	}
	return &o
}
