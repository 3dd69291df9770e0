package e2e

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
	"go.yaml.in/yaml/v3"
)

// This file holds the sinks for programs to the forms that they claim to write,
// from each form's own specification. That of SARIF has a test of its own.

// sizes are how many findings the forms are tried with.
var sizes = []int{0, 1, 12, 3_000}

// many is a report of n findings with everything that a finding can have.
func many(n int) *finding.Report {
	r := &finding.Report{Schema: finding.Schema, Merlon: "0.1.0", Kubernetes: "1.36", Target: []string{"./deploy"}, Notices: []string{"a note"}}
	if n > 0 {
		r.Gaps = []finding.Gap{{Kind: "invalid-yaml", Source: "manifest", Message: "m", Location: finding.Location{File: "a b/ü.yaml", Line: 3, Column: 2}}, {Kind: "unreadable", Source: "manifest", Subject: "Pod x"}}
	}
	for i := range n {
		f := finding.Finding{
			ID: fmt.Sprintf("%032x", i), Control: fmt.Sprintf("family/control-%d", i%300), Family: "family", Title: "title", Fix: "fix:\n\n    a: b\n",
			Severity: finding.Severity(1 + i%4), Verdict: finding.Fail, Message: "message", Count: 1, Frameworks: map[string][]string{"nsa": {"x", "y"}, "stig": {"z"}},
			Subject:  finding.Subject{APIVersion: "v1", Kind: "Pod", Namespace: fmt.Sprintf("n-%d", i%5), Name: "x", Container: "c"},
			Location: finding.Location{File: "./dir/file.yaml", Line: 1, Column: 1}, Evidence: []finding.Evidence{{Path: "a.b", Value: "c"}},
		}
		switch i % 6 {
		case 1:
			f.Waived = &finding.Waived{By: "ann", Reason: "r", Until: "2099-12-31", Source: "inline"}
		case 2:
			f.Baseline = true
		case 3:
			f.Verdict = finding.Unknown
		case 4:
			f.Location, f.Message, f.Title, f.Fix, f.Evidence, f.Frameworks = finding.Location{}, "", "", "", nil, nil
		case 5:
			f.Subject.Namespace, f.Subject.APIVersion, f.Message, f.Fix = "", "", strings.Repeat("ü", 3000), strings.Repeat("fix ", 10_000)
		}
		r.Findings = append(r.Findings, f)
	}
	finding.Sort(r.Findings)
	r.Summarise()
	return r
}

func published(t *testing.T, name string, r *finding.Report) []byte {
	t.Helper()
	kind, ok := config.Find(builtin.Sinks(), name)
	if !ok {
		t.Fatalf("no sink %s", name)
	}
	var b bytes.Buffer
	s, err := kind.New(func(v any) error {
		*v.(*sink.Output) = sink.Output{W: &b, Target: r.Target, Time: time.Unix(1_800_000_000, 0).UTC()}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Every sink says the same of the same report, and says nothing without a line
// that is not in the report: no clock but the one it is given.
func TestSinksAreDeterministic(t *testing.T) {
	for _, k := range builtin.Sinks() {
		if a, b := published(t, k.Name, many(200)), published(t, k.Name, many(200)); !bytes.Equal(a, b) {
			t.Errorf("%s: two documents of one report differ", k.Name)
		}
	}
}

// Every sink for people and programs tells of gaps.
func TestSinksTellGaps(t *testing.T) {
	r := &finding.Report{Merlon: "0", Gaps: []finding.Gap{{Kind: "unreadable", Message: "thewordtolookfor", Location: finding.Location{File: "x.yaml"}}}}
	r.Summarise()
	for _, k := range builtin.Sinks() {
		if out := published(t, k.Name, r); !bytes.Contains(out, []byte("thewordtolookfor")) {
			t.Errorf("%s does not tell what could not be seen", k.Name)
		}
	}
}

func strict(t *testing.T, data []byte, into any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Fatalf("%v in %.300s", err, data)
	}
}

func among(t *testing.T, what, v string, known ...string) {
	t.Helper()
	if !slices.Contains(known, v) {
		t.Errorf("%s is %q, not one of %q", what, v, known)
	}
}

func TestJUnitForm(t *testing.T) {
	type outcome struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
	}
	type counts struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
	}
	for _, n := range sizes {
		var doc struct {
			XMLName xml.Name `xml:"testsuites"`
			counts
			Suites []struct {
				counts
				Name  string `xml:"name,attr"`
				Cases []struct {
					Name    string    `xml:"name,attr"`
					Class   string    `xml:"classname,attr"`
					Failure []outcome `xml:"failure"`
					Error   []outcome `xml:"error"`
					Skipped []outcome `xml:"skipped"`
				} `xml:"testcase"`
			} `xml:"testsuite"`
		}
		r := many(n)
		if err := xml.Unmarshal(published(t, "junit", r), &doc); err != nil {
			t.Fatal(err)
		}
		var sum counts
		for _, s := range doc.Suites {
			var own counts
			for _, c := range s.Cases {
				own.Tests++
				own.Failures, own.Errors, own.Skipped = own.Failures+len(c.Failure), own.Errors+len(c.Error), own.Skipped+len(c.Skipped)
				if c.Name == "" || c.Class == "" || len(c.Failure)+len(c.Error)+len(c.Skipped) > 1 {
					t.Fatalf("case %+v", c)
				}
			}
			if own != s.counts {
				t.Errorf("suite %s counts %+v, has %+v", s.Name, s.counts, own)
			}
			sum.Tests, sum.Failures, sum.Errors, sum.Skipped = sum.Tests+own.Tests, sum.Failures+own.Failures, sum.Errors+own.Errors, sum.Skipped+own.Skipped
		}
		if sum != doc.counts {
			t.Errorf("counts %+v, has %+v", doc.counts, sum)
		}
		if want := max(1, n+len(r.Gaps)); sum.Tests != want || sum.Failures+sum.Errors != r.Summary.Findings+len(r.Gaps) || sum.Skipped != r.Summary.Waived+r.Summary.Baseline {
			t.Errorf("%d findings, %+v: %+v", n, r.Summary, sum)
		}
	}
}

