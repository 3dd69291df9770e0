package cli

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/reach"
	"github.com/spf13/cobra"
)

func newNet(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "net",
		Short: "Says who can talk to whom, and why",
		Long: `Computes what network policies allow between workloads, and between workloads
and addresses outside: exactly, for every port. Reads NetworkPolicy,
AdminNetworkPolicy, BaselineAdminNetworkPolicy and ClusterNetworkPolicy. What is
not evaluated, such as policies of a plug-in's own, is told as a gap.`,
		Args: subcommand, RunE: help,
	}
	cmd.AddCommand(newNetList(s), newNetAllowed(s), newNetExposed(s), newNetIsolated(s), newNetDiff(s), newNetSimulate(s), newNetLint(s), newNetRecommend(s))
	return cmd
}

// netInput is what the commands of net read.
type netInput struct {
	Streams
	in     objectInput
	output string
}

func (n *netInput) register(cmd *cobra.Command, formats ...string) {
	n.in.register(cmd.Flags())
	n.in.registerNamespaces(cmd.Flags())
	cmd.Flags().StringVarP(&n.output, "output", "o", formats[0], "`FORMAT`: "+strings.Join(formats, ", "))
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := oneOf("-o", n.output, formats...); err != nil {
			return err
		}
		return run(cmd, args)
	}
}

// read reads what the flags name, or paths as scan does.
func (n *netInput) read(ctx context.Context, paths []string) (*fact.Snapshot, error) {
	return n.readKinds(ctx, paths, reach.Kinds())
}

func (n *netInput) readKinds(ctx context.Context, paths, kinds []string) (*fact.Snapshot, error) {
	return read(ctx, func(ctx context.Context) (*fact.Snapshot, error) { return n.in.read(ctx, n.Streams, paths, kinds) })
}

// readOne reads a path that may also be a snapshot.
func (n *netInput) readOne(ctx context.Context, path string) (*fact.Snapshot, error) {
	return read(ctx, func(ctx context.Context) (*fact.Snapshot, error) { return n.in.readOne(ctx, n.Streams, path) })
}

// readFiles reads paths, whatever the flags name.
func (n *netInput) readFiles(ctx context.Context, paths []string) (*fact.Snapshot, error) {
	return read(ctx, func(ctx context.Context) (*fact.Snapshot, error) {
		return n.in.files(ctx, n.Streams, paths)
	})
}

func read(ctx context.Context, from func(context.Context) (*fact.Snapshot, error)) (*fact.Snapshot, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	tuneMemory(0)
	snapshot, err := from(ctx)
	var told *exitError
	if err != nil && !errors.As(err, &told) {
		err = failed(err)
	}
	if err != nil {
		return nil, err
	}
	return snapshot, nil
}

// model reads paths, or what the flags name, and computes what is allowed.
func (n *netInput) model(ctx context.Context, paths []string, opts reach.Options) (*fact.Snapshot, *reach.Model, error) {
	snapshot, err := n.read(ctx, paths)
	if err != nil {
		return nil, nil, err
	}
	return snapshot, reach.New(snapshot, opts), nil
}

// pathArgs wants PATHs, or flags that name another input.
func (n *netInput) pathArgs(cmd *cobra.Command, args []string) error {
	return n.in.check(cmd.CommandPath(), "a PATH", args)
}

// gapsOf returns what could not be read, then what could not be evaluated.
func gapsOf(s *fact.Snapshot, m *reach.Model) []fact.Gap {
	return append(slices.Clone(s.Gaps()), m.Gaps()...)
}

// tellGaps writes gaps to standard error and returns the exit code that they
// ask for: 3 when something is not known that could change the answer.
func (n *netInput) tellGaps(gaps []fact.Gap) error {
	const most = 20
	minor := map[string]int{}
	var worst error
	told := 0
	for _, g := range gaps {
		if harmless(g.Kind) {
			minor[g.Kind]++
			continue
		}
		if g.Kind != "unknown-namespace" {
			worst = &exitError{code: exitFailed}
		}
		if told++; told <= most {
			fmt.Fprintf(n.Err, "gap: %s%s: %s\n", clean(gapAt(g)), g.Kind, clean(oneLine(g.Message)))
		}
	}
	if told > most {
		fmt.Fprintf(n.Err, "gap: … and %d more; merlon net list -o json has all\n", told-most)
	}
	for _, kind := range sortedNames(minor) {
		fmt.Fprintf(n.Err, "gap: %s: %s, which merlon scan tells; all else was read\n", kind, plural(minor[kind], "place"))
	}
	return worst
}

// gapAt says where a gap was met.
func gapAt(g fact.Gap) string {
	switch {
	case g.File == "":
		return ""
	case g.Pos.Line == 0:
		return g.File + ": "
	}
	return fmt.Sprintf("%s:%d: ", g.File, g.Pos.Line)
}

// ruleAt is where something of a policy is written.
func ruleAt(o *fact.Object, v fact.Value) string {
	if o.Origin.File == "" {
		return ""
	}
	if !v.Present() {
		v = o.Root.Index(0)
	}
	return lineOf(o, v)
}

// lineOf is the file and line where a value of an object was written, or the file
// where the line is not known.
func lineOf(o *fact.Object, v fact.Value) string {
	at, _ := o.At(v)
	if at.Pos.Line == 0 {
		return at.File
	}
	return fmt.Sprintf("%s:%d", at.File, at.Pos.Line)
}

// findEnd finds what a person names: an address, or a workload as NAME,
// NAMESPACE/NAME or NAMESPACE/NAME[Kind].
func findEnd(m *reach.Model, name string) (ends []reach.End, shown string, err error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []reach.End{reach.OutsideEnd(a.Unmap())}, a.String(), nil
	}
	var found []*reach.Workload
	var known []string
	for _, w := range m.Workloads {
		known = append(known, w.Namespace+"/"+w.Name)
		if name == w.String() || name == w.Namespace+"/"+w.Name || name == w.Name {
			found = append(found, w)
		}
	}
	switch len(found) {
	case 0:
		return nil, "", unknown("workload", name, known, "merlon net list")
	case 1:
		for _, e := range found[0].Endpoints {
			ends = append(ends, reach.PodEnd(e))
		}
		return ends, found[0].String(), nil
	}
	var names []string
	for _, w := range found {
		names = append(names, w.String())
	}
	return nil, "", usage("%s is more than one workload: %s", name, strings.Join(names, ", "))
}
