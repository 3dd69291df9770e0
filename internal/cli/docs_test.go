package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/control"
)

const renew = "renew it: go run ./cmd/merlon docs docs/reference"

// The committed pages are what the binary prints. That of the controls may lack
// a control that is new, so that adding one touches one file; what it says of
// those that it has must be right.
func TestReferenceIsPrinted(t *testing.T) {
	pages, err := reference()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pages {
		data, err := os.ReadFile(filepath.Join("../../docs/reference", name))
		if err != nil {
			t.Errorf("%v; %s", err, renew)
			continue
		}
		if name == "controls.md" {
			if line := strange(string(data), want); line != "" {
				t.Errorf("%s says what the controls do not: %s\n%s", name, line, renew)
			}
		} else if string(data) != want {
			t.Errorf("%s differs from what the binary prints; %s", name, renew)
		}
	}
}

// strange returns the first line of a page that another does not hold, in its
// order; "" when there is none.
func strange(page, whole string) string {
	rest := strings.Split(whole, "\n")
	for line := range strings.SplitSeq(page, "\n") {
		i := slices.Index(rest, line)
		if i < 0 {
			return line
		}
		rest = rest[i+1:]
	}
	return ""
}

func TestStrange(t *testing.T) {
	for _, c := range []struct{ page, whole, want string }{
		{"a\nb", "a\nb", ""},
		{"a\nc", "a\nb\nc", ""},
		{"a\nx", "a\nb", "x"},
		{"b\na", "a\nb", "a"},
	} {
		if got := strange(c.page, c.whole); got != c.want {
			t.Errorf("strange(%q, %q) = %q, want %q", c.page, c.whole, got, c.want)
		}
	}
}

func TestEveryFieldOfTheReportIsExplained(t *testing.T) {
	docs := reportFields()
	for _, typ := range reportTypes() {
		names := map[string]bool{}
		for _, f := range fieldsOf(typ.Type) {
			names[f.name] = true
			if f.doc == "" {
				t.Errorf("%s.%s is explained nowhere: write it into reportFields", typ.Name(), f.name)
			}
		}
		for name := range docs[typ.Name()] {
			if !names[name] {
				t.Errorf("%s.%s is explained and does not exist", typ.Name(), name)
			}
		}
		delete(docs, typ.Name())
	}
	for name := range docs {
		t.Errorf("%s is explained and is no part of a report", name)
	}
}

func TestEveryFunctionIsExplained(t *testing.T) {
	docs := functionDocs()
	for _, f := range control.Functions() {
		if docs[f.Name][0] == "" || !strings.HasPrefix(strings.TrimPrefix(docs[f.Name][0], "subject."), f.Name+"(") || docs[f.Name][1] == "" {
			t.Errorf("%s is explained nowhere: write it into functionDocs", f.Name)
		}
		delete(docs, f.Name)
	}
	for name := range docs {
		t.Errorf("%s is explained and is no function", name)
	}
}

// A report with findings, gaps, waivers and notices is held against the schema,
// and against its own types: what the schema does not name is a fault here,
// though readers must pass over it.
func TestReportFitsItsSchema(t *testing.T) {
	text, err := reportSchema()
	if err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal([]byte(text), &schema); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name, content string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shop, err := os.ReadFile("../../examples/shop/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	write("shop.yaml", string(shop)+"---\na: [\n")
	write("waived.yaml", "# merlon:waive workload/privileged-container until=2099-12-31 reason=\"node agent\"\napiVersion: v1\nkind: Pod\nmetadata: {name: agent, namespace: ops}\nspec: {containers: [{name: agent, image: x, securityContext: {privileged: true}}]}\n")
	write("waivers.txt", "waivers:\n  - {control: workload/privileged-container, name: nobody, by: ann, reason: none, until: 2001-01-01}\n")
	var out bytes.Buffer
	code := Main([]string{"scan", dir, "-o", "json", "--all", "--waivers", filepath.Join(dir, "waivers.txt")}, Streams{In: strings.NewReader(""), Out: &out, Err: io.Discard})
	if code != exitFindings {
		t.Fatalf("exit code %d\n%s", code, out.String())
	}
	var report any
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	for _, problem := range against(schema, schema, report, "$") {
		t.Error(problem)
	}
	r := report.(map[string]any)
	for _, part := range []string{"findings", "gaps", "frameworks", "notices"} {
		if list, _ := r[part].([]any); len(list) == 0 {
			t.Errorf("the report has no %s, so that they are not tried", part)
		}
	}
	delete(r, "findings")
	if problems := against(schema, schema, report, "$"); len(problems) != 1 {
		t.Errorf("a report without findings: %q", problems)
	}
}

// against holds a value against the part of JSON Schema that reportSchema uses.
func against(root, schema map[string]any, v any, at string) []string {
	if ref, ok := schema["$ref"].(string); ok {
		defs := root["$defs"].(map[string]any)
		return against(root, defs[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any), v, at)
	}
	if enum, ok := schema["enum"].([]any); ok {
		if !slices.Contains(enum, v) {
			return []string{fmt.Sprintf("%s: %v is none of %v", at, v, enum)}
		}
		return nil
	}
	wrong := []string{fmt.Sprintf("%s: %v is no %s", at, v, schema["type"])}
	ok := false
	switch schema["type"] {
	case "object":
		if m, ok := v.(map[string]any); ok {
			return againstObject(root, schema, m, at)
		}
	case "array":
		if list, ok := v.([]any); ok {
			var out []string
			for i, x := range list {
				out = append(out, against(root, schema["items"].(map[string]any), x, fmt.Sprintf("%s[%d]", at, i))...)
			}
			return out
		}
	case "string":
		_, ok = v.(string)
	case "boolean":
		_, ok = v.(bool)
	case "integer":
		n, number := v.(float64)
		ok = number && n == math.Trunc(n) && n >= 0
	}
	if !ok {
		return wrong
	}
	return nil
}

func againstObject(root, schema, m map[string]any, at string) []string {
	var out []string
	properties, _ := schema["properties"].(map[string]any)
	values, _ := schema["additionalProperties"].(map[string]any)
	for key, x := range m {
		sub, ok := properties[key].(map[string]any)
		if !ok {
			sub = values
		}
		if sub == nil {
			out = append(out, fmt.Sprintf("%s.%s is not in the schema", at, key))
			continue
		}
		out = append(out, against(root, sub, x, at+"."+key)...)
	}
	required, _ := schema["required"].([]any)
	for _, key := range required {
		if _, ok := m[key.(string)]; !ok {
			out = append(out, fmt.Sprintf("%s has no %s", at, key))
		}
	}
	return out
}
