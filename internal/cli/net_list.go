package cli

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/reach"
	"github.com/spf13/cobra"
)

func newNetList(s Streams) *cobra.Command {
	n := &netInput{Streams: s}
	pairs := false
	cmd := &cobra.Command{
		Use:   "list [PATH...]",
		Short: "Lists which workloads may connect to which, and on which ports",
		Long: `Lists what the policies allow: connections between workloads, with addresses
outside, and by way of an Ingress, Route, Gateway or Service from outside.
Workloads that may do the same are one line. That a pod reaches itself is not
told. -o json has the classes with all their workloads.`,
		Example: `  merlon net list deploy/
  merlon net list --context production --namespace shop
  merlon net list deploy/ --pairs -o csv > connections.csv
  merlon net list deploy/ -o html > network.html`,
		Args: n.pathArgs,
		RunE: func(cmd *cobra.Command, paths []string) error {
			snapshot, m, err := n.model(cmd.Context(), paths, withController(reach.Options{}))
			if err != nil {
				return err
			}
			if pairs {
				err = n.pairs(m)
			} else {
				err = n.list(snapshot, m)
			}
			if err != nil {
				return err
			}
			return n.tellGaps(gapsOf(snapshot, m))
		},
	}
	cmd.Flags().BoolVar(&pairs, "pairs", false, "one line for each pair of workloads, as it is computed (table, csv, json)")
	n.register(cmd, "table", "json", "csv", "md", "dot", "svg", "html")
	return cmd
}

func (n *netInput) list(s *fact.Snapshot, m *reach.Model) error {
	view := newNetView(s, m)
	var err error
	switch n.output {
	case "json":
		err = writeJSON(n.Out, view)
	case "dot", "svg", "html":
		err = view.picture(n.Out, n.output)
	default:
		err = view.table(m).write(n.Out, n.output)
	}
	if err != nil {
		return failed(fmt.Errorf("write the list: %w", err))
	}
	return nil
}

// netView is the answer of list, as JSON has it.
type netView struct {
	Schema      string           `json:"schema"`
	Classes     []viewClass      `json:"classes"`
	Connections []viewConnection `json:"connections"`
	Outside     []viewOutside    `json:"outside"`
	Entries     []viewEntry      `json:"entries"`
	Gaps        []jsonGap        `json:"gaps"`
}

type viewClass struct {
	ID        int      `json:"id"`
	Pods      int      `json:"pods"`
	Workloads []string `json:"workloads"`
	Uncertain []string `json:"uncertain,omitempty"` // objects that are not evaluated and could change the answer
}

type viewConnection struct {
	From  []int     `json:"from"`
	To    []int     `json:"to"`
	Ports viewPorts `json:"ports"`
}

type viewOutside struct {
	Direction string    `json:"direction"`
	Classes   []int     `json:"classes"`
	Ranges    []string  `json:"ranges"`
	Ports     viewPorts `json:"ports"`
	shown     string
}

type viewEntry struct {
	Object   string    `json:"object"`
	Service  string    `json:"service"`
	Workload string    `json:"workload"`
	Ports    viewPorts `json:"ports"`
	Internal bool      `json:"internal,omitempty"`
}

// viewPorts are ports by protocol; "all" stands for every port.
type viewPorts struct{ reach.Ports }

// MarshalJSON writes {"TCP": "80,443"}; every port of every protocol is "all".
func (p viewPorts) MarshalJSON() ([]byte, error) {
	if p.All() {
		return []byte(`"all"`), nil
	}
	out := map[string]string{}
	for _, proto := range []reach.Protocol{reach.TCP, reach.UDP, reach.SCTP} {
		if list := p.List(proto); list != "" {
			out[proto.String()] = list
		}
	}
	return json.Marshal(out)
}

