package yamldoc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	kubeyaml "k8s.io/apimachinery/pkg/util/yaml"
)

// kubectlReads returns the documents that kubectl makes of a file, in canonical
// JSON, and the error at which it stops: what resource.StreamVisitor of
// k8s.io/cli-runtime does.
func kubectlReads(data []byte) (docs []string, err error) {
	d := kubeyaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	for {
		var ext runtime.RawExtension
		if err := d.Decode(&ext); err != nil {
			if err == io.EOF {
				return docs, nil
			}
			return docs, err
		}
		raw := bytes.TrimSpace(ext.Raw)
		if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
			continue
		}
		text, err := canonical(raw)
		if err != nil {
			return docs, err
		}
		docs = append(docs, text)
	}
}

// canonical passes JSON through the numbers of an Unstructured object, as
// kubectl sends it on, and sorts its keys.
func canonical(raw []byte) (string, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	v, err := numbers(v)
	if err != nil {
		return "", err
	}
	out, err := json.Marshal(v)
	return string(out), err
}

func numbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return i, nil
		}
		f, err := strconv.ParseFloat(string(v), 64)
		if err != nil {
			return nil, err
		}
		if f == math.Trunc(f) {
			if i, err := strconv.ParseInt(strconv.FormatFloat(f, 'f', -1, 64), 10, 64); err == nil {
				return i, nil
			}
		}
		return f, nil
	case map[string]any:
		for k, e := range v {
			if v[k], err = numbers(e); err != nil {
				return nil, err
			}
		}
	case []any:
		for i, e := range v {
			if v[i], err = numbers(e); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// merlonReads returns the same of ours; doubtful is true when something was
// refused or complained of.
func merlonReads(data []byte) (docs []string, doubtful bool, first string) {
	r := NewReader(bytes.NewReader(data), "f", Limits{Document: 1 << 20, Values: 100_000})
	for {
		d, err := r.Next()
		if err == io.EOF {
			return docs, doubtful, first
		}
		if err != nil {
			doubtful = true
			if first == "" {
				first = err.Error()
			}
			continue
		}
		notRead := false
		for _, p := range d.Problems {
			notRead = notRead || p.Kind == NotRead
			doubtful = doubtful || p.Kind != DuplicateKey
		}
		if !notRead {
			docs = append(docs, string(JSON(d.Root)))
		}
	}
}

// disagreement compares both readings of a file; "" when they agree: where
// kubectl reads all of it, we read the same; where it refuses, so do we.
func disagreement(data []byte) string {
	want, err := kubectlReads(data)
	got, doubtful, first := merlonReads(data)
	switch {
	case err != nil && !doubtful:
		return fmt.Sprintf("kubectl refuses (%v), we read %q", err, got)
	case err != nil:
		return ""
	case fmt.Sprint(want) != fmt.Sprint(got):
		// Of 1000 and 1e3, two keys to YAML and one to JSON, kubectl takes a random one.
		for range 20 {
			if again, _ := kubectlReads(data); fmt.Sprint(again) == fmt.Sprint(got) {
				return ""
			}
		}
		return fmt.Sprintf("kubectl reads %q\nwe read       %q (%s)", want, got, first)
	}
	return ""
}

// oddScalars are spellings that YAML 1.1, YAML 1.2, JSON and Go read
// differently.
var oddScalars = strings.Split(`y|Y|yes|Yes|YES|yEs|n|N|no|No|NO|on|On|ON|off|Off|OFF|true|True|TRUE|tRUE|false|False|FALSE|~|null|Null|NULL|nULL|
0|-0|+0|7|+7|-7|007|0777|0o777|0O17|0o8|08|09|-08|0x1F|0X1f|-0x10|+0x10|0x|0b101|-0b101|0b2|0b|+0b11|0b+1|0b-1|1_000|1__0|_1|1_|0_7|-_1|0x_1F|
1.0|1.|.5|-.5|+.5|1.5|-1.5|1e3|1E3|1e+3|1e-3|1.5e3|.5e1|1e400|-1e400|.1e400|1_000.5|1e1_0|0.0|-0.0|00.5|1.2.3|1.0.0|12e03|685.230_15e+03|
.inf|.Inf|-.inf|+.INF|.nan|.NaN|inf|nan|.|-|+|..|...x|-.|+.|
9223372036854775807|9223372036854775808|-9223372036854775808|-9223372036854775809|18446744073709551615|18446744073709551616|1e18|1e19|1e20|1e21|1e22|9007199254740993.0|4611686018427387904.0|9223372036854775807.0|0xFFFFFFFFFFFFFFFF|0x1FFFFFFFFFFFFFFFF|
190:20:30|1:30|12:30:45|190:20:30.15|2001-01-01|2001-12-14t21:59:43.10-05:00|2001-12-14 21:59:43.10|2001-1-1|2001-13-45|2001-02-30|
<<|=|!|100m|1Gi|10.0.0.1|0.5.|1e|e1|1e+|--1|++1|-+1|0x1p-2|1,000|12abc|0xg|:x|a:b|a#b|-x|?x|'q'|'it''s'|"d\n\t\x41\u00e9"|"\ud800"|'1'|"yes"|''|""|
!!str 1|!!str yes|!!str|!!str ~|!!int 1|!!int "1"|!!int x|!!int 1.0|!!int ""|!!int 0x10|!!int 18446744073709551615|!!float 1|!!float 1.5|!!float x|!!float "2"|!!float .inf|!!float 18446744073709551615|!!bool yes|!!bool "no"|!!bool 1|!!null ~|!!null x|!!null ""|!!binary aGVsbG8=|!!binary x|!!binary ""|!!binary //8=|!!timestamp 2001-01-01|!!timestamp x|!!timestamp "~"|!foo 1|!foo|!foo yes|! 12|! yes|!!merge <<|!!set x|!!seq x|!!map x|!<tag:yaml.org,2002:int> 7|!<tag:yaml.org,2002:str> 7|!<!x> 7|
&a 1|&b yes|&c|*a|*b|[]|{}|[a, yes, 0777]|{a: yes, no: 1}|[a,]|{a,b: 1}|{a: , b}|{? a : b}|[a: 1, b]|{"a":1}|[1,[2,[3]]]|{a: {b: {c: on}}}|{1.0: a}|{1.5: x, .5: y}|{yes: 1, true: 2}|{~: x}|{.inf: 1}|{18446744073709551615: x}|{1e3: a}|{0777: a}|{!!str 1: a}|{!!binary aGk=: a}|{[a]: b}|{{a: 1}: b}|{2001-01-01: d}|
|plain text|multi word: |#c|x #c|x#c|"a" #c|%x|@x|`, "|")

// knownDifference tells inputs apart on which we mean to differ from kubectl,
// or on which its two YAML parsers differ from each other.
func knownDifference(data []byte) bool {
	// v2 stops reading behind a first scalar, or flow list or map: "[]: v" is []
	// to it. We report an error; no object is lost by that.
	got, doubtful, _ := merlonReads(data)
	want, err := kubectlReads(data)
	// Having begun with two JSON values, kubectl takes no YAML after them.
	if err != nil && strings.HasPrefix(strings.TrimSpace(string(data)), "{") {
		return true
	}
	// A tab on a blank line is an error to v2. There is nothing to be misread.
	if err != nil && bytes.Contains(data, []byte{'\t'}) && slices.Equal(got, want) {
		return true
	}
	return doubtful && slices.Equal(onlyMaps(got), onlyMaps(want))
}

func onlyMaps(docs []string) []string {
	return slices.DeleteFunc(docs, func(s string) bool { return !strings.HasPrefix(s, "{\"") })
}

func TestOddScalarsAsKubectlReadsThem(t *testing.T) {
	for _, s := range oddScalars {
		s = strings.Trim(s, "\n")
		for _, form := range []string{"%s\n", "k: %s\n", "- %s\n", "k: [%s]\n", "k: {a: %s}\n", "%s: v\n", "k:\n  - %s\n  - b\n", "a: &a 1\nb: &b {x: yes}\nk: %s\n", "? %s\n: v\n", "k: !!str %s\n"} {
			doc := fmt.Sprintf(form, s)
			if d := disagreement([]byte(doc)); d != "" && !knownDifference([]byte(doc)) {
				t.Errorf("%q:\n%s", doc, d)
			}
		}
	}
}

// randomYAML writes a document of random shape with odd scalars.
func randomYAML(r *rand.Rand, depth int, indent string) string {
	scalar := func() string { return strings.Trim(oddScalars[r.IntN(len(oddScalars))], "\n") }
	var b strings.Builder
	n := 1 + r.IntN(4)
	list := r.IntN(3) == 0
	for i := range n {
		head := indent + "- "
		if !list {
			head = indent + string(rune('a'+i)) + ": "
			switch r.IntN(12) {
			case 0:
				head = indent + scalar() + ": "
			case 1:
				head = indent + "<<: "
			case 2:
				head = indent + "a: "
			}
		}
		switch r.IntN(9) {
		case 0, 1, 2:
			b.WriteString(head + scalar() + "\n")
		case 3:
			b.WriteString(head + "|" + []string{"", "-", "+", "2"}[r.IntN(4)] + "\n" + indent + "  text\n\n" + indent + "   more # no comment\n")
		case 4:
			b.WriteString(head + ">\n" + indent + "  folded\n" + indent + "  text\n")
		case 5:
			b.WriteString(head + "&" + string(rune('a'+r.IntN(3))) + "\n" + indent + "  x: 1\n" + indent + "  y: " + scalar() + "\n")
		case 6:
			b.WriteString(head + []string{"*a", "*b", "*c", "[*a, *b]", "[*a, {z: 1}]"}[r.IntN(5)] + "\n")
		default:
			if depth > 3 {
				b.WriteString(head + scalar() + " # comment\n")
				continue
			}
			b.WriteString(head + "\n" + randomYAML(r, depth+1, indent+"  "))
		}
		if r.IntN(8) == 0 {
			b.WriteString([]string{"\n", "# comment\n", indent + "# comment\n", "\t\n", "  \n"}[r.IntN(5)])
		}
	}
	return b.String()
}

func TestRandomDocumentsAsKubectlReadsThem(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	n, read, bad := rounds(2000, 6000), 0, 0
	for range n {
		doc := randomYAML(r, 0, "")
		for range r.IntN(3) {
			doc += []string{"---\n", "--- # c\n", "...\n", "---\t\n", "...\n---\n", "--- x\n"}[r.IntN(6)] + randomYAML(r, 2, "")
		}
		if _, err := kubectlReads([]byte(doc)); err == nil {
			read++
		}
		if d := disagreement([]byte(doc)); d != "" && !knownDifference([]byte(doc)) {
			if bad++; bad < 5 {
				t.Errorf("%s\n%s", doc, d)
			}
		}
	}
	if read < n/12 {
		t.Errorf("only %d of the documents can be read by kubectl: the generator is worth little", read)
	}
	t.Logf("kubectl reads %d of %d, %d disagreements", read, n, bad)
}

func FuzzReader(f *testing.F) {
	for _, s := range oddScalars {
		f.Add([]byte("k: " + strings.Trim(s, "\n") + "\n"))
	}
	f.Add([]byte(deployment + "---\n" + service))
	f.Add([]byte("{\"a\": [1, 2.5, \"\\u00e9\"]}\n{\"b\": {}}\n---\nc: |\n  x\n...\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if d := disagreement(data); d != "" && !knownDifference(data) {
			t.Errorf("%q\n%s", data, d)
		}
	})
}
