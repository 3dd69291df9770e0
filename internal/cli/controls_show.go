package cli

import (
	"bytes"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
)

func newControlsShow(s Streams) *cobra.Command {
	var dirs []string
	var output string
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Prints a control as Merlon understands it",
		Long: `Prints one control as it was parsed, for programs and for authors of controls.
To learn about it, use merlon explain.`,
		Example: `  merlon controls show workload/privileged-container
  merlon controls show custom/team-label --controls policies/ -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("controls show needs one ID; see merlon controls list")
			}
			return nil
		},
		ValidArgsFunction: completed(controlNames),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := oneOf("-o", output, "yaml", "json"); err != nil {
				return err
			}
			c, err := oneControl(args[0], dirs)
			if err != nil {
				return err
			}
			v := controlViewOf(c)
			if output == "json" {
				return writeJSON(s.Out, v)
			}
			var buf bytes.Buffer
			enc := yaml.NewEncoder(&buf)
			enc.SetIndent(2)
			if err := enc.Encode(v); err != nil {
				return failed(err)
			}
			_, err = s.Out.Write(buf.Bytes())
			return err
		},
	}
	cmd.Flags().StringArrayVar(&dirs, "controls", nil, "`DIR` with your own controls (repeatable)")
	cmd.Flags().StringVarP(&output, "output", "o", "yaml", "`FORMAT`: yaml or json")
	return cmd
}

// controlView is a control as controls show prints it: the form's own keys, and
// what follows from the file.
type controlView struct {
	ID        string                 `yaml:"id" json:"id"`
	Family    string                 `yaml:"family" json:"family"`
	File      string                 `yaml:"file" json:"file"`
	BuiltIn   bool                   `yaml:"builtIn" json:"builtIn"`
	Title     string                 `yaml:"title" json:"title"`
	Aliases   []string               `yaml:"aliases,omitempty" json:"aliases,omitempty"`
	Severity  string                 `yaml:"severity" json:"severity"`
	Since     string                 `yaml:"since,omitempty" json:"since,omitempty"`
	Maps      map[string]mappingView `yaml:"maps,omitempty" json:"maps,omitempty"`
	Threat    string                 `yaml:"threat,omitempty" json:"threat,omitempty"`
	Why       string                 `yaml:"why" json:"why"`
	Fix       string                 `yaml:"fix" json:"fix"`
	Price     string                 `yaml:"price,omitempty" json:"price,omitempty"`
	Scope     scopeView              `yaml:"scope" json:"scope"`
	Params    map[string]any         `yaml:"params,omitempty" json:"params,omitempty"`
	Variables []variableView         `yaml:"variables,omitempty" json:"variables,omitempty"`
	When      string                 `yaml:"when,omitempty" json:"when,omitempty"`
	Items     string                 `yaml:"items,omitempty" json:"items,omitempty"`
	Require   string                 `yaml:"require" json:"require"`
	Message   string                 `yaml:"message" json:"message"`
	At        []string               `yaml:"at,omitempty" json:"at,omitempty"`
	Redact    bool                   `yaml:"redact,omitempty" json:"redact,omitempty"`
	Running   bool                   `yaml:"running,omitempty" json:"running,omitempty"`
	Written   bool                   `yaml:"written,omitempty" json:"written,omitempty"`
	Cases     []caseView             `yaml:"cases,omitempty" json:"cases,omitempty"`
}

type mappingView struct {
	Items  []string `yaml:"items,flow" json:"items"`
	Source string   `yaml:"source" json:"source"`
}

type scopeView struct {
	Each       string   `yaml:"each" json:"each"`
	Kinds      []string `yaml:"kinds,omitempty,flow" json:"kinds,omitempty"`
	Containers []string `yaml:"containers,omitempty,flow" json:"containers,omitempty"`
	Component  string   `yaml:"component,omitempty" json:"component,omitempty"`
}

type variableView struct {
	Name       string `yaml:"name" json:"name"`
	Expression string `yaml:"expression" json:"expression"`
}

type caseView struct {
	Name    string `yaml:"name" json:"name"`
	Verdict string `yaml:"verdict" json:"verdict"`
	Line    int    `yaml:"line" json:"line"`
}

func controlViewOf(c *control.Control) controlView {
	v := controlView{
		ID: c.ID, Family: c.Family(), File: c.File, BuiltIn: c.BuiltIn, Title: c.Title, Aliases: c.Aliases,
		Severity: c.Level().String(), Since: c.Since, Threat: c.Threat, Why: c.Why, Fix: c.Fix, Price: c.Price,
		Scope:  scopeView{string(c.Scope.Each), c.Scope.Kinds, c.Scope.Containers, c.Scope.Component},
		Params: c.Params, When: c.When, Items: c.Items, Require: c.Require, Message: c.Message, At: c.At, Redact: c.Redact, Running: c.Running, Written: c.Written,
	}
	for name, m := range c.Maps {
		if v.Maps == nil {
			v.Maps = map[string]mappingView{}
		}
		v.Maps[name] = mappingView(m)
	}
	for _, x := range c.Variables {
		v.Variables = append(v.Variables, variableView(x))
	}
	cases, err := c.Cases()
	if err != nil {
		return v // controls test tells what is wrong with cases
	}
	for i := range cases {
		v.Cases = append(v.Cases, caseView{cases[i].Name, string(cases[i].Verdict), cases[i].Line})
	}
	return v
}
