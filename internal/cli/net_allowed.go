package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/reach"
	"github.com/spf13/cobra"
)

func newNetAllowed(s Streams) *cobra.Command {
	n := &netInput{Streams: s}
	var paths []string
	explain := false
	cmd := &cobra.Command{
		Use:   "allowed SRC DST [PORT]",
		Short: "Says whether one workload may connect to another, and by which rules",
		Long: `Says whether the policies let SRC connect to DST. Both are a workload (NAME,
NAMESPACE/NAME or NAMESPACE/NAME[Kind]) or an IP address outside the cluster;
PORT is 8080, 53/udp or http-style ranges such as 8000-8080. Without PORT, all
ports that are allowed are told.

Exit codes: 0 all of it is allowed, 1 it is not, 2 wrong usage, 3 Merlon could not
do it, or something that is not evaluated could change the answer.`,
		Example: `  merlon net allowed shop/web shop/db 5432 -f deploy/
  merlon net allowed shop/web 169.254.169.254 80 -f deploy/ --explain
  merlon net allowed shop/web shop/db --context production`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 || len(args) > 3 {
				return usage("%s needs SRC, DST and perhaps PORT; see %s --help", cmd.CommandPath(), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := n.in.check(cmd.CommandPath(), "-f PATH", paths); err != nil {
				return err
			}
			ports := reach.AllPorts()
			if len(args) == 3 {
				var err error
				if ports, err = parsePort(args[2]); err != nil {
					return err
				}
			}
			snapshot, m, err := n.model(cmd.Context(), paths, reach.Options{})
			if err != nil {
				return err
			}
			return n.allowed(snapshot, m, args[0], args[1], ports, explain)
		},
	}
	cmd.Flags().StringArrayVarP(&paths, "file", "f", nil, "`PATH` of manifests: a file, a folder, - for standard input (repeatable)")
	cmd.Flags().BoolVar(&explain, "explain", false, "every policy and rule that decides, with its place")
	n.register(cmd, "table", "json", "csv", "md")
	return cmd
}

// parsePort reads PORT or FIRST-LAST, with /udp or /sctp after it.
func parsePort(s string) (reach.Ports, error) {
	bad := usage("%q is no port: write 8080, 53/udp or 8000-8080/tcp", s)
	span, name, _ := strings.Cut(s, "/")
	proto, ok := reach.ParseProtocol(strings.ToUpper(name))
	a, b, isSpan := strings.Cut(span, "-")
	if !isSpan {
		b = a
	}
	first, err1 := strconv.ParseUint(a, 10, 16)
	last, err2 := strconv.ParseUint(b, 10, 16)
	if !ok || err1 != nil || err2 != nil || first == 0 || first > last {
		return reach.Ports{}, bad
	}
	return reach.PortsOf(proto, uint16(first), uint16(last)), nil
}

// jsonReason is one step of a decision in JSON output.
type jsonReason struct {
	Direction string    `json:"direction"`
	Verdict   string    `json:"verdict"`
	Ports     viewPorts `json:"ports"`
	Policy    string    `json:"policy,omitempty"`
	Rule      string    `json:"rule,omitempty"`
	Place     string    `json:"place,omitempty"`
	Why       string    `json:"why"`
}

type jsonAllowed struct {
	From      string       `json:"from"`
	To        string       `json:"to"`
	Asked     viewPorts    `json:"asked"`
	Allowed   viewPorts    `json:"allowed"`
	Uncertain []string     `json:"uncertain,omitempty"`
	Reasons   []jsonReason `json:"reasons,omitempty"`
}

func (n *netInput) allowed(s *fact.Snapshot, m *reach.Model, src, dst string, ports reach.Ports, explain bool) error {
	from, fromName, err := findEnd(m, src)
	if err != nil {
		return err
	}
	to, toName, err := findEnd(m, dst)
	if err != nil {
		return err
	}
	if from[0].Endpoint < 0 && to[0].Endpoint < 0 {
		return usage("%s and %s are both addresses: one end must be a workload", fromName, toName)
	}
	out := jsonAllowed{From: fromName, To: toName, Asked: viewPorts{ports}}
	open := ports
	for _, a := range from {
		for _, b := range to {
			open = open.And(m.Ports(a, b))
			if explain {
				for _, r := range m.Explain(a, b, ports) {
					out.Reasons = append(out.Reasons, reasonOf(r))
				}
			}
			for _, e := range []reach.End{a, b} {
				if e.Endpoint >= 0 {
					for _, o := range m.Taints(e.Endpoint) {
						if name := titleOf(o); !slices.Contains(out.Uncertain, name) {
							out.Uncertain = append(out.Uncertain, name)
						}
					}
				}
			}
		}
	}
	out.Allowed = viewPorts{open}
	if err := n.writeAllowed(&out, explain); err != nil {
		return failed(err)
	}
	if len(out.Uncertain) > 0 || len(s.Gaps()) > 0 {
		if err := n.tellGaps(gapsOf(s, m)); err != nil {
			return err
		}
	}
	if ports.All() && open.Empty() || !ports.All() && open != ports {
		return &exitError{code: exitFindings}
	}
	return nil
}

func (n *netInput) writeAllowed(out *jsonAllowed, explain bool) error {
	if n.output == "json" {
		return writeJSON(n.Out, out)
	}
	t := &netTable{titles: []string{"FROM", "TO", "ALLOWED"}}
	t.add(out.From, out.To, out.Allowed.String())
	if err := t.write(n.Out, n.output); err != nil || !explain {
		return err
	}
	fmt.Fprintln(n.Out)
	t = &netTable{titles: []string{"SIDE", "VERDICT", "PORTS", "WHY", "PLACE"}}
	for _, r := range out.Reasons {
		t.add(r.Direction, r.Verdict, r.Ports.String(), r.Why, r.Place)
	}
	return t.write(n.Out, n.output)
}

// nearMiss says how near the rules of a policy come to what none of them allows.
func nearMiss(r reach.Reason) string {
	if len(r.Near) == 0 {
		return "no rule of any policy allows this"
	}
	var rules []string
	for _, near := range r.Near {
		rules = append(rules, strconv.Itoa(near.Index+1))
	}
	return "its rule " + strings.Join(rules, ", ") + " is about the other end, but not about these ports"
}

func reasonOf(r reach.Reason) jsonReason {
	out := jsonReason{Direction: r.Direction.String(), Verdict: r.Verdict.String(), Ports: viewPorts{r.Ports}}
	switch {
	case r.Verdict == reach.Outsider:
		out.Why = "policies do not apply to this end: it is outside, or on its node's network"
	case r.Policy == nil:
		out.Why = "no policy decides"
	case r.Rule == nil:
		out.Policy, out.Place = r.Policy.String(), ruleAt(r.Policy.Object, fact.Value{})
		out.Why = out.Policy + " selects the pods, and " + nearMiss(r)
	default:
		out.Policy, out.Place = r.Policy.String(), ruleAt(r.Policy.Object, r.Rule.Value)
		out.Rule = strconv.Itoa(r.Rule.Index + 1)
		out.Why = out.Policy + ", rule " + out.Rule
		if r.Rule.Name != "" {
			out.Why += " (" + r.Rule.Name + ")"
		}
	}
	return out
}
