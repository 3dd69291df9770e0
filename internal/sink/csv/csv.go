// Package csv is the sink that writes a table for spreadsheets: one row for each
// finding and each gap. No cell is a formula to them.
//
// Sources: RFC 4180; OWASP, "CSV injection".
package csv

import (
	"context"
	"encoding/csv"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

// maxCell is what common spreadsheets take in a cell, less the escape.
const maxCell = 32_000

// Kind describes the sink.
func Kind() config.Kind[sink.Sink] {
	return config.Kind[sink.Sink]{
		Name: "csv", Doc: "a table for spreadsheets, a row for each finding and gap", Example: "-o csv=merlon.csv",
		New: func(decode func(any) error) (sink.Sink, error) {
			s := &Sink{}
			return s, decode(&s.out)
		},
	}
}

// Sink writes one table per report.
type Sink struct{ out sink.Output }

// columns are the headings. Later versions only add some at the end.
func columns() []string {
	return []string{"type", "status", "severity", "verdict", "control", "title", "namespace", "kind", "name", "container", "file", "line", "column", "message", "evidence", "count", "frameworks", "waived by", "waived until", "waiver reason", "id", "rendered"}
}

// Publish writes the report.
func (s *Sink) Publish(_ context.Context, r *finding.Report) error {
	w := csv.NewWriter(s.out.W)
	write := func(cells []string) {
		for i, c := range cells {
			cells[i] = cell(c)
		}
		w.Write(cells) // an error is kept, and told below
	}
	write(columns())
	for i := range r.Findings {
		write(row(&r.Findings[i]))
	}
	for _, g := range r.Gaps {
		cells := make([]string, len(columns()))
		cells[0], cells[1], cells[4], cells[5] = "gap", "open", g.Kind, "not seen, so not judged"
		cells[8], cells[10], cells[11], cells[12], cells[13] = g.Subject, g.Location.File, number(g.Location.Line), number(g.Location.Column), g.Message
		write(cells)
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("write CSV: %w", err)
	}
	return nil
}

func row(f *finding.Finding) []string {
	var evidence, standards []string
	for _, e := range f.Evidence {
		evidence = append(evidence, e.Path+" = "+e.Value)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Frameworks)) {
		standards = append(standards, name+" "+strings.Join(f.Frameworks[name], " "))
	}
	w := f.Waived
	if w == nil {
		w = &finding.Waived{}
	}
	return []string{
		"finding", sink.Status(f), f.Severity.String(), string(f.Verdict), f.Control, f.Title,
		f.Subject.Namespace, f.Subject.Kind, f.Subject.Name, f.Subject.Container,
		f.Location.File, number(f.Location.Line), number(f.Location.Column), f.Message, strings.Join(evidence, "; "),
		strconv.Itoa(f.Count), strings.Join(standards, "; "), w.By, w.Until, w.Reason, f.ID, sink.Rendered(f),
	}
}

func number(n uint32) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(n), 10)
}

// cell makes a text safe for a spreadsheet: what begins as a formula does, also
// behind blanks or in full width, is led by an apostrophe.
func cell(s string) string {
	s = sink.Text(s)
	if r := []rune(s); len(r) > maxCell {
		s = string(r[:maxCell-1]) + "…"
	}
	first := strings.TrimLeft(s, " \t\u00a0\"'")
	if first != "" && strings.ContainsRune("=+-@|%＝＋－＠", []rune(first)[0]) && !isNumber(s) {
		return "'" + s
	}
	return s
}

// isNumber reports whether a cell is a plain number, which stays one.
func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}
