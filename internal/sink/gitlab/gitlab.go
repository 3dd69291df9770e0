// Package gitlab holds the sinks that write reports which GitLab shows in a merge
// request: Code Quality, and SAST for its vulnerability report.
//
// Sources: GitLab, "Code Quality", "Import Code Quality results from a CI/CD
// job"; security-report-schemas, sast-report-format 15.0.7.
package gitlab

import (
	"context"
	"fmt"
	"strings"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

const (
	maxText = 2_000 // characters of a description
	maxLong = 15_000

	maxSolution = 7_000 // the form's own limit
)

// Kind describes the sink of Code Quality.
func Kind() config.Kind[sink.Sink] {
	return config.Kind[sink.Sink]{
		Name: "gitlab", Doc: "Code Quality report of GitLab", Example: "-o gitlab=gl-code-quality-report.json",
		New: func(decode func(any) error) (sink.Sink, error) {
			s := &Quality{}
			return s, decode(&s.out)
		},
	}
}

// Quality writes one Code Quality report per report.
type Quality struct{ out sink.Output }

type (
	issue struct {
		Description string   `json:"description"`
		Check       string   `json:"check_name"`
		Fingerprint string   `json:"fingerprint"`
		Severity    string   `json:"severity"`
		Location    location `json:"location"`
	}
	location struct {
		Path  string `json:"path"`
		Lines lines  `json:"lines"`
	}
	lines struct {
		Begin uint32 `json:"begin"`
	}
)

// Publish writes the report. The form has no place for what is waived, known or
// not seen: the first two are of severity info and say so, a gap is an issue of
// its own. Nor has it one for a place without a line: that is line 1, and the
// description says that it is not known.
func (s *Quality) Publish(_ context.Context, r *finding.Report) error {
	out := make([]issue, 0, len(r.Findings)+len(r.Gaps))
	for i := range r.Findings {
		f := &r.Findings[i]
		x := issue{Check: f.Control, Fingerprint: f.ID, Severity: severity(f.Severity)}
		x.Description = sink.Text(f.Title) + ": " + sink.Subject(f.Subject) + ": " + sink.Text(f.Message)
		switch {
		case f.Waived != nil:
			x.Severity, x.Description = "info", "Waived until "+sink.Text(f.Waived.Until)+": "+x.Description
		case f.Baseline:
			x.Severity, x.Description = "info", "Known from the baseline: "+x.Description
		case f.Verdict == finding.Unknown:
			x.Description = "Could not be judged: " + x.Description
		}
		s.place(&x, f.Location)
		out = append(out, x)
	}
	for _, g := range r.Gaps {
		x := issue{Check: "merlon/gap", Severity: "major", Description: "Not seen, so not judged: " + sink.Text(g.Message)}
		x.Fingerprint = finding.ID("merlon/gap", "", "", g.Kind, g.Location.File, g.Subject, g.Message, fmt.Sprint(g.Location.Line, g.Location.Column))
		s.place(&x, g.Location)
		out = append(out, x)
	}
	if err := sink.JSON(s.out.W, out, " "); err != nil {
		return fmt.Errorf("write Code Quality report: %w", err)
	}
	return nil
}

func (s *Quality) place(x *issue, l finding.Location) {
	x.Location = location{Path: path(l, s.out.Target), Lines: lines{max(l.Line, 1)}}
	if l.Line == 0 {
		x.Description += " (line not known)"
	}
	x.Description = sink.Clip(x.Description, maxText)
}

// path is where something stands, relative to the repository as GitLab wants it;
// what stands in no file is placed at what was scanned.
func path(l finding.Location, target []string) string {
	file := l.File
	if file == "" && len(target) > 0 {
		file = target[0]
	}
	return sink.Clip(strings.TrimPrefix(sink.Text(file), "./"), maxText)
}

func severity(s finding.Severity) string {
	switch s {
	case finding.Critical:
		return "blocker"
	case finding.High:
		return "critical"
	case finding.Medium:
		return "major"
	}
	return "minor"
}
