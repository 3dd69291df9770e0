package cli

import (
	"fmt"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/harden"
	"github.com/spf13/cobra"
)

func newControlsTest(s Streams) *cobra.Command {
	var dirs []string
	cmd := &cobra.Command{
		Use:   "test [ID | FAMILY]...",
		Short: "Runs the cases of controls",
		Long: `Runs every case of every control through the engine, those in the short form
also inside every kind that carries pods and as init, sidecar and ephemeral
containers, and checks every expression as an API server would.

All files that are broken are told at once. Exit codes: 0 all cases hold, 1 some
do not, 2 no control has the name.`,
		Example: `  merlon controls test
  merlon controls test workload/privileged-container
  merlon controls test --controls policies/ custom`,
		ValidArgsFunction: completed(controlNames),
		RunE: func(_ *cobra.Command, names []string) error {
			list, errs := loadControls(dirs)
			for _, err := range errs {
				fmt.Fprintln(s.Err, clean(err.Error()))
			}
			chosen := list
			if len(names) > 0 {
				var err error
				if chosen, err = pick(list, names); err != nil {
					return err
				}
			}
			return testControls(s, chosen, len(errs))
		},
	}
	cmd.Flags().StringArrayVar(&dirs, "controls", nil, "`DIR` with your own controls (repeatable)")
	return cmd
}

// pick returns the controls that ids, former ids and families name.
func pick(list []*control.Control, names []string) ([]*control.Control, error) {
	aliases := aliasesOf(list)
	var out []*control.Control
	seen := map[string]bool{}
	for _, name := range names {
		wanted, found := name, false
		if now, ok := aliases[name]; ok {
			wanted = now
		}
		for _, c := range list {
			if c.ID != wanted && c.Family() != wanted {
				continue
			}
			found = true
			if !seen[c.ID] {
				seen[c.ID] = true
				out = append(out, c)
			}
		}
		if !found {
			return nil, unknown("control or family", name, append(familiesOf(list), idsOf(list)...), "merlon controls list --all")
		}
	}
	return out, nil
}

func testControls(s Streams, list []*control.Control, broken int) error {
	lib := control.NewLibrary()
	total, problems := 0, broken
	for _, c := range list {
		ran, failures := assess.RunCases(lib, c)
		failures = append(failures, harden.Prove(lib, c, assess.NewestMinor(), assess.WorldOf)...)
		total += ran
		problems += len(failures)
		for _, f := range failures {
			fmt.Fprintln(s.Out, clean(f))
		}
	}
	fmt.Fprintf(s.Out, "%s, %s run, %s\n", plural(len(list), "control"), plural(total, "case"), plural(problems, "problem"))
	if problems > 0 {
		return &exitError{code: exitFindings}
	}
	return nil
}
