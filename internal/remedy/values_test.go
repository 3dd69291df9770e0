package remedy

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// chart renders one ConfigMap: what values hold under config is its data, and
// after says what else they do.
type testChart struct {
	data  string // as it is without other values
	keys  []fact.ValuesKey
	after func(values, data fact.Value, o *strings.Builder) error
	gone  bool // with other values nothing is rendered
}

func (c *testChart) object(t *testing.T, data, more string) *fact.Object {
	t.Helper()
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n" + data + more
	docs := documents([]byte(text))
	if len(docs) != 1 {
		t.Fatalf("no document: %s", text)
	}
	o, ok := fact.NewObject(docs[0].Root, fact.Origin{Source: "helm", File: "m.yaml", World: "shop"})
	if !ok {
		t.Fatal("no object")
	}
	return &o
}

// render merges the values' config into the data, as Helm does: null takes away.
func (c *testChart) render(t *testing.T, values []byte) ([]*fact.Object, error) {
	if c.gone {
		return nil, nil
	}
	given := documents(values)[0].Root
	o := c.object(t, c.data, "")
	root := o.Root
	for v := range given.At("config").Children() {
		e := fact.Edit{Op: fact.Set, Path: []fact.Step{fact.Field("data"), fact.Field(v.Key().String())}, Value: v}
		if v.IsNull() {
			e.Op = fact.Remove
		}
		var err error
		if root, err = e.Apply(root); err != nil {
			return nil, err
		}
	}
	more := &strings.Builder{}
	if c.after != nil {
		if err := c.after(given, root.At("data"), more); err != nil {
			return nil, err
		}
	}
	next, _ := o.Edited(root)
	if more.Len() > 0 {
		return []*fact.Object{c.object(t, c.data, more.String())}, nil
	}
	return []*fact.Object{next}, nil
}

func TestValuesAreProven(t *testing.T) {
	config := fact.ValuesKey{Path: []string{"config"}, Kind: fact.Map, Outlets: []fact.Outlet{
		{Ref: fact.Ref{Kind: "ConfigMap", Namespace: "default", Name: "m"}, File: "m.yaml", Path: []fact.Step{fact.Field("data")}},
	}}
	elsewhere := config
	elsewhere.Outlets = []fact.Outlet{{Ref: fact.Ref{Kind: "ConfigMap", Namespace: "default", Name: "other"}, File: "m.yaml", Path: []fact.Step{fact.Field("data")}}}
	loud := fact.ValuesKey{Path: []string{"sound", "loud"}, Kind: fact.Bool}
	for _, c := range []struct {
		name   string
		chart  testChart
		values string
		fixed  string // controls
		left   string
	}{
		{"a map that comes out", testChart{data: "data: {loud: x, allowSilence: x}", keys: []fact.ValuesKey{config}}, "config:\n    loud: null\n", "t/loud", ""},
		{"several at once", testChart{data: "data: {loud: x, allowSilence: x, color: green}", keys: []fact.ValuesKey{config}}, "config:\n    color: red\n    loud: null\n", "t/loud t/red", ""},
		{"a switch by the field's name", testChart{data: "data: {loud: x, allowSilence: x}", keys: []fact.ValuesKey{loud},
			after: func(values, data fact.Value, more *strings.Builder) error {
				if v := values.At("sound", "loud"); v.Kind() == fact.Bool && !v.Bool() {
					more.WriteString("\ndata: {allowSilence: x}")
				}
				return nil
			}}, "sound:\n    loud: false\n", "t/loud", ""},
		{"a key that does nothing", testChart{data: "data: {loud: x, allowSilence: x}", keys: []fact.ValuesKey{loud}}, "", "", "t/loud"},
		{"it comes out elsewhere", testChart{data: "data: {loud: x, allowSilence: x}", keys: []fact.ValuesKey{elsewhere}}, "", "", "t/loud"},
		{"it changes something else too", testChart{data: "data: {loud: x, allowSilence: x}", keys: []fact.ValuesKey{config},
			after: func(_, _ fact.Value, more *strings.Builder) error {
				more.WriteString("\ndata: {allowSilence: x}\nimmutable: true")
				return nil
			}}, "", "", "t/loud"},
		{"the chart refuses it", testChart{data: "data: {loud: x, allowSilence: x}", keys: []fact.ValuesKey{config},
			after: func(fact.Value, fact.Value, *strings.Builder) error { return errors.New("no") }}, "", "", "t/loud"},
		{"one of two is refused", testChart{data: "data: {loud: x, allowSilence: x, color: green}", keys: []fact.ValuesKey{config},
			after: func(values, _ fact.Value, _ *strings.Builder) error {
				if values.At("config", "color").Present() {
					return errors.New("no")
				}
				return nil
			}}, "config:\n    loud: null\n", "t/loud", "t/red"},
		{"the object is gone", testChart{data: "data: {loud: x, allowSilence: x}", keys: []fact.ValuesKey{config}, gone: true}, "", "", "t/loud"},
	} {
		t.Run(c.name, func(t *testing.T) {
			plan, err := Make(valuesInput(t, &c.chart))
			if err != nil {
				t.Fatal(err)
			}
			var values string
			var fixed, left []string
			for _, v := range plan.Values {
				values += string(v.YAML)
				for _, f := range v.Fixes {
					fixed = append(fixed, f.Finding.Control)
				}
			}
			for _, l := range plan.Left {
				if l.Kind == Generated {
					left = append(left, l.Finding.Control)
				}
			}
			if diff := cmp.Diff([]string{c.values, c.fixed, c.left}, []string{values, strings.Join(fixed, " "), strings.Join(left, " ")}); diff != "" {
				t.Error(diff)
			}
			if len(plan.Files)+len(plan.Fixes) > 0 {
				t.Errorf("a chart has no file to write: %+v", plan)
			}
		})
	}
}

func valuesInput(t *testing.T, c *testChart) Input {
	files := fstest.MapFS{}
	for _, id := range []string{"t/loud", "t/silent", "t/red"} {
		files[id+".yaml"] = &fstest.MapFile{Data: []byte(testControls[id])}
	}
	list, err := control.Load(files, false)
	if err != nil {
		t.Fatal(err)
	}
	return Input{
		Snapshot: (&fact.Snapshot{}).Apply(fact.Change{Op: fact.Upsert, Object: c.object(t, c.data, "")}),
		Charts: []Chart{{
			World:  "shop",
			Keys:   func() ([]fact.ValuesKey, error) { return c.keys, nil },
			Render: func(values []byte) ([]*fact.Object, error) { return c.render(t, values) },
		}},
		Engine: func(amend Amend) *assess.Engine {
			return assess.New(control.NewLibrary(), list, assess.Options{Minor: assess.NewestMinor(), Apart: true, Amend: amend})
		},
		Wanted: func(*finding.Finding) bool { return true },
	}
}
