package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/controls"
	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/spf13/cobra"
)

func newControls(s Streams) *cobra.Command {
	cmd := &cobra.Command{Use: "controls", Short: "Lists, shows and tests controls"}
	var dirs []string
	test := &cobra.Command{
		Use:   "test [ID | FAMILY]...",
		Short: "Runs the cases of controls",
		RunE: func(_ *cobra.Command, ids []string) error {
			list, errs := loadControls(dirs)
			bad := 0
			for _, err := range errs {
				fmt.Fprintln(s.Err, clean(err.Error()))
				bad++
			}
			lib := control.NewLibrary()
			total, tested := 0, 0
			for _, c := range list {
				if len(ids) > 0 && !slices.Contains(ids, c.ID) && !slices.Contains(ids, c.Family()) {
					continue
				}
				tested++
				ran, failures := assess.RunCases(lib, c)
				total += ran
				bad += len(failures)
				for _, f := range failures {
					fmt.Fprintln(s.Out, clean(f))
				}
			}
			fmt.Fprintf(s.Out, "%d controls, %d cases run, %d problems\n", tested, total, bad)
			if bad > 0 {
				return &exitError{code: exitFindings}
			}
			if tested == 0 {
				return usage("no control is named %s", strings.Join(ids, " or "))
			}
			return nil
		},
	}
	test.Flags().StringArrayVar(&dirs, "controls", nil, "folder of your own controls (repeatable)")
	cmd.AddCommand(test)
	return cmd
}

// loadControls returns the built-in controls and those of folders of the
// user's, in the order of their ids. Errors are for single files; the other
// controls are there.
func loadControls(dirs []string) ([]*control.Control, []error) {
	list, err := control.Load(controls.FS, true)
	errs := split(err)
	for _, dir := range dirs {
		own, err := control.Load(os.DirFS(dir), false)
		for _, e := range split(err) {
			errs = append(errs, fmt.Errorf("%s: %w", dir, e))
		}
		list = append(list, own...)
	}
	slices.SortStableFunc(list, func(a, b *control.Control) int { return strings.Compare(a.ID, b.ID) })
	return list, errs
}

func split(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}
