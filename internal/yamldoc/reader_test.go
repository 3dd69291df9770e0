package yamldoc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/merlon-security/merlon/internal/fact"
)

// outline writes what a file gives: a document as line and JSON, an error as
// its place, kind and message.
func outline(data string, limits Limits) []string {
	var out []string
	r := NewReader(strings.NewReader(data), "f", limits)
	for {
		d, err := r.Next()
		if err == io.EOF {
			return out
		}
		var e *Error
		switch {
		case errors.As(err, &e):
			out = append(out, fmt.Sprintf("%s: %s", e.Kind, e))
		case err != nil:
			out = append(out, "no *Error: "+err.Error())
		default:
			s := fmt.Sprintf("%d@%d %s", d.Index, d.Line, JSON(d.Root))
			for _, p := range d.Problems {
				s += fmt.Sprintf(" !%s %d:%d %s", p.Kind, p.Pos.Line, p.Pos.Column, p.Path)
			}
			out = append(out, s)
		}
	}
}

func TestDocuments(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []string
	}{
		{"empty", "", nil},
		{"blank", "\n\n  \n", nil},
		{"comments only", "# a\n---\n# b\n", nil},
		{"one", "a: 1\n", []string{`0@1 {"a":1}`}},
		{"no newline at the end", "a: 1\n---\nb: 2", []string{`0@1 {"a":1}`, `1@3 {"b":2}`}},
		{"separators", "---\na: 1\n--- # c\nb: 2\n---\t\nc: 3\n---\n---\n\n---\nd: 4\n", []string{`0@2 {"a":1}`, `1@4 {"b":2}`, `2@6 {"c":3}`, `3@11 {"d":4}`}},
		{"null documents", "~\n---\nnull\n---\na: 1\n", []string{`0@5 {"a":1}`}},
		{"dashes in scalars", "a: |\n  ---\n  x\nb: \" ---\"\nc: x---\nd: -- -\n---\ne: 1\n", []string{`0@1 {"a":"---\nx\n","b":" ---","c":"x---","d":"-- -"}`, `1@8 {"e":1}`}},
		{"separator in a block scalar ends it", "a: |\n---\nb: 1\n", []string{`0@1 {"a":""}`, `1@3 {"b":1}`}},
		{"separator in a quoted scalar breaks it", "a: \"x\n---\nb: 1\n", []string{`invalid-yaml: f:2: found unexpected end of stream`, `0@3 {"b":1}`}},
		{"dots", "a: 1\n...\n---\nb: 2\n...\nc: 3\n", []string{`0@1 {"a":1}`, `1@4 {"b":2}`, `2@6 {"c":3} !not-read 6:1 `}},
		{"content on the separator line", "--- {a: 1}\n--- # c\nb: 1\n", []string{`0@1 {"a":1} !bad-separator 1:5 `, `1@3 {"b":1}`}},
		{"directives", "%YAML 1.1\n---\na: 1\n", []string{`0@3 {"a":1} !bad-separator 3:1 `}},
		{"windows", "a: 1\r\n---\r\nb:\r\n  - c\r\n", []string{`0@1 {"a":1}`, `1@3 {"b":["c"]}`}},
		{"byte order mark", "\ufeffa: 1\n", []string{`0@1 {"a":1}`}},
		{"byte order mark and JSON", "\ufeff{\"a\": 1}\n", []string{`0@1 {"a":1}`}},
		{"JSON", "{\"a\": [1, -2, 1.5, 1e3, true, null, \"\\u00e9\\ud83d\\ude00\\ud800\\n\"]}", []string{`0@1 {"a":[1,-2,1.5,1000,true,null,"é😀` + "\ufffd" + `\n"]}`}},
		{"JSON values", "{\"a\": 1}\n{\"b\": 2} {\"c\": 3}\n\n{\n\"d\": 4}", []string{`0@1 {"a":1}`, `1@2 {"b":2}`, `2@2 {"c":3}`, `3@4 {"d":4}`}},
		{"JSON and YAML", "{\"a\": 1}\n---\nb: 2\n---\n{\"c\": 3}\n", []string{`0@1 {"a":1}`, `1@3 {"b":2}`, `2@5 {"c":3}`}},
		{"broken JSON and the next", "{\"a\": 1}\n{\"b\": [}}\n{\"c\": 3}\n", []string{`0@1 {"a":1}`, `invalid-json: f:2:8: a value is expected here`, `1@3 {"c":3}`}},
		{"unfinished JSON", "{\"a\": 1}\n{\"b\": [1,", []string{`0@1 {"a":1}`, `invalid-json: f:2:10: a value is expected here`}},
		{"flow style", "{a: yes, b: [0x10, 'x']}\n", []string{`0@1 {"a":true,"b":[16,"x"]}`}},
		{"template", "a: {{ .Values.x }}\n---\nb: 1\n", []string{`invalid-yaml: f:1:5: a key is a list or a map`, `0@3 {"b":1}`}},
		{"broken, then sound", "a: [1\nb: 2\n---\nc: 1\n", []string{"invalid-yaml: f:2: did not find expected ',' or ']'", `0@4 {"c":1}`}},
		{"tab", "a:\n\tb: 1\n", []string{"invalid-yaml: f:2: found character that cannot start any token"}},
		{"duplicate keys", "a: 1\nb:\n  c: 1\n  c: 2\na: 3\n", []string{`0@1 {"a":3,"b":{"c":2}} !duplicate-key 4:3 b.c !duplicate-key 5:1 a`}},
		{"duplicate keys in JSON", "{\"a\": {\"b\": 1,\n \"b\": 2}}", []string{`0@1 {"a":{"b":2}} !duplicate-key 2:2 a.b`}},
		{"merge keys", "x: &x {a: 1, b: 2}\nw:\n  <<: *x\n  b: 3\nz:\n  b: 3\n  <<: *x\n", []string{`0@1 {"w":{"a":1,"b":3},"x":{"a":1,"b":2},"z":{"a":1,"b":2}}`}},
		{"unknown anchor", "a: *nope\n", []string{"invalid-yaml: f:1: an alias refers to an anchor that the document does not have"}},
		{"self reference", "a: &a [*a]\n", []string{"alias-bomb: f:1:8: an anchor's value contains itself"}},
		{"infinity", "a: .inf\n", []string{"invalid-yaml: f:1:4: infinity and not-a-number cannot be written in JSON"}},
		{"binary", "a: 1\n---\nb: \x00\nc: 1\n---\nd: 1\n", []string{`0@1 {"a":1}`, "binary: f:3: the file is binary: it holds a NUL byte"}},
		{"not UTF-8", "a: 1\nb: \xff\n---\nc: 1\n", []string{"bad-encoding: f:2:4: invalid leading UTF-8 octet", `0@4 {"c":1}`}},
		{"control character", "a: 1\nb: \x01\n", []string{"bad-encoding: f:2:4: control characters are not allowed"}},
		{"a document behind a carriage return", "# harmless\ra: 1\n", []string{`0@1 {"a":1}`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, outline(c.in, Limits{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestReadingInSmallPieces(t *testing.T) {
	in := deployment + "---\n" + service + "---\n{\"a\": \"\\ud83d\\ude00é\", \"b\": [1, 2.25, 12345678]}\n{\"c\": 1}"
	want := outline(in, Limits{})
	r := NewReader(iotest.OneByteReader(strings.NewReader(in)), "f", Limits{})
	for i := range want {
		d, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%d@%d %s", d.Index, d.Line, JSON(d.Root)); got != want[i] {
			t.Errorf("got %s, want %s", got, want[i])
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Error(err)
	}
}

func TestUnreadableInput(t *testing.T) {
	cause := errors.New("the disk is on fire")
	r := NewReader(io.MultiReader(strings.NewReader("a: 1\n---\nb: "), iotest.ErrReader(cause)), "f", Limits{})
	if d, err := r.Next(); err != nil || string(JSON(d.Root)) != `{"a":1}` {
		t.Error(d, err)
	}
	var e *Error
	if _, err := r.Next(); !errors.Is(err, cause) || !errors.As(err, &e) || e.Kind != Unreadable || e.Line != 2 {
		t.Errorf("half a document was read, or the cause is lost: %v", err)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Error(err)
	}
}

func TestUTF16(t *testing.T) {
	units := utf16.Encode([]rune("\ufeffa: é😀\n---\nb: 1\n"))
	var little, big []byte
	for _, u := range units {
		little = append(little, byte(u), byte(u>>8))
		big = append(big, byte(u>>8), byte(u))
	}
	want := []string{`0@1 {"a":"é😀"}`, `1@3 {"b":1}`}
	for _, data := range [][]byte{little, big} {
		if d := cmp.Diff(want, outline(string(data), Limits{})); d != "" {
			t.Error(d)
		}
	}
	// Without a mark it is binary.
	if d := cmp.Diff([]string{"binary: f:1: the file is binary: it holds a NUL byte"}, outline(string(little[2:]), Limits{})); d != "" {
		t.Error(d)
	}
}

func TestPositions(t *testing.T) {
	in := "# head\na: 1\nb:\n  - c: x\n    d: [1, {e: 2}]\n  - |\n    text\n  -\n  - &k v\n'é': {\"ü\": 1, x: 2}\n\"f\": >\n  z\ng: *k\n"
	want := map[string]fact.Pos{
		"a": pos(2, 1), "b": pos(3, 1), "b[0]": pos(4, 5), "b[0].c": pos(4, 5), "b[0].d": pos(5, 5), "b[0].d[0]": pos(5, 9),
		"b[0].d[1]": pos(5, 12), "b[0].d[1].e": pos(5, 13), "b[1]": pos(6, 5), "b[2]": pos(8, 4), "b[3]": pos(9, 5),
		"é": pos(10, 1), "é.ü": pos(10, 8), "é.x": pos(10, 17), "f": pos(11, 1), "g": pos(13, 1),
	}
	for _, file := range []string{in, strings.ReplaceAll(in, "\n", "\r\n")} {
		got := make(map[string]fact.Pos)
		var walk func(v fact.Value)
		walk = func(v fact.Value) {
			for c := range v.Children() {
				got[c.Path()] = c.Pos()
				walk(c)
			}
		}
		docs := readAll(t, []byte("---\n---\n"+file))
		walk(docs[0].Root)
		for path, p := range want {
			p.Line += 2
			if got[path] != p {
				t.Errorf("%s: got %v, want %v", path, got[path], p)
			}
		}
		if len(got) != len(want) {
			t.Errorf("got %d places, want %d", len(got), len(want))
		}
	}
}

func TestPositionsInJSON(t *testing.T) {
	root := readAll(t, []byte(" {\"a\": 1,\n\t\"b\": [ 2,\n  {\"é\": 1, \"c\": {}}]}"))[0].Root
	for path, want := range map[string]fact.Pos{"a": pos(1, 3), "b": pos(2, 2)} {
		if got := root.At(path).Pos(); got != want {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
	if got := root.At("b").Index(1).At("c").Pos(); got != pos(3, 13) {
		t.Error(got)
	}
}

func TestNotes(t *testing.T) {
	in := `# merlon:waive first reason="of the file"
---
# an ordinary comment
apiVersion: v1 # merlon:waive same until=2027-01-01
# merlon:waive head

spec:
  text: |  # merlon:waive header
    # merlon:waive not a comment
    x # merlon:no
  quoted: " # merlon:no" # merlon:waive after a string
  multi: "a
    # merlon:no
    b" # merlon:waive close
  folded: >-
    # merlon:no

    # merlon:no
  # merlon:waive below a block
  list: [a, # merlon:waive in flow
    b]
  url: http://x#merlon:no
  é: 'it''s # merlon:no' # merlon:waive wide
# merlon:waive last
---
b: 1
`
	docs := readAll(t, []byte(in))
	var got []string
	for _, n := range docs[0].Notes {
		got = append(got, fmt.Sprintf("%d:%d→%d %s", n.Pos.Line, n.Pos.Column, n.Line, n.Text))
	}
	want := []string{
		`1:1→4 merlon:waive first reason="of the file"`,
		`4:16→4 merlon:waive same until=2027-01-01`,
		`5:1→7 merlon:waive head`,
		`8:12→8 merlon:waive header`,
		`11:26→11 merlon:waive after a string`,
		`14:8→14 merlon:waive close`,
		`19:3→20 merlon:waive below a block`,
		`20:13→20 merlon:waive in flow`,
		`23:27→23 merlon:waive wide`,
		`24:1→0 merlon:waive last`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(docs[1].Notes) != 0 {
		t.Error(docs[1].Notes)
	}
}

func TestBombs(t *testing.T) {
	var aliases, text, merges strings.Builder
	aliases.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	merges.WriteString("a0: &a0 {k: 1}\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&aliases, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
		fmt.Fprintf(&merges, "a%d: &a%d {<<: [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]}\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	text.WriteString("t: &t " + strings.Repeat("x", 100_000) + "\nl:\n" + strings.Repeat("- *t\n", 50_000))
	deep := strings.Repeat("[", 10_000)
	for _, c := range []struct{ name, in, kind string }{
		{"aliases", aliases.String(), AliasBomb},
		{"merges", merges.String(), AliasBomb},
		{"text", text.String(), AliasBomb},
		{"flow lists", deep, InvalidYAML},
		{"closed flow lists", deep + strings.Repeat("]", 10_000), TooDeep},
		{"flow maps", strings.Repeat("{a: ", 10_000) + strings.Repeat("}", 10_000), TooDeep},
		{"block lists", strings.Repeat("- ", 10_000), TooDeep},
		{"2,000 deep", strings.Repeat("[", 2000) + strings.Repeat("]", 2000), TooDeep},
		{"JSON", strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000), TooDeep},
		{"JSON lists", `{"a":` + deep, TooDeep},
		{"question marks", strings.Repeat("? ", 10_000), InvalidYAML},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := outline(c.in+"\n---\nok: 1\n", Limits{})
			if len(got) != 2 || !strings.HasPrefix(got[0], c.kind+": f:") || !strings.HasSuffix(got[1], `{"ok":1}`) {
				t.Errorf("%.300q", got)
			}
		})
	}
}

// TestManyValuesAreRefusedBeforeTheyCost holds that a document of nothing but
// separators, whose nodes would take fifty times its size, is not parsed.
func TestManyValuesAreRefusedBeforeTheyCost(t *testing.T) {
	for _, in := range []string{"[" + strings.Repeat("a,", 2<<20) + "]", strings.Repeat("- a\n", 3<<20), "{" + strings.Repeat("a: b,", 2<<20) + "}"} {
		got := outline(in+"\n---\nok: 1\n", Limits{})
		if len(got) != 2 || !strings.HasPrefix(got[0], TooLarge+": f:1: ") || !strings.HasSuffix(got[1], `{"ok":1}`) {
			t.Errorf("%.200q", got)
		}
	}
}

// endless is an input that is made as it is read.
type endless struct {
	line []byte
	left int
	rest []byte
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.left == 0 {
			return 0, io.EOF
		}
		e.left--
		e.rest = e.line
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func TestLargeDocumentsAreReadPast(t *testing.T) {
	limits := Limits{Document: 1 << 20}
	big := func(line string) io.Reader {
		return &endless{line: []byte(line), left: rounds(12<<20, 100<<20) / len(line)}
	}
	for _, c := range []struct {
		name   string
		before string
		big    io.Reader
		after  string
	}{
		{"YAML", "---\na: 1\n---\n", big("- some text that goes on\n"), "---\nok: 1\n"},
		{"one line", "---\na: 1\n---\n", big("some text that goes on and on "), "\n---\nok: 1\n"},
		{"JSON", "{\"a\": 1}\n{\"b\": [", big("\"}\",[{}], "), "1]}\n{\"ok\": 1}\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewReader(io.MultiReader(strings.NewReader(c.before), c.big, strings.NewReader(c.after)), "f", limits)
			if d, err := r.Next(); err != nil || string(JSON(d.Root)) != `{"a":1}` {
				t.Fatal(d, err)
			}
			var e *Error
			if _, err := r.Next(); !errors.As(err, &e) || e.Kind != TooLarge || e.Line == 0 {
				t.Fatal(err)
			}
			d, err := r.Next()
			if err != nil || string(JSON(d.Root)) != `{"ok":1}` {
				t.Fatal(d, err)
			}
			if len(r.in.buf) > 8<<20 {
				t.Errorf("the buffer grew to %d", len(r.in.buf))
			}
			if _, err := r.Next(); err != io.EOF {
				t.Error(err)
			}
		})
	}
}

// TestErrorsQuoteNothing breaks documents around a canary in every way that is
// known to make parsers quote, and at random.
func TestErrorsQuoteNothing(t *testing.T) {
	const canary = "c4n4ryS3cr3t"
	inputs := []string{
		"password: *%s\n", "password: &%s [\n", "password: !%s!x y\n", "password: !!int %s\n", "password: !!binary %s\n", "!!float %s: 1\n",
		"password: \"%s\n", "password: '%s\n", "password: %s: x\n", "password: @%s\n", "password: `%s`\n", "password: %%%s\n", "%%%s\n---\na: 1\n",
		"%%TAG !x! %s\n---\na: 1\n", "%%YAML %s\n---\na: 1\n", "? [%s]\n: 1\n", "{%s}: 1\n", "password: [%s\n", "password: {%s\nx", "<<: %s\n", "<<: [%s]\n",
		"{\"password\": \"%s}\n", "{\"password\": %s}\n", "{\"password\": \"%s\" x}\n", "{\"%s\": }\n", "{\"password\": \"\\q%s\"}\n", "\tpassword: %s\n",
		"a: \"\\q%s\"\n", "- %s\n b: 1\n", "a: |%s\n  x\n", "a: %s\x01\n", "a: %s\xff\n", "a: %s\x00\n", "--- %s\n", "~: %s\n", "password: 1\npassword: %s\n",
		"apiVersion: v1\nkind: Pod\nspec: %s\n", "apiVersion: v1\nkind: Secret\ndata: {password: %s!}\n", "apiVersion: v1\nkind: Pod\nmetadata: {creationTimestamp: %s}\n",
		"apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: c\n    env: [%s]\n    resources: {limits: {cpu: %[1]s}}\n",
	}
	types := NewTypes()
	look := func(in string) {
		r := NewReader(strings.NewReader(in), "f", Limits{})
		for {
			d, err := r.Next()
			if err == io.EOF {
				return
			}
			text := fmt.Sprintf("%v %+v", err, d.Problems)
			if err == nil {
				text += fmt.Sprintf("%+v", types.Check(d.Root))
			}
			if strings.Contains(text, canary) {
				t.Errorf("%q: %s", in, text)
			}
		}
	}
	for _, in := range inputs {
		look(fmt.Sprintf(in, canary))
	}
	r := rand.New(rand.NewPCG(5, 6))
	for range rounds(2_000, 5_000) {
		b := []byte(strings.ReplaceAll(service, "payments", canary))
		for range 1 + r.IntN(3) {
			b[r.IntN(len(b))] = "\t\n:-[]{}\"'&*!|>%@`#,?~\x00\xff"[r.IntN(24)]
		}
		look(string(b))
	}
}

func TestWriting(t *testing.T) {
	in := `{"a":[1,-2.5,1e+30,true,null,"yes","0777","<b>\u0001é",{}],"b":{"":"x","y":[]},"n":"a: b\n#c"}`
	root := readAll(t, []byte(in))[0].Root
	var want any
	if err := json.Unmarshal([]byte(in), &want); err != nil {
		t.Fatal(err)
	}
	wantText, _ := json.Marshal(want)
	if got := string(JSON(root)); got != string(wantText) {
		t.Errorf("JSON: got %s, want %s", got, wantText)
	}
	again := readAll(t, YAML(root))[0].Root
	if !bytes.Equal(JSON(again), JSON(root)) {
		t.Errorf("YAML reads back as %s:\n%s", JSON(again), YAML(root))
	}
}

func TestYAMLWritesWhatItReads(t *testing.T) {
	for _, s := range oddScalars {
		s = strings.Trim(s, "\n")
		text, _ := json.Marshal(map[string]string{"k": s, s: "v"})
		root := readAll(t, text)[0].Root
		if got := outline(string(YAML(root)), Limits{}); len(got) != 1 || !strings.HasSuffix(got[0], " "+string(JSON(root))) {
			t.Errorf("%q: %s", s, got)
		}
	}
}
