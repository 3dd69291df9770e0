package gitlab

import (
	"context"
	"fmt"
	"strings"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

// schema is the version of the report form; GitLab refuses versions that it does
// not know, and knows this one from 16 on.
const schema = "15.0.7"

// SASTKind describes the sink of SAST reports.
func SASTKind() config.Kind[sink.Sink] {
	return config.Kind[sink.Sink]{
		Name: "gitlab-sast", Doc: "SAST report of GitLab, for its vulnerability report", Example: "-o gitlab-sast=gl-sast-report.json",
		New: func(decode func(any) error) (sink.Sink, error) {
			s := &SAST{}
			return s, decode(&s.out)
		},
	}
}

// SAST writes one SAST report per report.
type SAST struct{ out sink.Output }

type (
	report struct {
		Version         string          `json:"version"`
		Scan            scan            `json:"scan"`
		Vulnerabilities []vulnerability `json:"vulnerabilities"`
	}
	scan struct {
		Analyzer program   `json:"analyzer"`
		Scanner  program   `json:"scanner"`
		Type     string    `json:"type"`
		Start    string    `json:"start_time"`
		End      string    `json:"end_time"`
		Status   string    `json:"status"`
		Messages []message `json:"messages,omitempty"`
	}
	program struct {
		ID      string `json:"id"`
		Name    string `json:"name"`
		Version string `json:"version"`
		Vendor  vendor `json:"vendor"`
	}
	vendor struct {
		Name string `json:"name"`
	}
	message struct {
		Level string `json:"level"`
		Value string `json:"value"`
	}
	vulnerability struct {
		ID          string       `json:"id"`
		Name        string       `json:"name"`
		Description string       `json:"description"`
		Severity    string       `json:"severity"`
		Solution    string       `json:"solution,omitempty"`
		Identifiers []identifier `json:"identifiers"`
		Location    spot         `json:"location"`
	}
	identifier struct {
		Type  string `json:"type"`
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	spot struct {
		File string `json:"file"`
		Line uint32 `json:"start_line,omitempty"`
	}
)

// Publish writes the report. Gaps are messages of the scan, and the description
// of a waived finding says so: the form has no better place for either.
func (s *SAST) Publish(_ context.Context, r *finding.Report) error {
	const stamp = "2006-01-02T15:04:05"
	me := program{ID: "merlon", Name: "Merlon", Version: sink.Clip(r.Merlon, 100), Vendor: vendor{"Merlon"}}
	out := report{Version: schema, Vulnerabilities: []vulnerability{}, Scan: scan{
		Analyzer: me, Scanner: me, Type: "sast", Start: s.out.Time.Format(stamp), End: s.out.Time.Format(stamp), Status: "success",
	}}
	for _, g := range r.Gaps {
		out.Scan.Messages = append(out.Scan.Messages, message{"warn", sink.Clip(sink.Place(g.Location)+": not seen, so not judged: "+sink.Text(g.Message), maxText)})
	}
	for i := range r.Findings {
		out.Vulnerabilities = append(out.Vulnerabilities, s.vulnerability(&r.Findings[i]))
	}
	if err := sink.JSON(s.out.W, out, " "); err != nil {
		return fmt.Errorf("write SAST report: %w", err)
	}
	return nil
}

func (s *SAST) vulnerability(f *finding.Finding) vulnerability {
	level := f.Severity.String()
	solution := ""
	if f.Fix != "" {
		solution = sink.Clip(sink.Lines(f.Fix), maxSolution)
	}
	v := vulnerability{
		ID: f.ID, Name: sink.Clip(sink.Text(f.Title), 255), Severity: strings.ToUpper(level[:1]) + level[1:],
		Description: sink.Subject(f.Subject) + ": " + sink.Text(f.Message),
		Solution:    solution,
		Identifiers: []identifier{{"merlon_control", f.Control, f.Control}},
		Location:    spot{path(f.Location, s.out.Target), f.Location.Line},
	}
	switch {
	case f.Waived != nil:
		v.Description = "Waived until " + sink.Text(f.Waived.Until) + ", " + sink.Text(f.Waived.Reason) + ". " + v.Description
	case f.Baseline:
		v.Description = "Known from the baseline. " + v.Description
	case f.Verdict == finding.Unknown:
		v.Severity, v.Description = "Unknown", "Could not be judged. "+v.Description
	}
	if f.Why != "" {
		v.Description += "\n\n" + sink.Text(strings.Join(strings.Fields(f.Why), " "))
	}
	v.Description = sink.Clip(v.Description, maxLong)
	return v
}
