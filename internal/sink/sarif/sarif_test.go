package sarif

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
	_ "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif" // its source holds the schema
	"github.com/xeipuuv/gojsonschema"
)

// many is a report of n findings with everything that a finding can have.
func many(n int) *finding.Report {
	r := &finding.Report{Merlon: "0.1.0", Gaps: []finding.Gap{{Kind: "invalid-yaml", Message: "m", Location: finding.Location{File: "a b/ü.yaml", Line: 3, Column: 2}}, {Kind: "unreadable", Message: ""}}}
	frameworks := map[string][]string{}
	for i := range 40 {
		frameworks[fmt.Sprintf("framework-%d", i)] = []string{"x"}
	}
	for i := range n {
		f := finding.Finding{
			ID: fmt.Sprintf("%032x", i), Control: fmt.Sprintf("family/control-%d", i%300), Family: "family", Title: "title", Fix: "fix",
			Severity: finding.Severity(1 + i%4), Verdict: finding.Fail, Message: "message", Count: 1, Frameworks: frameworks,
			Subject: finding.Subject{Kind: "Pod", Namespace: "n", Name: "x", Container: "c"}, Location: finding.Location{File: "dir/file name#1?.yaml", Line: 1, Column: 1},
			Also: []finding.Location{{File: "/abs/x.yaml", Line: 2}, {File: "y.yaml"}},
		}
		if i%100 == 0 {
			f.Title, f.Fix, f.Message = strings.Repeat("long title ", 200), strings.Repeat("fix ", 10_000), strings.Repeat("ü", 3000)
		}
		switch i % 5 {
		case 1:
			f.Waived = &finding.Waived{Reason: "", Source: "inline"}
		case 2:
			f.Baseline = true
		case 3:
			f.Verdict = finding.Unknown
		case 4:
			f.Location, f.Message, f.Title, f.Fix = finding.Location{}, "", "", ""
		}
		r.Findings = append(r.Findings, f)
	}
	return r
}

// field is what a member of an object must be: SARIF 2.1.0 (OASIS, 27 March
// 2020), the sections named in allowed.
type field struct {
	required bool
	check    func(t *testing.T, path string, v any)
}

type object map[string]field

func (o object) check(t *testing.T, path string, v any) {
	t.Helper()
	m, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("%s is %T, not an object", path, v)
	}
	for key, x := range m {
		f, ok := o[key]
		if !ok {
			t.Fatalf("%s has no property %s in SARIF 2.1.0", path, key)
		}
		f.check(t, path+"."+key, x)
	}
	for key, f := range o {
		if _, ok := m[key]; f.required && !ok {
			t.Fatalf("%s lacks %s", path, key)
		}
	}
}

func text1(limit int) func(*testing.T, string, any) {
	return func(t *testing.T, path string, v any) {
		s, ok := v.(string)
		if !ok || s == "" || utf8.RuneCountInString(s) > limit {
			t.Fatalf("%s: no text of at most %d characters: %.80v", path, limit, v)
		}
	}
}

func oneOf(values ...string) func(*testing.T, string, any) {
	return func(t *testing.T, path string, v any) {
		if s, ok := v.(string); !ok || !slices.Contains(values, s) {
			t.Fatalf("%s is %v, not one of %v", path, v, values)
		}
	}
}

func list(limit int, each func(*testing.T, string, any)) func(*testing.T, string, any) {
	return func(t *testing.T, path string, v any) {
		l, ok := v.([]any)
		if !ok || len(l) > limit {
			t.Fatalf("%s: no list of at most %d: %T of %d", path, limit, v, len(l))
		}
		for i, x := range l {
			each(t, fmt.Sprintf("%s[%d]", path, i), x)
		}
	}
}

func number(least float64) func(*testing.T, string, any) {
	return func(t *testing.T, path string, v any) {
		if n, ok := v.(float64); !ok || n < least || n != float64(int(n)) {
			t.Fatalf("%s is %v, no whole number from %v on", path, v, least)
		}
	}
}

func uriReference(t *testing.T, path string, v any) {
	s, ok := v.(string)
	if u, err := url.Parse(s); !ok || err != nil || strings.ContainsAny(s, " #?") || u.Scheme != "" && u.Scheme != "file" {
		t.Fatalf("%s: %v is no URI of a file (%v)", path, v, err)
	}
}

