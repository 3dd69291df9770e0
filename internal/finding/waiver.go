package finding

import (
	"fmt"
	"path"
	"strings"
	"time"
)

// Waiver is a finding, or a set of findings, that a named person accepts for a
// reason until a day. Empty patterns match anything; patterns are those of
// path.Match, and a control may also be a family ("workload/*").
type Waiver struct {
	Control   string `yaml:"control"`
	ID        string `yaml:"id"` // one finding by its id, or by the beginning of it (8 characters or more)
	Kind      string `yaml:"kind"`
	Namespace string `yaml:"namespace"`
	Name      string `yaml:"name"`
	Container string `yaml:"container"`
	File      string `yaml:"file"`
	By        string `yaml:"by"`
	Reason    string `yaml:"reason"`
	Until     string `yaml:"until"` // YYYY-MM-DD; the day is the last on which it holds

	// Source and Line say where the waiver was written; Lines, for one written
	// beside what it waives, the lines of the file that it covers.
	Source string    `yaml:"-"`
	Line   int       `yaml:"-"`
	Lines  [2]uint32 `yaml:"-"`
	// Quiet keeps the waiver from being told when it covers nothing: what it is
	// about may have been left out.
	Quiet bool `yaml:"-"`
}

// Check reports what is missing of a waiver. by says whether a person must be
// named, as in a file; a comment is signed by the history of its file.
func (w *Waiver) Check(by bool) error {
	switch {
	case w.Control == "" && w.ID == "":
		return fmt.Errorf("a waiver needs control or id")
	case w.ID != "" && len(w.ID) < 8:
		return fmt.Errorf("a waiver's id needs 8 characters or more")
	case by && strings.TrimSpace(w.By) == "":
		return fmt.Errorf("a waiver needs by: who accepts it")
	case strings.TrimSpace(w.Reason) == "":
		return fmt.Errorf("a waiver needs a reason")
	}
	if _, err := time.Parse(time.DateOnly, w.Until); err != nil {
		return fmt.Errorf("a waiver needs until, a date such as 2027-01-31")
	}
	for _, pattern := range []string{w.Control, w.Kind, w.Namespace, w.Name, w.Container, w.File} {
		if _, err := path.Match(pattern, ""); err != nil {
			return fmt.Errorf("a waiver has a pattern that is none: %w", err)
		}
	}
	return nil
}

func like(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	ok, err := path.Match(pattern, s)
	return ok && err == nil
}

// Names reports whether the waiver is about a control, whatever else it says.
func (w *Waiver) Names(control string) bool { return like(w.Control, control) }

// covers reports whether the waiver is about the finding, whatever the day.
func (w *Waiver) covers(f *Finding) bool {
	if w.ID != "" && !strings.HasPrefix(f.ID, w.ID) {
		return false
	}
	file, line := f.Location.File, f.Location.Line
	if f.Rendered != nil {
		// A comment of a template stands in the rendered text, too, and covers lines
		// of that.
		file = f.Rendered.File
		if w.Lines != [2]uint32{} {
			line = f.Rendered.Line
		}
	}
	if w.Lines != [2]uint32{} && (line < w.Lines[0] || line > w.Lines[1]) {
		return false
	}
	s := &f.Subject
	return like(w.Control, f.Control) && like(w.Kind, s.Kind) && like(w.Namespace, s.Namespace) &&
		like(w.Name, s.Name) && like(w.Container, s.Container) && (like(w.File, file) || like(w.File, f.Location.File))
}

// Place writes where the waiver stands; without a line where that is not known.
func (w *Waiver) Place() string {
	if w.Line == 0 {
		return w.Source
	}
	return fmt.Sprintf("%s:%d", w.Source, w.Line)
}

// Waive applies waivers to a report as of a day, YYYY-MM-DD. An expired waiver
// leaves its findings open and is told in the report's notices, as is one that
// covers nothing.
func (r *Report) Waive(waivers []Waiver, today string) {
	for i := range waivers {
		w := &waivers[i]
		expired := w.Until < today
		covered := 0
		for j := range r.Findings {
			f := &r.Findings[j]
			if f.Verdict != Fail || !w.covers(f) {
				continue
			}
			covered++
			if !expired && f.Waived == nil {
				f.Waived = &Waived{By: w.By, Reason: w.Reason, Until: w.Until, Source: w.Place()}
			}
		}
		switch {
		case covered == 0 && w.Quiet:
		case covered == 0:
			r.Notices = append(r.Notices, fmt.Sprintf("%s: waiver of %s covers nothing: remove it", w.Place(), w.what()))
		case expired:
			r.Notices = append(r.Notices, fmt.Sprintf("%s: waiver of %s ended on %s: %d findings are open again", w.Place(), w.what(), w.Until, covered))
		}
	}
}

func (w *Waiver) what() string {
	if w.Control != "" {
		return w.Control
	}
	return w.ID
}

// Known marks the findings that an earlier report has too.
func (r *Report) Known(earlier *Report) {
	known := map[string]bool{}
	for i := range earlier.Findings {
		known[earlier.Findings[i].ID] = true
	}
	for i := range r.Findings {
		r.Findings[i].Baseline = known[r.Findings[i].ID]
	}
}

// ParseInline reads what stands behind "merlon:waive": a control, until=DATE,
// reason=TEXT with quotes around several words, optionally by=WHO.
func ParseInline(text string) (Waiver, error) {
	_, text, found := strings.Cut(text, "merlon:waive")
	if !found {
		return Waiver{}, fmt.Errorf("unknown comment to Merlon: only merlon:waive is known")
	}
	return ParseWaiver(text)
}

// ParseWaiver reads the one-line form of a waiver.
func ParseWaiver(text string) (Waiver, error) {
	var w Waiver
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		var word string
		word, text = cutWord(text)
		key, value, pair := strings.Cut(word, "=")
		switch {
		case !pair && w.Control == "":
			w.Control = word
		case key == "until":
			w.Until = value
		case key == "reason":
			w.Reason = value
		case key == "by":
			w.By = value
		default:
			return w, fmt.Errorf("waiver: unknown word %d characters long; known are CONTROL until= reason= by=", len(word))
		}
	}
	return w, w.Check(false)
}

// cutWord cuts a word off a text; quotes hold words together and are dropped.
func cutWord(s string) (word, rest string) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && (c == ' ' || c == '\t'):
			return b.String(), s[i:]
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}
