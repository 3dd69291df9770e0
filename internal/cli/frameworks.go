package cli

import "github.com/spf13/cobra"

func newFrameworks(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "frameworks", Short: "Lists and shows frameworks: standards, item by item",
		Long: `A framework is a standard with all of its items, those that only a person can
answer included. Controls say which items they answer.`,
		Example: `  merlon frameworks list
  merlon frameworks show nsa`,
		Args: subcommand, RunE: help,
	}
	cmd.AddCommand(newFrameworksList(s), newFrameworksShow(s))
	return cmd
}
