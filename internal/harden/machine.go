package harden

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// Mode is a file of the node whose mode or owner is to be another.
type Mode struct {
	Path        string
	Mode, Owner string // "" for one that is right
	Controls    []string
}

// Sysctl is a kernel setting.
type Sysctl struct {
	Name, Value string
	Controls    []string
}

// set notes kernel settings that a control wants. The first control to ask for
// one settles it.
func (m *maker) set(values map[string]any, id string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		s := m.sysctls[name]
		if s == nil {
			s = &Sysctl{Name: name, Value: fmt.Sprint(values[name])}
			m.sysctls[name] = s
		}
		if !slices.Contains(s.Controls, id) {
			s.Controls = append(s.Controls, id)
		}
	}
}

func (m *maker) kernel() []Sysctl {
	var out []Sysctl
	for _, name := range slices.Sorted(maps.Keys(m.sysctls)) {
		out = append(out, *m.sysctls[name])
	}
	return out
}

// machine collects what the controls of files and of the machine want of those
// that fail them.
func (m *maker) machine(r *Result) error {
	at := map[string]int{}
	for _, o := range m.Objects {
		for _, ctl := range m.judges(o.GroupKind()) {
			wanted, err := m.wantedOf(o, ctl)
			if err != nil {
				return err
			}
			for _, ch := range wanted {
				m.set(ch.Sysctls, ctl.ID)
				if ch.Mode == "" && ch.Owner == "" {
					continue
				}
				path := o.Root.At("spec", "path").Str()
				i, known := at[path]
				if !known {
					i = len(r.Modes)
					at[path] = i
					r.Modes = append(r.Modes, Mode{Path: path})
				}
				r.Modes[i].take(&ch, o.Root.At("spec", "mode").Str(), ctl.ID)
			}
		}
	}
	slices.SortFunc(r.Modes, func(a, b Mode) int { return strings.Compare(a.Path, b.Path) })
	return nil
}

func (m *maker) wantedOf(o *fact.Object, ctl *control.Compiled) (out []control.Change, err error) {
	if len(ctl.Settings) == 0 {
		return nil, nil
	}
	j := control.NewJudge(m.Library, m.World, m.Minor)
	j.Subject(&control.Subject{Object: o})
	j.Run(ctl, func(found control.Outcome) {
		if found.Verdict == finding.Fail && out == nil {
			out, err = j.Changes(ctl)
		}
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", ctl.ID, err)
	}
	return out, err
}

// take adds what a control wants: a mode never gives more than there is, nor
// than another control lets it.
func (f *Mode) take(ch *control.Change, now, id string) {
	if ch.Owner != "" {
		f.Owner = ch.Owner
	}
	if ch.Mode != "" {
		if f.Mode != "" {
			now = f.Mode
		}
		f.Mode = within(now, ch.Mode)
	}
	if !slices.Contains(f.Controls, id) {
		f.Controls = append(f.Controls, id)
	}
}

// within takes from a mode what a limit does not have.
func within(mode, limit string) string {
	a, err := strconv.ParseUint(mode, 8, 32)
	b, err2 := strconv.ParseUint(limit, 8, 32)
	if err != nil || err2 != nil {
		return limit
	}
	return fmt.Sprintf("%04o", a&b)
}

// modes writes commands for a shell.
func (r *Result) modes() string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n# Modes and owners of files; above a line the controls that it satisfies (merlon explain CONTROL).\nset -eu\n")
	for _, f := range r.Modes {
		if plain(f.Path) != f.Path {
			continue // a name that a terminal would not show as it is
		}
		fmt.Fprintf(&b, "# %s\n", strings.Join(f.Controls, ", "))
		if f.Owner != "" {
			fmt.Fprintf(&b, "chown -- %s %s\n", quoted(f.Owner), quoted(f.Path))
		}
		if f.Mode != "" {
			fmt.Fprintf(&b, "chmod -- %s %s\n", quoted(f.Mode), quoted(f.Path))
		}
	}
	return b.String()
}

// quoted makes a text one word of a shell.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// kernelText writes a file for sysctl.d.
func (r *Result) kernelText() string {
	var b strings.Builder
	b.WriteString("# For /etc/sysctl.d; above a line the controls that it satisfies (merlon explain CONTROL).\n")
	for _, s := range r.Sysctls {
		fmt.Fprintf(&b, "# %s\n%s = %s\n", strings.Join(s.Controls, ", "), s.Name, s.Value)
	}
	return b.String()
}

// edited is an object of a node with the settings of a control made, for the
// proof that they satisfy it.
func edited(root fact.Value, ch *control.Change) (fact.Value, error) {
	var edits []fact.Edit
	set := func(v string, path ...string) {
		e := fact.Edit{Op: fact.Set, Value: fact.Of(v)}
		for _, p := range path {
			e.Path = append(e.Path, fact.Field(p))
		}
		edits = append(edits, e)
	}
	if ch.Mode != "" {
		set(within(root.At("spec", "mode").Str(), ch.Mode), "spec", "mode")
	}
	if user, group, ok := strings.Cut(ch.Owner, ":"); ok {
		set(user, "spec", "owner")
		set(group, "spec", "group")
	}
	for _, name := range slices.Sorted(maps.Keys(ch.Sysctls)) {
		set(fmt.Sprint(ch.Sysctls[name]), "spec", "sysctls", name)
	}
	var err error
	for _, e := range edits {
		if root, err = e.Apply(root); err != nil {
			return root, err
		}
	}
	return root, nil
}
