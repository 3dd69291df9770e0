package assess

import (
	"slices"

	"github.com/merlon-security/merlon/internal/finding"
)

// maxAlso is how many further places of one finding are listed.
const maxAlso = 20

// again counts a finding that is known from another place or world.
func again(known, f *finding.Finding) {
	known.Count++
	if len(f.Worlds) > 0 && !slices.Contains(known.Worlds, f.Worlds[0]) {
		known.Worlds = append(known.Worlds, f.Worlds[0])
	}
	if len(known.Also) < maxAlso && f.Location != known.Location {
		known.Also = append(known.Also, f.Location)
	}
}

// merge makes one finding of those with one identity and, unless they are to be
// kept apart, of those that several worlds have from one line of a file. It takes
// them in the order in which they were judged, world by world, and changes the
// list that it is given.
func merge(findings []finding.Finding, apart bool) []finding.Finding {
	at := make(map[string]int, len(findings))
	kept := findings[:0]
	lines := map[sourceLine]*lineHolders{}
	for _, f := range findings {
		i, ok := at[f.ID]
		l, traced := lineOf(&f)
		traced = traced && !apart
		if !ok && traced {
			i, ok = lines[l].find(kept, f.Worlds[0])
		}
		if ok {
			again(&kept[i], &f)
			continue
		}
		at[f.ID] = len(kept)
		if traced {
			if lines[l] == nil {
				lines[l] = &lineHolders{}
			}
			lines[l].kept = append(lines[l].kept, len(kept))
		}
		kept = append(kept, f)
	}
	return kept
}

// sourceLine is what findings share that worlds have from one line of a file: a
// chart is rendered with several values, a base used by several overlays, and
// there is one line to mend.
type sourceLine struct {
	control   string
	location  finding.Location
	kind      string
	container string
	path      string
}

func lineOf(f *finding.Finding) (sourceLine, bool) {
	if f.Rendered == nil || f.Location.Line == 0 || len(f.Worlds) == 0 {
		return sourceLine{}, false
	}
	l := sourceLine{control: f.Control, location: f.Location, kind: f.Subject.Kind, container: f.Subject.Container}
	if len(f.Evidence) > 0 {
		l.path = f.Evidence[0].Path
	}
	return l, true
}

// lineHolders are the kept findings of one line.
type lineHolders struct {
	kept  []int
	world string // that find was last asked for
	from  int    // those before it are of that world
}

// find returns the first kept finding of the line that a world does not have: in
// one world a line that a loop writes makes several objects.
func (h *lineHolders) find(kept []finding.Finding, world string) (int, bool) {
	if h == nil {
		return 0, false
	}
	if h.world != world {
		h.world, h.from = world, 0
	}
	for ; h.from < len(h.kept); h.from++ {
		if i := h.kept[h.from]; !slices.Contains(kept[i].Worlds, world) {
			return i, true
		}
	}
	return 0, false
}
