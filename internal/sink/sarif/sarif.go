// Package sarif is the sink that writes SARIF 2.1.0 within the limits of code
// scanning services. Fingerprints are the ids of findings, so that a service
// tracks them as Merlon does.
//
// Sources: OASIS SARIF 2.1.0; GitHub's "SARIF support for code scanning".
package sarif

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

// Limits of code scanning services.
const (
	maxResults = 25_000
	maxTags    = 20
	maxText    = 1_000 // characters of a message
	maxHelp    = 10_000
)

// Kind describes the sink.
func Kind() config.Kind[sink.Sink] {
	return config.Kind[sink.Sink]{
		Name: "sarif", Doc: "SARIF 2.1.0, for code scanning services and editors", Example: "-o sarif=merlon.sarif",
		New: func(decode func(any) error) (sink.Sink, error) {
			s := &Sink{}
			return s, decode(&s.out)
		},
	}
}

// Sink writes one SARIF log per report.
type Sink struct{ out sink.Output }

type (
	log struct {
		Schema  string `json:"$schema"`
		Version string `json:"version"`
		Runs    []run  `json:"runs"`
	}
	run struct {
		Tool        tool         `json:"tool"`
		Invocations []invocation `json:"invocations"`
		Results     []result     `json:"results"`
		ColumnKind  string       `json:"columnKind"`
	}
	tool struct {
		Driver driver `json:"driver"`
	}
	driver struct {
		Name            string `json:"name"`
		SemanticVersion string `json:"semanticVersion,omitempty"`
		Rules           []rule `json:"rules"`
	}
	text struct {
		Text string `json:"text"`
	}
	rule struct {
		ID               string `json:"id"`
		Name             string `json:"name"`
		ShortDescription text   `json:"shortDescription"`
		FullDescription  text   `json:"fullDescription"`
		Help             text   `json:"help"`
		Default          level  `json:"defaultConfiguration"`
		Properties       props  `json:"properties"`
	}
	level struct {
		Level string `json:"level"`
	}
	props struct {
		Tags     []string `json:"tags,omitempty"`
		Security string   `json:"security-severity"`
	}
	invocation struct {
		ExecutionSuccessful bool           `json:"executionSuccessful"`
		Notifications       []notification `json:"toolExecutionNotifications,omitempty"`
	}
	notification struct {
		Level     string     `json:"level"`
		Message   text       `json:"message"`
		Locations []location `json:"locations,omitempty"`
	}
	result struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Kind         string            `json:"kind"`
		Message      text              `json:"message"`
		Locations    []location        `json:"locations"`
		Related      []location        `json:"relatedLocations,omitempty"`
		Fingerprints map[string]string `json:"partialFingerprints"`
		Suppressions []suppression     `json:"suppressions,omitempty"`
		Baseline     string            `json:"baselineState,omitempty"`
	}
	suppression struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
	location struct {
		Physical *physical `json:"physicalLocation,omitempty"`
		Logical  []logical `json:"logicalLocations,omitempty"`
	}
	physical struct {
		Artifact artifact `json:"artifactLocation"`
		Region   *region  `json:"region,omitempty"`
	}
	artifact struct {
		URI string `json:"uri"`
	}
	region struct {
		StartLine   uint32 `json:"startLine"`
		StartColumn uint32 `json:"startColumn,omitempty"`
	}
	logical struct {
		FullyQualifiedName string `json:"fullyQualifiedName"`
		Kind               string `json:"kind"`
	}
)

