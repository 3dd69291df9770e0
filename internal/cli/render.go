package cli

import (
	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/sandbox"
	"github.com/spf13/cobra"
)

// newRender is the side of a scan that runs foreign code, charts and overlays,
// in a process of its own. It is for Merlon itself.
func newRender(s Streams) *cobra.Command {
	return &cobra.Command{
		Use: sandbox.Command, Hidden: true, DisableFlagParsing: true,
		Short: "Renders charts and overlays for a scan; for Merlon itself",
		RunE: func(_ *cobra.Command, args []string) error {
			if err := sandbox.Serve(args, s.In, s.Out, builtin.Jobs()); err != nil {
				return failed(err)
			}
			return nil
		},
	}
}
