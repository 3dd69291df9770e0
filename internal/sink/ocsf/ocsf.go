// Package ocsf is the sink that writes events of the Open Cybersecurity Schema
// Framework 1.8.0, one JSON document a line: a Compliance Finding (2003) for
// each finding and each gap.
//
// Source: schema.ocsf.io/1.8.0/classes/compliance_finding.
package ocsf

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

// schema is the version of the framework that events are of.
const schema = "1.8.0"

const maxText = 10_000 // characters of a text

// Kind describes the sink.
func Kind() config.Kind[sink.Sink] {
	return config.Kind[sink.Sink]{
		Name: "ocsf", Doc: "Compliance Finding events of OCSF " + schema + ", one a line", Example: "-o ocsf=merlon.jsonl",
		New: func(decode func(any) error) (sink.Sink, error) {
			s := &Sink{}
			return s, decode(&s.out)
		},
	}
}

// Sink writes one line per finding and gap.
type Sink struct{ out sink.Output }

type (
	event struct {
		Activity     int        `json:"activity_id"`
		ActivityName string     `json:"activity_name"`
		Category     int        `json:"category_uid"`
		CategoryName string     `json:"category_name"`
		Class        int        `json:"class_uid"`
		ClassName    string     `json:"class_name"`
		Type         int        `json:"type_uid"`
		TypeName     string     `json:"type_name"`
		Severity     int        `json:"severity_id"`
		SeverityName string     `json:"severity"`
		Status       int        `json:"status_id"`
		StatusName   string     `json:"status"`
		Time         int64      `json:"time"` // milliseconds
		Message      string     `json:"message"`
		Comment      string     `json:"comment,omitempty"`
		Metadata     metadata   `json:"metadata"`
		Info         info       `json:"finding_info"`
		Compliance   compliance `json:"compliance"`
		Resources    []resource `json:"resources,omitempty"`
		Remediation  *text      `json:"remediation,omitempty"`
		Unmapped     unmapped   `json:"unmapped"`
	}
	metadata struct {
		Product product `json:"product"`
		Version string  `json:"version"`
	}
	product struct {
		Name    string `json:"name"`
		Vendor  string `json:"vendor_name"`
		Version string `json:"version"`
	}
	info struct {
		UID   string   `json:"uid"`
		Title string   `json:"title"`
		Desc  string   `json:"desc"`
		Types []string `json:"types"`
	}
	compliance struct {
		Control      string   `json:"control"`
		Standards    []string `json:"standards"`
		Requirements []string `json:"requirements,omitempty"`
		Status       int      `json:"status_id"`
		StatusName   string   `json:"status"`
		Detail       string   `json:"status_detail,omitempty"`
	}
	resource struct {
		UID       string `json:"uid,omitempty"`
		Name      string `json:"name"`
		Type      string `json:"type,omitempty"`
		Namespace string `json:"namespace,omitempty"`
	}
	text struct {
		Desc string `json:"desc"`
	}
	unmapped struct {
		File     string     `json:"file,omitempty"`
		Line     uint32     `json:"line,omitempty"`
		Column   uint32     `json:"column,omitempty"`
		Count    int        `json:"count,omitempty"`
		Evidence []evidence `json:"evidence,omitempty"`
		Gap      string     `json:"gap,omitempty"`
	}
	evidence struct {
		Path  string `json:"path"`
		Value string `json:"value"`
	}
)

// Publish writes the report.
func (s *Sink) Publish(_ context.Context, r *finding.Report) error {
	w := bufio.NewWriterSize(s.out.W, 1<<16)
	var line []byte
	var err error
	write := func(e *event) {
		if err == nil {
			line, err = sink.AppendJSON(line[:0], e)
			w.Write(append(line, '\n'))
		}
	}
	for i := range r.Findings {
		write(s.finding(r, &r.Findings[i]))
	}
	for i := range r.Gaps {
		write(s.gap(r, &r.Gaps[i]))
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return fmt.Errorf("write OCSF: %w", err)
	}
	return nil
}

