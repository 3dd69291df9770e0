package yamldoc

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	appsv1 "k8s.io/api/apps/v1"
	sigsyaml "sigs.k8s.io/yaml"

	"github.com/merlon-security/merlon/internal/fact"
)

// The measurements behind ADR 1: the same Deployment in each form that an
// object could have. Run them with
//
//	go test -run xxx -bench Alternatives -cpu 1 ./internal/yamldoc
//
// bytes/object is live heap after a collection, over many objects of which each
// has a name of its own; lookup is every container's
// securityContext.allowPrivilegeEscalation, by the path from the root.

// boxed is the form with an interface or pointer per value: what a hand-made
// object model usually looks like.
type boxed interface{ get(key string) boxed }

type (
	boxedMap  struct{ entries []boxedEntry }
	boxedList struct{ elements []boxed }
	boxedLeaf struct{ v any }

	boxedEntry struct {
		key   string
		value boxed
	}
)

func (m *boxedMap) get(key string) boxed {
	for i := range m.entries {
		if m.entries[i].key == key {
			return m.entries[i].value
		}
	}
	return nil
}
func (*boxedList) get(string) boxed { return nil }
func (*boxedLeaf) get(string) boxed { return nil }

func box(v fact.Value) boxed {
	switch v.Kind() {
	case fact.Map:
		m := &boxedMap{}
		for c := range v.Children() {
			m.entries = append(m.entries, boxedEntry{strings.Clone(c.Key().String()), box(c)})
		}
		return m
	case fact.List:
		l := &boxedList{}
		for c := range v.Children() {
			l.elements = append(l.elements, box(c))
		}
		return l
	case fact.Int:
		return &boxedLeaf{v.Int()}
	case fact.Bool:
		return &boxedLeaf{v.Bool()}
	}
	return &boxedLeaf{strings.Clone(v.Str())}
}

// alternative is one form: how an object gets into it and how it is asked.
type alternative struct {
	name   string
	decode func(tb testing.TB, text []byte) any
	lookup func(object any) (escalations int)
}

func alternatives() []alternative {
	r := NewReader(strings.NewReader(""), "f", Limits{})
	tree := func(tb testing.TB, text []byte) any {
		r.Reset(strings.NewReader(string(text)), "f")
		d, err := r.Next()
		if err != nil && !errors.Is(err, io.EOF) {
			tb.Fatal(err)
		}
		return d.Root
	}
	unmarshal := func(into func() any) func(tb testing.TB, text []byte) any {
		return func(tb testing.TB, text []byte) any {
			v := into()
			if err := sigsyaml.Unmarshal(text, v); err != nil {
				tb.Fatal(err)
			}
			return v
		}
	}
	return []alternative{
		{"tree", tree, lookupTree},
		{"map", unmarshal(func() any { return &map[string]any{} }), lookupMap},
		{"node", func(tb testing.TB, text []byte) any {
			n := &yaml.Node{}
			if err := yaml.Unmarshal(text, n); err != nil {
				tb.Fatal(err)
			}
			return n
		}, lookupNode},
		{"typed", unmarshal(func() any { return &appsv1.Deployment{} }), lookupTyped},
		{"boxed", func(tb testing.TB, text []byte) any { return box(tree(tb, text).(fact.Value)) }, lookupBoxed},
	}
}

func lookupTree(object any) (n int) {
	path := [...]fact.Key{fact.K("spec"), fact.K("template"), fact.K("spec"), fact.K("containers")}
	context, escalation := fact.K("securityContext"), fact.K("allowPrivilegeEscalation")
	v := object.(fact.Value)
	return countTree(v, path[:], context, escalation)
}

func countTree(v fact.Value, path []fact.Key, context, escalation fact.Key) (n int) {
	for _, k := range path {
		v = v.Get(k)
	}
	for c := range v.Children() {
		if c.Get(context).Get(escalation).Bool() {
			n++
		}
	}
	return n
}

func lookupMap(object any) (n int) {
	var v any = *object.(*map[string]any)
	for _, k := range []string{"spec", "template", "spec", "containers"} {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	list, _ := v.([]any)
	for _, c := range list {
		m, _ := c.(map[string]any)
		s, _ := m["securityContext"].(map[string]any)
		if b, _ := s["allowPrivilegeEscalation"].(bool); b {
			n++
		}
	}
	return n
}

func nodeGet(n *yaml.Node, key string) *yaml.Node {
	for i := 0; n != nil && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func lookupNode(object any) (n int) {
	v := object.(*yaml.Node).Content[0]
	for _, k := range []string{"spec", "template", "spec", "containers"} {
		v = nodeGet(v, k)
	}
	for _, c := range v.Content {
		if b := nodeGet(nodeGet(c, "securityContext"), "allowPrivilegeEscalation"); b != nil && b.Value == "true" {
			n++
		}
	}
	return n
}

func lookupTyped(object any) (n int) {
	for _, c := range object.(*appsv1.Deployment).Spec.Template.Spec.Containers {
		if s := c.SecurityContext; s != nil && s.AllowPrivilegeEscalation != nil && *s.AllowPrivilegeEscalation {
			n++
		}
	}
	return n
}

func lookupBoxed(object any) (n int) {
	v := object.(boxed)
	for _, k := range []string{"spec", "template", "spec", "containers"} {
		v = v.get(k)
	}
	for _, c := range v.(*boxedList).elements {
		if s := c.get("securityContext"); s != nil {
			if b, ok := s.get("allowPrivilegeEscalation").(*boxedLeaf); ok && b.v == true {
				n++
			}
		}
	}
	return n
}

func BenchmarkAlternativesDecode(b *testing.B) {
	for _, a := range alternatives() {
		b.Run(a.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a.decode(b, []byte(deployment))
			}
		})
	}
}

func BenchmarkAlternativesLookup(b *testing.B) {
	for _, a := range alternatives() {
		b.Run(a.name, func(b *testing.B) {
			object := a.decode(b, []byte(deployment))
			if a.name == "tree" { // keys are interned once, as every reader of trees does
				path := []fact.Key{fact.K("spec"), fact.K("template"), fact.K("spec"), fact.K("containers")}
				context, escalation := fact.K("securityContext"), fact.K("allowPrivilegeEscalation")
				v := object.(fact.Value)
				for b.Loop() {
					countTree(v, path, context, escalation)
				}
				return
			}
			for b.Loop() {
				a.lookup(object)
			}
		})
	}
}

func BenchmarkAlternativesMemory(b *testing.B) {
	for _, a := range alternatives() {
		b.Run(a.name, func(b *testing.B) {
			const objects = 500
			for b.Loop() {
				texts := strings.Split(strings.ReplaceAll(string(manyDocuments()), "---\n"+"apiVersion: v1", "\x00"), "---\n")
				keep := make([]any, 0, objects)
				before := liveHeap()
				for i := range objects {
					text, _, _ := strings.Cut(texts[1+i%(len(texts)-1)], "\x00")
					keep = append(keep, a.decode(b, []byte(text)))
				}
				b.ReportMetric(float64(liveHeap()-before)/objects, "bytes/object")
				runtime.KeepAlive(keep)
				runtime.KeepAlive(texts)
			}
		})
	}
}

func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestAlternativesAgree keeps the comparison honest: every form gives the same
// answer.
func TestAlternativesAgree(t *testing.T) {
	bad := strings.ReplaceAll(deployment, "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true")
	for _, a := range alternatives() {
		if got := a.lookup(a.decode(t, []byte(bad))); got != 1 {
			t.Errorf("%s: %d", a.name, got)
		}
	}
}
