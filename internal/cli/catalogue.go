package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/controls"
	"github.com/merlon-security/merlon/frameworks"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/framework"
)

// loadControls returns the built-in controls and those of folders of the
// user's, in the order of their ids. Errors are for single files; the other
// controls are there.
func loadControls(dirs []string) ([]*control.Control, []error) { return loadWith(control.Load, dirs) }

// loadHeads is loadControls for a command that may not need all of them whole;
// see [control.LoadHeads].
func loadHeads(dirs []string) ([]*control.Control, []error) { return loadWith(control.LoadHeads, dirs) }

func loadWith(load func(fs.FS, bool) ([]*control.Control, error), dirs []string) ([]*control.Control, []error) {
	list, err := load(controls.FS, true)
	errs := split(err)
	seen := map[string]bool{}
	for _, c := range list {
		seen[c.ID] = true
	}
	for _, dir := range dirs {
		own, err := load(os.DirFS(dir), false)
		for _, e := range split(err) {
			errs = append(errs, fmt.Errorf("%s: %w", dir, e))
		}
		for _, c := range own {
			if seen[c.ID] {
				errs = append(errs, fmt.Errorf("%s: %s: there is another control named %s: give it a folder or a name of its own", dir, c.File, c.ID))
				continue
			}
			seen[c.ID] = true
			list = append(list, c)
		}
	}
	slices.SortStableFunc(list, func(a, b *control.Control) int { return strings.Compare(a.ID, b.ID) })
	return list, errs
}

// split returns the errors that were joined into one.
func split(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

// headsOf is loadHeads for commands that need every file to be right.
func headsOf(dirs []string) ([]*control.Control, error) {
	list, errs := loadHeads(dirs)
	if len(errs) > 0 {
		return nil, failed(errors.Join(errs...))
	}
	return list, nil
}

// oneControl returns the control of an id, of a former id, or of a name that
// only one family has. A built-in one named by its id costs reading one file.
func oneControl(id string, dirs []string) (*control.Control, error) {
	if family, name, ok := strings.Cut(id, "/"); ok && len(dirs) == 0 && fs.ValidPath(id) {
		file := family + "/" + name + ".yaml"
		if data, err := fs.ReadFile(controls.FS, file); err == nil {
			c, err := control.Parse(file, data)
			if err != nil {
				return nil, failed(err)
			}
			c.BuiltIn = true
			return c, nil
		}
	}
	list, err := headsOf(dirs)
	if err != nil {
		return nil, err
	}
	if now, ok := aliasesOf(list)[id]; ok {
		id = now
	}
	var named []*control.Control
	for _, c := range list {
		if c.ID == id {
			return whole(c)
		}
		if strings.HasSuffix(c.ID, "/"+id) {
			named = append(named, c)
		}
	}
	if len(named) == 1 {
		return whole(named[0])
	}
	return nil, unknown("control", id, idsOf(named, list), "merlon controls list --all")
}

func whole(c *control.Control) (*control.Control, error) {
	full, err := c.Complete()
	if err != nil {
		return nil, failed(err)
	}
	return full, nil
}

// idsOf returns the ids of the first list that is not empty.
func idsOf(lists ...[]*control.Control) []string {
	var out []string
	for _, list := range lists {
		for _, c := range list {
			out = append(out, c.ID)
		}
		if len(out) > 0 {
			break
		}
	}
	return out
}

// aliasesOf returns the ids of controls by their former ids.
func aliasesOf(list []*control.Control) map[string]string {
	out := map[string]string{}
	for _, c := range list {
		for _, former := range c.Aliases {
			out[former] = c.ID
		}
	}
	for _, c := range list { // a name in use means its present bearer
		delete(out, c.ID)
	}
	return out
}

// loadFrameworks returns the built-in frameworks and those of folders.
func loadFrameworks(dirs []string) ([]*framework.Framework, error) {
	out, err := framework.Load(frameworks.FS)
	if err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		own, err := framework.Load(os.DirFS(dir))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", dir, err)
		}
		for _, f := range own {
			if slices.ContainsFunc(out, func(x *framework.Framework) bool { return x.Name == f.Name }) {
				return nil, fmt.Errorf("%s: there is another framework named %s", dir, f.Name)
			}
			out = append(out, f)
		}
	}
	return out, nil
}

// answered brings the controls that items of frameworks name to their present
// ids, and tells those that there are none of: such an item looks as if nobody
// had thought of it.
func answered(all []*framework.Framework, list []*control.Control) []string {
	known := map[string]bool{}
	for _, c := range list {
		known[c.ID] = true
	}
	aliases := aliasesOf(list)
	var out []string
	for _, f := range all {
		for i := range f.Items {
			item := &f.Items[i]
			for j, id := range item.Controls {
				if now, renamed := aliases[id]; renamed {
					item.Controls[j], id = now, now
				}
				if !known[id] {
					out = append(out, fmt.Sprintf("framework %s: item %s: no control is named %s", f.Name, item.ID, nameOf(id)))
				}
			}
		}
	}
	return out
}

// unknown is the usage error for a name that nothing has, with the names that
// are most like it and the command that lists all.
func unknown(what, name string, known []string, listed string) error {
	hint := "see " + listed
	if near := nearest(name, known); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "? See " + listed
	}
	return usage("no %s is named %q: %s", what, name, hint)
}

// nearest returns at most three names that are like a mistyped one.
func nearest(name string, known []string) []string {
	type scored struct {
		name string
		cost int
	}
	var near []scored
	for _, k := range known {
		cost := distance(name, k)
		if _, short, ok := strings.Cut(k, "/"); ok && !strings.Contains(name, "/") {
			cost = min(cost, distance(name, short))
		}
		if len(name) >= 4 && strings.Contains(k, name) {
			cost = min(cost, 1)
		}
		if cost <= max(2, len(name)/4) {
			near = append(near, scored{k, cost})
		}
	}
	slices.SortStableFunc(near, func(a, b scored) int { return a.cost - b.cost })
	var out []string
	for _, n := range near[:min(3, len(near))] {
		out = append(out, n.name)
	}
	return out
}

// distance is how many letters must be changed, added or dropped to make one
// word of the other (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
