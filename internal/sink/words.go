package sink

import (
	"fmt"
	"strings"

	"github.com/merlon-security/merlon/internal/finding"
)

// Place writes file, line and column as editors and terminals link them, safe
// as [Text] is.
func Place(l finding.Location) string {
	switch {
	case l.File == "":
		return "(no file)"
	case l.Line == 0:
		return Text(l.File)
	case l.Column == 0:
		return fmt.Sprintf("%s:%d", Text(l.File), l.Line)
	}
	return fmt.Sprintf("%s:%d:%d", Text(l.File), l.Line, l.Column)
}

// Subject writes what a finding is about, safe as [Text] is.
func Subject(s finding.Subject) string {
	name := s.Kind + " " + s.Name
	if s.Namespace != "" {
		name = s.Kind + " " + s.Namespace + "/" + s.Name
	}
	if s.Container != "" {
		name += " container " + s.Container
	}
	return Text(name)
}

// Status says whether a finding still asks to be mended: open, waived, or known
// from the baseline.
func Status(f *finding.Finding) string {
	switch {
	case f.Waived != nil:
		return "waived"
	case f.Baseline:
		return "baseline"
	}
	return "open"
}

// Plural writes a count of things.
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Clip shortens a text to n characters, with an ellipsis as the last; a text
// that is empty becomes a dash, for formats that want one.
func Clip(s string, n int) string {
	if s == "" {
		return "-"
	}
	if len(s) <= n {
		return s
	}
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// Lines makes a text of several lines safe, each as [Text] does.
func Lines(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	for i, line := range lines {
		lines[i] = Text(line)
	}
	return strings.Join(lines, "\n")
}

// Levels are the severities that findings have, the worst first.
func Levels() []finding.Severity {
	return []finding.Severity{finding.Critical, finding.High, finding.Medium, finding.Low}
}

// Rendered says of a finding in what was rendered where it stands there, and
// which worlds have it; "" for what a person wrote.
func Rendered(f *finding.Finding) string {
	var parts []string
	if r := f.Rendered; r != nil {
		if r.Line > 0 {
			parts = append(parts, fmt.Sprintf("rendered line %d", r.Line))
		}
		if r.Values != "" {
			parts = append(parts, "from values "+Text(r.Values))
		}
	}
	if len(f.Worlds) > 0 {
		parts = append(parts, "in "+Text(strings.Join(f.Worlds, ", ")))
	}
	return strings.Join(parts, "; ")
}
