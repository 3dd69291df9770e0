package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/framework"
	"github.com/spf13/cobra"
)

func newDocs(s Streams) *cobra.Command {
	return &cobra.Command{
		Use:   "docs DIR",
		Short: "Writes the reference documentation",
		Long:  "Writes the reference documentation into a folder: what the program itself knows\nabout its commands, controls, frameworks and reports. For authors of Merlon.",
		Example: `  # renew the committed pages
  go run ./cmd/merlon docs docs/reference`,
		Hidden: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("docs needs one folder to write into")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			pages, err := reference()
			if err != nil {
				return err
			}
			for _, name := range slices.Sorted(maps.Keys(pages)) {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(pages[name]), 0o644); err != nil {
					return failed(fmt.Errorf("write documentation: %w", err))
				}
			}
			return nil
		},
	}
}

// printed is the first line of every page that the binary writes.
const printed = "<!-- Printed by the binary. Renew with: go run ./cmd/merlon docs docs/reference -->\n\n"

// reference returns the pages by file name.
func reference() (map[string]string, error) {
	list, err := headsOf(nil)
	if err != nil {
		return nil, err
	}
	standards, err := frameworksPage()
	if err != nil {
		return nil, err
	}
	schema, err := reportSchema()
	if err != nil {
		return nil, failed(err)
	}
	return map[string]string{
		"cli.md": commandsPage(), "controls.md": controlsPage(list), "frameworks.md": standards,
		"report.md": reportPage(), "report.schema.json": schema,
		"functions.md": functionsPage(), "configuration.md": settingsPage(), "outputs.md": outputsPage(),
	}, nil
}

func commandsPage() string {
	var b strings.Builder
	b.WriteString(printed + "# Commands\n\n")
	b.WriteString("Exit codes of every command: 0 done (a scan: nothing at or above `--fail-on`), 1 findings (`controls test`: cases that\ndo not hold), 2 wrong usage, 3 Merlon could not do it, or not all of it.\n\n")
	b.WriteString("Each flag of `merlon scan` can also be set in the environment, as `MERLON_` and its name in capitals with `_` for `-`\n(`MERLON_FAIL_ON=medium`; several values with commas between), and in `merlon.yaml`, under `scan`. A flag is stronger\nthan the environment, the environment than the file.\n")
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Hidden || sub.Name() == "help" {
				continue
			}
			if sub.Runnable() && !sub.HasSubCommands() {
				commandSection(&b, sub)
			}
			walk(sub)
		}
	}
	walk(newRoot(Streams{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}))
	return b.String()
}

func commandSection(b *strings.Builder, c *cobra.Command) {
	fmt.Fprintf(b, "\n## %s\n\n%s.\n", c.CommandPath(), c.Short)
	if c.Long != "" {
		fmt.Fprintf(b, "\n%s\n", c.Long)
	}
	fmt.Fprintf(b, "\n```\n%s\n```\n", c.UseLine())
	c.InitDefaultHelpFlag()
	if flags := c.LocalFlags().FlagUsages(); flags != "" {
		fmt.Fprintf(b, "\n```\n%s```\n", flags)
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", strings.ReplaceAll(strings.TrimPrefix(c.Example, "  "), "\n  ", "\n"))
	}
}

// cell makes a text safe inside a table of Markdown.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(oneLine(s))
}

func controlsPage(list []*control.Control) string {
	var b strings.Builder
	b.WriteString(printed + "# Controls\n\n")
	b.WriteString("Every built-in control, by family. `merlon explain ID` teaches each: the attack, an example, the fix and its price.\nThe family `hygiene` is off unless `--all` is given.\n")
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *control.Control) int {
		return cmp.Or(cmp.Compare(a.Family(), b.Family()), cmp.Compare(b.Level(), a.Level()), cmp.Compare(a.ID, b.ID))
	})
	family := ""
	for _, c := range list {
		if c.Family() != family {
			family = c.Family()
			fmt.Fprintf(&b, "\n## %s\n\n| control | severity | what is wrong | mappings |\n|---|---|---|---|\n", family)
		}
		var mapped []string
		for _, name := range slices.Sorted(maps.Keys(c.Frameworks())) {
			mapped = append(mapped, name+" "+strings.Join(c.Frameworks()[name], ", "))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", c.ID, c.Level(), cell(c.Title), cell(strings.Join(mapped, "; ")))
	}
	return b.String()
}

// frameworksPage lists items without the controls that answer them, which
// frameworks show tells: a new control changes no page but that of controls.
func frameworksPage() (string, error) {
	all, err := loadFrameworks(nil)
	if err != nil {
		return "", failed(err)
	}
	var b strings.Builder
	b.WriteString(printed + "# Frameworks\n\n")
	b.WriteString("Every standard with all of its items. `merlon frameworks show NAME` tells which controls answer each. An item passes\nonly if every control that answers it ran and passed and nothing was left unseen; a manual one asks a person; one of\nmode none is not assessed. A coverage view lists attacks: which controls look at each, and what they found, never pass.\n")
	for _, f := range all {
		n := modes(f)
		fmt.Fprintf(&b, "\n## %s\n\n%s. %d items: %d automated, %d manual, %d not assessed by anything.%s\n\nSource: <%s>. %s\n", f.Name, f.Title, len(f.Items), n["automated"], n["manual"], n["none"], viewOf(f), f.Source, oneLine(f.License))
		fmt.Fprintf(&b, "\n| item | section | what it asks | mode |\n|---|---|---|---|\n")
		for _, it := range f.Items {
			v := itemView{Level: it.Level, Since: it.Since, Until: it.Until}
			fmt.Fprintf(&b, "| %s | %s | %s | %s%s |\n", cell(it.ID), cell(it.Section), cell(it.Title), it.Mode, v.remark())
		}
	}
	return b.String(), nil
}

func viewOf(f *framework.Framework) string {
	if f.Coverage() {
		return " A coverage view."
	}
	return ""
}
