package e2e

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/remedy"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// fixer makes plans with every control; its engine is compiled once.
type fixer struct {
	engine *assess.Engine
	amend  remedy.Amend
}

func newFixer(t testing.TB, enforce bool) *fixer {
	params := map[string]map[string]any{}
	for _, c := range shipped(t) {
		if _, ok := c.Params["enforce"]; ok && enforce && c.ID != "hygiene/unsorted-keys" {
			params[c.ID] = map[string]any{"enforce": true}
		}
	}
	x := &fixer{}
	x.engine = assess.New(control.NewLibrary(), shipped(t), assess.Options{
		Minor: assess.NewestMinor(), Params: params, Workers: 1,
		Amend: func(f *finding.Finding, o *fact.Object, a control.Amendment, err error) {
			if x.amend != nil {
				x.amend(f, o, a, err)
			}
		},
	})
	return x
}

func (x *fixer) plan(t testing.TB, files map[string][]byte, wanted func(*finding.Finding) bool) *remedy.Plan {
	t.Helper()
	plan, err := remedy.Make(remedy.Input{
		Snapshot: snapshot(t, files), Files: files, Wanted: wanted,
		Engine: func(amend remedy.Amend) *assess.Engine {
			x.amend = amend
			return x.engine
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// TestSeededMistakesAreFixed holds that of the seeded mistakes every finding
// whose patch needs no human knowledge is fixed to zero, and that no byte is
// changed besides.
func TestSeededMistakesAreFixed(t *testing.T) {
	patched := map[string]bool{}
	for _, c := range shipped(t) {
		patched[c.ID] = c.Mends()
	}
	engines := map[bool]*fixer{false: newFixer(t, false), true: newFixer(t, true)}
	list := mistakes(t)
	fixed, asked, without := 0, 0, 0
	for i := range list {
		m := &list[i]
		if m.Want == "" || raced && i%20 > 0 {
			continue
		}
		for _, f := range m.formsOf() {
			objects, err := m.seed(f.base(t), f)
			if err != nil {
				t.Fatal(err)
			}
			data := f.written(t, objects)
			if f.name != "" && f.name != "list" && f.name != "pod" { // those stay JSON
				data = written(t, objects)
			}
			if !patched[m.Want] {
				without++
				continue // TestSeededMistakes holds that it is found
			}
			t.Run(m.file+"/"+m.Name+"/"+f.name, func(t *testing.T) {
				files := map[string][]byte{"app.yaml": data}
				fixer := engines[m.Enforce]
				plan := fixer.plan(t, files, func(x *finding.Finding) bool { return x.Control == m.Want })
				for _, l := range plan.Left {
					if l.Kind != remedy.Question {
						t.Errorf("%s: %s is left: %s %v", m.Want, l.Finding.Message, l.Kind, l.Why)
					}
					asked++
				}
				if len(plan.Fixes) == 0 {
					return
				}
				fixed += len(plan.Fixes)
				fixer.amend = nil
				after := map[string][]byte{"app.yaml": plan.Files[0].After}
				before := map[string]bool{}
				for _, x := range scan(t, fixer.engine, files) {
					before[x.ID] = true
				}
				for _, x := range scan(t, fixer.engine, after) {
					if x.Control == m.Want && len(plan.Left) == 0 || !before[x.ID] {
						t.Errorf("after the fix: %s %s", x.Control, x.Message)
					}
				}
				onlyMeant(t, data, plan)
			})
		}
	}
	t.Logf("%d findings fixed, %d asked, %d mistakes without a patch", fixed, asked, without)
	least := 100
	if raced {
		least = 1 // of a twentieth of the mistakes, in few of their forms
	}
	if fixed < least {
		t.Errorf("only %d findings fixed", fixed)
	}
}

// onlyMeant holds that every line that is gone belongs to a place that a fix
// names.
func onlyMeant(t *testing.T, before []byte, plan *remedy.Plan) {
	t.Helper()
	meant := map[int]bool{}
	last := bytes.Count(before, []byte("\n")) + 1
	docs := yamldoc.NewReader(bytes.NewReader(before), "", yamldoc.Limits{})
	for {
		doc, err := docs.Next()
		if err != nil {
			break
		}
		root := doc.Root
		items := []fact.Value{root}
		if strings.HasSuffix(root.At("kind").Str(), "List") {
			items = slices.Collect(root.At("items").Children())
		}
		for _, item := range items {
			for i := range plan.Fixes {
				x := &plan.Fixes[i]
				if item.At("kind").Str() != x.Finding.Subject.Kind || item.At("metadata", "name").Str() != x.Finding.Subject.Name {
					continue
				}
				for _, c := range x.Changes {
					note(meant, root, item, c.Path, last)
				}
			}
		}
	}
	left := map[string]int{}
	for line := range strings.Lines(string(plan.Files[0].After)) {
		left[strings.TrimRight(line, "\n,")]++
	}
	i := 0
	for line := range strings.Lines(string(before)) {
		i++
		if meant[i] {
			continue
		}
		key := strings.TrimRight(line, "\n,")
		if left[key]--; left[key] < 0 && left[key+" {}"]+left[key+" []"] == 0 { // a parent of nothing else
			t.Errorf("line %d is gone, and no fix names it: %.200s", i, line)
		}
	}
}

// note marks the lines of the place that a path names in an item of a document;
// where it is not there, those of its parent's first line, which may change from
// {} or nothing.
func note(meant map[int]bool, root, item fact.Value, path string, last int) {
	prefix := item.Path()
	best := item
	var find func(v fact.Value)
	find = func(v fact.Value) {
		for c := range v.Children() {
			p := strings.TrimPrefix(strings.TrimPrefix(c.Path(), prefix), ".")
			if p == path || strings.HasPrefix(path, p+".") || strings.HasPrefix(path, p+"[") {
				best = c
				find(c)
			}
		}
	}
	find(item)
	from, to := int(best.Pos().Line), int(best.Pos().Line)
	whole := strings.TrimPrefix(strings.TrimPrefix(best.Path(), prefix), ".") == path || best.Len() == 0
	if whole {
		to = last
		var next func(v fact.Value)
		next = func(v fact.Value) {
			for c := range v.Children() {
				if best.Before(c) && !c.Within(best) && int(c.Pos().Line) >= from {
					to = min(to, max(from, int(c.Pos().Line)-1))
				}
				next(c)
			}
		}
		next(root)
	}
	for line := from; line <= to; line++ {
		if whole || strings.HasPrefix(fmt.Sprint(best.Kind()), "null") || root.Pos().Line == uint32(last) || best.Pos().Line == root.Pos().Line {
			meant[line] = true
		}
	}
}

// TestFixTellsNoSecret holds that no diff, summary or JSON of merlon fix shows a
// value that people keep secret.
func TestFixTellsNoSecret(t *testing.T) {
	if raced {
		t.Skip("held without the race detector: it runs the same commands as others, one after the other")
	}
	n := newNest()
	files := planted(n)
	for name, text := range files { // once more, as JSON in one line
		if docs, err := yamldoc.NewReader(strings.NewReader(text), "", yamldoc.Limits{}).Next(); err == nil {
			files[strings.TrimSuffix(name, ".yaml")+"-line.json"] = string(yamldoc.JSON(docs.Root)) + "\n"
		}
	}
	dir := tree(t, files)
	changed := false
	for _, args := range [][]string{{"-o", "diff"}, {"-o", "json"}, {"--write"}} {
		out, errs, code := merlon(t, "", append([]string{"fix", dir, "--all"}, args...)...)
		if code != 1 && code != 3 {
			t.Fatalf("%v: code %d: %s", args, code, errs)
		}
		changed = changed || strings.Contains(out, "@@")
		n.silent(t, fmt.Sprint("fix ", args), out+errs)
	}
	if !changed {
		t.Error("nothing was changed")
	}
}
