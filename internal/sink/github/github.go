// Package github is the sink that writes workflow commands of GitHub Actions, by
// which findings stand as annotations beside the lines of a pull request.
//
// Source: GitHub, "Workflow commands for GitHub Actions", "Setting an error
// message"; limits: 10 annotations of each level in a step, 50 in a job.
package github

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

const (
	maxLevel = 10    // annotations of one level in a step; the service drops the rest
	maxText  = 4_000 // characters of a message
	maxTitle = 200
)

// Kind describes the sink.
func Kind() config.Kind[sink.Sink] {
	return config.Kind[sink.Sink]{
		Name: "github", Doc: "annotations of GitHub Actions, the worst ten of each level", Example: "-o github",
		New: func(decode func(any) error) (sink.Sink, error) {
			s := &Sink{}
			return s, decode(&s.out)
		},
	}
}

// Sink writes one command a line.
type Sink struct{ out sink.Output }

// Publish writes the report: open findings until a level is full, then a notice
// that counts what is left out. Gaps share one warning.
func (s *Sink) Publish(_ context.Context, r *finding.Report) error {
	w := bufio.NewWriter(s.out.W)
	room := map[string]int{"error": maxLevel, "warning": maxLevel, "notice": maxLevel - 1} // one notice is for the sum
	if n := len(r.Gaps); n > 0 {
		g := r.Gaps[0]
		text := fmt.Sprintf("%s: not seen, so not judged. The first: %s %s", sink.Plural(n, "gap"), sink.Place(g.Location), sink.Text(g.Message))
		command(w, "warning", g.Location, "Merlon could not see everything", text)
		room["warning"]--
	}
	left := map[finding.Severity]int{}
	aside := 0
	for i := range r.Findings {
		f := &r.Findings[i]
		level := levelOf(f.Severity)
		switch {
		case !f.Open():
			aside++
		case room[level] == 0:
			left[f.Severity]++
		default:
			room[level]--
			command(w, level, f.Location, f.Title+" ("+f.Control+")", text(f))
		}
	}
	command(w, "notice", finding.Location{}, "Merlon", sum(r, left, aside))
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write annotations: %w", err)
	}
	return nil
}

func levelOf(s finding.Severity) string {
	switch {
	case s >= finding.High:
		return "error"
	case s == finding.Medium:
		return "warning"
	}
	return "notice"
}

func text(f *finding.Finding) string {
	var b strings.Builder
	if f.Verdict == finding.Unknown {
		b.WriteString("could not be judged: ")
	}
	fmt.Fprintf(&b, "%s: %s", sink.Subject(f.Subject), sink.Text(f.Message))
	if len(f.Evidence) > 0 {
		fmt.Fprintf(&b, "\n%s = %s", sink.Text(f.Evidence[0].Path), sink.Text(f.Evidence[0].Value))
	}
	if about := sink.Rendered(f); about != "" {
		fmt.Fprintf(&b, "\n%s", about)
	}
	fmt.Fprintf(&b, "\nmerlon explain %s", f.Control)
	return b.String()
}

// sum tells what annotations do not.
func sum(r *finding.Report, left map[finding.Severity]int, aside int) string {
	text := fmt.Sprintf("%s in %s", sink.Plural(r.Summary.Findings, "open finding"), sink.Plural(r.Summary.Objects, "object"))
	var parts []string
	for _, level := range sink.Levels() {
		if n := left[level]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, level))
		}
	}
	if len(parts) > 0 {
		text += "; not annotated, for a step has room for ten of a level: " + strings.Join(parts, ", ")
	}
	if aside > 0 {
		text += fmt.Sprintf("; %d waived or known", aside)
	}
	if n := len(r.Gaps); n > 0 {
		text += "; " + sink.Plural(n, "gap")
	}
	return text
}

// command writes one workflow command. Its name is the only thing in the line
// that the runner obeys: the values are escaped as its toolkit does.
func command(w *bufio.Writer, level string, l finding.Location, title, text string) {
	w.WriteString("::" + level + " ")
	if l.File != "" {
		fmt.Fprintf(w, "file=%s,", property(strings.TrimPrefix(l.File, "./")))
	}
	if l.Line > 0 {
		fmt.Fprintf(w, "line=%d,", l.Line)
	}
	if l.Column > 0 {
		fmt.Fprintf(w, "col=%d,", l.Column)
	}
	fmt.Fprintf(w, "title=%s::%s\n", property(sink.Clip(title, maxTitle)), data(sink.Clip(text, maxText)))
}

func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(sink.Text(s))
}

// data escapes a message that is safe text already but for its line breaks.
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}
