package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

// hostile are texts that somebody could name an object, a file, an image or a
// label by, to be taken for something else by whoever shows them.
var hostile = map[string]string{
	"new line":       "first\nsecond\r\nthird\rfourth",
	"control":        "a\x00b\x07c\x08d\x0be\x1bf\x7fg",
	"ansi":           "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b]8;;http://evil.example/\x1b\\link\x1b]8;;\x1b\\",
	"c1":             "a\u0080b\u0085c\u009b31md\u009de",
	"bidi":           "\u202eevil\u2066x\u2069\u200f\u061c",
	"invisible":      "a\u200bb\ufeffc\u2060d\U000e0041e",
	"separators":     "a\u2028b\u2029c",
	"not utf-8":      "a\xff\xfeb\xc3(",
	"markup":         `<script>alert(1)</script><img src=x onerror=alert(1)>"'>&amp;]]>`,
	"markdown":       "[click](javascript:alert(1)) ![x](http://evil.example/x.png) `code` **b**",
	"formula":        `=cmd|'/C calc'!A0`,
	"formula plus":   `+1+cmd|'/C calc'!A0`,
	"formula minus":  `-1+1`,
	"formula at":     `@SUM(1+1)`,
	"formula tab":    "\t=1+1",
	"github command": "::error file=x,line=1::pwned",
	"github old":     "##[set-output name=x]y",
	"github group":   "::group::x",
	"github stop":    "::stop-commands::abc",
	"github mask":    "x\n::add-mask::secret",
	"azure":          "##vso[task.setvariable variable=x]y",
	"teamcity":       "##teamcity[buildStatus status='SUCCESS']",
	"three":          ":::error::x ###[group]x ####vso[x]",
	"gitlab section": "\x1b[0Ksection_start:1560896352:x\r\x1b[0KHeader",
	"json":           `","verdict":"pass","x":"`,
	"yaml":           "x: y\n- z # c",
	"path":           "../../../../etc/passwd",
	"uri":            "javascript:alert(1)",
	"percent":        "%0A%1b[31m%n%s%!d(MISSING)",
	"backslash":      `C:\x\u202e\n`,
	"csv":            "a,b;c\td\"e",
	"long":           strings.Repeat("A", 40_000),
}

// poisoned is a report that says a hostile text wherever it can say one.
func poisoned(s string) *finding.Report {
	place := finding.Location{File: s, Line: 3, Column: 7}
	return &finding.Report{
		Schema: finding.Schema, Merlon: "0", Kubernetes: "1.36", Target: []string{s},
		Findings: []finding.Finding{{
			ID: strings.Repeat("0", 32), Control: "workload/x", Family: "workload", Title: "title " + s, Severity: finding.High, Verdict: finding.Fail,
			Subject:  finding.Subject{APIVersion: s, Kind: s, Namespace: s, Name: s, Container: s},
			Location: place, Evidence: []finding.Evidence{{Path: s, Value: s}}, Message: s, Count: 2, Also: []finding.Location{place},
			Frameworks: map[string][]string{s: {s}}, Fix: "fix:\n\n    " + s,
		}, {
			ID: strings.Repeat("1", 32), Control: "workload/y", Family: "workload", Title: "waived", Severity: finding.Low, Verdict: finding.Fail,
			Subject: finding.Subject{Kind: "Pod", Name: s}, Location: place, Message: s, Count: 1,
			Waived: &finding.Waived{By: s, Reason: s, Until: "2099-01-01", Source: s},
		}},
		Gaps:       []finding.Gap{{Kind: "invalid-yaml", Source: "manifest", Location: place, Subject: s, Message: s}},
		Notices:    []string{s},
		Frameworks: []finding.Framework{{Name: "nsa", Title: s, Version: s, Verdict: finding.Fail, Totals: map[string]int{"fail": 1}, Items: []finding.Item{{ID: s, Title: s, Verdict: finding.Fail, Why: s}}}},
		Summary:    finding.Summary{Severities: map[string]int{}},
	}
}