func newNetView(s *fact.Snapshot, m *reach.Model) *netView {
	classes := m.Classes()
	v := &netView{Schema: "merlon.net/v1", Classes: []viewClass{}, Connections: []viewConnection{}, Outside: []viewOutside{}, Entries: []viewEntry{}, Gaps: []jsonGap{}}
	for i, c := range classes {
		x := viewClass{ID: i, Pods: c.Pods, Workloads: classNames(m, classes, []int{i})}
		for _, o := range m.Taints(c.Endpoints[0]) {
			x.Uncertain = append(x.Uncertain, titleOf(o))
		}
		v.Classes = append(v.Classes, x)
	}
	for _, c := range m.Connections(classes) {
		v.Connections = append(v.Connections, viewConnection{c.From, c.To, viewPorts{c.Ports}})
	}
	for _, c := range m.OutsideConnections(classes) {
		x := viewOutside{Direction: c.Direction.String(), Classes: c.Classes, Ports: viewPorts{c.Ports}, shown: rangeNames(c.Ranges)}
		for _, r := range c.Ranges {
			x.Ranges = append(x.Ranges, r.String())
		}
		v.Outside = append(v.Outside, x)
	}
	doors := newDoors(m)
	for _, e := range m.Entries() {
		v.Entries = append(v.Entries, viewEntry{e.Object.Kind + " " + e.Object.InNamespace() + "/" + e.Object.Name, e.Service.Name, e.Workload.String(), viewPorts{doors.ports(&e)}, e.Internal})
	}
	for _, g := range gapsOf(s, m) {
		v.Gaps = append(v.Gaps, jsonGap{g.Kind, g.File, g.Pos.Line, g.Subject, oneLine(g.Message)})
	}
	return v
}

// supposedController stands for the pods of an ingress controller or gateway
// that the input does not hold: in a namespace of its own, without labels.
const supposedController = "ingress controller"

func withController(opts reach.Options) reach.Options {
	const ns = "ingress-controller"
	opts.Gateways = true
	opts.Virtual = []reach.Virtual{{Name: supposedController, Namespace: ns, NamespaceLabels: map[string]string{"kubernetes.io/metadata.name": ns}}}
	return opts
}

// controllerNames are parts of the names under which ingress controllers and
// gateways run.
var controllerNames = []string{"ingress", "traefik", "gateway", "envoy", "haproxy", "contour", "kong", "router-default", "nginx-controller"}

// doors finds what of an entry the policies of the workload let in: for what
// comes as it is, from some address outside; else from a controller of the
// input, or one that is supposed.
type doors struct {
	m           *reach.Model
	controllers []int          // endpoints
	gateways    map[string]int // supposed pods, by name
}

func newDoors(m *reach.Model) *doors {
	d := &doors{m: m, gateways: map[string]int{}}
	for i, x := range m.Endpoints {
		if x.Virtual == supposedController || isController(m, x) {
			d.controllers = append(d.controllers, i)
		} else if x.Virtual != "" {
			d.gateways[x.Virtual] = i
		}
	}
	return d
}

func (d *doors) ports(e *reach.Entry) reach.Ports {
	var open reach.Ports
	if e.Direct {
		for _, n := range d.m.Outside(reach.Ingress, e.Endpoint) {
			open = open.Or(n.Ports)
		}
		return open.And(e.Ports)
	}
	for _, i := range d.controllers {
		if i != e.Endpoint {
			open = open.Or(d.m.Between(i, e.Endpoint))
		}
	}
	for _, g := range e.Gateways {
		if i, ok := d.gateways[g]; ok {
			open = open.Or(d.m.Between(i, e.Endpoint))
		}
	}
	return open.And(e.Ports)
}

func isController(m *reach.Model, x *reach.Endpoint) bool {
	if x.Labels[reach.GatewayLabel] != "" && x.Real() {
		return true
	}
	for _, w := range x.Members {
		name := strings.ToLower(m.Workloads[w.Workload].Name)
		if slices.ContainsFunc(controllerNames, func(s string) bool { return strings.Contains(name, s) }) {
			return true
		}
	}
	return false
}

