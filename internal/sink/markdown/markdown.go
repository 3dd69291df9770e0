// Package markdown is the sink that writes a comment for a pull request: what to
// mend first, the rest folded, within the length that services take.
//
// Sources: GitHub Flavored Markdown; the limit of 65,536 characters of a comment
// on GitHub (GitLab and others take more).
package markdown

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

const (
	maxPage  = 65_536 // bytes, which are at least as many as characters
	reserve  = 300    // room for the last line, which counts what is left out
	maxFix   = 4_000
	maxLines = 20 // findings of one control, and gaps, that are listed
)

// Kind describes the sink.
func Kind() config.Kind[sink.Sink] {
	return config.Kind[sink.Sink]{
		Name: "markdown", Doc: "a comment for a pull request, folded, within the length that services take", Example: "-o markdown=comment.md",
		New: func(decode func(any) error) (sink.Sink, error) {
			s := &Sink{}
			return s, decode(&s.out)
		},
	}
}

// Sink writes one page per report.
type Sink struct{ out sink.Output }

// mistake is the open findings of one control and verdict.
type mistake struct {
	findings []*finding.Finding
}

// Publish writes the report.
func (s *Sink) Publish(_ context.Context, r *finding.Report) error {
	p := &page{}
	p.add(0, head(r))
	p.add(0, gaps(r.Gaps))
	for _, m := range mistakes(r) {
		p.add(len(m.findings), m.section())
	}
	p.add(0, standards(r.Frameworks))
	if p.left > 0 || p.parts > 0 {
		fmt.Fprintf(&p.text, "\n_Left out for length: %s, the least severe. The whole report is in `merlon scan -o json` or `-o html`._\n", sink.Plural(p.left, "finding"))
	}
	if _, err := io.WriteString(s.out.W, p.text.String()); err != nil {
		return fmt.Errorf("write Markdown: %w", err)
	}
	return nil
}

// page is text that stays short enough.
type page struct {
	text  strings.Builder
	left  int // findings left out
	parts int // parts left out
}

// add appends a part, if there is room for it; else it is left out, and so is
// what comes after it.
func (p *page) add(findings int, part string) {
	if part == "" {
		return
	}
	if p.parts > 0 || p.text.Len()+len(part) > maxPage-reserve {
		p.parts++
		p.left += findings
		return
	}
	p.text.WriteString(part)
}

func head(r *finding.Report) string {
	var b strings.Builder
	s := &r.Summary
	b.WriteString("### Merlon\n\n")
	var parts []string
	for _, level := range sink.Levels() {
		if n := s.Severities[level.String()]; n > 0 {
			parts = append(parts, fmt.Sprintf("**%d %s**", n, level))
		}
	}
	if len(parts) == 0 {
		parts = []string{"No open findings"}
	}
	fmt.Fprintf(&b, "%s in %s of %s, by %s for Kubernetes %s.", strings.Join(parts, ", "), sink.Plural(s.Objects, "object"), sink.Plural(s.Files, "file"), sink.Plural(s.Controls, "control"), sink.Markdown(r.Kubernetes))
	if s.Waived > 0 {
		fmt.Fprintf(&b, " %d waived.", s.Waived)
	}
	if s.Baseline > 0 {
		fmt.Fprintf(&b, " %d known from the baseline.", s.Baseline)
	}
	b.WriteString("\n")
	for i, n := range r.Notices {
		if i == maxLines {
			fmt.Fprintf(&b, "\n> … and %d more notes\n", len(r.Notices)-i)
			break
		}
		fmt.Fprintf(&b, "\n> %s\n", sink.Markdown(n))
	}
	return b.String()
}

func gaps(list []finding.Gap) string {
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "\n⚠️ **%s: not seen, so not judged.**\n\n", sink.Plural(len(list), "gap"))
	for i, g := range list {
		if i == maxLines {
			fmt.Fprintf(&b, "- … and %d more\n", len(list)-i)
			break
		}
		fmt.Fprintf(&b, "- %s %s\n", sink.Code(place(g.Location)), sink.Markdown(g.Message))
	}
	return b.String()
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
		if by[key] == nil {
			by[key] = &mistake{}
			out = append(out, by[key])
		}
		by[key].findings = append(by[key].findings, f)
	}
	slices.SortStableFunc(out, func(a, b *mistake) int {
		x, y := a.findings[0], b.findings[0]
		return cmp.Or(cmp.Compare(y.Severity, x.Severity), cmp.Compare(len(b.findings), len(a.findings)), cmp.Compare(x.Control, y.Control))
	})
	return out
}

func (m *mistake) section() string {
	var b strings.Builder
	f := m.findings[0]
	title := sink.Markdown(f.Title)
	if f.Verdict == finding.Unknown {
		title += " (could not be judged)"
	}
	fmt.Fprintf(&b, "\n<details><summary>%s <b>%s</b> · %s · %s</summary>\n\n", mark(f.Severity), title, f.Severity, sink.Plural(len(m.findings), "finding"))
	for i, x := range m.findings {
		if i == maxLines {
			fmt.Fprintf(&b, "- … and %d more\n", len(m.findings)-i)
			break
		}
		fmt.Fprintf(&b, "- %s %s: %s", sink.Code(place(x.Location)), sink.Code(sink.Subject(x.Subject)), sink.Markdown(x.Message))
		if len(x.Evidence) > 0 {
			fmt.Fprintf(&b, " %s", sink.Code(x.Evidence[0].Path+" = "+x.Evidence[0].Value))
		}
		if about := sink.Rendered(x); about != "" {
			fmt.Fprintf(&b, " (%s)", sink.Markdown(about))
		}
		b.WriteString("\n")
	}
	if f.Why != "" {
		b.WriteString("\n**Why it matters:** " + sink.Markdown(sink.Clip(strings.Join(strings.Fields(f.Why), " "), maxFix)) + "\n")
	}
	if fix := sink.Clip(sink.Lines(f.Fix), maxFix); f.Fix != "" {
		fence := sink.Fence(fix)
		b.WriteString("\n**Fix**\n\n" + fence + "text\n")
		for line := range strings.Lines(fix + "\n") {
			b.WriteString(strings.TrimRight("  "+line, " \n") + "\n")
		}
		b.WriteString(fence + "\n")
	}
	fmt.Fprintf(&b, "\n%s\n\n</details>\n", sink.Code("merlon explain "+f.Control))
	return b.String()
}

func mark(s finding.Severity) string {
	switch s {
	case finding.Critical:
		return "🟣"
	case finding.High:
		return "🔴"
	case finding.Medium:
		return "🟠"
	}
	return "🔵"
}

func standards(list []finding.Framework) string {
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n<details><summary>Frameworks</summary>\n\n| framework | pass | guarded | fail | unknown | manual | not applicable | not assessed |\n|---|---|---|---|---|---|---|---|\n")
	for _, f := range list {
		fmt.Fprintf(&b, "| %s |", sink.Markdown(f.Name))
		for _, v := range []finding.Verdict{finding.Pass, finding.Guarded, finding.Fail, finding.Unknown, finding.Manual, finding.NotApplicable, finding.NotAssessed} {
			fmt.Fprintf(&b, " %d |", f.Totals[string(v)])
		}
		b.WriteString("\n")
	}
	b.WriteString("\n</details>\n")
	return b.String()
}

func place(l finding.Location) string {
	return strings.ReplaceAll(sink.Place(l), "\u200b", "")
}
