package assess

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// in reads one object as of a world; line is where its rendered line 1 was written.
func in(t *testing.T, world, root, text string, line uint32) *fact.Object {
	t.Helper()
	doc, err := yamldoc.NewReader(strings.NewReader(text), "x", yamldoc.Limits{}).Next()
	if err != nil {
		t.Fatal(err)
	}
	o, ok := fact.NewObject(doc.Root, fact.Origin{File: "t.yaml", World: world, Root: root})
	if !ok {
		t.Fatal("no object")
	}
	if line > 0 {
		o.Rendering = &fact.Rendering{Lines: map[uint32]fact.Written{1: {File: "t.yaml", Pos: fact.Pos{Line: line}, Root: root}}}
	}
	return &o
}

func TestWorlds(t *testing.T) {
	c, err := control.Parse("custom/lonely.yaml", []byte("title: x\nseverity: low\nwhy: x\nfix: x\nscope: {each: object, kinds: [Service]}\nrequire: \"size(selected(object)) > 0\"\nmessage: x\n"))
	if err != nil {
		t.Fatal(err)
	}
	const service = "{apiVersion: v1, kind: Service, metadata: {name: %}, spec: {selector: {app: web}}}"
	const pod = "{apiVersion: v1, kind: Pod, metadata: {name: web, labels: {app: web}}, spec: {containers: []}}"
	named := func(name string) string { return strings.Replace(service, "%", name, 1) }
	for name, test := range map[string]struct {
		objects []*fact.Object
		want    []string // subject and worlds of each finding
	}{
		"one world":                    {[]*fact.Object{in(t, "", "", named("a"), 0), in(t, "", "", pod, 0)}, nil},
		"two worlds":                   {[]*fact.Object{in(t, "a", "a", named("a"), 0), in(t, "b", "b", pod, 0)}, []string{"a [a]"}},
		"worlds that stand mixed":      {[]*fact.Object{in(t, "a", "a", named("a"), 0), in(t, "b", "b", named("b"), 0), in(t, "a", "a", pod, 0)}, []string{"b [b]"}},
		"one line in two worlds":       {[]*fact.Object{in(t, "a", "c", named("one"), 7), in(t, "b", "c", named("two"), 7)}, []string{"one [a b]"}},
		"one line twice in one world":  {[]*fact.Object{in(t, "a", "c", named("one"), 7), in(t, "a", "c", named("two"), 7)}, []string{"one [a]", "two [a]"}},
		"one name in charts elsewhere": {[]*fact.Object{in(t, "a", "a", named("one"), 0), in(t, "b", "b", named("one"), 0)}, []string{"one [a]", "one [b]"}},
		"one name, two sets of values": {[]*fact.Object{in(t, "a", "c", named("one"), 0), in(t, "b", "c", named("one"), 0)}, []string{"one [a b]"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &fact.Snapshot{}
			for _, o := range test.objects {
				s = s.Apply(fact.Change{Op: fact.Upsert, Object: o})
			}
			a, err := New(control.NewLibrary(), []*control.Control{c}, Options{Minor: 36}).Assess(s)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range a.Report(nil, nil).Findings {
				got = append(got, f.Subject.Name+" ["+strings.Join(f.Worlds, " ")+"]")
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
