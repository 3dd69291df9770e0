package assess

import (
	"slices"

	"github.com/merlon-security/merlon/internal/finding"
)

// maxAlso is how many further places of one finding are listed.
const maxAlso = 20

// merge makes one finding of those with one identity, and of those that several
// worlds have from one line of a file.
func (a *Assessment) merge() {
	at := make(map[string]int, len(a.findings))
	kept := a.findings[:0]
	lines := sourceLines{}
	for _, f := range a.findings {
		i, ok := at[f.ID]
		if !ok {
			i, ok = lines.find(kept, &f)
		}
		if ok {
			kept[i].Count++
			if len(f.Worlds) > 0 && !slices.Contains(kept[i].Worlds, f.Worlds[0]) {
				kept[i].Worlds = append(kept[i].Worlds, f.Worlds[0])
			}
			if len(kept[i].Also) < maxAlso && f.Location != kept[i].Location {
				kept[i].Also = append(kept[i].Also, f.Location)
			}
			continue
		}
		at[f.ID] = len(kept)
		lines.add(len(kept), &f)
		kept = append(kept, f)
	}
	a.findings = kept
	finding.Sort(a.findings)
}

// sourceLines finds findings that other worlds have from the same line of a
// file: a chart is rendered with several values, a base used by several overlays,
// and there is one line to mend.
type sourceLines map[sourceLine][]int

type sourceLine struct {
	control   string
	location  finding.Location
	kind      string
	container string
	path      string
}

func lineOf(f *finding.Finding) (sourceLine, bool) {
	if f.Rendered == nil || f.Location.Line == 0 {
		return sourceLine{}, false
	}
	l := sourceLine{control: f.Control, location: f.Location, kind: f.Subject.Kind, container: f.Subject.Container}
	if len(f.Evidence) > 0 {
		l.path = f.Evidence[0].Path
	}
	return l, true
}

func (s sourceLines) add(i int, f *finding.Finding) {
	if l, ok := lineOf(f); ok {
		s[l] = append(s[l], i)
	}
}

// find returns the first kept finding of the same line that is not of the same
// world: in one world a line that a loop writes makes several objects.
func (s sourceLines) find(kept []finding.Finding, f *finding.Finding) (int, bool) {
	l, ok := lineOf(f)
	if !ok {
		return 0, false
	}
	for _, i := range s[l] {
		if !slices.Contains(kept[i].Worlds, f.Worlds[0]) {
			return i, true
		}
	}
	return 0, false
}