func TestCSVForm(t *testing.T) {
	for _, n := range sizes {
		r := many(n)
		rows, err := csv.NewReader(bytes.NewReader(published(t, "csv", r))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != 1+n+len(r.Gaps) {
			t.Errorf("%d rows of %d findings", len(rows), n)
		}
		for _, row := range rows[1:] {
			among(t, "type", row[0], "finding", "gap")
			among(t, "status", row[1], "open", "waived", "baseline")
		}
	}
	for name, s := range hostile {
		rows, err := csv.NewReader(bytes.NewReader(published(t, "csv", poisoned(s)))).ReadAll()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, cell := range slices.Concat(rows...) {
			if _, err := strconv.Atoi(cell); err != nil && strings.ContainsAny(strings.TrimSpace(cell)[:min(1, len(strings.TrimSpace(cell)))], "=+-@|%") {
				t.Errorf("%s: a spreadsheet would calculate %q", name, cell)
			}
		}
	}
}

// However many findings, a page is short enough, and every finding is listed,
// counted in its section, or counted as left out.
func TestMarkdownForm(t *testing.T) {
	section := regexp.MustCompile(`(?m)^<details><summary>.* · (?:critical|high|medium|low) · (\d+) findings?</summary>$`)
	left := regexp.MustCompile(`Left out for length: (\d+) findings?`)
	for _, n := range append(sizes, 30_000) {
		r := many(n)
		out := string(published(t, "markdown", r))
		if len(out) > 65_536 {
			t.Errorf("%d findings: %d bytes", n, len(out))
		}
		sum := 0
		for _, m := range append(section.FindAllStringSubmatch(out, -1), left.FindAllStringSubmatch(out, -1)...) {
			k, err := strconv.Atoi(m[1])
			if err != nil {
				t.Fatal(err)
			}
			sum += k
		}
		if sum != r.Summary.Findings {
			t.Errorf("%d open findings, %d accounted for", r.Summary.Findings, sum)
		}
		if open, closed := strings.Count(out, "<details>"), strings.Count(out, "</details>"); open != closed {
			t.Errorf("%d folds opened, %d closed", open, closed)
		}
	}
}

// openreports/reports-api, apis/openreports.io/v1alpha1: Report, ClusterReport.
func TestOpenReportsForm(t *testing.T) {
	type object struct {
		APIVersion string `yaml:"apiVersion"`
		Kind       string
		Metadata   struct {
			Name, Namespace string
			Labels          map[string]string
		}
		Source  string
		Summary struct{ Pass, Fail, Warn, Error, Skip int }
		Results []struct {
			Policy, Rule, Category, Severity, Result, Message string
			Scored                                            bool
			Resources                                         []struct {
				APIVersion            string `yaml:"apiVersion"`
				Kind, Namespace, Name string
			}
			Timestamp  struct{ Seconds, Nanos int64 }
			Properties map[string]string
		}
	}
	name := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)
	for _, n := range sizes {
		r := many(n)
		data := published(t, "openreports", r)
		for _, doc := range bytes.Split(data, []byte("\n---\n")) {
			if len(doc) > 1<<20 {
				t.Errorf("an object of %d bytes", len(doc))
			}
		}
		dec := yaml.NewDecoder(bytes.NewReader(data))
		dec.KnownFields(true)
		results, seen := 0, map[string]bool{}
		for {
			var o object
			err := dec.Decode(&o)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			key := o.Kind + o.Metadata.Namespace + "/" + o.Metadata.Name
			if o.APIVersion != "openreports.io/v1alpha1" || (o.Kind == "Report") == (o.Metadata.Namespace == "") || o.Source == "" || !name.MatchString(o.Metadata.Name) || seen[key] {
				t.Errorf("object %s of %s, seen %v", key, o.APIVersion, seen[key])
			}
			seen[key] = true
			if s := o.Summary; s.Pass+s.Fail+s.Warn+s.Error+s.Skip != len(o.Results) {
				t.Errorf("%s: summary %+v of %d results", key, s, len(o.Results))
			}
			for _, x := range o.Results {
				results++
				among(t, "result", x.Result, "pass", "fail", "warn", "error", "skip")
				among(t, "severity", x.Severity, "", "critical", "high", "medium", "low", "info")
				if x.Policy == "" || x.Message == "" || x.Timestamp.Seconds == 0 {
					t.Fatalf("result %+v", x)
				}
			}
		}
		if results != n+len(r.Gaps) {
			t.Errorf("%d results of %d findings", results, n)
		}
	}
}

