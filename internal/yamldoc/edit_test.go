package yamldoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/merlon-security/merlon/internal/fact"
)

// pathOf reads a path such as a.b[0]["c.d"].
func pathOf(text string) []fact.Step {
	var out []fact.Step
	for text != "" {
		switch {
		case strings.HasPrefix(text, `["`):
			name, rest, _ := strings.Cut(text[2:], `"]`)
			out, text = append(out, fact.Field(name)), rest
		case text[0] == '[':
			i, rest, _ := strings.Cut(text[1:], "]")
			n, err := strconv.Atoi(i)
			if err != nil {
				panic(err)
			}
			out, text = append(out, fact.Element(n)), rest
		default:
			text = strings.TrimPrefix(text, ".")
			n := strings.IndexAny(text, ".[")
			if n < 0 {
				n = len(text)
			}
			out, text = append(out, fact.Field(text[:n])), text[n:]
		}
	}
	return out
}

// editOf reads an edit such as "set a.b {c: 1}", "remove a.b", "add a.b x".
func editOf(text string) fact.Edit {
	op, rest, _ := strings.Cut(text, " ")
	path, value, _ := strings.Cut(rest, " ")
	e := fact.Edit{Op: map[string]fact.EditOp{"set": fact.Set, "remove": fact.Remove, "add": fact.AddToList}[op], Path: pathOf(path)}
	if op != "remove" {
		doc, err := NewReader(strings.NewReader("v: "+value+"\n"), "", Limits{}).Next()
		if err != nil {
			panic(err)
		}
		e.Value = doc.Root.Get(fact.K("v"))
	}
	return e
}

