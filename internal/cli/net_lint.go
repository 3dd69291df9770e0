package cli

import (
	"fmt"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/reach"
	"github.com/spf13/cobra"
)

func newNetLint(s Streams) *cobra.Command {
	n := &netInput{Streams: s}
	cmd := &cobra.Command{
		Use:   "lint [PATH...]",
		Short: "Finds policies and rules that do not do what they look like",
		Long: `Finds policies that select nothing, rules that never match, rules that another
one shadows or makes superfluous, a default-deny that is none, rules of a direction
that policyTypes leaves out, and policies on a network plug-in that ignores them.

Exit codes: 0 nothing found, 1 something found, 2 wrong usage, 3 Merlon could not
do it, or could not read all of it.`,
		Example: "  merlon net lint deploy/",
		Args:    n.pathArgs,
		RunE: func(cmd *cobra.Command, paths []string) error {
			snapshot, m, err := n.model(cmd.Context(), paths, reach.Options{})
			if err != nil {
				return err
			}
			problems, complete := m.Lint()
			var rows [][]string
			for _, p := range problems {
				rows = append(rows, []string{p.Kind, p.Policy.String(), p.Message, ruleAt(p.Policy.Object, p.Value)})
			}
			if err := n.rows([]string{"PROBLEM", "POLICY", "WHY", "PLACE"}, rows); err != nil {
				return err
			}
			gaps := gapsOf(snapshot, m)
			if !complete {
				gaps = append(gaps, fact.Gap{Kind: "too-many-rules", Message: "a namespace has so many rules that they were not compared with each other: redundant ones are not told"})
			}
			err = n.tellGaps(gaps)
			if len(rows) > 0 {
				fmt.Fprintln(n.Err, plural(len(rows), "problem"))
				return &exitError{code: exitFindings}
			}
			return err
		},
	}
	n.register(cmd, "table", "json", "csv", "md")
	return cmd
}
