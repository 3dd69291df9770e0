package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/reach"
	"github.com/spf13/cobra"
)

func newNetDiff(s Streams) *cobra.Command {
	n := &netInput{Streams: s}
	cmd := &cobra.Command{
		Use:   "diff BEFORE [AFTER]",
		Short: "Compares what two sets of manifests, or a cluster, allow",
		Long: `Compares what the policies of two inputs allow, by workload: added, removed and
changed connections. BEFORE and AFTER are each a file, a folder or a snapshot; a
cluster (--cluster, --context) or --snapshot FILE can stand for AFTER.

Exit codes: 0 the same is allowed, 1 there is a difference, 2 wrong usage, 3
Merlon could not do it, or could not read all of it.`,
		Example: `  git worktree add /tmp/main main
  merlon net diff /tmp/main/deploy deploy/

  # what was saved yesterday against what runs now
  merlon net diff yesterday.snapshot --context production`,
		Args: n.diffArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			before, err := n.readOne(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var after *fact.Snapshot
			if len(args) == 2 {
				after, err = n.readOne(cmd.Context(), args[1])
			} else {
				after, err = n.read(cmd.Context(), nil)
			}
			if err != nil {
				return err
			}
			return n.difference(before, after)
		},
	}
	n.register(cmd, "table", "json", "csv", "md", "dot", "svg", "html")
	return cmd
}

func (n *netInput) diffArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 || n.in.living() != (len(args) == 1) || len(args) > 2 {
		return usage("%[1]s needs BEFORE and AFTER: two PATHs, or one and --cluster, --context NAME or --snapshot FILE; see %[1]s --help", cmd.CommandPath())
	}
	return n.in.agree(slices.ContainsFunc(args, isSnapshot))
}

func newNetSimulate(s Streams) *cobra.Command {
	n := &netInput{Streams: s}
	var files []string
	cmd := &cobra.Command{
		Use:   "simulate [PATH...] -f NEW.yaml",
		Short: "Says what would change if new policies were applied",
		Long: `Reads manifests, applies the objects of NEW.yaml on top, those of the same kind,
namespace and name in place of what is there, and tells the difference of what is
allowed. Exit codes are those of net diff.`,
		Example: "  merlon net simulate deploy/ -f deny-all.yaml\n  merlon net simulate --context production -f deny-all.yaml",
		Args:    n.pathArgs,
		RunE: func(cmd *cobra.Command, paths []string) error {
			if len(files) == 0 {
				return usage("%s needs -f NEW.yaml: what is to be applied", cmd.CommandPath())
			}
			before, err := n.read(cmd.Context(), paths)
			if err != nil {
				return err
			}
			change, err := n.readFiles(cmd.Context(), files)
			if err != nil {
				return err
			}
			return n.difference(before, applied(before, change))
		},
	}
	cmd.Flags().StringArrayVarP(&files, "file", "f", nil, "`PATH` of what is to be applied (repeatable)")
	n.register(cmd, "table", "json", "csv", "md", "dot", "svg", "html")
	return cmd
}

// applied returns a snapshot with the objects of another on top.
func applied(base, change *fact.Snapshot) *fact.Snapshot {
	taken := map[fact.Ref]bool{}
	for _, o := range change.Objects() {
		taken[o.Ref()] = true
	}
	var all []fact.Change
	for _, o := range base.Objects() {
		if !taken[o.Ref()] {
			all = append(all, fact.Change{Op: fact.Upsert, Object: o})
		}
	}
	for _, o := range change.Objects() {
		all = append(all, fact.Change{Op: fact.Upsert, Object: o})
	}
	for _, g := range slices.Concat(base.Gaps(), change.Gaps()) {
		all = append(all, fact.Change{Op: fact.GapOpened, Gap: g})
	}
	return (&fact.Snapshot{}).Apply(all...)
}

// jsonChange is a difference in JSON output.
type jsonChange struct {
	Change string    `json:"change"`
	From   []string  `json:"from"`
	To     []string  `json:"to"`
	Before viewPorts `json:"before"`
	After  viewPorts `json:"after"`
}

func changeOf(before, after reach.Ports) string {
	switch {
	case before.Empty():
		return "added"
	case after.Empty():
		return "removed"
	}
	return "changed"
}

func (n *netInput) difference(before, after *fact.Snapshot) error {
	a, b := reach.Pair(before, after, reach.Options{})
	d := reach.Diff(a, b)
	var list []jsonChange
	for _, c := range d.Changes {
		list = append(list, jsonChange{changeOf(c.Before, c.After), c.From, c.To, viewPorts{c.Before}, viewPorts{c.After}})
	}
	for _, c := range d.Outside {
		x := jsonChange{Change: changeOf(c.Before, c.After), From: c.Workloads, To: []string{rangeNames(c.Ranges)}, Before: viewPorts{c.Before}, After: viewPorts{c.After}}
		if c.Direction == reach.Ingress {
			x.From, x.To = x.To, x.From
		}
		list = append(list, x)
	}
	if err := n.writeDifference(d, list, allWorkloads(a, b)); err != nil {
		return failed(fmt.Errorf("write the difference: %w", err))
	}
	gaps := slices.Concat(gapsOf(before, a), gapsOf(after, b))
	slices.SortStableFunc(gaps, func(x, y fact.Gap) int { return strings.Compare(fmt.Sprint(x), fmt.Sprint(y)) })
	err := n.tellGaps(slices.Compact(gaps))
	if len(list) > 0 {
		return &exitError{code: exitFindings} // a difference is certain, whatever else there may be
	}
	return err
}

func allWorkloads(models ...*reach.Model) []string {
	var out []string
	for _, m := range models {
		for _, w := range m.Workloads {
			out = append(out, w.String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// policiesOf reads policies that are text, as they would be read from a file.
func (n *netInput) policiesOf(ctx context.Context, text string) (*fact.Snapshot, error) {
	inner := *n
	inner.In = strings.NewReader(text)
	return inner.readFiles(ctx, []string{"-"})
}
