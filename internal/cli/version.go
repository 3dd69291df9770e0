package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

// version is the release; the linker sets it (make release), nothing else does.
var version = "0.1.0-dev"

func newVersion(s Streams) *cobra.Command {
	var licenses bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Prints the version",
		Long:  "Prints the version of Merlon, of Go, and the platform; with --licenses also\nwhat the binary holds of others, and their licences.",
		Example: `  merlon version
  merlon version --licenses`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if _, err := fmt.Fprintf(s.Out, "merlon %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH); err != nil || !licenses {
				return err
			}
			return writeLicenses(s.Out)
		},
	}
	cmd.Flags().BoolVar(&licenses, "licenses", false, "also the modules in the binary and their licences")
	return cmd
}
