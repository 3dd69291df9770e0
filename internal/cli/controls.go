package cli

import "github.com/spf13/cobra"

func newControls(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use: "controls", Short: "Lists, shows and tests controls",
		Long: "A control is one rule about what should be, in one YAML file.\ndocs/reference/control-format.md describes the form.",
		Example: `  merlon controls list
  merlon controls show workload/privileged-container
  merlon controls test`,
		Args: subcommand, RunE: help,
	}
	cmd.AddCommand(newControlsList(s), newControlsShow(s), newControlsTest(s))
	return cmd
}
