package cli

import "github.com/spf13/cobra"

func newCompletion(s Streams) *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion bash | zsh | fish | powershell",
		Short: "Prints a script that completes Merlon's commands in a shell",
		Example: `  source <(merlon completion bash)
  merlon completion zsh > "${fpath[1]}/_merlon"
  merlon completion fish > ~/.config/fish/completions/merlon.fish`,
		ValidArgs: shells,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("completion needs the name of a shell: bash, zsh, fish, powershell")
			}
			return oneOf("completion", args[0], shells...)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(s.Out, true)
			case "zsh":
				return root.GenZshCompletion(s.Out)
			case "fish":
				return root.GenFishCompletion(s.Out, true)
			}
			return root.GenPowerShellCompletionWithDesc(s.Out)
		},
	}
}

// completed offers names for the first argument of a command. They are looked up
// when a shell asks, not before.
func completed(names func() []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(), cobra.ShellCompDirectiveNoFileComp
	}
}

func controlNames() []string {
	list, _ := loadHeads(nil) // what is broken is told by the command itself
	return idsOf(list)
}

func frameworkNames() []string {
	list, _ := loadFrameworks(nil)
	var out []string
	for _, f := range list {
		out = append(out, f.Name)
	}
	return out
}
