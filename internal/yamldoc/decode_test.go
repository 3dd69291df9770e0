package yamldoc

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/merlon-security/merlon/internal/fact"
	"go.yaml.in/yaml/v3"
)

// ownForm has every type that Merlon's own files have.
type ownForm struct {
	Title string            `yaml:"title"`
	On    bool              `yaml:"running"`
	List  []string          `yaml:"list"`
	Maps  map[string]nested `yaml:"maps"`
	Rows  []nested          `yaml:"rows"`
	Free  map[string]any    `yaml:"params"`
	Short oneOrFirst        `yaml:"short"`
	Node  yaml.Node         `yaml:"node"`
	Odd   string            `yaml:"odd,omitempty"`
	Not   string            `yaml:"-"`
}

type nested struct {
	Items  []string `yaml:"items"`
	Source string   `yaml:"source"`
	Each   kind     `yaml:"each"`
}

type kind string

// oneOrFirst is a scalar, or a list whose first it is.
type oneOrFirst string

func (w *oneOrFirst) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	return n.Decode((*string)(w))
}

func (w *oneOrFirst) FromFact(v fact.Value, _ func(fact.Value, any) bool) bool {
	if v.Kind() == fact.List && v.Len() > 0 {
		v = v.Index(0)
	}
	*w = oneOrFirst(v.Str())
	return v.Kind() == fact.String
}

var ownForms = []struct {
	name, text string
	quick      bool
}{
	{"plain", "title: A word, and \"more\"\nrunning: true\n", true},
	{"block", "title: |\n  one\n  two\nlist:\n  - a\n  - 'b'\n", true},
	{"flow", "maps:\n  cis-1.12: {items: [\"1.2\", a], source: \"S, 1\"}\n", true},
	{"rows", "rows:\n  - each: pod\n    items: []\n  - source: >-\n      one\n      two\n", true},
	{"free", "params:\n  a: [x, true, 10]\n  b: false\n  c: 0\n", true},
	{"hook", "short: [pod]\n", true},
	{"comments", "# before\ntitle: a # behind\n# after\n", true},
	{"another YAML's boolean", "params: {a: yes}\n", false},
	{"an octal", "params: {a: 0644}\n", false},
	{"a fraction", "params: {a: 1.5}\n", false},
	{"a null", "title:\n", false},
	{"a number for a string", "title: 1.20\n", false},
	{"a boolean for a string", "list: [on]\n", false},
	{"a node", "node: {a: b}\n", false},
	{"a map of no type", "params: {a: {b: c}}\n", false},
	{"an option in the tag", "odd: a\n", false},
	{"an unknown field", "tilte: a\n", false},
	{"a field that is not read", "\"-\": a\n", false},
	{"a key twice", "title: a\ntitle: b\n", false},
	{"an anchor", "title: &a b\n", false},
	{"two documents", "title: a\n---\ntitle: b\n", false},
	{"empty", "", false},
	{"no map", "- a\n", false},
}

func TestDecode(t *testing.T) {
	for _, c := range ownForms {
		t.Run(c.name, func(t *testing.T) {
			if quick := sameAsLibrary(t, []byte(c.text)); quick != c.quick {
				t.Errorf("read quickly: %t", quick)
			}
		})
	}
}

// sameAsLibrary holds the quick way to the library's, and reports whether it was
// taken.
func sameAsLibrary(t *testing.T, text []byte) bool {
	t.Helper()
	got := ownForm{Title: "before"}
	var d Decoder
	quick := d.simple(text, reflect.ValueOf(&got).Elem())
	if !quick {
		if diff := cmp.Diff(ownForm{Title: "before"}, got); diff != "" {
			t.Errorf("given up, but changed:\n%s", diff)
		}
		got = ownForm{Title: "before"}
	}
	errGot := d.Decode(text, &got)
	want := ownForm{Title: "before"}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	errWant := dec.Decode(&want)
	if (errGot == nil) != (errWant == nil) {
		t.Fatalf("error %v, the library says %v", errGot, errWant)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("quick: %t\n%s", quick, diff)
	}
	return quick
}

// FuzzDecode holds the quick way of reading Merlon's own files to the library's.
func FuzzDecode(f *testing.F) {
	for _, c := range ownForms {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, text []byte) { sameAsLibrary(t, text) })
}
