// Package html is the sink that writes one page for people: what to mend first,
// filters, evidence, fixes, frameworks and gaps. The page is a single file, asks
// for nothing from anywhere, and shows fifty thousand findings at once.
//
// Names from manifests reach the page as JSON data only, which its script shows
// as text; the few that stand in its markup are escaped by html/template. A
// Content-Security-Policy lets no other script or style run than these.
package html

import (
	"bufio"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"strings"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

// The parts of the page. The scripts are one program, in this order.
var (
	//go:embed page.html
	page string
	//go:embed page.css
	style string
	//go:embed data.js
	dataJS string
	//go:embed list.js
	listJS string
	//go:embed detail.js
	detailJS string
	//go:embed main.js
	mainJS string
)

// Kind describes the sink.
func Kind() config.Kind[sink.Sink] {
	return config.Kind[sink.Sink]{
		Name: "html", Doc: "one page to open in a browser, without any request", Example: "-o html=merlon.html",
		New: func(decode func(any) error) (sink.Sink, error) {
			s := &Sink{}
			return s, decode(&s.out)
		},
	}
}

// Sink writes one page per report.
type Sink struct{ out sink.Output }

// view is what the markup of the page shows before its script runs.
type view struct {
	Policy  string
	Style   template.CSS
	Script  template.JS
	Target  string
	Facts   string
	Report  *finding.Report
	Levels  []level
	Gaps    int
	Notices []string
}

type level struct {
	Name  string
	Count int
}

// maxNotices is how many notices stand on the page.
const maxNotices = 100

// Publish writes the report.
func (s *Sink) Publish(_ context.Context, r *finding.Report) error {
	t, err := template.New("page").Parse(page)
	if err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	w := bufio.NewWriterSize(s.out.W, 1<<16)
	script := strings.Join([]string{`"use strict";` + "\n{\n", dataJS, listJS, detailJS, mainJS, "}\n"}, "")
	v := &view{
		Policy: fmt.Sprintf("default-src 'none'; script-src %s; style-src %s; base-uri 'none'; form-action 'none'", hash(script), hash(style)),
		Style:  template.CSS(style), Script: template.JS(script), Target: sink.Text(strings.Join(r.Target, " ")), Report: r, Gaps: len(r.Gaps),
	}
	sum := &r.Summary
	v.Facts = fmt.Sprintf("%s in %s, %s,", sink.Plural(sum.Objects, "object"), sink.Plural(sum.Files, "file"), sink.Plural(sum.Controls, "control"))
	for _, l := range sink.Levels() {
		v.Levels = append(v.Levels, level{l.String(), r.Summary.Severities[l.String()]})
	}
	for i, n := range r.Notices {
		if i == maxNotices {
			v.Notices = append(v.Notices, fmt.Sprintf("… and %d more", len(r.Notices)-i))
			break
		}
		v.Notices = append(v.Notices, sink.Text(n))
	}
	if err := t.ExecuteTemplate(w, "head", v); err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	data, err := sink.AppendJSON(nil, compact(r))
	if err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	w.WriteString(`<script type="application/json" id="data">`) // an error is kept, and told by Flush
	w.Write(data)
	w.WriteString("</script>\n")
	if err := t.ExecuteTemplate(w, "tail", v); err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write HTML: %w", err)
	}
	return nil
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