// base is what every event has.
func (s *Sink) base(r *finding.Report) *event {
	return &event{
		Activity: 1, ActivityName: "Create", Category: 2, CategoryName: "Findings", Class: 2003, ClassName: "Compliance Finding",
		Type: 200301, TypeName: "Compliance Finding: Create", Status: 1, StatusName: "New", Time: s.out.Time.UnixMilli(),
		Metadata: metadata{Product: product{"Merlon", "Merlon", r.Merlon}, Version: schema},
	}
}

func (s *Sink) finding(r *finding.Report, f *finding.Finding) *event {
	e := s.base(r)
	e.Severity, e.SeverityName = severity(f.Severity)
	e.Message = clip(f.Message)
	e.Info = info{f.ID, clip(f.Title), clip(f.Message), []string{f.Family}}
	e.Compliance = compliance{Control: f.Control, Status: 3, StatusName: "Fail"}
	for _, name := range slices.Sorted(maps.Keys(f.Frameworks)) {
		e.Compliance.Standards = append(e.Compliance.Standards, sink.Text(name))
		for _, item := range f.Frameworks[name] {
			e.Compliance.Requirements = append(e.Compliance.Requirements, sink.Text(name+" "+item))
		}
	}
	if len(e.Compliance.Standards) == 0 {
		e.Compliance.Standards = []string{"Merlon"}
	}
	if f.Verdict == finding.Unknown {
		e.Compliance.Status, e.Compliance.StatusName, e.Compliance.Detail = 2, "Warning", "could not be judged"
	}
	switch {
	case f.Waived != nil:
		e.Status, e.StatusName = 3, "Suppressed"
		e.Comment = clip(fmt.Sprintf("waived by %s until %s: %s", f.Waived.By, f.Waived.Until, f.Waived.Reason))
	case f.Baseline:
		e.Status, e.StatusName, e.Comment = 2, "In Progress", "known from the baseline"
	}
	e.Resources = []resource{{UID: clip(strings.Trim(f.Subject.Cluster+"/"+f.Subject.Namespace+"/"+f.Subject.Kind+"/"+f.Subject.Name, "/")), Name: clip(f.Subject.Name), Type: clip(f.Subject.Kind), Namespace: sink.Text(f.Subject.Namespace)}}
	if f.Fix != "" {
		e.Remediation = &text{sink.Clip(sink.Lines(f.Fix), maxText)}
	}
	e.Unmapped = unmapped{File: sink.Text(f.Location.File), Line: f.Location.Line, Column: f.Location.Column, Count: f.Count}
	for _, x := range f.Evidence {
		e.Unmapped.Evidence = append(e.Unmapped.Evidence, evidence{clip(x.Path), clip(x.Value)})
	}
	return e
}

func (s *Sink) gap(r *finding.Report, g *finding.Gap) *event {
	e := s.base(r)
	e.Severity, e.SeverityName = 0, "Unknown"
	e.Message = clip(g.Message)
	id := finding.ID("merlon/gap", "", "", g.Kind, g.Location.File, g.Subject, g.Message, fmt.Sprint(g.Location.Line, g.Location.Column))
	e.Info = info{id, "Not seen, so not judged", clip(g.Message), []string{"gap"}}
	e.Compliance = compliance{Control: "merlon/gap", Standards: []string{"Merlon"}, Status: 2, StatusName: "Warning", Detail: "not seen, so not judged"}
	e.Unmapped = unmapped{File: sink.Text(g.Location.File), Line: g.Location.Line, Column: g.Location.Column, Gap: g.Kind}
	return e
}

func severity(s finding.Severity) (int, string) {
	switch s {
	case finding.Critical:
		return 5, "Critical"
	case finding.High:
		return 4, "High"
	case finding.Medium:
		return 3, "Medium"
	case finding.Low:
		return 2, "Low"
	}
	return 1, "Informational"
}

// clip makes a foreign text safe and bounded; line breaks in it are spelt out.
func clip(s string) string { return sink.Clip(sink.Text(s), maxText) }
