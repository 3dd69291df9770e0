package cli

import (
	"bufio"
	"fmt"
	"io"

	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
	"github.com/spf13/cobra"
)

func newDiff(s Streams) *cobra.Command {
	var output, failOn string
	cmd := &cobra.Command{
		Use:   "diff BEFORE AFTER",
		Short: "Says what opened and closed between two JSON reports",
		Long: `Compares two reports of merlon scan -o json: findings that opened, closed, are
judged otherwise, and gaps. They are the same by their id, so that moved lines
are no difference. What is gone from a file that can no longer be read is
unseen, not closed.

Exit codes: 0 nothing at or above --fail-on opened, 1 something did, 2 wrong
usage, 3 a report could not be read, or gaps opened.`,
		Example: `  # what does this branch bring
  merlon scan main/deploy --fail-on none -o json=before.json
  merlon scan pr/deploy --fail-on none -o json=after.json
  merlon diff before.json after.json --fail-on medium

  # as a comment for a pull request
  merlon diff before.json after.json -o markdown > comment.md`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage("diff needs two reports: BEFORE and AFTER")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := oneOf("-o", output, "table", "json", "markdown"); err != nil {
				return err
			}
			level, err := finding.ParseSeverity(failOn)
			if err != nil {
				return usage("--fail-on: %v", err)
			}
			before, err := readReport("report", args[0])
			if err != nil {
				return failed(err)
			}
			after, err := readReport("report", args[1])
			if err != nil {
				return failed(err)
			}
			d := finding.Compare(before, after)
			if err := writeDiff(s.Out, output, d); err != nil {
				return failed(fmt.Errorf("write comparison: %w", err))
			}
			return verdictOf(&finding.Report{Findings: d.Opened, Gaps: d.Gaps.Opened}, level)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "`FORMAT`: table, json or markdown")
	cmd.Flags().StringVar(&failOn, "fail-on", "high", "exit with 1 when something from this `SEVERITY` on opened: low, medium, high, critical, none")
	return cmd
}

func writeDiff(w io.Writer, format string, d *finding.Diff) error {
	b := bufio.NewWriter(w)
	switch format {
	case "json":
		if err := sink.JSON(b, d, " "); err != nil {
			return err
		}
	case "markdown":
		diffMarkdown(b, d)
	default:
		diffTable(b, d)
	}
	return b.Flush()
}

// parts are the findings of a comparison under their headings.
func parts(d *finding.Diff) []struct {
	name, sign string
	list       []finding.Finding
} {
	return []struct {
		name, sign string
		list       []finding.Finding
	}{{"opened", "+", d.Opened}, {"closed", "-", d.Closed}, {"unseen", "?", d.Unseen}}
}

func diffTable(w io.Writer, d *finding.Diff) {
	for _, p := range parts(d) {
		for i := range p.list {
			f := &p.list[i]
			fmt.Fprintf(w, "%s %-8s  %s  %s  %s\n             %s\n", p.sign, f.Severity, f.Control, sink.Place(f.Location), sink.Subject(f.Subject), sink.Text(f.Message))
		}
	}
	for i := range d.Changed {
		c := &d.Changed[i]
		fmt.Fprintf(w, "~ %-8s  %s  %s  %s\n", c.After.Severity, c.After.Control, sink.Place(c.After.Location), sink.Subject(c.After.Subject))
		for _, what := range c.What {
			fmt.Fprintf(w, "             %s\n", sink.Text(what))
		}
	}
	for _, g := range d.Gaps.Opened {
		fmt.Fprintf(w, "! gap       %s  %s\n", sink.Place(g.Location), sink.Text(g.Message))
	}
	for _, n := range d.Notices {
		fmt.Fprintf(w, "note %s\n", sink.Text(n))
	}
	fmt.Fprintln(w, diffSum(d))
}

func diffSum(d *finding.Diff) string {
	text := fmt.Sprintf("%d opened, %d closed, %d changed", len(d.Opened), len(d.Closed), len(d.Changed))
	if n := len(d.Unseen); n > 0 {
		text += fmt.Sprintf(", %d no longer seen", n)
	}
	if a, b := len(d.Gaps.Opened), len(d.Gaps.Closed); a+b > 0 {
		text += fmt.Sprintf("; gaps: %d opened, %d closed", a, b)
	}
	return text
}

// maxListed is how many findings of a kind a comment lists: with the longest of
// texts it stays within the 65,536 characters that services take.
const maxListed = 12

func diffMarkdown(w io.Writer, d *finding.Diff) {
	fmt.Fprintf(w, "### Merlon: %s\n", diffSum(d))
	for _, n := range d.Notices {
		fmt.Fprintf(w, "\n> %s\n", sink.Markdown(n))
	}
	for i, g := range d.Gaps.Opened {
		if i == 0 {
			fmt.Fprint(w, "\n⚠️ **Not seen any more, so not judged**\n\n")
		}
		if i == maxListed {
			fmt.Fprintf(w, "- … and %d more\n", len(d.Gaps.Opened)-i)
			break
		}
		fmt.Fprintf(w, "- %s %s\n", sink.Code(sink.Place(g.Location)), sink.Markdown(g.Message))
	}
	for _, p := range parts(d) {
		if len(p.list) == 0 {
			continue
		}
		open := ""
		if p.name == "opened" {
			open = " open"
		}
		fmt.Fprintf(w, "\n<details%s><summary><b>%d %s</b></summary>\n\n", open, len(p.list), p.name)
		for i := range p.list {
			f := &p.list[i]
			if i == maxListed {
				fmt.Fprintf(w, "- … and %d more\n", len(p.list)-i)
				break
			}
			fmt.Fprintf(w, "- **%s** %s %s %s: %s\n", f.Severity, sink.Code(f.Control), sink.Code(sink.Place(f.Location)), sink.Code(sink.Subject(f.Subject)), sink.Markdown(f.Message))
		}
		fmt.Fprint(w, "\n</details>\n")
	}
	for i := range d.Changed {
		c := &d.Changed[i]
		if i == 0 {
			fmt.Fprintf(w, "\n<details><summary><b>%d changed</b></summary>\n\n", len(d.Changed))
		}
		if i == maxListed {
			fmt.Fprintf(w, "- … and %d more\n", len(d.Changed)-i)
			break
		}
		fmt.Fprintf(w, "- %s %s: %s\n", sink.Code(c.After.Control), sink.Code(sink.Subject(c.After.Subject)), sink.Markdown(fmt.Sprint(c.What)))
	}
	if len(d.Changed) > 0 {
		fmt.Fprint(w, "\n</details>\n")
	}
}
