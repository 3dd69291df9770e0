package yamldoc

import (
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// unknown complains of a field that the kind does not have. What somebody wrote
// left of a colon may be a secret, so its name is told only where it can be seen
// to be one of Kubernetes' own, misspelt or misplaced; otherwise only its place.
func (c *checker) unknown(parent, v fact.Value, s *structure) {
	if len(c.problems) == maxProblems {
		return
	}
	name, message := v.Key().String(), "the API server drops this field: the kind does not have it"
	meant := s.meant(name)
	switch {
	case meant != "" && strings.EqualFold(meant, name):
		message += " (it has " + meant + "; case matters)"
	case meant != "", c.types.has(c.root, name):
	default:
		c.problems = append(c.problems, Problem{
			Kind: UnknownField, Pos: v.Pos(), Path: parent.Path(),
			Message: "the API server drops the field that stands here: the kind does not have it",
		})
		return
	}
	c.add(v, UnknownField, message)
}

// meant returns the field that a name seems to be a misspelling of, or "".
func (s *structure) meant(name string) (best string) {
	for i := range s.order {
		f := &s.order[i]
		switch {
		case f.inline:
			if inner := f.shape.fields.Load().meant(name); best == "" {
				best = inner
			}
		case strings.EqualFold(f.name, name):
			return f.name
		case near(f.name, name) && best == "":
			best = f.name
		}
	}
	return best
}

// near reports whether a name is another with a different ending or at most two
// other letters.
func near(known, name string) bool {
	const least = 4 // of anything shorter two letters are too much
	if len(known) < least || len(name) > len(known)+8 || len(known) > len(name)+8 {
		return false
	}
	if n := min(len(known), len(name)); n >= least && strings.EqualFold(known[:n], name[:n]) {
		return true
	}
	// Edit distance (Wagner, Fischer), one row at a time.
	row := make([]int, len(name)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(known) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(name) {
			cost := diagonal
			if known[i]|0x20 != name[j]|0x20 {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(name)] <= 2
}

// has reports whether a kind has a field of a name anywhere below a shape.
func (t *Types) has(root *shape, name string) bool {
	if names, ok := t.names.Load(root); ok {
		return names.(map[string]bool)[name]
	}
	names, seen := make(map[string]bool), make(map[*shape]bool)
	var walk func(s *shape)
	walk = func(s *shape) {
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		walk(s.elem)
		if s.form != object {
			return
		}
		for _, f := range t.structure(s).order {
			names[f.name] = true
			walk(f.shape)
		}
	}
	walk(root)
	t.names.Store(root, names)
	return names[name]
}