// Publish writes the report.
func (s *Sink) Publish(_ context.Context, r *finding.Report) error {
	out := run{ColumnKind: "utf16CodeUnits", Results: []result{}}
	out.Tool.Driver = driver{Name: "Merlon", SemanticVersion: r.Merlon, Rules: []rule{}}
	inv := invocation{ExecutionSuccessful: true}
	for _, g := range r.Gaps {
		inv.Notifications = append(inv.Notifications, notification{"warning", text{sink.Clip(sink.Text(g.Message), maxText)}, s.place(g.Location)})
	}
	rules := map[string]int{}
	for i := range r.Findings {
		f := &r.Findings[i]
		if len(out.Results) == maxResults {
			inv.Notifications = append(inv.Notifications, notification{"warning", text{fmt.Sprintf("%d findings beyond the %d that code scanning services take are left out, the least severe", len(r.Findings)-i, maxResults)}, nil})
			break
		}
		index, known := rules[f.Control]
		if !known {
			index = len(out.Tool.Driver.Rules)
			rules[f.Control] = index
			out.Tool.Driver.Rules = append(out.Tool.Driver.Rules, ruleOf(f))
		}
		out.Results = append(out.Results, s.result(f, index))
	}
	out.Invocations = []invocation{inv}
	if err := sink.JSON(s.out.W, log{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []run{out}}, " "); err != nil {
		return fmt.Errorf("write SARIF: %w", err)
	}
	return nil
}

func ruleOf(f *finding.Finding) rule {
	tags := []string{"security", "kubernetes", f.Family}
	for name := range f.Frameworks {
		tags = append(tags, name)
	}
	slices.Sort(tags[3:])
	return rule{
		ID: f.Control, Name: f.Control, ShortDescription: text{sink.Clip(f.Title, maxText)}, FullDescription: text{sink.Clip(cmp.Or(strings.Join(strings.Fields(f.Why), " "), f.Title), maxText)},
		Help: text{sink.Clip(strings.TrimSpace(f.Fix), maxHelp)}, Default: level{levelOf(f.Severity)},
		Properties: props{tags[:min(len(tags), maxTags)], score(f.Severity)},
	}
}

func levelOf(s finding.Severity) string {
	switch {
	case s >= finding.High:
		return "error"
	case s == finding.Medium:
		return "warning"
	}
	return "note"
}

// score is the number by which code scanning services band severities: over 9
// critical, 7 high, 4 medium.
func score(s finding.Severity) string {
	switch s {
	case finding.Critical:
		return "9.5"
	case finding.High:
		return "8.0"
	case finding.Medium:
		return "5.5"
	}
	return "2.0"
}

func (s *Sink) result(f *finding.Finding, rule int) result {
	out := result{
		RuleID: f.Control, RuleIndex: rule, Level: levelOf(f.Severity), Kind: "fail",
		Message: text{sink.Clip(sink.Text(f.Message), maxText)}, Locations: s.place(f.Location),
		Fingerprints: map[string]string{"merlon/v1": f.ID, "primaryLocationLineHash": f.ID},
	}
	if f.Verdict == finding.Unknown {
		out.Kind, out.Level = "review", "none"
	}
	out.Locations[0].Logical = []logical{{sink.Text(strings.Trim(f.Subject.Namespace+"/"+f.Subject.Kind+"/"+f.Subject.Name+"/"+f.Subject.Container, "/")), "resource"}}
	for _, l := range f.Also {
		out.Related = append(out.Related, s.place(l)...)
	}
	if w := f.Waived; w != nil {
		kind := "external"
		if w.Source == "inline" {
			kind = "inSource"
		}
		out.Suppressions = []suppression{{kind, "accepted", sink.Clip(sink.Text(w.Reason), maxText)}}
	}
	if f.Baseline {
		out.Baseline = "unchanged"
	}
	return out
}

// place writes where something stands. What stands in no file is placed at what
// was scanned, without a line.
func (s *Sink) place(l finding.Location) []location {
	file := l.File
	if file == "" && len(s.out.Target) > 0 {
		file = s.out.Target[0]
	}
	p := &physical{Artifact: artifact{uri(file)}}
	if l.Line > 0 {
		p.Region = &region{l.Line, l.Column}
	}
	return []location{{Physical: p}}
}

// uri writes a path as a URI: relative where the path is, file:// otherwise.
func uri(path string) string {
	path = filepath.ToSlash(path)
	u := url.URL{Path: path}
	if strings.HasPrefix(path, "/") {
		u.Scheme = "file"
	}
	return strings.TrimPrefix(u.String(), "./")
}
