package cli

import (
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/sink"
)

// drifted is a thing of a node that is another than before.
type drifted struct {
	Kind    string       `json:"kind"`
	Name    string       `json:"name"`
	File    string       `json:"file,omitempty"`
	Changes []difference `json:"changes"`
}

// difference is a value before and after; "" for none.
type difference struct {
	Path   string `json:"path"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// passing are fields that time alone changes.
var passing = []string{"pid", "seen", "daysLeft", "newerThanProcess"}

// drift compares what a source of node facts has told before and after: what is
// at the same place under the same name is the same thing, whichever process it
// is.
func drift(a, b *fact.Snapshot) []event {
	before, after := map[string]*fact.Object{}, map[string]*fact.Object{}
	var order []string
	note := func(into map[string]*fact.Object, o *fact.Object) {
		if o == nil || o.Origin.Source != "node" {
			return
		}
		key := o.GroupKind() + " " + o.Namespace + "/" + o.Name
		if o.Group != "merlon.dev" {
			key += " " + o.Origin.File
		}
		into[key] = o
		if !slices.Contains(order, key) {
			order = append(order, key)
		}
	}
	fact.Diff(a, b, func(x, y *fact.Object) {
		note(before, x)
		note(after, y)
	})
	slices.Sort(order)
	var out []event
	for _, key := range order {
		x, y := before[key], after[key]
		d := &drifted{}
		switch {
		case x == nil:
			d.Changes = []difference{{Path: "", After: "there"}}
		case y == nil:
			d.Changes = []difference{{Path: "", Before: "there"}}
		default:
			d.Changes = differences(x.Root, y.Root, "", nil)
		}
		if y == nil {
			y = x
		}
		d.Kind, d.Name, d.File = y.Kind, y.Name, y.Origin.File
		if len(d.Changes) > 0 {
			out = append(out, event{Event: "drift", Drift: d})
		}
	}
	return out
}

// differences lists the fields in which two trees differ. Of lists of words it
// tells the words that went and came.
func differences(a, b fact.Value, path string, out []difference) []difference {
	switch {
	case fact.Equal(a, b):
		return out
	case a.Kind() == fact.Map && b.Kind() == fact.Map:
		keys := map[string]bool{}
		for _, m := range []fact.Value{a, b} {
			for c := range m.Children() {
				keys[c.Key().String()] = true
			}
		}
		for _, k := range sortedNames(keys) {
			if path == "spec" && slices.Contains(passing, k) {
				continue
			}
			out = differences(a.Get(fact.K(k)), b.Get(fact.K(k)), strings.TrimPrefix(path+"."+k, "."), out)
		}
		return out
	case a.Kind() == fact.List && b.Kind() == fact.List && words(a) && words(b):
		return append(out, difference{path, strings.Join(without(a, b), " "), strings.Join(without(b, a), " ")})
	case a.Kind() == fact.List && b.Kind() == fact.List && a.Len() == b.Len():
		for i := range a.Len() {
			x, y := a.Index(i), b.Index(i)
			at := path + "[" + itemName(x, i) + "]"
			out = differences(withoutField(x), withoutField(y), at, out)
		}
		return out
	}
	return append(out, difference{path, brief(a), brief(b)})
}

// withoutField leaves out of an element what time alone changes.
func withoutField(v fact.Value) fact.Value {
	m, ok := v.Go().(map[string]any)
	if !ok {
		return v
	}
	for _, k := range passing {
		delete(m, k)
	}
	return fact.Of(m)
}

// itemName names an element by what it is about, where it says so.
func itemName(v fact.Value, i int) string {
	for _, k := range [...]string{"path", "name"} {
		if s := v.Get(fact.K(k)).Str(); s != "" {
			return s
		}
	}
	return strconv.Itoa(i)
}

func words(v fact.Value) bool {
	for c := range v.Children() {
		if c.Kind() == fact.Map || c.Kind() == fact.List {
			return false
		}
	}
	return true
}

// without lists the words of a that b does not have.
func without(a, b fact.Value) []string {
	there := map[string]int{}
	for c := range b.Children() {
		there[c.Text()]++
	}
	var out []string
	for c := range a.Children() {
		if there[c.Text()]--; there[c.Text()] < 0 {
			out = append(out, c.Text())
		}
	}
	return out
}

// brief shows a value: a map or list by how much it holds.
func brief(v fact.Value) string {
	if v.Kind() == fact.Map || v.Kind() == fact.List {
		return "{" + plural(v.Len(), "field") + "}"
	}
	return v.Text()
}

// shownOr shows a value of a difference to people.
func shownOr(s string) string {
	if s == "" {
		return "(none)"
	}
	return sink.Text(s)
}
