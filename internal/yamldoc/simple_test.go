package yamldoc

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/fact"
)

// long makes the tests with random input look at many times as much of it.
var long = flag.Bool("long", false, "look at more random documents")

// rounds returns how often a test with random input goes round.
func rounds(short, longer int) int {
	if *long {
		return longer
	}
	return short
}

// reading is what a reader makes of one document.
type reading struct {
	Document
	err *Error
}

func readings(data []byte, limits Limits, parserOnly bool) (out []reading, r *Reader) {
	r = NewReader(bytes.NewReader(data), "f", limits)
	r.parserOnly = parserOnly
	for {
		d, err := r.Next()
		if err == io.EOF {
			return out, r
		}
		next := reading{Document: d}
		if err != nil && !errors.As(err, &next.err) {
			panic(err)
		}
		out = append(out, next)
	}
}

// String writes a reading out whole, the place of every value included.
func (r reading) String() string {
	if r.err != nil {
		return fmt.Sprintf("%s %v", r.err.Kind, r.err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d at %d, hash %x, notes %+v, problems %+v\n", r.Index, r.Line, r.Root.Hash(), r.Notes, r.Problems)
	writeOut(&b, r.Root, 0)
	return b.String()
}

func writeOut(b *strings.Builder, v fact.Value, depth int) {
	fmt.Fprintf(b, "%*s%q %s %d:%d", depth, "", v.Key(), v.Kind(), v.Pos().Line, v.Pos().Column)
	if v.Kind() == fact.Map || v.Kind() == fact.List {
		fmt.Fprintf(b, " %d\n", v.Len())
		for c := range v.Children() {
			writeOut(b, c, depth+1)
		}
		return
	}
	fmt.Fprintf(b, " %q\n", v.Text())
}

// same reports whether two readings are alike in all that String writes.
func (r reading) same(q reading) bool {
	if r.err != nil || q.err != nil {
		return r.err != nil && q.err != nil && *r.err == *q.err
	}
	return r.Index == q.Index && r.Line == q.Line && slices.Equal(r.Notes, q.Notes) && slices.Equal(r.Problems, q.Problems) && sameValue(r.Root, q.Root)
}

// sameValue is stricter than fact.Equal: places and the order of keys count.
func sameValue(v, w fact.Value) bool {
	if v.Key() != w.Key() || v.Kind() != w.Kind() || v.Pos() != w.Pos() || v.Len() != w.Len() || v.Hash() != w.Hash() ||
		v.Bool() != w.Bool() || v.Int() != w.Int() || v.Str() != w.Str() || math.Float64bits(v.Float()) != math.Float64bits(w.Float()) {
		return false
	}
	i := 0
	for c := range v.Children() {
		if !sameValue(c, w.Index(i)) {
			return false
		}
		i++
	}
	return true
}

// share counts documents of YAML by the way that they take, broken ones left out.
type share struct{ short, parsed int }

func (s share) String() string {
	return fmt.Sprintf("%d of %d documents take the short cut, %.1f %%", s.short, s.short+s.parsed, 100*float64(s.short)/float64(max(1, s.short+s.parsed)))
}

// detour compares the short cut's reading of an input with the parser's; "" when
// they are the same.
func (s *share) detour(data []byte, limits Limits) (difference string) {
	got, r := readings(data, limits, false)
	s.short, s.parsed = s.short+r.short, s.parsed+r.parsed
	want, _ := readings(data, limits, true)
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) {
			return fmt.Sprintf("%d documents, want %d", len(got), len(want))
		}
		if !got[i].same(want[i]) {
			return firstDifference(got[i].String(), want[i].String())
		}
	}
	return ""
}

