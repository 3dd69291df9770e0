package remedy

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// controls are small ones that get in each other's way.
var testControls = map[string]string{
	"t/loud": `
title: Loud
severity: high
why: x
fix: x
scope: {each: object, kinds: [ConfigMap]}
require: "!object.?data.?loud.hasValue()"
message: loud
patch:
  - remove: object.data.loud
`,
	"t/silent": `
title: Silent
severity: low
why: x
fix: x
scope: {each: object, kinds: [ConfigMap]}
require: "object.?data.?loud.hasValue() || object.?data.?allowSilence.hasValue()"
message: silent
`,
	"t/red": `
title: Not red
severity: high
why: x
fix: x
scope: {each: object, kinds: [ConfigMap]}
require: "object.?data.?color.orValue('red') == 'red'"
message: not red
patch:
  - set: object.data.color
    value: red
`,
	"t/blue": `
title: Not blue
severity: medium
why: x
fix: x
scope: {each: object, kinds: [ConfigMap]}
require: "object.?data.?color.orValue('blue') == 'blue'"
message: not blue
patch:
  - set: object.data.color
    value: blue
`,
	"t/useless": `
title: Useless
severity: medium
why: x
fix: x
scope: {each: object, kinds: [ConfigMap]}
require: "!object.?data.?stays.hasValue()"
message: useless
patch:
  - set: object.data.other
    value: x
`,
	"t/chain": `
title: Chain
severity: medium
why: x
fix: x
scope: {each: object, kinds: [ConfigMap]}
require: "!object.?data.?first.hasValue()"
message: chain
patch:
  - remove: object.data.first
  - set: object.data.second
    value: x
`,
	"t/link": `
title: Link
severity: low
why: x
fix: x
scope: {each: object, kinds: [ConfigMap]}
require: "!object.?data.?second.hasValue()"
message: link
patch:
  - remove: object.data.second
`,
	"t/person": `
title: Person
severity: low
why: x
fix: x
scope: {each: object, kinds: [ConfigMap]}
require: "!object.?data.?who.hasValue()"
message: person
patch:
  - ask: "who is {object.metadata.name}?"
  - remove: object.data.who
`,
}

// outcome runs the fixes over one ConfigMap with some data and tells what came of
// it.
func outcome(t *testing.T, data, world string, safe bool) (after string, told []string) {
	t.Helper()
	files := fstest.MapFS{}
	for id, text := range testControls {
		files[id+".yaml"] = &fstest.MapFile{Data: []byte(text)}
	}
	list, err := control.Load(files, false)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\n" + data)
	o, ok := fact.NewObject(documents(text)[0].Root, fact.Origin{Source: "manifest", File: "m.yaml", World: world})
	if !ok {
		t.Fatal("no object")
	}
	plan, err := Make(Input{
		Snapshot: (&fact.Snapshot{}).Apply(fact.Change{Op: fact.Upsert, Object: &o}),
		Files:    map[string][]byte{"m.yaml": text}, Safe: safe,
		Engine: func(amend Amend) *assess.Engine {
			return assess.New(control.NewLibrary(), list, assess.Options{Minor: assess.NewestMinor(), Amend: amend})
		},
		Wanted: func(f *finding.Finding) bool { return f.Control != "t/silent" && f.Control != "t/link" },
	})
	if err != nil {
		t.Fatal(err)
	}
	after = string(text)
	for _, f := range plan.Files {
		after = string(f.After)
	}
	for _, f := range plan.Fixes {
		told = append(told, "fixed "+f.Finding.Control)
	}
	for _, l := range plan.Left {
		told = append(told, strings.Join(append([]string{l.Kind, l.Finding.Control}, l.Why...), " | "))
		if l.Kind == Generated {
			after = string(l.After)
		}
	}
	_, after, _ = strings.Cut(after, "\ndata:")
	return after, told
}

func TestFixesAreProven(t *testing.T) {
	for _, c := range []struct {
		name, data, world string
		after             string
		told              []string
	}{
		{"fixed", "data:\n  loud: x # c\n  allowSilence: x\n", "", "\n  allowSilence: x\n", []string{"fixed t/loud"}},
		{"it would bring another finding", "data:\n  loud: x # c\n", "", "\n  loud: x # c\n",
			[]string{"withheld | t/loud | it would bring another finding: t/silent (silent)"}},
		{"what it brings is mended too", "data: {first: x, loud: x}\n", "", " {loud: x}\n",
			[]string{"withheld | t/loud | it would bring another finding: t/silent (silent)", "fixed t/chain", "fixed t/link"}},
		{"contradictions", "data: {color: green, allowSilence: x}\n", "", " {color: red, allowSilence: x}\n",
			[]string{"fixed t/red", "withheld | t/blue | it contradicts the fix of t/red"}},
		{"it does not mend", "data: {stays: x, allowSilence: x}\n", "", " {stays: x, allowSilence: x}\n",
			[]string{"withheld | t/useless | the patch does not mend it"}},
		{"a question", "data: {who: x, allowSilence: x}\n", "", " {who: x, allowSilence: x}\n", []string{"question | t/person | who is m?"}},
		{"of a chart", "data: {loud: x, allowSilence: x}\n", "the chart shop", "\n    allowSilence: x\n",
			[]string{"generated | t/loud | the object is made by the chart shop: change its values or its patch"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			after, told := outcome(t, c.data, c.world, false)
			if after != c.after {
				t.Errorf("data:%s; want data:%s", after, c.after)
			}
			if diff := cmp.Diff(sortedTold(c.told), sortedTold(told)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func sortedTold(told []string) map[string]bool {
	out := map[string]bool{}
	for _, s := range told {
		out[s] = true
	}
	return out
}

// The same input gives the same plan.
func TestPlansAreTheSame(t *testing.T) {
	first, told := outcome(t, "data: {first: x, loud: x, color: green, who: x, stays: y}\n", "", false)
	for range 5 {
		if again, toldAgain := outcome(t, "data: {first: x, loud: x, color: green, who: x, stays: y}\n", "", false); again != first || !cmp.Equal(told, toldAgain) {
			t.Fatalf("%q %v, then %q %v", first, told, again, toldAgain)
		}
	}
}
