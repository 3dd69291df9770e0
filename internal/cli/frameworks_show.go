package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/framework"
	"github.com/spf13/cobra"
)

func newFrameworksShow(s Streams) *cobra.Command {
	var dirs, controlDirs []string
	var output string
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Shows the items of a framework and which controls answer them",
		Long: `Shows every item of a standard, whether facts or a person decide it, and which
controls answer it. An item without a control is not assessed; a scan says never counts it as passed.`,
		Example: `  merlon frameworks show pss-restricted
  merlon frameworks show cis-1.12 -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("frameworks show needs one NAME; see merlon frameworks list")
			}
			return nil
		},
		ValidArgsFunction: completed(frameworkNames),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := oneOf("-o", output, "table", "json"); err != nil {
				return err
			}
			f, err := oneFramework(args[0], dirs)
			if err != nil {
				return err
			}
			list, err := headsOf(controlDirs)
			if err != nil {
				return err
			}
			v := frameworkViewOf(f, list)
			if output == "json" {
				return writeJSON(s.Out, v)
			}
			return v.table(s.Out)
		},
	}
	cmd.Flags().StringArrayVar(&dirs, "frameworks", nil, "`DIR` with your own frameworks (repeatable)")
	cmd.Flags().StringArrayVar(&controlDirs, "controls", nil, "`DIR` with your own controls (repeatable)")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`FORMAT`: table or json")
	return cmd
}

func oneFramework(name string, dirs []string) (*framework.Framework, error) {
	list, err := loadFrameworks(dirs)
	if err != nil {
		return nil, failed(err)
	}
	var known []string
	for _, f := range list {
		if f.Name == name {
			return f, nil
		}
		known = append(known, f.Name)
	}
	return nil, unknown("framework", name, known, "merlon frameworks list")
}

// frameworkView is what frameworks show prints.
type frameworkView struct {
	Name     string         `json:"name"`
	Title    string         `json:"title"`
	Version  string         `json:"version,omitempty"`
	Source   string         `json:"source,omitempty"`
	License  string         `json:"license,omitempty"`
	View     string         `json:"view,omitempty"`
	Coverage map[string]int `json:"coverage"`
	Items    []itemView     `json:"items"`
}

type itemView struct {
	ID       string   `json:"id"`
	Section  string   `json:"section,omitempty"`
	Title    string   `json:"title"`
	Level    string   `json:"level,omitempty"`
	Mode     string   `json:"mode"`
	Since    string   `json:"since,omitempty"`
	Until    string   `json:"until,omitempty"`
	Look     string   `json:"look,omitempty"`
	Controls []string `json:"controls"`
	Support  string   `json:"support,omitempty"` // what says that controls listed by the framework answer it
}

func frameworkViewOf(f *framework.Framework, list []*control.Control) *frameworkView {
	v := &frameworkView{Name: f.Name, Title: f.Title, Version: f.Version, Source: f.Source, License: f.License, Coverage: map[string]int{
		"items": len(f.Items), "answered": 0, "manual": 0, "unanswered": 0,
	}}
	v.View = f.View
	for _, it := range f.Items {
		row := itemView{ID: it.ID, Section: it.Section, Title: it.Title, Level: it.Level, Mode: it.Mode, Since: it.Since, Until: it.Until, Look: strings.TrimSpace(it.Look), Controls: []string{}, Support: it.Support}
		for _, c := range list {
			if slices.Contains(c.Maps[f.Name].Items, it.ID) || slices.Contains(it.Controls, c.ID) {
				row.Controls = append(row.Controls, c.ID)
			}
		}
		switch {
		case len(row.Controls) > 0:
			v.Coverage["answered"]++
		case it.Mode == "manual":
			v.Coverage["manual"]++
		default:
			v.Coverage["unanswered"]++
		}
		v.Items = append(v.Items, row)
	}
	return v
}

func (v *frameworkView) table(w io.Writer) error {
	fmt.Fprintf(w, "%s\n%s\n", clean(v.Title), clean(v.Source))
	section := ""
	for i := range v.Items {
		it := &v.Items[i]
		if it.Section != section {
			section = it.Section
			fmt.Fprintf(w, "\n%s\n", clean(section))
		}
		fmt.Fprintf(w, "  %s  %s%s\n", clean(it.ID), clean(it.Title), clean(it.remark()))
		switch {
		case len(it.Controls) > 0:
			fmt.Fprintf(w, "      %s\n", clean(strings.Join(it.Controls, ", ")))
		case it.Mode == "manual":
			fmt.Fprintf(w, "      by a person: %s\n", clean(oneLine(it.Look)))
		default:
			fmt.Fprintf(w, "      %s\n", clean(oneLine("not assessed. "+it.Look)))
		}
	}
	c := v.Coverage
	_, err := fmt.Fprintf(w, "\n%s: %d answered by controls, %d by a person, %d not assessed\n", plural(c["items"], "item"), c["answered"], c["manual"], c["unanswered"])
	return err
}

// remark tells the level, mode and versions of an item, where it has them.
func (it *itemView) remark() string {
	var parts []string
	if it.Level != "" {
		parts = append(parts, it.Level)
	}
	if it.Mode == "manual" {
		parts = append(parts, "manual")
	}
	if it.Since != "" {
		parts = append(parts, "from "+it.Since+" on")
	}
	if it.Until != "" {
		parts = append(parts, "until "+it.Until)
	}
	if len(parts) == 0 {
		return ""
	}
	return "  (" + strings.Join(parts, ", ") + ")"
}
