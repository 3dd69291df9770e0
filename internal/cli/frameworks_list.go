package cli

import (
	"strconv"

	"github.com/merlon-security/merlon/internal/framework"
	"github.com/spf13/cobra"
)

func newFrameworksList(s Streams) *cobra.Command {
	var dirs []string
	var output string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists frameworks",
		Long: `Lists the standards that a scan reports on, with their number of items: those
that facts can decide, those that only a person can, and those of which no
source says that facts of a cluster answer them.`,
		Example: `  merlon frameworks list
  merlon frameworks list --frameworks standards/ -o json`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := oneOf("-o", output, "table", "json"); err != nil {
				return err
			}
			list, err := loadFrameworks(dirs)
			if err != nil {
				return failed(err)
			}
			if output == "json" {
				return frameworksJSON(s, list)
			}
			t := newColumns("FRAMEWORK", "ITEMS", "AUTOMATED", "MANUAL", "NONE", "TITLE")
			for _, f := range list {
				n := modes(f)
				t.row(f.Name, strconv.Itoa(len(f.Items)), strconv.Itoa(n["automated"]), strconv.Itoa(n["manual"]), strconv.Itoa(n["none"]), f.Title)
			}
			return t.write(s.Out)
		},
	}
	cmd.Flags().StringArrayVar(&dirs, "frameworks", nil, "`DIR` with your own frameworks (repeatable)")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`FORMAT`: table or json")
	return cmd
}

// modes counts items by what decides them.
func modes(f *framework.Framework) map[string]int {
	n := map[string]int{}
	for _, it := range f.Items {
		switch it.Mode {
		case "manual", "none":
			n[it.Mode]++
		default:
			n["automated"]++
		}
	}
	return n
}

func frameworksJSON(s Streams, list []*framework.Framework) error {
	type row struct {
		Name      string `json:"name"`
		Title     string `json:"title"`
		Version   string `json:"version,omitempty"`
		Source    string `json:"source,omitempty"`
		Items     int    `json:"items"`
		Automated int    `json:"automated"`
		Manual    int    `json:"manual"`
		None      int    `json:"none"`
	}
	rows := make([]row, 0, len(list))
	for _, f := range list {
		n := modes(f)
		rows = append(rows, row{f.Name, f.Title, f.Version, f.Source, len(f.Items), n["automated"], n["manual"], n["none"]})
	}
	return writeJSON(s.Out, rows)
}
