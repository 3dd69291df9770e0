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
that facts can decide, and those that only a person can.`,
		Example: `  merlon frameworks list
  merlon frameworks list --frameworks standards/ -o json`,
		Args: cobra.NoArgs,
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
			t := newColumns("FRAMEWORK", "ITEMS", "AUTOMATED", "MANUAL", "TITLE")
			for _, f := range list {
				automated, manual := modes(f)
				t.row(f.Name, strconv.Itoa(len(f.Items)), strconv.Itoa(automated), strconv.Itoa(manual), f.Title)
			}
			return t.write(s.Out)
		},
	}
	cmd.Flags().StringArrayVar(&dirs, "frameworks", nil, "`DIR` with your own frameworks (repeatable)")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`FORMAT`: table or json")
	return cmd
}

func modes(f *framework.Framework) (automated, manual int) {
	for _, it := range f.Items {
		if it.Mode == "manual" {
			manual++
		} else {
			automated++
		}
	}
	return automated, manual
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
	}
	rows := make([]row, 0, len(list))
	for _, f := range list {
		automated, manual := modes(f)
		rows = append(rows, row{f.Name, f.Title, f.Version, f.Source, len(f.Items), automated, manual})
	}
	return writeJSON(s.Out, rows)
}
