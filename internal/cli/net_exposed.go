package cli

import (
	"fmt"
	"strings"

	"github.com/merlon-security/merlon/internal/reach"
	"github.com/spf13/cobra"
)

func newNetExposed(s Streams) *cobra.Command {
	n := &netInput{Streams: s}
	cmd := &cobra.Command{
		Use:   "exposed [PATH...]",
		Short: "Says what the internet, or any pod, can reach",
		Long: `Lists the workloads that can be reached from more than the workloads that are
there: from the internet by an Ingress, Route, Gateway or Service of type NodePort
or LoadBalancer; from any pod of the cluster, present or future; from pods that a
rule describes by labels that anybody who can create pods may give.`,
		Example: "  merlon net exposed deploy/\n  merlon net exposed --cluster",
		Args:    n.pathArgs,
		RunE: func(cmd *cobra.Command, paths []string) error {
			snapshot, m, err := n.model(cmd.Context(), paths, withController(reach.Options{Described: true}))
			if err != nil {
				return err
			}
			if err := n.rows([]string{"WORKLOAD", "FROM", "PORTS", "BY"}, exposedRows(m)); err != nil {
				return err
			}
			return n.tellGaps(gapsOf(snapshot, m))
		},
	}
	n.register(cmd, "table", "json", "csv", "md")
	return cmd
}

// rows writes an answer whose JSON form is a list of the rows.
func (n *netInput) rows(titles []string, rows [][]string) error {
	if n.output != "json" {
		if err := (&netTable{titles, rows}).write(n.Out, n.output); err != nil {
			return failed(fmt.Errorf("write the answer: %w", err))
		}
		return nil
	}
	list := []map[string]string{}
	for _, r := range rows {
		x := map[string]string{}
		for i, t := range titles {
			x[strings.ToLower(t)] = r[i]
		}
		list = append(list, x)
	}
	return writeJSON(n.Out, list)
}

func exposedRows(m *reach.Model) [][]string {
	var rows [][]string
	doors := newDoors(m)
	for _, e := range m.Entries() {
		from := "internet"
		if e.Internal {
			from = "private network"
		}
		if p := doors.ports(&e); !p.Empty() {
			rows = append(rows, []string{e.Workload.String(), from, p.String(), e.Object.Kind + " " + e.Object.InNamespace() + "/" + e.Object.Name})
		}
	}
	for _, w := range m.Workloads {
		for _, e := range w.Endpoints {
			for _, x := range m.Exposure(reach.Ingress, e) {
				if !x.Ports.Empty() && (x.Any() || !x.Seen || len(x.Pods) == 0) {
					rows = append(rows, []string{w.String(), describedText(&x), x.Ports.String(), protection(m, e)})
				}
			}
		}
	}
	return sortedUnique(rows)
}

func protection(m *reach.Model, e int) string {
	if m.Endpoints[e].HostNetwork {
		return "host network"
	}
	if m.Protected(reach.Ingress, e) {
		return "policies"
	}
	return "no policy"
}

// describedText writes a set of pods that a rule describes.
func describedText(x *reach.Described) string {
	if x.Any() {
		return "any pod"
	}
	pods, ns := "any pod", "any namespace"
	if len(x.Pods) > 0 {
		pods = "pods " + requirementText(x.Pods)
	}
	switch {
	case x.Namespace != "":
		ns = "namespace " + x.Namespace
	case len(x.Namespaces) > 0:
		ns = "namespaces " + requirementText(x.Namespaces)
	}
	return pods + " of " + ns
}

func requirementText(list []reach.Requirement) string {
	var out []string
	for _, r := range list {
		switch r.Operator {
		case "In":
			if len(r.Values) == 1 {
				out = append(out, r.Key+"="+r.Values[0])
				continue
			}
			out = append(out, r.Key+" in ("+strings.Join(r.Values, ",")+")")
		case "NotIn":
			out = append(out, r.Key+" not in ("+strings.Join(r.Values, ",")+")")
		case "Exists":
			out = append(out, r.Key)
		default:
			out = append(out, "without "+r.Key)
		}
	}
	return "{" + strings.Join(out, ", ") + "}"
}

func newNetIsolated(s Streams) *cobra.Command {
	n := &netInput{Streams: s}
	cmd := &cobra.Command{
		Use:   "isolated [PATH...]",
		Short: "Says which workloads policies limit, in which direction, and how far",
		Long: `Lists every workload with what limits it: "no policy" where none is about it,
"open" where policies are but allow everything, "limited", or "closed" where
nothing is allowed.`,
		Example: "  merlon net isolated deploy/",
		Args:    n.pathArgs,
		RunE: func(cmd *cobra.Command, paths []string) error {
			snapshot, m, err := n.model(cmd.Context(), paths, reach.Options{})
			if err != nil {
				return err
			}
			var rows [][]string
			for _, w := range m.Workloads {
				for _, e := range w.Endpoints {
					rows = append(rows, []string{w.String(), isolation(m, reach.Ingress, e), isolation(m, reach.Egress, e)})
				}
			}
			if err := n.rows([]string{"WORKLOAD", "INGRESS", "EGRESS"}, sortedUnique(rows)); err != nil {
				return err
			}
			return n.tellGaps(gapsOf(snapshot, m))
		},
	}
	n.register(cmd, "table", "json", "csv", "md")
	return cmd
}

func isolation(m *reach.Model, d reach.Direction, e int) string {
	switch {
	case m.Endpoints[e].HostNetwork:
		return "host network"
	case !m.Protected(d, e):
		return "no policy"
	case m.Open(d, e):
		return "open"
	case m.Closed(d, e):
		return "closed"
	}
	return "limited"
}
