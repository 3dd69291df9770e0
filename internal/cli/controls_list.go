package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/framework"
	"github.com/spf13/cobra"
)

// controlFilter is what controls list is asked for.
type controlFilter struct {
	families   []string
	severity   string
	frameworks []string
	all        bool
	dirs       []string
	output     string
}

func newControlsList(s Streams) *cobra.Command {
	f := &controlFilter{}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists controls",
		Long: `Lists the controls that a scan runs: id, severity and title. Those of good order
(family hygiene) are listed with --all, or when the family is named.`,
		Example: `  merlon controls list
  merlon controls list --family rbac --severity high
  merlon controls list --framework nsa -o json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error { return f.run(s) },
	}
	fl := cmd.Flags()
	fl.StringArrayVar(&f.families, "family", nil, "only the family `NAME` (repeatable)")
	fl.StringVar(&f.severity, "severity", "low", "from this `SEVERITY` on: low, medium, high, critical")
	fl.StringArrayVar(&f.frameworks, "framework", nil, "only what answers an item of the framework `NAME` (repeatable)")
	fl.BoolVar(&f.all, "all", false, "also the controls of good order (family hygiene)")
	fl.StringArrayVar(&f.dirs, "controls", nil, "`DIR` with your own controls (repeatable)")
	fl.StringVarP(&f.output, "output", "o", "table", "`FORMAT`: table or json")
	return cmd
}

func (f *controlFilter) run(s Streams) error {
	level, err := finding.ParseSeverity(f.severity)
	if err != nil {
		return usage("--severity: %v", err)
	}
	if err := oneOf("-o", f.output, "table", "json"); err != nil {
		return err
	}
	list, err := headsOf(f.dirs)
	if err != nil {
		return err
	}
	standards, err := f.standards(list)
	if err != nil {
		return err
	}
	for _, name := range f.families {
		if families := familiesOf(list); !slices.Contains(families, name) {
			return unknown("family", name, families, "merlon controls list --all")
		}
	}
	var out []*control.Control
	left := 0
	for _, c := range list {
		switch {
		case c.Level() < level, len(f.families) > 0 && !slices.Contains(f.families, c.Family()), !f.answers(c, standards):
		case c.Hygiene() && !f.all && len(f.families) == 0 && len(f.frameworks) == 0:
			left++
		default:
			out = append(out, c)
		}
	}
	if f.output == "json" {
		return listJSON(s.Out, out)
	}
	return listTable(s.Out, out, left)
}

// standards returns the frameworks asked for that Merlon has items of; one that
// controls merely name is known too.
func (f *controlFilter) standards(list []*control.Control) ([]*framework.Framework, error) {
	if len(f.frameworks) == 0 {
		return nil, nil
	}
	have, err := loadFrameworks(nil)
	if err != nil {
		return nil, failed(err)
	}
	var known []string
	for _, x := range have {
		known = append(known, x.Name)
	}
	for _, c := range list {
		for name := range c.Maps {
			if !slices.Contains(known, name) {
				known = append(known, name)
			}
		}
	}
	slices.Sort(known)
	for _, name := range f.frameworks {
		if !slices.Contains(known, name) {
			return nil, unknown("framework", name, known, "merlon frameworks list")
		}
	}
	return have, nil
}

func (f *controlFilter) answers(c *control.Control, standards []*framework.Framework) bool {
	return len(f.frameworks) == 0 || slices.ContainsFunc(f.frameworks, func(name string) bool {
		return len(c.Maps[name].Items) > 0 || slices.ContainsFunc(standards, func(x *framework.Framework) bool {
			return x.Name == name && x.AnsweredBy(c.ID, c.Frameworks())
		})
	})
}

func familiesOf(list []*control.Control) []string {
	var out []string
	for _, c := range list {
		if f := c.Family(); !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

// oneOf is the usage error for a flag with a fixed set of values.
func oneOf(flag, value string, values ...string) error {
	if slices.Contains(values, value) {
		return nil
	}
	return usage("%s: unknown value %q: one of %s", flag, value, strings.Join(values, ", "))
}

func listJSON(w io.Writer, list []*control.Control) error {
	type row struct {
		ID         string              `json:"id"`
		Family     string              `json:"family"`
		Severity   finding.Severity    `json:"severity"`
		Title      string              `json:"title"`
		Scope      control.Each        `json:"scope"`
		Aliases    []string            `json:"aliases,omitempty"`
		Frameworks map[string][]string `json:"frameworks,omitempty"`
	}
	rows := make([]row, 0, len(list))
	for _, c := range list {
		rows = append(rows, row{c.ID, c.Family(), c.Level(), c.Title, c.Scope.Each, c.Aliases, c.Frameworks()})
	}
	return writeJSON(w, rows)
}

func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return failed(err)
	}
	return nil
}

func listTable(w io.Writer, list []*control.Control, left int) error {
	t := newColumns("SEVERITY", "CONTROL", "TITLE")
	for _, c := range list {
		t.row(c.Level().String(), c.ID, c.Title)
	}
	if err := t.write(w); err != nil {
		return err
	}
	text := fmt.Sprintf("%d controls", len(list))
	if left > 0 {
		text += fmt.Sprintf("; %d more of good order with --all", left)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}
