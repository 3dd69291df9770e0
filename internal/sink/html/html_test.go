package html

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

func pageOf(t *testing.T, r *finding.Report) string {
	t.Helper()
	var b bytes.Buffer
	if err := (&Sink{out: sink.Output{W: &b}}).Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func sample() *finding.Report {
	r := &finding.Report{Merlon: "0", Kubernetes: "1.36", Target: []string{"x"}, Notices: []string{"<b>note</b>"},
		Gaps: []finding.Gap{{Kind: "invalid-yaml", Message: "m", Location: finding.Location{File: "f.yaml", Line: 3}}}}
	r.Patches = []finding.Patch{{File: "f.yaml", Diff: "--- a/f.yaml\n-  </script><b>old</b>\n+  new\n"}}
	for _, name := range []string{"a", "b", "</script><script>alert(1)</script>"} {
		r.Findings = append(r.Findings, finding.Finding{
			ID: strings.Repeat("0", 32), Control: "workload/x", Family: "workload", Title: "t", Severity: finding.High, Verdict: finding.Fail, Count: 1, Fix: "f",
			Subject: finding.Subject{Kind: "Pod", Name: name}, Location: finding.Location{File: "f.yaml", Line: 1}, Message: "m", Evidence: []finding.Evidence{{Path: "a.b", Value: name}},
		})
	}
	r.Summarise()
	return r
}

var element = regexp.MustCompile(`(?s)<(script|style)([^>]*)>(.*?)</(?:script|style)>`)

// The policy lets nothing in but the page's own style and script, by the hash of
// just what stands in it.
func TestPolicyCoversThePage(t *testing.T) {
	page := pageOf(t, sample())
	m := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)
	if m == nil {
		t.Fatal("no policy")
	}
	policy := html.UnescapeString(m[1])
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "http") {
		t.Errorf("policy %s", policy)
	}
	parts := element.FindAllStringSubmatch(page, -1)
	if len(parts) != 3 {
		t.Fatalf("%d elements with code or data, want 3", len(parts))
	}
	for _, part := range parts {
		if strings.Contains(part[2], "json") {
			continue
		}
		sum := sha256.Sum256([]byte(part[3]))
		if hash := "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; !strings.Contains(policy, part[1]+"-src "+hash) {
			t.Errorf("the policy does not let the %s of the page run", part[1])
		}
	}
	for _, foreign := range []string{"http://", "https://", "src=", "@import", "url(", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "onclick=\""} {
		if strings.Contains(page, foreign) {
			t.Errorf("the page holds %s", foreign)
		}
	}
}

// Texts that findings share stand once, and every finding is a row.
func TestDataIsCompact(t *testing.T) {
	page := pageOf(t, sample())
	var d document
	for _, part := range element.FindAllStringSubmatch(page, -1) {
		if strings.Contains(part[2], "json") {
			if err := json.Unmarshal([]byte(part[3]), &d); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(d.Findings) != 3 || len(d.Controls) != 1 || len(d.Subjects) != 3 || len(d.Gaps) != 1 {
		t.Errorf("%d findings, %d controls, %d subjects, %d gaps", len(d.Findings), len(d.Controls), len(d.Subjects), len(d.Gaps))
	}
	seen := map[string]bool{}
	for _, s := range d.Strings {
		if seen[s] {
			t.Errorf("%q stands twice", s)
		}
		seen[s] = true
	}
	if !seen["</script><script>alert(1)</script>"] {
		t.Error("a name does not come back as it was")
	}
	if len(d.Patches) != 1 || !strings.Contains(page, `\u003cb\u003eold`) {
		t.Errorf("patches %v", d.Patches)
	}
	if strings.Contains(page, "<b>note</b>") {
		t.Error("a note is markup")
	}
}
