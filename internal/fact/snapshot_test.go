package fact

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func thing(kind, namespace, name string, origin Origin) *Object {
	b := &Builder{}
	b.Begin(Key{}, Pos{}, Map)
	b.String(b.Key("apiVersion"), Pos{}, "v1")
	b.String(b.Key("kind"), Pos{}, kind)
	b.Begin(b.Key("metadata"), Pos{}, Map)
	b.String(b.Key("namespace"), Pos{}, namespace)
	b.String(b.Key("name"), Pos{}, name)
	b.End()
	b.End()
	o, ok := NewObject(b.Tree().Root(), origin)
	if !ok {
		panic("no object")
	}
	return &o
}

// names lists the objects of a snapshot as they are shown.
func names(s *Snapshot) []string {
	var out []string
	for _, o := range s.Objects() {
		out = append(out, fmt.Sprintf("%s:%d %s %s/%s", o.Origin.File, o.Origin.Doc, o.Kind, o.InNamespace(), o.Name))
	}
	return out
}

func TestOrder(t *testing.T) {
	file := func(name string, doc int) Origin { return Origin{Source: "manifest", File: name, Doc: doc} }
	s := (&Snapshot{}).Apply(
		Change{Object: thing("Pod", "b", "z", file("a-b/x.yaml", 0))},
		Change{Object: thing("Pod", "b", "y", file("a/x.yaml", 1))},
		Change{Object: thing("Service", "b", "z", file("a/x.yaml", 0))},
		Change{Object: thing("Pod", "b", "z", Origin{Source: "cluster"})},
		Change{Object: thing("Pod", "a", "zz", Origin{Source: "cluster"})},
		Change{Object: thing("ConfigMap", "q", "a", Origin{Source: "cluster"})},
		Change{Op: GapOpened, Gap: Gap{File: "b"}}, Change{Op: GapOpened, Gap: Gap{File: "a", Pos: Pos{Line: 2}}},
		Change{Op: GapOpened, Gap: Gap{File: "a", Pos: Pos{Line: 1}}}, Change{Op: GapOpened, Gap: Gap{File: "b"}},
	)
	want := []string{
		":0 ConfigMap q/a", ":0 Pod a/zz", ":0 Pod b/z", "a/x.yaml:0 Service b/z", "a/x.yaml:1 Pod b/y", "a-b/x.yaml:0 Pod b/z",
	}
	if d := cmp.Diff(want, names(s)); d != "" {
		t.Error(d)
	}
	gaps := []Gap{{File: "a", Pos: Pos{Line: 1}}, {File: "a", Pos: Pos{Line: 2}}, {File: "b"}}
	if d := cmp.Diff(gaps, s.Gaps()); d != "" {
		t.Error(d)
	}
}

// TestApply holds a long way of random changes against the state made at once,
// and Diff against what really changed. Snapshots left behind stay as they were.
func TestApply(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	kinds := []string{"Pod", "Service", "ConfigMap", "Namespace"}
	held := map[string]*Object{}
	open := map[Gap]bool{}
	s := &Snapshot{}
	type past struct {
		s     *Snapshot
		names []string
	}
	var before []past
	for step := range 2000 {
		var changes []Change
		for range 1 + r.IntN(4) {
			if r.IntN(8) == 0 {
				g := Gap{Kind: fmt.Sprint("g", r.IntN(5)), File: fmt.Sprint("f", r.IntN(3))}
				open[g] = r.IntN(2) == 0
				changes = append(changes, Change{Op: map[bool]Op{true: GapOpened, false: GapClosed}[open[g]], Gap: g})
				continue
			}
			o := thing(kinds[r.IntN(len(kinds))], fmt.Sprint("n", r.IntN(3)), fmt.Sprint("o", r.IntN(4)), Origin{File: fmt.Sprint("f", r.IntN(2)), Doc: r.IntN(2)})
			key := fmt.Sprint(o.Ref(), o.Origin)
			if r.IntN(3) == 0 {
				delete(held, key)
				changes = append(changes, Change{Op: Delete, Object: o})
			} else {
				held[key] = o
				changes = append(changes, Change{Op: Upsert, Object: o})
			}
		}
		next := s.Apply(changes...)
		differ(t, s, next)
		if step%100 == 0 {
			before = append(before, past{next, names(next)})
		}
		s = next
		var anew []Change
		for _, o := range held {
			anew = append(anew, Change{Object: o})
		}
		for g, is := range open {
			if is {
				anew = append(anew, Change{Op: GapOpened, Gap: g})
			}
		}
		full := (&Snapshot{}).Apply(anew...)
		if !slices.Equal(full.Objects(), s.Objects()) || !slices.Equal(full.Gaps(), s.Gaps()) || s.Len() != len(held) {
			t.Fatalf("step %d: the way shows:\n%s", step, cmp.Diff(names(full), names(s)))
		}
	}
	for _, p := range before {
		if d := cmp.Diff(p.names, names(p.s)); d != "" {
			t.Fatalf("an old snapshot changed: %s", d)
		}
	}
}

func differ(t *testing.T, a, b *Snapshot) {
	t.Helper()
	left := map[*Object]bool{}
	for _, o := range a.Objects() {
		left[o] = true
	}
	Diff(a, b, func(before, after *Object) {
		if before != nil && !left[before] || before == after || before != nil && after != nil && before.Ref() != after.Ref() {
			t.Fatal("a difference that is none")
		}
		delete(left, before)
		if after != nil {
			left[after] = true
		}
	})
	if len(left) != b.Len() {
		t.Fatalf("%d objects after the differences, want %d", len(left), b.Len())
	}
	for _, o := range b.Objects() {
		if !left[o] {
			t.Fatal("a difference that was not told")
		}
	}
}

func BenchmarkApplyOne(b *testing.B) {
	var changes []Change
	for i := range 100_000 {
		changes = append(changes, Change{Object: thing([]string{"Pod", "Service", "ConfigMap"}[i%3], fmt.Sprint("n", i/3%500), fmt.Sprint("o", i), Origin{})})
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			(&Snapshot{}).Apply(changes...)
		}
	})
	s := (&Snapshot{}).Apply(changes...)
	b.Run("one", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			s.Apply(changes[i*7919%len(changes)])
		}
	})
}
