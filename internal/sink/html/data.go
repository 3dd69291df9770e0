package html

import (
	"maps"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

// document is the report as the page holds it: texts that many findings share
// stand once, findings are rows of numbers. data.js reads it.
type document struct {
	Strings    []string    `json:"strings"`
	Controls   []control   `json:"controls"`
	Subjects   [][]int     `json:"subjects"` // kind, namespace, name, container, API version, cluster
	Findings   [][]any     `json:"findings"`
	Gaps       [][]any     `json:"gaps"` // kind, file, line, column, subject, message
	Frameworks []framework `json:"frameworks"`
	Patches    [][]any     `json:"patches"` // file, lines of a diff
}

type control struct {
	ID     string              `json:"id"`
	Family string              `json:"family"`
	Title  string              `json:"title"`
	Level  int                 `json:"level"` // 4 is critical
	Why    string              `json:"why,omitempty"`
	Fix    string              `json:"fix,omitempty"`
	Maps   map[string][]string `json:"maps,omitempty"`
}

type framework struct {
	Name    string           `json:"name"`
	Title   string           `json:"title"`
	Version string           `json:"version,omitempty"`
	View    string           `json:"view,omitempty"`
	Verdict finding.Verdict  `json:"verdict"`
	Totals  map[string]int   `json:"totals"`
	Items   []map[string]any `json:"items"`
}

// table gives each distinct text a number.
type table struct {
	doc      *document
	strings  map[string]int
	controls map[string]int
	subjects map[finding.Subject]int
}

func compact(r *finding.Report) *document {
	t := &table{
		doc:     &document{Strings: []string{""}, Controls: []control{}, Subjects: [][]int{}, Findings: make([][]any, 0, len(r.Findings)), Gaps: [][]any{}, Frameworks: []framework{}, Patches: [][]any{}},
		strings: map[string]int{"": 0}, controls: map[string]int{}, subjects: map[finding.Subject]int{},
	}
	for i := range r.Findings {
		t.doc.Findings = append(t.doc.Findings, t.row(&r.Findings[i]))
	}
	for _, g := range r.Gaps {
		t.doc.Gaps = append(t.doc.Gaps, []any{t.text(g.Kind), t.text(g.Location.File), g.Location.Line, g.Location.Column, t.text(g.Subject), t.text(g.Message)})
	}
	for i := range r.Frameworks {
		t.doc.Frameworks = append(t.doc.Frameworks, frameworkOf(&r.Frameworks[i]))
	}
	for _, p := range r.Patches {
		lines := []string{}
		for line := range strings.Lines(p.Diff) {
			lines = append(lines, plain(strings.TrimRight(line, "\r\n")))
		}
		t.doc.Patches = append(t.doc.Patches, []any{t.text(p.File), lines})
	}
	return t.doc
}

// plain makes foreign text safe to show as text: as [sink.Text], but without the
// marks that keep CI systems from reading it, for it stands in JSON.
func plain(s string) string { return strings.ReplaceAll(sink.Text(s), "\u200b", "") }

func (t *table) text(s string) int {
	if i, ok := t.strings[s]; ok {
		return i
	}
	i := len(t.doc.Strings)
	t.strings[s] = i
	t.doc.Strings = append(t.doc.Strings, plain(s))
	return i
}

// row is one finding: id, control, verdict (1: could not be judged), subject,
// file, line, column, message, evidence, and, where there is more to say, count,
// status (1: waived, 2: baseline), waiver, further places, and how it was rendered.
func (t *table) row(f *finding.Finding) []any {
	evidence := make([]int, 0, 2*len(f.Evidence))
	for _, e := range f.Evidence {
		evidence = append(evidence, t.text(e.Path), t.text(e.Value))
	}
	unknown := 0
	if f.Verdict == finding.Unknown {
		unknown = 1
	}
	row := []any{f.ID, t.control(f), unknown, t.subject(f.Subject), t.text(f.Location.File), f.Location.Line, f.Location.Column, t.text(f.Message), evidence}
	about := sink.Rendered(f)
	if f.Count <= 1 && f.Open() && len(f.Also) == 0 && about == "" {
		return row
	}
	status, waiver, also := 0, []int{}, make([][]any, 0, len(f.Also))
	if w := f.Waived; w != nil {
		status, waiver = 1, []int{t.text(w.By), t.text(w.Reason), t.text(w.Until), t.text(w.Source)}
	} else if f.Baseline {
		status = 2
	}
	for _, l := range f.Also {
		also = append(also, []any{t.text(l.File), l.Line, l.Column})
	}
	return append(row, f.Count, status, waiver, also, t.text(about))
}

// prose is a text of several lines.
func prose(s string) string { return strings.ReplaceAll(sink.Lines(s), "\u200b", "") }

func (t *table) control(f *finding.Finding) int {
	key := f.Control + "\x00" + f.Severity.String() + "\x00" + f.Title + "\x00" + f.Why + "\x00" + f.Fix
	if i, ok := t.controls[key]; ok {
		return i
	}
	i := len(t.doc.Controls)
	t.controls[key] = i
	c := control{ID: plain(f.Control), Family: plain(f.Family), Title: plain(f.Title), Level: int(f.Severity), Why: prose(f.Why), Fix: prose(f.Fix)}
	for _, name := range slices.Sorted(maps.Keys(f.Frameworks)) {
		if c.Maps == nil {
			c.Maps = map[string][]string{}
		}
		for _, item := range f.Frameworks[name] {
			c.Maps[plain(name)] = append(c.Maps[plain(name)], plain(item))
		}
	}
	t.doc.Controls = append(t.doc.Controls, c)
	return i
}

func (t *table) subject(s finding.Subject) int {
	if i, ok := t.subjects[s]; ok {
		return i
	}
	i := len(t.doc.Subjects)
	t.subjects[s] = i
	t.doc.Subjects = append(t.doc.Subjects, []int{t.text(s.Kind), t.text(s.Namespace), t.text(s.Name), t.text(s.Container), t.text(s.APIVersion), t.text(s.Cluster)})
	return i
}

func frameworkOf(f *finding.Framework) framework {
	out := framework{Name: plain(f.Name), Title: plain(f.Title), Version: plain(f.Version), View: f.View, Verdict: f.Verdict, Totals: f.Totals, Items: []map[string]any{}}
	for _, it := range f.Items {
		item := map[string]any{"id": plain(it.ID), "title": plain(it.Title), "verdict": it.Verdict}
		for key, value := range map[string]string{"section": it.Section, "why": it.Why} {
			if value != "" {
				item[key] = plain(value)
			}
		}
		if len(it.Controls) > 0 {
			item["controls"] = it.Controls
		}
		if it.Findings > 0 {
			item["findings"] = it.Findings
		}
		out.Items = append(out.Items, item)
	}
	return out
}
