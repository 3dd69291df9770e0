package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

// event is one line of merlon watch.
type event struct {
	Time     string           `json:"time"`
	Event    string           `json:"event"` // drift, opened, changed, closed, gap-opened, gap-closed, watching
	Finding  *finding.Finding `json:"finding,omitempty"`
	Gap      *finding.Gap     `json:"gap,omitempty"`
	Drift    *drifted         `json:"drift,omitempty"`
	Watching *watching        `json:"watching,omitempty"`
}

// watching says that everything was read once, and what was there.
type watching struct {
	Target  []string `json:"target"`
	Objects int      `json:"objects"`
	Open    int      `json:"open"`
	Gaps    int      `json:"gaps"`
	Notices []string `json:"notices,omitempty"`
}

// teller writes events.
type teller struct {
	out   *bufio.Writer
	json  bool
	color bool
}

func newTeller(s Streams, format string) *teller {
	return &teller{out: bufio.NewWriter(s.Out), json: format == "json", color: format == "table" && colorful(s.Out)}
}

func (t *teller) tell(events []event) error {
	now := time.Now().UTC()
	for i := range events {
		e := &events[i]
		e.Time = now.Format(time.RFC3339)
		if t.json {
			enc := json.NewEncoder(t.out)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(e); err != nil {
				return fmt.Errorf("write event: %w", err)
			}
			continue
		}
		t.line(now, e)
	}
	if err := t.out.Flush(); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	return nil
}

// line writes an event for people.
func (t *teller) line(now time.Time, e *event) {
	clock := now.Format(time.TimeOnly)
	switch {
	case e.Finding != nil:
		f := e.Finding
		place := ""
		if f.Location.File != "" {
			place = "  " + sink.Place(finding.Location{File: f.Location.File, Line: f.Location.Line})
		}
		fmt.Fprintf(t.out, "%s  %s  %-8s  %s  %s%s\n", clock, t.paint(e.Event), strings.ToUpper(f.Severity.String()), f.Control, sink.Text(subjectText(f)), place)
		if e.Event != "closed" {
			fmt.Fprintf(t.out, "          %s\n", sink.Text(f.Message))
		}
	case e.Drift != nil:
		d := e.Drift
		fmt.Fprintf(t.out, "%s  %s  %s %s\n", clock, t.paint(e.Event), sink.Text(d.Kind), sink.Text(d.Name))
		for _, c := range d.Changes {
			fmt.Fprintf(t.out, "          %s: %s -> %s\n", sink.Text(c.Path), shownOr(c.Before), shownOr(c.After))
		}
	case e.Gap != nil:
		g := e.Gap
		place := sink.Text(g.Subject)
		if g.Location.File != "" {
			place = sink.Place(finding.Location{File: g.Location.File, Line: g.Location.Line})
		}
		fmt.Fprintf(t.out, "%s  %s  %s  %s  %s\n", clock, t.paint(e.Event), g.Kind, place, sink.Text(g.Message))
	default:
		x := e.Watching
		for _, n := range x.Notices {
			fmt.Fprintf(t.out, "note %s\n", sink.Text(n))
		}
		fmt.Fprintf(t.out, "%s  watching %s: %d objects, %d findings open, %d gaps\n", clock, sink.Text(strings.Join(x.Target, ", ")), x.Objects, x.Open, x.Gaps)
	}
}

func (t *teller) paint(event string) string {
	text := fmt.Sprintf("%-10s", event)
	code := map[string]string{"opened": "31;1", "changed": "33", "drift": "35", "closed": "32", "gap-opened": "33", "gap-closed": "32"}[event]
	if !t.color || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// subjectText names what a finding is about.
func subjectText(f *finding.Finding) string {
	s := &f.Subject
	name := s.Kind + " " + s.Name
	if s.Namespace != "" {
		name = s.Kind + " " + s.Namespace + "/" + s.Name
	}
	if s.Container != "" {
		name += " container " + s.Container
	}
	return name
}