// TestHostileNames holds every sink that ships to one promise: what it writes
// is text that a terminal, a browser, a spreadsheet and a CI log show and do not
// obey.
func TestHostileNames(t *testing.T) {
	for _, k := range builtin.Sinks() {
		for name, s := range hostile {
			t.Run(k.Name+"/"+name, func(t *testing.T) {
				var b bytes.Buffer
				out, err := k.New(func(v any) error {
					*v.(*sink.Output) = sink.Output{W: &b, Target: []string{s}}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := out.Publish(t.Context(), poisoned(s)); err != nil {
					t.Fatal(err)
				}
				obeyed(t, k.Name, b.Bytes(), s)
			})
		}
	}
}

// commands are what CI systems take for orders, at the beginning of a line or
// anywhere in it.
var commands = regexp.MustCompile(`(?m)(^\s*::[a-z-]+|##\[|##vso\[|##teamcity\[|^[-+=@\t]*[=+@][A-Za-z0-9+]+[|(])`)

// obeyed reports what in the output something would obey.
func obeyed(t *testing.T, sink string, out []byte, s string) {
	t.Helper()
	if !utf8.Valid(out) {
		t.Error("not UTF-8")
	}
	isJSON := json.Valid(out)
	for i, r := range string(out) {
		bad := unicode.IsControl(r) && r != '\n'
		// What is JSON is read by programs; a terminal must still not obey it.
		bad = bad || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) && r != '\u200b'
		if bad {
			t.Errorf("%U at %d: %q", r, i, out[max(0, i-40):min(len(out), i+20)])
			break
		}
	}
	if sink == "github" {
		out = uncommanded(t, out)
	}
	if m := commands.FindIndex(out); m != nil {
		t.Errorf("a CI system would obey %q", out[max(0, m[0]-40):min(len(out), m[1]+20)])
	}
	if sink == "html" {
		if n := bytes.Count(out, []byte("<script")); n != 2 {
			t.Errorf("%d scripts, not the data and the program", n)
		}
		out = bytes.ReplaceAll(out, []byte("<script"), nil)
	}
	if bytes.Contains(out, []byte("<script")) || bytes.Contains(out, []byte("<img")) {
		if isJSON || strings.Contains(sink, "html") || strings.Contains(sink, "xml") || strings.Contains(sink, "junit") {
			t.Error("a browser would run what is in it")
		}
	}
	if sink == "markdown" {
		if m := markup.Find(spans.ReplaceAll(out, nil)); m != nil {
			t.Errorf("a page would render %q", m)
		}
	}
	if !isJSON && len(s) < 1000 && strings.ContainsAny(s, "\n\r") {
		// A name never begins a line of its own.
		for line := range strings.Lines(string(out)) {
			for _, part := range strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })[1:] {
				if strings.HasPrefix(line, part) {
					t.Errorf("a name wrote a line of its own: %q", line)
				}
			}
		}
	}
}

// spans are what Markdown shows as it stands; markup is what a foreign text
// would have to get out of them to become a link, an image, an element, a
// mention of a person or an issue.
var (
	spans  = regexp.MustCompile("(?s)```+text\n.*?\n```+\n|`[^`\n]+`|</?(details|summary|b)>")
	markup = regexp.MustCompile(`<[a-zA-Z/!]|\w\]\(|[^\\]!\[|@[A-Za-z]|(^|[^\\&])#[0-9]|(https?|javascript)://|[^\\]\*\*b`)
)

// ours is a workflow command that Merlon gives itself.
var ours = regexp.MustCompile(`^::(error|warning|notice) ((file|line|col|title)=[^:,]*,?)+::`)

// uncommanded holds that each line is one command of Merlon's own, with names
// only in its values, and returns what the runner shows.
func uncommanded(t *testing.T, out []byte) []byte {
	t.Helper()
	var rest strings.Builder
	n := 0
	for line := range strings.Lines(string(out)) {
		m := ours.FindString(line)
		if m == "" {
			t.Errorf("a line is no annotation: %q", line)
		}
		n++
		rest.WriteString("  " + line[len(m):])
	}
	if n > 30 {
		t.Errorf("%d annotations, a step has room for 30", n)
	}
	return []byte(rest.String())
}

// TestHostileManifests runs the same texts through the whole of a scan, as
// names, labels, images and file names.
func TestHostileManifests(t *testing.T) {
	dir := t.TempDir()
	for name, s := range hostile {
		if len(s) > 1000 || !utf8.ValidString(s) {
			continue
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		doc := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": %[1]s, "namespace": %[1]s, "labels": {%[1]s: %[1]s}, "annotations": {%[1]s: %[1]s}},
"spec": {"serviceAccountName": %[1]s, "volumes": [{"name": %[1]s, "hostPath": {"path": %[1]s}}], "containers": [{"name": %[1]s, "image": %[1]s, "securityContext": {"privileged": true, "capabilities": {"add": [%[1]s]}}, "command": [%[1]s], "env": [{"name": %[1]s, "value": %[1]s}], "volumeMounts": [{"name": "x", "mountPath": %[1]s}], "ports": [{"name": %[1]s, "containerPort": 0}]}]}}
{"apiVersion": "v1", "kind": %[1]s, "metadata": {"name": %[1]s}, %[1]s: 1}
{"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": %[1]s}, "roleRef": {"kind": "ClusterRole", "name": %[1]s}, "subjects": [{"kind": "User", "name": %[1]s}]}
{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": %[1]s}, "spec": {"rules": [{"host": %[1]s, "http": {"paths": [{"path": %[1]s, "backend": {"service": {"name": %[1]s, "port": {"name": %[1]s}}}}]}}]}}
`, text)
		if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".json"), []byte(doc), 0o644); err != nil {
			t.Fatal(err)
		}
		if !strings.ContainsAny(s, "/\x00") && len(s) < 200 {
			if err := os.WriteFile(filepath.Join(dir, s+".yaml"), []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {hostNetwork: true, containers: [{name: a, image: b}]}\n---\nbroken: [\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	// One scan writes them all: the scan is what costs.
	args, files := []string{"scan", "--all"}, map[string]string{}
	for _, k := range builtin.Sinks() {
		files[k.Name] = filepath.Join(t.TempDir(), "report")
		args = append(args, "-o", k.Name+"="+files[k.Name])
	}
	stdout, stderr, code := merlon(t, "", append(args, dir)...)
	if code != 1 || stdout != "" {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	obeyed(t, "stderr", []byte(stderr), "")
	for name, file := range files {
		out, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		obeyed(t, name, out, "")
	}
}
