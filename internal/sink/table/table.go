// Package table is the sink for people: what to mend first, where, why, and
// how, with repeats of one mistake collapsed.
package table

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

// shown is how many places of one mistake are listed.
const shown = 8

// Kind describes the sink.
func Kind() config.Kind[sink.Sink] {
	return config.Kind[sink.Sink]{
		Name: "table", Doc: "what to mend first, for people to read", Example: "-o table",
		New: func(decode func(any) error) (sink.Sink, error) {
			s := &Sink{}
			return s, decode(&s.out)
		},
	}
}

// Sink writes text.
type Sink struct{ out sink.Output }

// mistake is all findings of one control.
type mistake struct {
	first    *finding.Finding
	findings []*finding.Finding
	count    int
}

// Publish writes the report.
func (s *Sink) Publish(_ context.Context, r *finding.Report) error {
	w := &writer{Writer: bufio.NewWriter(s.out.W), color: s.out.Color}
	for _, m := range mistakes(r) {
		w.mistake(m)
	}
	w.gaps(r.Gaps)
	for _, n := range r.Notices {
		fmt.Fprintf(w, "%s %s\n", w.paint(yellow, "note"), sink.Text(n))
	}
	w.summary(r)
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// mistakes groups open findings by control: the most severe first, then the
// most frequent.
func mistakes(r *finding.Report) []*mistake {
	by := map[string]*mistake{}
	var out []*mistake
	for i := range r.Findings {
		f := &r.Findings[i]
		if !f.Open() {
			continue
		}
		key := f.Control + string(f.Verdict)
		m := by[key]
		if m == nil {
			m = &mistake{first: f}
			by[key] = m
			out = append(out, m)
		}
		m.findings = append(m.findings, f)
		m.count += f.Count
	}
	slices.SortStableFunc(out, func(a, b *mistake) int {
		return cmp.Or(cmp.Compare(b.first.Severity, a.first.Severity), cmp.Compare(b.count, a.count), cmp.Compare(a.first.Control, b.first.Control))
	})
	return out
}

type writer struct {
	*bufio.Writer
	color bool
}

const (
	red     = "31;1"
	magenta = "35;1"
	yellow  = "33"
	blue    = "34"
	green   = "32"
	dim     = "2"
	bold    = "1"
)

func (w *writer) paint(code, s string) string {
	if !w.color {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func shade(s finding.Severity) string {
	switch s {
	case finding.Critical:
		return magenta
	case finding.High:
		return red
	case finding.Medium:
		return yellow
	}
	return blue
}

func (w *writer) mistake(m *mistake) {
	f := m.first
	title := f.Title
	if f.Verdict == finding.Unknown {
		title += " (could not be judged)"
	}
	fmt.Fprintf(w, "%s  %s  %s\n", w.paint(shade(f.Severity), fmt.Sprintf("%-8s", strings.ToUpper(f.Severity.String()))), w.paint(bold, sink.Text(title)), w.paint(dim, f.Control))
	for i, f := range m.findings {
		if i == shown {
			fmt.Fprintf(w, "          … and %d more\n", len(m.findings)-shown)
			break
		}
		w.finding(f)
	}
	w.lines(w.paint(dim, "why:"), f.Why)
	w.fix(f.Fix)
	fmt.Fprintln(w)
}

func (w *writer) finding(f *finding.Finding) {
	fmt.Fprintf(w, "          %s%s%s\n", place(f.Location, f.Subject.Cluster), sink.Subject(f.Subject), w.paint(dim, sink.Text(around(f))))
	detail := sink.Text(f.Message)
	if f.Count > 1 {
		detail += fmt.Sprintf(" (%d times)", f.Count)
	}
	if len(f.Evidence) > 0 {
		detail += w.paint(dim, "  ["+sink.Text(f.Evidence[0].Path)+" = "+sink.Text(f.Evidence[0].Value)+"]")
	}
	fmt.Fprintf(w, "            %s\n", detail)
	if about := sink.Rendered(f); about != "" {
		fmt.Fprintf(w, "            %s\n", w.paint(dim, about))
	}
}

// place is Place with room behind it; an object of a cluster stands in no file.
func place(l finding.Location, cluster string) string {
	if l.File == "" && cluster != "" {
		return ""
	}
	return sink.Place(l) + "  "
}

// around says what belongs to the subject in its cluster: its pods, and what
// would write it anew.
func around(f *finding.Finding) string {
	var parts []string
	if f.Pods > 0 {
		parts = append(parts, sink.Plural(f.Pods, "pod"))
	}
	for _, m := range f.ManagedBy {
		name := m.Name
		if m.Namespace != "" {
			name = m.Namespace + "/" + m.Name
		}
		parts = append(parts, m.Tool+" "+m.Kind+" "+name)
	}
	if len(parts) == 0 {
		return ""
	}
	return "  (" + strings.Join(parts, ", ") + ")"
}

// maxLines is how many lines of a text are shown; explain has all.
const maxLines = 12

// fix writes the beginning of a fix: its first paragraph, with the YAML that it
// announces.
func (w *writer) fix(text string) {
	text = strings.TrimRight(text, "\n ")
	first, rest, _ := strings.Cut(strings.TrimLeft(text, "\n"), "\n\n")
	if strings.HasSuffix(strings.TrimSpace(first), ":") {
		yaml, _, _ := strings.Cut(rest, "\n\n")
		first += "\n" + yaml
	}
	w.lines(w.paint(green, "fix:"), first)
}

// lines writes some lines behind a label of four letters.
func (w *writer) lines(label, text string) {
	if text = strings.Trim(text, "\n "); text == "" {
		return
	}
	for i, line := range strings.Split(text, "\n") {
		switch {
		case i == 0:
			fmt.Fprintf(w, "          %s %s\n", label, sink.Text(line))
		case i < maxLines:
			fmt.Fprintf(w, "               %s\n", sink.Text(line))
		}
	}
}

func (w *writer) gaps(gaps []finding.Gap) {
	if len(gaps) == 0 {
		return
	}
	fmt.Fprintf(w, "%s  %s\n", w.paint(yellow, "GAPS    "), w.paint(bold, "not seen, so not judged"))
	for i, g := range gaps {
		if i == shown*4 {
			fmt.Fprintf(w, "          … and %d more\n", len(gaps)-i)
			break
		}
		subject := ""
		if g.Subject != "" {
			subject = sink.Text(g.Subject) + ": "
		}
		fmt.Fprintf(w, "          %s%s%s  %s\n", place(g.Location, g.Subject), subject, sink.Text(g.Message), w.paint(dim, g.Kind))
	}
	fmt.Fprintln(w)
}

func (w *writer) summary(r *finding.Report) {
	s := &r.Summary
	var parts []string
	for _, level := range []finding.Severity{finding.Critical, finding.High, finding.Medium, finding.Low} {
		if n := s.Severities[level.String()]; n > 0 {
			parts = append(parts, w.paint(shade(level), fmt.Sprintf("%d %s", n, level)))
		}
	}
	counts := strings.Join(parts, ", ")
	if counts == "" {
		counts = w.paint(green, "no findings")
	}
	fmt.Fprintf(w, "%s in %s of %s, by %s for Kubernetes %s\n", counts, sink.Plural(s.Objects, "object"), from(r), sink.Plural(s.Controls, "control"), r.Kubernetes)
	var aside []string
	if s.Gaps > 0 {
		aside = append(aside, sink.Plural(s.Gaps, "gap"))
	}
	if s.Waived > 0 {
		aside = append(aside, fmt.Sprintf("%d waived", s.Waived))
	}
	if s.Baseline > 0 {
		aside = append(aside, fmt.Sprintf("%d known from the baseline", s.Baseline))
	}
	if len(aside) > 0 {
		fmt.Fprintf(w, "%s\n", strings.Join(aside, ", "))
	}
	for _, f := range r.Frameworks {
		fmt.Fprintf(w, "%s: %s\n", f.Name, totals(f.Totals))
	}
	if s.Findings > 0 {
		fmt.Fprintf(w, "%s\n", w.paint(dim, "merlon explain CONTROL teaches the attack, the fix and its price"))
	}
}

// from says where the objects came from.
func from(r *finding.Report) string {
	if r.Cluster != nil {
		return sink.Text(strings.Join(r.Target, " "))
	}
	return sink.Plural(r.Summary.Files, "file")
}

func totals(t map[string]int) string {
	var parts []string
	for _, v := range []finding.Verdict{finding.Pass, finding.Guarded, finding.Fail, finding.Unknown, finding.Manual, finding.NotApplicable, finding.NotAssessed} {
		if n := t[string(v)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, v))
		}
	}
	return strings.Join(parts, ", ")
}
