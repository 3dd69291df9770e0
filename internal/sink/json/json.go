// Package json is the sink that writes a report as one JSON document: the
// schema of [finding.Report], which later versions only add to.
package json

import (
	"bufio"
	"context"
	"errors"
	"fmt"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

// Kind describes the sink.
func Kind() config.Kind[sink.Sink] {
	return config.Kind[sink.Sink]{
		Name: "json", Doc: "the whole report as one JSON document (docs/reference/report.md)", Example: "-o json=report.json",
		New: func(decode func(any) error) (sink.Sink, error) {
			s := &Sink{}
			return s, decode(&s.out)
		},
	}
}

// Sink writes one document per report.
type Sink struct{ out sink.Output }

// Publish writes the report: one finding, gap or framework a line, so that two
// reports can be compared by line and a large one is written at once.
func (s *Sink) Publish(_ context.Context, r *finding.Report) error {
	w := &writer{Writer: bufio.NewWriterSize(s.out.W, 1<<16)}
	w.field("{", "schema", r.Schema)
	w.field(",", "merlon", r.Merlon)
	w.field(",", "kubernetes", r.Kubernetes)
	w.field(",", "target", r.Target)
	if r.Cluster != nil {
		w.field(",", "cluster", r.Cluster)
	}
	w.field(",", "summary", r.Summary)
	enc := &encoder{}
	list(w, "findings", r.Findings, func(f *finding.Finding) { w.buf = enc.finding(w.buf[:0], f); w.Write(w.buf) })
	list(w, "gaps", r.Gaps, func(g *finding.Gap) { w.value(g) })
	list(w, "frameworks", r.Frameworks, func(f *finding.Framework) { w.value(f) })
	if len(r.Notices) > 0 {
		list(w, "notices", r.Notices, func(n *string) { w.value(n) })
	}
	w.WriteString("\n}\n")
	if err := errors.Join(w.err, enc.err, w.Flush()); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// writer keeps the first error of encoding; those of writing are told by Flush.
type writer struct {
	*bufio.Writer
	buf []byte
	err error
}

func (w *writer) value(v any) {
	text, err := sink.AppendJSON(w.buf[:0], v)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.buf = text
	w.Write(text)
}

func (w *writer) field(before, name string, v any) {
	w.WriteString(before + "\n ")
	w.value(name)
	w.WriteString(": ")
	w.value(v)
}

func list[T any](w *writer, name string, elems []T, one func(*T)) {
	w.WriteString(",\n ")
	w.value(name)
	w.WriteString(": [")
	for i := range elems {
		if i > 0 {
			w.WriteByte(',')
		}
		w.WriteString("\n  ")
		one(&elems[i])
	}
	w.WriteString("\n ]")
}