func TestEdits(t *testing.T) {
	for _, c := range []struct{ name, before, edit, after string }{
		{"a scalar", "a:  yes   # why\nb: 1\n", "set a false", "a:  false   # why\nb: 1\n"},
		{"a quoted scalar", "a: \"yes\" # why\n", "set a x", "a: x # why\n"},
		{"a string that looks like a number", "a: b\n", `set a "0400"`, "a: \"0400\"\n"},
		{"a new field, with its parents", "spec:\n    containers:\n    - name: app # main\n      image: x\n    # end\n", "set spec.containers[0].securityContext.capabilities.drop [ALL]",
			"spec:\n    containers:\n    - name: app # main\n      image: x\n      securityContext:\n          capabilities:\n              drop:\n              - ALL\n    # end\n"},
		{"a list that is indented", "a:\n  l:\n    - x\nb:\n  c: 1\n", "set b.d [q]", "a:\n  l:\n    - x\nb:\n  c: 1\n  d:\n    - q\n"},
		{"a missing value", "a: # nothing\nb: 1\n", "set a.x.z true", "a: # nothing\n  x:\n    z: true\nb: 1\n"},
		{"a scalar in place of nothing", "a: # nothing\nb: 1\n", "set a 1", "a: 1 # nothing\nb: 1\n"},
		{"the end of a file without a line break", "a:\n  b: 1", "set a.c 2", "a:\n  b: 1\n  c: 2"},
		{"Windows", "a:\r\n  b: 1\r\n", "set a.c.d 2", "a:\r\n  b: 1\r\n  c:\r\n    d: 2\r\n"},
		{"byte order mark", "\ufeffa:\n  b: 1\n", "set a.c 2", "\ufeffa:\n  b: 1\n  c: 2\n"},
		{"flow", "a: {b: 1, c: [x, y]} # c\n", "set a.d true", "a: {b: 1, c: [x, y], d: true} # c\n"},
		{"flow, empty", "a: {}\nb: 1\n", "set a.d.e true", "a: {d: {e: true}}\nb: 1\n"},
		{"flow, several lines", "a: {\n  b: 1, # one\n  c: 2 # two\n}\n", "set a.d true", "a: {\n  b: 1, # one\n  c: 2, # two\n  d: true\n}\n"},
		{"flow, a comma at the end", "a: [\n  x,\n  y,\n]\n", "add a z", "a: [\n  x,\n  y,\n  z,\n]\n"},
		{"flow, tight", "a: [x,y]\n", "add a z", "a: [x,y,z]\n"},
		{"flow, quoted keys", `a: {"b": "c"}` + "\n", "set a.d e", `a: {"b": "c", "d": "e"}` + "\n"},
		{"JSON, tabs", "{\n\t\"a\": {\n\t\t\"b\": 1\n\t}\n}\n", "set a.c.d [x]", "{\n\t\"a\": {\n\t\t\"b\": 1,\n\t\t\"c\": {\"d\": [\"x\"]}\n\t}\n}\n"},
		{"JSON, compact", `{"a":{"b":1},"c":[{"d":"\ud83d\ude00"}]}`, "set c[0].e true", `{"a":{"b":1},"c":[{"d":"\ud83d\ude00","e":true}]}`},
		{"JSON, remove", `{"a":{"b":1},"c":[1,2]}`, "remove c[1]", `{"a":{"b":1},"c":[1]}`},
		{"remove", "a:\n  # about b\n  b: 1 # b\n  # about c\n  c:\n    - x\n    - y\n\n  d: 2\n", "remove a.c", "a:\n  # about b\n  b: 1 # b\n  # about c\n\n  d: 2\n"},
		{"remove the only one", "a: # c\n  b: 1\nd: 2\n", "remove a.b", "a: {} # c\nd: 2\n"},
		{"remove the first of an item", "- b: 1\n  # about c\n  c: 2\n", "remove [0].b", "- # about c\n  c: 2\n"},
		{"remove an item", "l:\n- a: 1\n  b: 2\n- c: 3 # c\n# end\n", "remove l[1]", "l:\n- a: 1\n  b: 2\n# end\n"},
		{"remove the only item", "l:\n  - a\nm: 1\n", "remove l[0]", "l: []\nm: 1\n"},
		{"remove in flow", "l: [a, b, c]\n", "remove l[1]", "l: [a, c]\n"},
		{"remove a block scalar", "a: |\n  x\n\n  y\nb: 1\n", "remove a", "b: 1\n"},
		{"behind a block scalar", "m:\n  a: |\n    x\n\n# end\n", "set m.b 1", "m:\n  a: |\n    x\n  b: 1\n\n# end\n"},
		{"behind a block scalar that keeps", "m:\n  a: |+\n    x\n\nn: 1\n", "set m.b 1", "m:\n  a: |+\n    x\n\n  b: 1\nn: 1\n"},
		{"another document", "a: 1\n---\n# two\na: 1\n...\n---\na: 1\n", "set a 2", "a: 2\n---\n# two\na: 1\n...\n---\na: 1\n"},
		{"quoted key", "\"a\":\n  \"b\": 1\n", "set a.c 2", "\"a\":\n  \"b\": 1\n  \"c\": 2\n"},
		{"odd spacing", "a  :   \n      b :  1\n", "set a.b 2", "a  :   \n      b :  2\n"},
		{"an item", "a:\n-   x: 1\n    y: 2\n", "set a[0].z 3", "a:\n-   x: 1\n    y: 2\n    z: 3\n"},
		{"to a list", "a:\n  - x # x\n  # end\nb: 1\n", "add a q", "a:\n  - x # x\n  - q\n  # end\nb: 1\n"},
		{"a map to a list", "a:\n- {x: 1}\n", "add a {q: {z: 2}}", "a:\n- {x: 1}\n- q:\n    z: 2\n"},
		{"a list in place of a map", "a: {x: 1}\nb: 1\n", "set a [1]", "a:\n  - 1\nb: 1\n"},
		{"alias: only here", "a: &x\n  b: 1\nc: *x\n", "set c.b 2", "a: &x\n  b: 1\nc:\n  b: 2\n"},
		{"merge: only here", "a: &x {b: 1, d: 4}\nc:\n  <<: *x\n  e: 5\n", "set c.b 2", "a: &x {b: 1, d: 4}\nc:\n  <<: *x\n  e: 5\n  b: 2\n"},
		{"merge: deeper", "a: &x\n  b: {f: 1, g: 2}\nc:\n  <<: *x\n", "set c.b.f 2", "a: &x\n  b: {f: 1, g: 2}\nc:\n  <<: *x\n  b:\n    f: 2\n    g: 2\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Edit([]byte(c.before), 0, []fact.Edit{editOf(c.edit)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.after, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// An anchor is edited where all its places are meant, and refused where only it
// is.
func TestEditsOfAnchors(t *testing.T) {
	const text = "a: &x\n  b: 1\nc: *x\n"
	got, err := Edit([]byte(text), 0, []fact.Edit{editOf("set a.b 2"), editOf("set c.b 2")})
	if want := "a: &x\n  b: 2\nc: *x\n"; err != nil || string(got) != want {
		t.Errorf("both places: %q, %v; want %q", got, err, want)
	}
	if got, err := Edit([]byte(text), 0, []fact.Edit{editOf("set a.b 2")}); err == nil {
		t.Errorf("the anchor alone: %q; want an error", got)
	}
}

func TestEditsRefused(t *testing.T) {
	for _, c := range []struct{ before, edit string }{
		{"a: 1\n", "set a.b 2"},
		{"a: [1]\n", "set a[3] 2"},
		{"? a\n: 1\n", "set a.b 2"},
		{"\xff\xfea\x00:\x001\x00", "set a 2"},
		{"a: 1\na: 2\n", "remove a"},
		{"a: &x 1\nb: *x\n", "remove a"},
		{"x: &x {a: 1}\nz:\n  <<: *x\n", "remove z.a"},
	} {
		if got, err := Edit([]byte(c.before), 0, []fact.Edit{editOf(c.edit)}); err == nil {
			t.Errorf("%q, %s: %q; want an error", c.before, c.edit, got)
		}
	}
}

// randomEdit picks an edit that the tree has a place for.
func randomEdit(r *rand.Rand, root fact.Value) fact.Edit {
	var all []fact.Value
	var walk func(v fact.Value)
	walk = func(v fact.Value) {
		for c := range v.Children() {
			all = append(all, c)
			walk(c)
		}
	}
	walk(root)
	values := []string{"false", "x", `"a: b"`, "{n: {m: 1}}", "[p, q]", "{}", "[{k: 1, l: [2]}]", `"0"`, "null"}
	value := editOf("set v " + values[r.IntN(len(values))]).Value
	if len(all) == 0 {
		return fact.Edit{Op: fact.Set, Path: []fact.Step{fact.Field("added")}, Value: value}
	}
	v := all[r.IntN(len(all))]
	e := fact.Edit{Op: fact.EditOp(r.IntN(3)), Path: v.Steps(), Value: value}
	switch {
	case e.Op == fact.AddToList && v.Kind() != fact.List && !v.IsNull():
		e.Op = fact.Set
		fallthrough
	case e.Op == fact.Set && v.Kind() == fact.Map && r.IntN(2) == 0:
		if v.Kind() == fact.Map || v.IsNull() {
			e.Path = append(e.Path, fact.Field("added"))
			if r.IntN(3) == 0 {
				e.Path = append(e.Path, fact.Field("below"))
			}
		}
	}
	return e
}

// touched returns the lines that an edit may change: those of the value at its
// path, or where that is not there, the one on which the nearest parent begins
// and ends. A value ends before the next one that is not below it.
func touched(root fact.Value, e fact.Edit, lines int) (from, to int) {
	path := e.Path
	v := root.Follow(path)
	for !v.Present() {
		path = path[:len(path)-1]
		v = root.Follow(path)
	}
	if e.Op == fact.Remove && root.Follow(path[:len(path)-1]).Len() == 1 {
		v = root.Follow(path[:len(path)-1]) // which becomes {}
	}
	from, to = int(v.Pos().Line), lines
	inside := true
	var walk func(c fact.Value)
	walk = func(c fact.Value) {
		if !c.Within(v) && v.Before(c) && inside {
			to, inside = int(c.Pos().Line), false
		}
		for k := range c.Children() {
			walk(k)
		}
	}
	walk(root)
	return from, to
}

// checkEdit makes an edit and holds it to its promises. It reports false when
// the edit was refused.
func checkEdit(t *testing.T, data []byte, doc Document, e fact.Edit) bool {
	t.Helper()
	want, err := e.Apply(doc.Root)
	if err != nil {
		return true
	}
	got, err := Edit(data, doc.Index, []fact.Edit{e})
	if err != nil {
		return false
	}
	after := locate(got)
	if !fact.Equal(after[slices.IndexFunc(after, func(l located) bool { return l.err == nil && l.doc.Index == doc.Index })].doc.Root, want) {
		t.Fatalf("%s %s: not the tree meant\n%s\n--\n%s", e.Op, fact.PathText(e.Path), data, got)
	}
	old := strings.SplitAfter(string(data), "\n")
	from, to := touched(doc.Root, e, len(old))
	bare := func(line string) string { return strings.TrimRight(line, "\r\n,") } // a comma may come or go before
	left := map[string]int{}
	for l := range strings.Lines(string(got)) {
		left[bare(l)]++
	}
	for from > 1 && len(e.Path) > 0 { // a dash may stand on a line before its element
		before, _, _ := strings.Cut(old[from-2], "#")
		if before = strings.TrimSpace(before); before != "" && !strings.HasSuffix(before, "-") {
			break
		}
		from--
	}
	for i, l := range old {
		if i+1 >= from && i+1 <= to {
			continue
		}
		if left[bare(l)]--; left[bare(l)] < 0 && bare(l) != "" {
			t.Fatalf("%s %s: line %d is gone, not of %d to %d\n%s\n--\n%s", e.Op, fact.PathText(e.Path), i+1, from, to, data, got)
		}
	}
	return true
}

func TestRandomEdits(t *testing.T) {
	for _, odd := range []int{0, 20} {
		s := &styles{Rand: rand.New(rand.NewPCG(uint64(odd), 3)), odd: odd}
		made, refused := 0, 0
		why := map[string]int{}
		for range rounds(2500, 60_000) {
			data := s.document()
			if s.IntN(5) == 0 {
				data = append([]byte("\ufeff"), data...)
			}
			for _, l := range locate(data) {
				if l.err != nil || l.doc.Root.Len() == 0 {
					continue
				}
				e := randomEdit(s.Rand, l.doc.Root)
				if e.Op == fact.Remove && len(e.Path) == 1 && l.doc.Root.Len() == 1 {
					continue // of a document something must be left
				}
				if made++; !checkEdit(t, data, l.doc, e) {
					refused++
					_, err := Edit(data, l.doc.Index, []fact.Edit{e})
					_, text, _ := strings.Cut(err.Error(), ": ")
					if why[text]++; testing.Verbose() && why[text] < 4 && len(data) < 400 {
						fmt.Printf("REFUSED %s %s %s: %v\n%s\n", e.Op, fact.PathText(e.Path), JSON(e.Value), err, data)
					}
				}
			}
		}
		t.Logf("%d‰ odd: %d edits, %d refused: %v", odd, made, refused, why)
		if refused*100 > made*3 && odd == 0 {
			t.Errorf("%d of %d edits refused", refused, made)
		}
	}
}

// In JSON nothing is odd, so nothing is refused.
func TestRandomEditsOfJSON(t *testing.T) {
	s := &styles{Rand: rand.New(rand.NewPCG(5, 5))}
	for range rounds(400, 5000) {
		first := locate(s.document())
		if len(first) == 0 || first[0].err != nil || first[0].doc.Root.Kind() != fact.Map {
			continue
		}
		data := JSON(first[0].doc.Root)
		if s.IntN(2) == 0 {
			var b bytes.Buffer
			if err := json.Indent(&b, data, "", s.one("  ", "\t", "    ")); err != nil {
				t.Fatal(err)
			}
			data = b.Bytes()
		}
		doc := locate(data)[0].doc
		if e := randomEdit(s.Rand, doc.Root); !checkEdit(t, data, doc, e) {
			_, err := Edit(data, 0, []fact.Edit{e})
			t.Errorf("%s %s refused: %v\n%s", e.Op, fact.PathText(e.Path), err, data)
		}
	}
}

func FuzzEdit(f *testing.F) {
	f.Add([]byte("a:\n  - b: 1 # c\n    d: [x, {y: z}]\n"), uint64(1))
	f.Add([]byte("{\"a\":\t{\"b\": [1, 2]}}"), uint64(2))
	f.Add([]byte("a: &x {b: 1}\nc:\n  <<: *x\n---\nd: |+\n  e\n\n"), uint64(3))
	s := &styles{Rand: rand.New(rand.NewPCG(8, 8)), odd: 30}
	for range 20 {
		f.Add(s.document(), s.Uint64())
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		for _, l := range locate(data) {
			if l.err == nil && l.doc.Root.Len() > 0 && l.doc.Root.Kind() != fact.String {
				checkEdit(t, data, l.doc, randomEdit(r, l.doc.Root))
			}
		}
	})
}
