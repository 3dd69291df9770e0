package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/reach"
	"github.com/spf13/cobra"
)

// maxFlows bounds a file of flows.
const maxFlows = 5_000_000

func newNetRecommend(s Streams) *cobra.Command {
	n := &netInput{Streams: s}
	var flows []string
	noIntent := false
	cmd := &cobra.Command{
		Use:   "recommend [PATH...]",
		Short: "Writes the policies that are missing",
		Long: `Writes policies that deny everything by default, in both directions, and allow
what is needed: flows that were observed (--flows), and what the manifests declare
by ports, Services, Ingresses and references in the environment of containers.
Each workload gets one policy, by its own labels. The result is proven before it
is written: every flow stays allowed, and what is cut is counted.

A file of flows has one JSON object a line; an end is NAMESPACE/NAME of a workload,
an IP address or a CIDR:

  {"from": "shop/web", "to": "shop/db", "port": 5432, "protocol": "TCP"}

The policies come in an order that is safe to apply, with the way back.`,
		Example: `  merlon net recommend deploy/ > policies.yaml
  merlon net recommend deploy/ --flows flows.jsonl --no-intent > policies.yaml
  merlon net simulate deploy/ -f policies.yaml`,
		Args: n.pathArgs,
		RunE: func(cmd *cobra.Command, paths []string) error {
			snapshot, err := n.readKinds(cmd.Context(), paths, append(reach.Kinds(), reach.DeclaringKinds()...))
			if err != nil {
				return err
			}
			m := reach.New(snapshot, reach.Options{})
			if len(m.Workloads) == 0 {
				return failed(fmt.Errorf("no workload is in the input: there is nothing to write policies for"))
			}
			return n.recommend(cmd.Context(), snapshot, m, flows, !noIntent)
		},
	}
	cmd.Flags().StringArrayVar(&flows, "flows", nil, "`FILE` of observed flows, one JSON object a line (repeatable)")
	cmd.Flags().BoolVar(&noIntent, "no-intent", false, "only what was observed, not what the manifests declare")
	n.register(cmd, "yaml")
	return cmd
}

func (n *netInput) recommend(ctx context.Context, s *fact.Snapshot, m *reach.Model, files []string, intent bool) error {
	var flows []reach.Flow
	var gaps []fact.Gap
	if intent {
		flows = m.Intent()
	}
	for _, f := range files {
		seen, g, err := readFlows(m, f)
		if err != nil {
			return failed(err)
		}
		flows, gaps = append(flows, seen...), append(gaps, g...)
	}
	advice := m.Recommend(flows)
	text := adviceYAML(advice)
	policies, err := n.policiesOf(ctx, text)
	if err != nil {
		return err
	}
	proof, err := prove(s, policies, flows)
	if err != nil {
		return failed(err)
	}
	if _, err := io.WriteString(n.Out, "# "+strings.Join(proof, "\n# ")+"\n"+wayBack(advice)+text); err != nil {
		return failed(fmt.Errorf("write the policies: %w", err))
	}
	return n.tellGaps(slices.Concat(gaps, gapsOf(s, m)))
}

// jsonFlow is a line of a file of flows.
type jsonFlow struct {
	From     string `json:"from"`
	To       string `json:"to"`
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`
}

// readFlows reads a file of flows. A line that cannot be used is a gap.
func readFlows(m *reach.Model, name string) (out []reach.Flow, gaps []fact.Gap, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("read flows: %w", err)
	}
	defer f.Close()
	scanner := bufio.NewScanner(f)
	scanner.Buffer(nil, 1<<20)
	ends := map[string]reach.FlowEnd{}
	for line := uint32(1); scanner.Scan(); line++ {
		text := bytes.TrimSpace(scanner.Bytes())
		if len(text) == 0 {
			continue
		}
		flow, problem := parseFlow(m, text, ends)
		if problem != "" {
			gaps = append(gaps, fact.Gap{Kind: "invalid-flow", File: name, Pos: fact.Pos{Line: line}, Message: problem + "; the line is left out"})
			continue
		}
		flow.Why = fmt.Sprintf("%s:%d", name, line)
		if out = append(out, flow); len(out) > maxFlows {
			return nil, nil, fmt.Errorf("read flows: %s has more than %d lines", name, maxFlows)
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, nil, fmt.Errorf("read flows: %s: %w", name, err)
	}
	return out, gaps, nil
}

func parseFlow(m *reach.Model, text []byte, ends map[string]reach.FlowEnd) (flow reach.Flow, problem string) {
	var j jsonFlow
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&j); err != nil {
		return flow, "a flow is a JSON object with from, to, port and protocol: " + clean(oneLine(strings.TrimPrefix(err.Error(), "json: ")))
	}
	proto, ok := reach.ParseProtocol(strings.ToUpper(j.Protocol))
	if !ok || j.Port < 1 || j.Port > 65535 {
		return flow, "a flow needs a port from 1 to 65535 and a protocol TCP, UDP or SCTP"
	}
	flow.Ports = reach.PortsOf(proto, uint16(j.Port), uint16(j.Port))
	for i, name := range []string{j.From, j.To} {
		end, known := ends[name]
		if p, err := netip.ParsePrefix(name); err == nil && !known {
			end, known = reach.FlowEnd{Range: reach.RangeOf(p)}, true
		}
		if !known {
			list, _, err := findEnd(m, name)
			if err != nil {
				return flow, "no workload of the input, and no address, is " + clean(oneLine(name[:min(len(name), 80)]))
			}
			end = flowEnd(m, list[0])
			ends[name] = end
		}
		if i == 0 {
			flow.From = end
		} else {
			flow.To = end
		}
	}
	if flow.From.Workload == nil && flow.To.Workload == nil {
		return flow, "one end of a flow must be a workload"
	}
	return flow, ""
}

func flowEnd(m *reach.Model, e reach.End) reach.FlowEnd {
	if e.Endpoint < 0 {
		return reach.FlowEnd{Range: reach.Range{First: e.Addr, Last: e.Addr}}
	}
	return reach.FlowEnd{Workload: m.Workloads[m.Endpoints[e.Endpoint].Members[0].Workload]}
}

// wayBack writes, as comments, how to undo each namespace: what denies first.
func wayBack(advice []reach.Advice) string {
	var b strings.Builder
	b.WriteString("# Apply in this order, a namespace at a time; nothing that is needed is cut on the way.\n# The way back, in this order:\n")
	for i, a := range advice {
		if i+1 == len(advice) || advice[i+1].Namespace != a.Namespace { // the last of a namespace denies
			fmt.Fprintf(&b, "#   kubectl -n %[1]s delete networkpolicy %[2]s && kubectl -n %[1]s delete networkpolicy -l app.kubernetes.io/managed-by=merlon\n", a.Namespace, a.Name)
		}
	}
	return b.String()
}