// schema.ocsf.io, 1.8.0: Compliance Finding, what is required and its enums.
func TestOCSFForm(t *testing.T) {
	type event struct {
		Activity     int    `json:"activity_id"`
		ActivityName string `json:"activity_name"`
		Category     int    `json:"category_uid"`
		CategoryName string `json:"category_name"`
		Class        int    `json:"class_uid"`
		ClassName    string `json:"class_name"`
		Type         int    `json:"type_uid"`
		TypeName     string `json:"type_name"`
		Severity     int    `json:"severity_id"`
		SeverityName string `json:"severity"`
		Status       int    `json:"status_id"`
		StatusName   string `json:"status"`
		Time         int64
		Message      string
		Comment      string
		Metadata     struct {
			Version string
			Product struct {
				Name, Version string
				Vendor        string `json:"vendor_name"`
			}
		}
		Info struct {
			UID, Title, Desc string
			Types            []string
		} `json:"finding_info"`
		Compliance struct {
			Control, Status         string
			Standards, Requirements []string
			StatusID                int    `json:"status_id"`
			Detail                  string `json:"status_detail"`
		}
		Resources   []struct{ UID, Name, Type, Namespace string }
		Remediation *struct{ Desc string }
		Unmapped    map[string]any
	}
	severities := map[int]string{0: "Unknown", 1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical", 6: "Fatal"}
	states := map[int]string{1: "New", 2: "In Progress", 3: "Suppressed", 4: "Resolved"}
	verdicts := map[int]string{1: "Pass", 2: "Warning", 3: "Fail"}
	for _, n := range sizes {
		r := many(n)
		lines := bytes.Split(bytes.TrimSuffix(published(t, "ocsf", r), []byte("\n")), []byte("\n"))
		if n == 0 {
			continue // nothing is said
		}
		if len(lines) != n+len(r.Gaps) {
			t.Errorf("%d events of %d findings", len(lines), n)
		}
		for _, line := range lines {
			var e event
			strict(t, line, &e)
			if e.Category != 2 || e.Class != 2003 || e.Type != e.Class*100+e.Activity || e.Time != 1_800_000_000_000 {
				t.Fatalf("event %+v", e)
			}
			if severities[e.Severity] != e.SeverityName || states[e.Status] != e.StatusName || verdicts[e.Compliance.StatusID] != e.Compliance.Status {
				t.Fatalf("ids and captions differ: %+v", e)
			}
			if e.Metadata.Version != "1.8.0" || e.Metadata.Product.Name == "" || e.Info.UID == "" || e.Info.Title == "" || len(e.Compliance.Standards) == 0 || e.Compliance.Control == "" {
				t.Fatalf("something required is missing: %+v", e)
			}
		}
	}
}

// GitLab, "Import Code Quality results from a CI/CD job".
func TestGitLabQualityForm(t *testing.T) {
	for _, n := range sizes {
		r := many(n)
		var issues []struct {
			Description, Fingerprint, Severity string
			Check                              string `json:"check_name"`
			Location                           struct {
				Path  string
				Lines struct{ Begin int }
			}
		}
		strict(t, published(t, "gitlab", r), &issues)
		if issues == nil || len(issues) != n+len(r.Gaps) {
			t.Errorf("%d issues of %d findings", len(issues), n)
		}
		seen := map[string]bool{}
		for _, x := range issues {
			among(t, "severity", x.Severity, "info", "minor", "major", "critical", "blocker")
			if x.Description == "" || x.Check == "" || x.Fingerprint == "" || seen[x.Fingerprint] || x.Location.Lines.Begin < 1 || x.Location.Path == "" || strings.HasPrefix(x.Location.Path, "./") {
				t.Fatalf("issue %+v, seen %v", x, seen[x.Fingerprint])
			}
			seen[x.Fingerprint] = true
		}
	}
}

// GitLab security-report-schemas, sast-report-format 15.0.7.
func TestGitLabSASTForm(t *testing.T) {
	type program struct {
		ID, Name, Version string
		Vendor            struct{ Name string }
	}
	stamp := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$`)
	for _, n := range sizes {
		r := many(n)
		var doc struct {
			Version string
			Scan    struct {
				Analyzer, Scanner program
				Type, Status      string
				Start             string `json:"start_time"`
				End               string `json:"end_time"`
				Messages          []struct{ Level, Value string }
			}
			Vulnerabilities []struct {
				ID, Name, Description, Severity, Solution string
				Identifiers                               []struct{ Type, Name, Value string }
				Location                                  struct {
					File  string
					Start int `json:"start_line"`
				}
			}
		}
		strict(t, published(t, "gitlab-sast", r), &doc)
		s := doc.Scan
		if doc.Version != "15.0.7" || s.Type != "sast" || s.Status != "success" || !stamp.MatchString(s.Start) || !stamp.MatchString(s.End) || s.Analyzer.ID == "" || s.Analyzer.Vendor.Name == "" || s.Analyzer != s.Scanner || s.Analyzer.Version == "" {
			t.Errorf("scan %+v", s)
		}
		for _, m := range s.Messages {
			among(t, "level", m.Level, "info", "warn", "fatal")
		}
		if doc.Vulnerabilities == nil || len(doc.Vulnerabilities) != n || len(s.Messages) != len(r.Gaps) {
			t.Errorf("%d vulnerabilities of %d findings", len(doc.Vulnerabilities), n)
		}
		seen := map[string]bool{}
		for _, v := range doc.Vulnerabilities {
			among(t, "severity", v.Severity, "Info", "Unknown", "Low", "Medium", "High", "Critical")
			if v.ID == "" || seen[v.ID] || len([]rune(v.Name)) > 255 || v.Name == "" || len([]rune(v.Description)) > 1048576 || len([]rune(v.Solution)) > 7000 || len(v.Identifiers) == 0 || v.Location.File == "" {
				t.Fatalf("vulnerability %+v", v)
			}
			seen[v.ID] = true
		}
	}
}

// GitHub, "Workflow commands": ten of each level a step.
func TestGitHubForm(t *testing.T) {
	for _, n := range sizes {
		r := many(n)
		levels := map[string]int{}
		out := published(t, "github", r)
		for line := range strings.Lines(string(out)) {
			m := ours.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("no annotation: %q", line)
			}
			levels[m[1]]++
		}
		for level, k := range levels {
			if k > 10 {
				t.Errorf("%d findings: %d of level %s", n, k, level)
			}
		}
		if !bytes.Contains(out, []byte(sink.Plural(r.Summary.Findings, "open finding"))) {
			t.Errorf("%d findings: the sum is not told", n)
		}
	}
}
