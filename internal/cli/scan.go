package cli

import (
	"encoding/json"
	"fmt"

	"github.com/merlon-security/merlon/frameworks"
	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/framework"
	"github.com/merlon-security/merlon/internal/source/manifest"
	"github.com/spf13/cobra"
)

func newScan(s Streams) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "scan PATH...",
		Short: "Scans manifests",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, paths []string) error {
			list, errs := loadControls(nil)
			if len(errs) > 0 {
				return failed(errs[0])
			}
			var run, left []*control.Control
			for _, c := range list {
				if c.Hygiene() && !all {
					left = append(left, c)
				} else {
					run = append(run, c)
				}
			}
			src := &manifest.Source{Paths: paths, Stdin: s.In}
			var changes []fact.Change
			if err := src.Collect(cmd.Context(), func(c fact.Change) error { changes = append(changes, c); return nil }); err != nil {
				return failed(err)
			}
			a, err := assess.New(control.NewLibrary(), run, assess.Options{Minor: assess.NewestMinor()}).Assess((&fact.Snapshot{}).Apply(changes...))
			if err != nil {
				return failed(err)
			}
			fws, err := framework.Load(frameworks.FS)
			if err != nil {
				return failed(err)
			}
			r := a.Report(fws, left)
			r.Summary.Files = src.Files()
			enc := json.NewEncoder(s.Out)
			enc.SetIndent("", "  ")
			if err := enc.Encode(r); err != nil {
				return failed(fmt.Errorf("write report: %w", err))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also the controls of good order (hygiene)")
	return cmd
}