// TestShortCutOnRealFiles compares both ways on every document of this
// repository, and on a third of those of the oracles where they are, with -long
// on all.
func TestShortCutOnRealFiles(t *testing.T) {
	var s share
	bad := 0
	look := func(name string, data []byte) {
		if difference := s.detour(data, Limits{}); difference != "" {
			if bad++; bad < 5 {
				t.Errorf("%s: %s", name, difference)
			}
		}
	}
	for _, dir := range []string{"controls", "examples", "frameworks", "internal", "test", "docs"} {
		err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, d fs.DirEntry, err error) error {
			if ext := filepath.Ext(path); err != nil || d.IsDir() || ext != ".yaml" && ext != ".yml" {
				return err
			}
			data, err := os.ReadFile(path)
			look(path, data)
			return err
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	t.Logf("the repository: %s", s)
	if s.short < 19*s.parsed {
		t.Error("too few documents of the repository take the short cut")
	}
	s = share{}
	files, _ := filepath.Glob("../../../shared/oracles/*.jsonl")
	n := 0
	for _, file := range files {
		eachText(t, file, func(text string) {
			if n++; n%rounds(3, 1) == 0 {
				look(file, []byte(text))
			}
		})
	}
	t.Logf("the oracles: %s", s)
}

// eachText calls f with every different string in a file of JSON lines that may
// be YAML.
func eachText(t *testing.T, file string, f func(string)) {
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	seen := make(map[string]bool)
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			if strings.Contains(v, "\n") && strings.Contains(v, ": ") && !seen[v] {
				seen[v] = true
				f(v)
			}
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	lines := bufio.NewReaderSize(in, 1<<20)
	for n := 0; ; n++ {
		line, err := lines.ReadBytes('\n')
		var v any
		if len(line) > 1 && json.Unmarshal(line, &v) == nil {
			walk(v)
		}
		if err != nil {
			return
		}
	}
}

// styles writes random documents in the ways in which people write them, and
// close to them.
type styles struct {
	*rand.Rand
	strings.Builder
	odd int // of a thousand choices, how many are odd
}

func (s *styles) one(of ...string) string { return of[s.IntN(len(of))] }
func (s *styles) isOdd() bool             { return s.IntN(1000) < s.odd }

var styledKeys = strings.Fields(`name spec kind metadata a b c app.kubernetes.io/name x-y 'single' "double" containers "a\tb" 'it''s' é k8s.io/a:b long-key-of-some-length - key#1 "" '' ü"x`)

var styledScalars = []string{"x", "web", "nginx:1.27", "80", "0777", "1.5", "1e3", "true", "yes", "null", "~", "\"\"", "''", "'it''s'", "\"a\\tb\\u00e9\\n\"", "\"# no\"", "'a: b'",
	"a b  c", "http://x/y#z", "10.0.0.1", "--flag=x", "-1", "a#b", ":8080", "0x1F", "2001-01-01", "100m", "é ü", "\"x # merlon:no\"", "x:y", "-", ".5", "...", "@", "1_000", "=", "<<", "<", "a, b", "a]", "{}", "[]", "*", "a'b", "a\"b", "\"\\x41\\\\\\\"\"", "9223372036854775808", "\"no\" ",
	`"\0\a\b\t\n\v\f\r\e\ \"\'\\"`, `"\u0041\U0001F600\xff"`, `"a\tb" # c`}

var oddParts = []string{"&a x", "*a", "!!str 1", "? x", "|", ">", "%x", "@x", "`x`", "a: b", "- x", "\"open", "'open", "[open", "{open", "x\n   more", "\t", "a\tb", "\"\\q\"", ".inf", "\"a\n  b\"", "#x", "---", "[a: b]", "{a}", "[a,]", "[,]", "\"a\"b", "a:", ":", "\u2028", "\ufeff", "x\r", "x\ry", "\x01", "\xff", "!", "! x", "|2\n    x", "\"x\" : y", "\"x\":y", "{\"a\":1}", "[?a]", "[a?b]", "[-]", "[a:b, c]", "{a:, b: 1}", "{a: }", "x # c", "x #",
	"a\t", "\"a\"#c", `"\ud800"`, `"\U00110000"`, `"\N\_\L\P"`, `"\/"`, `"\x4"`, "\"a\\\tb\""}

func (s *styles) scalar() string {
	if s.isOdd() {
		return s.one(oddParts...)
	}
	return s.one(styledScalars...)
}

func (s *styles) key(i int) string {
	if s.isOdd() {
		return s.one("<<", "1", "yes", "~", "[a]", "{a: b}", "&a x", "!!str x", "? x", "\"x\" ", "x ", "a", "\"\\q\"", "", strings.Repeat("k", 1030))
	}
	if k := s.one(styledKeys...); s.IntN(3) == 0 {
		return k
	}
	return fmt.Sprintf("k%d", i)
}

// rest ends a line.
func (s *styles) rest() {
	s.WriteString(s.one("", "", "", "", "", " ", "  # a comment", " # merlon:waive x", " #", "  "))
	s.lines("")
}

// lines ends a line and puts blank ones and comments behind it.
func (s *styles) lines(indent string) {
	s.WriteString("\n")
	for s.IntN(12) == 0 {
		s.WriteString(s.one("\n", "   \n", "# c\n", indent+"# c\n", "      # deep\n", "# merlon:waive y until=x\n", "  #\n", indent+"#c: d\n"))
		if s.isOdd() {
			s.WriteString(s.one("\t\n", " \t# c\n", "#\tc\n", "\r\n", "# \xc2\x85 x\n"))
		}
	}
}

func (s *styles) flow(depth int) string {
	space := s.one("", "", " ")
	n := s.IntN(4)
	var parts []string
	list := s.IntN(2) == 0
	for i := range n {
		v := s.scalar()
		if depth < 3 && s.IntN(4) == 0 {
			v = s.flow(depth + 1)
		}
		if !list {
			v = s.key(i) + s.one(": ", ": ", ":  ", ":") + v
		}
		parts = append(parts, v)
	}
	body := space + strings.Join(parts, s.one(", ", ", ", ",", " , ")) + space
	if list {
		return "[" + body + "]"
	}
	return "{" + body + "}"
}

func (s *styles) blockScalar(indent string) {
	s.WriteString(s.one("|", "|", "|", ">", ">") + s.one("", "", "-", "+", "2", "-2", "1+"))
	s.WriteString(s.one("", "", " ", " # merlon:waive block"))
	s.WriteString("\n")
	inner := indent + s.one("  ", "  ", " ", "    ")
	for range 1 + s.IntN(4) {
		s.WriteString(s.one(inner+"text", inner+"text", inner+"  more # merlon:no", inner+"# merlon:no", "", "  ", inner, inner+" ", inner+"\ttab", inner+"a: b", inner+"- x", inner+"text  "))
		if s.isOdd() {
			s.WriteString(s.one("\n\t", "\n \tx", "\n# c", "\r"))
		}
		s.WriteString("\n")
	}
}

// block writes a block list or map at an indentation; begun says that the line's
// beginning is there already.
func (s *styles) block(depth int, indent string, begun bool) {
	n := 1 + s.IntN(4)
	if s.IntN(100) == 0 {
		n = manyKeys - 2 + s.IntN(10)
	}
	list := s.IntN(3) == 0
	for i := range n {
		if !begun {
			if s.isOdd() {
				s.WriteString(s.one(" ", "\t", "  "))
			}
			s.WriteString(indent)
		}
		begun = false
		if list {
			gap := s.one(" ", " ", " ", "   ")
			s.WriteString("-")
			s.listItem(depth, indent, gap)
			continue
		}
		key := s.key(i)
		if n > 4 && !s.isOdd() {
			key = fmt.Sprintf("k%d", i-s.IntN(500)/499)
		}
		s.WriteString(key + ":")
		s.value(depth, indent)
	}
}

func (s *styles) listItem(depth int, indent, gap string) {
	switch c := s.IntN(10); {
	case c < 3 && depth < 5:
		s.WriteString(gap)
		s.block(depth+1, indent+" "+gap, true)
	case c == 3 && depth < 5:
		s.rest()
		s.block(depth+1, indent+s.one("  ", " ", "    "), false)
	default:
		s.value(9, indent)
	}
}

func (s *styles) value(depth int, indent string) {
	switch c := s.IntN(12); {
	case c < 4 && depth < 5:
		s.rest()
		s.block(depth+1, indent+s.one("  ", "  ", " ", "    ", ""), false)
	case c == 4:
		s.rest()
	case c == 5:
		s.WriteString(" ")
		s.blockScalar(indent)
	case c == 6 || c == 7:
		s.WriteString(" " + s.flow(0))
		s.rest()
	case c == 8 && s.isOdd():
		s.rest()
		s.WriteString(indent + "  " + s.scalar())
		s.rest()
	default:
		s.WriteString(s.one(" ", " ", "  ") + s.scalar())
		s.rest()
	}
}

// document writes a file.
func (s *styles) document() []byte {
	s.Reset()
	s.WriteString(s.one("", "", "---\n", "# head\n", "# merlon:waive file\n---\n", "--- # c\n", "\n"))
	s.block(0, "", false)
	for s.IntN(4) == 0 {
		s.WriteString(s.one("---\n", "--- # c\n", "...\n", "...\n---\n", "---\n---\n"))
		s.block(3, "", false)
	}
	text := s.String()
	if s.IntN(8) == 0 {
		text = strings.TrimRight(text, "\n")
	}
	if s.IntN(8) == 0 {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	return []byte(text)
}

func TestShortCutOnRandomDocuments(t *testing.T) {
	for _, odd := range []int{0, 5, 100} {
		s := &styles{Rand: rand.New(rand.NewPCG(uint64(odd), 9)), odd: odd}
		var ways share
		bad := 0
		for range rounds(1500, 100_000) {
			data := s.document()
			if difference := ways.detour(data, Limits{}); difference != "" {
				if bad++; bad < 4 {
					t.Errorf("%q\n%s\n%s", data, data, difference)
				}
			}
		}
		t.Logf("%d‰ odd: %s; %d differ", odd, ways, bad)
	}
}

// TestShortCutGivesUp holds that the parser decides on what random documents
// seldom show.
func TestShortCutGivesUp(t *testing.T) {
	wide := ""
	for i := range 3 * manyKeys {
		wide += fmt.Sprintf("k%d: v\n", i)
	}
	for _, in := range []string{
		wide + "k1: w\n", "a: 1\na: 2\n", "k: a\t\n", "k:\ta\n", "-\ta\n", "k: x\n  y\n", "k: \"x\n  y\"\n", "k: [a,\n b]\n", "k: &a x\n", "k: !t x\n",
		"<<: {a: b}\n", "1: x\n", "on: x\n", "? k\n: v\n", "k: .inf\n", "k: |\n", "x\n", "[a]\n", "--- {a: b}\n", "%YAML 1.1\n---\na: b\n", "a: b\rc: d\n",
		strings.Repeat("- ", simpleDepth+1) + "x\n", strings.Repeat("k", simpleKey+1) + ": x\n", "k: [a?]\n", "k: {a}\n", "k: \ufeff\n", "k: \u2028\n",
	} {
		var s share
		if d := s.detour([]byte(in), Limits{}); d != "" || s.short != 0 {
			t.Errorf("%.60q: %d by the short cut; %s", in, s.short, d)
		}
	}
	var s share
	if d := s.detour([]byte(wide), Limits{}); d != "" || s.short != 1 {
		t.Errorf("a wide map: %d by the short cut; %s", s.short, d)
	}
}

// TestShortCutAllocatesByDocument holds that a scalar costs no allocation of its
// own: twice the scalars, no more allocations.
func TestShortCutAllocatesByDocument(t *testing.T) {
	const line = "- {a: x, \"b\": \"y\\tz\", 'c': 'it''s', d: 12, e: true}\n- |\n  text\n- plain # comment\n"
	allocations := func(n int) float64 {
		data := []byte(strings.Repeat(line, n))
		in := bytes.NewReader(data)
		r := NewReader(in, "f", Limits{})
		return testing.AllocsPerRun(20, func() {
			in.Reset(data)
			r.Reset(in, "f")
			if _, err := r.Next(); err != nil || r.short == 0 {
				t.Fatal(err)
			}
		})
	}
	if few, many := allocations(50), allocations(100); many > few+8 {
		t.Errorf("%v allocations for 50 times the lines, %v for 100 times", few, many)
	}
}

func FuzzSimple(f *testing.F) {
	f.Add([]byte(deployment + "---\n" + service))
	for seed := range uint64(200) {
		s := &styles{Rand: rand.New(rand.NewPCG(seed, 10)), odd: int(seed)}
		f.Add(s.document())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if difference := new(share).detour(data, Limits{Document: 1 << 20, Values: 10_000}); difference != "" {
			t.Errorf("%q\n%s", data, difference)
		}
	})
}