func (v *netView) names(numbers []int) []string {
	var out []string
	for _, k := range numbers {
		out = append(out, v.Classes[k].Workloads...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (v *netView) table(m *reach.Model) *netTable {
	n := namerOf(m)
	t := &netTable{titles: []string{"FROM", "TO", "PORTS"}}
	for _, c := range v.Connections {
		t.add(n.short(v.names(c.From)), n.short(v.names(c.To)), c.Ports.String())
	}
	for _, c := range v.Outside {
		if c.Direction == "ingress" {
			t.add(c.shown, n.short(v.names(c.Classes)), c.Ports.String())
		} else {
			t.add(n.short(v.names(c.Classes)), c.shown, c.Ports.String())
		}
	}
	for _, e := range v.Entries {
		if !e.Ports.Empty() {
			t.add(e.Object, e.Workload, e.Ports.String())
		}
	}
	return t
}

// pairs streams one line for each pair: memory does not grow with their number.
func (n *netInput) pairs(m *reach.Model) error {
	if err := oneOf("--pairs: -o", n.output, "table", "csv", "json"); err != nil {
		return err
	}
	w := bufio.NewWriterSize(n.Out, 1<<16)
	line := n.pairWriter(w)
	names := make([]string, len(m.Workloads))
	for i, x := range m.Workloads {
		names[i] = clean(oneLine(x.String()))
	}
	for i, src := range m.Workloads {
		for k, dst := range m.Workloads {
			if i == k {
				continue
			}
			if _, some := m.WorkloadsBetween(src, dst); !some.Empty() {
				line(names[i], names[k], some)
			}
		}
		for _, d := range []reach.Direction{reach.Ingress, reach.Egress} {
			for _, e := range src.Endpoints {
				for _, x := range m.Outside(d, e) {
					switch {
					case x.Ports.Empty():
					case d == reach.Ingress:
						line(x.Range.String(), names[i], x.Ports)
					default:
						line(names[i], x.Range.String(), x.Ports)
					}
				}
			}
		}
	}
	if err := w.Flush(); err != nil {
		return failed(fmt.Errorf("write the list: %w", err))
	}
	return nil
}

// pairWriter returns what writes one pair. Sets of ports repeat, so their text is
// kept; there are no more of them than distinct rules make.
func (n *netInput) pairWriter(w *bufio.Writer) func(src, dst string, p reach.Ports) {
	const most = 4096
	texts := map[reach.Ports]string{}
	text := func(p reach.Ports) string {
		s, ok := texts[p]
		if !ok {
			s = p.String()
			if len(texts) < most {
				texts[p] = s
			}
		}
		return s
	}
	write := func(parts ...string) {
		for _, s := range parts {
			w.WriteString(s)
		}
	}
	switch n.output {
	case "json":
		return func(src, dst string, p reach.Ports) {
			b, _ := json.Marshal(struct {
				From  string    `json:"from"`
				To    string    `json:"to"`
				Ports viewPorts `json:"ports"`
			}{src, dst, viewPorts{p}})
			w.Write(append(b, '\n'))
		}
	case "csv":
		w.WriteString("from,to,ports\n")
		return func(src, dst string, p reach.Ports) {
			write(quoteCSV(src), ",", quoteCSV(dst), ",", quoteCSV(text(p)), "\n")
		}
	}
	return func(src, dst string, p reach.Ports) { write(src, " => ", dst, " : ", text(p), "\n") }
}

func quoteCSV(s string) string {
	s = notFormula(clean(s))
	if strings.ContainsAny(s, ",\"\n") {
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	return s
}

// sortedUnique sorts rows of text and drops those that repeat.
func sortedUnique(rows [][]string) [][]string {
	slices.SortFunc(rows, func(a, b []string) int { return cmp.Or(slices.Compare(a, b)) })
	return slices.CompactFunc(rows, slices.Equal)
}