var (
	message    = object{"text": {true, text1(maxText)}}
	physicalOf = object{
		"artifactLocation": {true, object{"uri": {true, uriReference}}.check},
		"region":           {false, object{"startLine": {true, number(1)}, "startColumn": {false, number(1)}}.check},
	}
	locationOf = object{
		"physicalLocation": {true, physicalOf.check},
		"logicalLocations": {false, list(10, object{"fullyQualifiedName": {true, text1(2000)}, "kind": {true, oneOf("resource", "object")}}.check)},
	}
	ruleOf1 = object{ // 3.49 reportingDescriptor
		"id": {true, text1(255)}, "name": {true, text1(255)},
		"shortDescription": {true, object{"text": {true, text1(1024)}}.check}, "fullDescription": {true, object{"text": {true, text1(1024)}}.check},
		"help":                 {true, object{"text": {true, text1(maxHelp)}, "markdown": {false, text1(maxHelp)}}.check},
		"helpUri":              {false, text1(1024)},
		"defaultConfiguration": {true, object{"level": {true, oneOf("none", "note", "warning", "error")}}.check},
		"properties":           {true, object{"tags": {false, list(maxTags, text1(255))}, "security-severity": {true, text1(4)}}.check},
	}
	resultOf = object{ // 3.27
		"ruleId": {true, text1(255)}, "ruleIndex": {true, number(0)}, "level": {true, oneOf("none", "note", "warning", "error")},
		"kind": {true, oneOf("pass", "open", "informational", "notApplicable", "review", "fail")}, "message": {true, message.check},
		"locations": {true, list(10, locationOf.check)}, "relatedLocations": {false, list(1000, locationOf.check)},
		"partialFingerprints": {true, object{"merlon/v1": {true, text1(64)}, "primaryLocationLineHash": {true, text1(64)}}.check},
		"suppressions":        {false, list(10, object{"kind": {true, oneOf("inSource", "external")}, "status": {true, oneOf("accepted", "underReview", "rejected")}, "justification": {true, text1(maxText)}}.check)},
		"baselineState":       {false, oneOf("new", "unchanged", "updated", "absent")},
	}
	logOf = object{ // 3.13
		"$schema": {true, text1(200)}, "version": {true, oneOf("2.1.0")},
		"runs": {true, list(20, object{ // 3.14
			"tool":        {true, object{"driver": {true, object{"name": {true, text1(50)}, "semanticVersion": {false, text1(50)}, "informationUri": {false, text1(500)}, "rules": {true, list(25_000, ruleOf1.check)}}.check}}.check},
			"invocations": {true, list(1, object{"executionSuccessful": {true, func(t *testing.T, path string, v any) { _ = v.(bool) }}, "toolExecutionNotifications": {false, list(20_000, object{"level": {true, oneOf("none", "note", "warning", "error")}, "message": {true, message.check}, "locations": {false, list(10, locationOf.check)}}.check)}}.check)},
			"results":     {true, list(maxResults, resultOf.check)}, "columnKind": {true, oneOf("utf16CodeUnits", "unicodeCodePoints")},
		}.check)},
	}
)

// TestForm holds the log to the form of SARIF 2.1.0 and to the limits of code
// scanning services, also for more findings than they take.
func TestForm(t *testing.T) {
	for _, n := range []int{0, 1, 12, 30_000} {
		var b bytes.Buffer
		s := &Sink{out: sink.Output{W: &b, Target: []string{"deploy/"}}}
		if err := s.Publish(t.Context(), many(n)); err != nil {
			t.Fatal(err)
		}
		var log map[string]any
		if err := json.Unmarshal(b.Bytes(), &log); err != nil {
			t.Fatal(err)
		}
		logOf.check(t, "log", log)
		run := log["runs"].([]any)[0].(map[string]any)
		rules := run["tool"].(map[string]any)["driver"].(map[string]any)["rules"].([]any)
		results := run["results"].([]any)
		if len(results) != min(n, maxResults) || len(rules) != min(n, 300) {
			t.Errorf("%d findings: %d results of %d rules", n, len(results), len(rules))
		}
		for _, x := range results {
			r := x.(map[string]any)
			if rules[int(r["ruleIndex"].(float64))].(map[string]any)["id"] != r["ruleId"] {
				t.Fatalf("ruleIndex %v is not the rule %v", r["ruleIndex"], r["ruleId"])
			}
		}
		if n > maxResults && !strings.Contains(b.String(), "5000 findings beyond") {
			t.Error("that findings were left out is not told")
		}
	}
}

// TestSchema holds the log to the JSON schema of SARIF 2.1.0 that OASIS
// publishes. It may not lie in this repository, but a module carries it.
func TestSchema(t *testing.T) {
	schema, err := gojsonschema.NewSchema(gojsonschema.NewStringLoader(published(t)))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, 1, 500} {
		var b bytes.Buffer
		s := &Sink{out: sink.Output{W: &b, Target: []string{"deploy/"}}}
		if err := s.Publish(t.Context(), many(n)); err != nil {
			t.Fatal(err)
		}
		if problems := against(t, schema, b.Bytes()); problems != "" {
			t.Errorf("%d findings:\n%s", n, problems)
		}
		if against(t, schema, bytes.Replace(b.Bytes(), []byte(`"runs"`), []byte(`"walks"`), 1)) == "" {
			t.Error("the schema takes anything")
		}
	}
}

func against(t *testing.T, schema *gojsonschema.Schema, log []byte) string {
	t.Helper()
	result, err := schema.Validate(gojsonschema.NewBytesLoader(log))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for i, e := range result.Errors() {
		if i < 20 {
			fmt.Fprintln(&b, e)
		}
	}
	return b.String()
}

// published returns the schema out of the source of the module that holds it, as
// a constant of its own.
func published(t *testing.T) string {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-f", "{{.Dir}}", "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "schema.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	text, err := strconv.Unquote(file.Scope.Lookup("schema").Decl.(*ast.ValueSpec).Values[0].(*ast.BasicLit).Value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
