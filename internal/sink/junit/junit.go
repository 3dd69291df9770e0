// Package junit is the sink that writes JUnit XML, which CI systems show among
// the results of tests: a suite for each control, a case for each finding.
//
// Source: the XML schema of Jenkins' xUnit plug-in, the form that CI systems
// agree on; it has no place for a line, so that the file and line stand in
// attributes that those know which read them, and in the text.
package junit

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

// maxText is how many characters of a text are written.
const maxText = 10_000

// Kind describes the sink.
func Kind() config.Kind[sink.Sink] {
	return config.Kind[sink.Sink]{
		Name: "junit", Doc: "JUnit XML: a suite for each control, a failed case for each finding", Example: "-o junit=merlon.xml",
		New: func(decode func(any) error) (sink.Sink, error) {
			s := &Sink{}
			return s, decode(&s.out)
		},
	}
}

// Sink writes one document per report.
type Sink struct{ out sink.Output }

type (
	suites struct {
		XMLName  xml.Name `xml:"testsuites"`
		Name     string   `xml:"name,attr"`
		Tests    int      `xml:"tests,attr"`
		Failures int      `xml:"failures,attr"`
		Errors   int      `xml:"errors,attr"`
		Skipped  int      `xml:"skipped,attr"`
		Suites   []*suite `xml:"testsuite"`
	}
	suite struct {
		Name     string  `xml:"name,attr"`
		Tests    int     `xml:"tests,attr"`
		Failures int     `xml:"failures,attr"`
		Errors   int     `xml:"errors,attr"`
		Skipped  int     `xml:"skipped,attr"`
		Cases    []*test `xml:"testcase"`
	}
	test struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		File    string   `xml:"file,attr,omitempty"`
		Line    uint32   `xml:"line,attr,omitempty"`
		Time    string   `xml:"time,attr"`
		Failure *outcome `xml:"failure"`
		Error   *outcome `xml:"error"`
		Skipped *outcome `xml:"skipped"`
	}
	outcome struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// Publish writes the report. What is waived or known is a skipped case; what
// could not be judged or seen is an error. Without any, there is one case that
// passes, for systems that take a report without cases for a broken one.
func (s *Sink) Publish(_ context.Context, r *finding.Report) error {
	out := &suites{Name: "merlon"}
	by := map[string]*suite{}
	add := func(name string, t *test) {
		x := by[name]
		if x == nil {
			x = &suite{Name: name}
			by[name] = x
			out.Suites = append(out.Suites, x)
		}
		x.add(t)
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		add(f.Control, caseOf(f))
	}
	for i := range r.Gaps {
		g := &r.Gaps[i]
		name := strings.TrimSpace(sink.Text(g.Subject) + " " + sink.Place(g.Location))
		add("gaps", &test{
			Name: sink.Clip(name, maxText), Class: "gaps", File: sink.Text(g.Location.File), Line: g.Location.Line, Time: "0",
			Error: &outcome{Message: sink.Clip(sink.Text(g.Message), maxText), Type: g.Kind, Text: "not seen, so not judged"},
		})
	}
	if len(out.Suites) == 0 {
		add("merlon", &test{Name: fmt.Sprintf("no findings in %s, by %s", sink.Plural(r.Summary.Objects, "object"), sink.Plural(r.Summary.Controls, "control")), Class: "merlon", Time: "0"})
	}
	for _, x := range out.Suites {
		out.Tests, out.Failures, out.Errors, out.Skipped = out.Tests+x.Tests, out.Failures+x.Failures, out.Errors+x.Errors, out.Skipped+x.Skipped
	}
	return write(s.out.W, out)
}

func (x *suite) add(t *test) {
	x.Tests++
	x.Cases = append(x.Cases, t)
	switch {
	case t.Failure != nil:
		x.Failures++
	case t.Error != nil:
		x.Errors++
	case t.Skipped != nil:
		x.Skipped++
	}
}

func caseOf(f *finding.Finding) *test {
	t := &test{
		Name: sink.Clip(sink.Subject(f.Subject)+": "+sink.Text(f.Title), maxText), Class: f.Control,
		File: sink.Text(f.Location.File), Line: f.Location.Line, Time: "0",
	}
	o := &outcome{Message: sink.Clip(sink.Text(f.Message), maxText), Type: f.Severity.String(), Text: text(f)}
	switch {
	case f.Waived != nil:
		t.Skipped = &outcome{Message: sink.Clip(fmt.Sprintf("waived until %s: %s", sink.Text(f.Waived.Until), sink.Text(f.Waived.Reason)), maxText)}
	case f.Baseline:
		t.Skipped = &outcome{Message: "known from the baseline"}
	case f.Verdict == finding.Unknown:
		t.Error = o
	default:
		t.Failure = o
	}
	return t
}

// text is what a person reads who opens the case. Every line that may hold
// foreign text is indented, so that none begins with it.
func text(f *finding.Finding) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s %s\n  at %s\n  %s\n", strings.ToUpper(f.Severity.String()), f.Control, sink.Place(f.Location), sink.Clip(sink.Text(f.Message), maxText))
	for _, e := range f.Evidence {
		fmt.Fprintf(&b, "  seen %s = %s\n", sink.Clip(sink.Text(e.Path), maxText), sink.Clip(sink.Text(e.Value), maxText))
	}
	if about := sink.Rendered(f); about != "" {
		fmt.Fprintf(&b, "  %s\n", sink.Clip(about, maxText))
	}
	for _, part := range []string{f.Why, f.Fix} {
		for line := range strings.Lines(strings.TrimRight(sink.Clip(sink.Lines(part), maxText), "\n")) {
			b.WriteString("    " + line)
		}
		b.WriteString("\n")
	}
	fmt.Fprintf(&b, "\n  id %s\n", f.ID)
	return b.String()
}

func write(w io.Writer, out *suites) error {
	text, err := xml.MarshalIndent(out, "", " ")
	if err == nil {
		_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	}
	if err != nil {
		return fmt.Errorf("write JUnit XML: %w", err)
	}
	return nil
}
