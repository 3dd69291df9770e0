package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/reach"
)

// netpol-analyzer writes connections between workloads and ranges of addresses
// outside, one a line. Its ingress controller is a pod that is supposed in a
// namespace of its own, without labels that a policy could ask for; pods on the
// host's network are pods like others to it, and only IPv4 is told.

const ingressController = "{ingress-controller}"

// netpolOptions are the tool's views of what Kubernetes leaves open.
func netpolOptions() reach.Options {
	return reach.Options{HostNetworkAsPods: true, AllPods: true, NetworksOutside: true, Virtual: []reach.Virtual{{
		Name: ingressController, Namespace: "ingress-controller-ns", NamespaceLabels: map[string]string{"kubernetes.io/metadata.name": "ingress-controller-ns"},
	}}}
}

// external marks a range of addresses outside.
const external = "[External]"

// connections is what the tool lists, by source and destination.
type connections struct {
	ports     map[[2]string]string
	workloads map[string]bool
}

func connectionsOf(m *reach.Model, cuts [2][]reach.Range) *connections {
	c := &connections{ports: map[[2]string]string{}, workloads: map[string]bool{}}
	for _, src := range m.Workloads {
		c.workloads[src.String()] = true
		for _, dst := range m.Workloads {
			if src != dst {
				all, _ := m.WorkloadsBetween(src, dst)
				c.add(src.String(), dst.String(), all)
			}
		}
		for _, r := range cuts[reach.Ingress] {
			p := reach.AllPorts()
			for _, e := range src.Endpoints {
				p = p.And(m.From(r.First, e))
			}
			c.outside(r, p, func(name string) (string, string) { return name, src.String() })
		}
		for _, r := range cuts[reach.Egress] {
			p := reach.AllPorts()
			for _, e := range src.Endpoints {
				p = p.And(m.To(e, r.First))
			}
			c.outside(r, p, func(name string) (string, string) { return src.String(), name })
		}
	}
	c.entries(m)
	return c
}

// outside adds what is allowed with a range of addresses: IPv4 only.
func (c *connections) outside(r reach.Range, p reach.Ports, ends func(string) (string, string)) {
	if r.First.Is4() {
		src, dst := ends(externalName(r))
		c.add(src, dst, p)
	}
}

func externalName(r reach.Range) string { return r.First.String() + "-" + r.Last.String() + external }

// cutsOf returns the ranges that the tool tells apart: those of the rules of
// each direction.
func cutsOf(models ...*reach.Model) [2][]reach.Range {
	return [2][]reach.Range{reach.Cuts(reach.Ingress, models...), reach.Cuts(reach.Egress, models...)}
}

func (c *connections) add(src, dst string, p reach.Ports) {
	if !p.Empty() {
		c.ports[[2]string{src, dst}] = netpolPorts(p)
	}
}

// entries adds what Ingress objects and Routes lead to, as far as a policy does
// not stop it.
func (c *connections) entries(m *reach.Model) {
	controller := slices.IndexFunc(m.Endpoints, func(e *reach.Endpoint) bool { return e.Virtual == ingressController })
	sum := map[string]reach.Ports{}
	for _, e := range m.Entries() {
		if !e.Direct {
			open := m.Between(controller, e.Endpoint).And(e.Ports)
			sum[e.Workload.String()] = sum[e.Workload.String()].Or(open)
		}
	}
	for dst, p := range sum {
		c.add(ingressController, dst, p)
	}
}

// netpolPorts writes ports as the tool does.
func netpolPorts(p reach.Ports) string {
	switch {
	case p.All():
		return "All Connections"
	case p.Empty():
		return "No Connections"
	}
	var out []string
	for _, proto := range []reach.Protocol{reach.SCTP, reach.TCP, reach.UDP} {
		if list := p.List(proto); list != "" {
			out = append(out, proto.String()+" "+list)
		}
	}
	return strings.Join(out, ",")
}

func (c *connections) lines() []string {
	var out []string
	for _, k := range slices.SortedFunc(maps.Keys(c.ports), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) }) {
		out = append(out, fmt.Sprintf("%s => %s : %s", k[0], k[1], c.ports[k]))
	}
	return out
}

// runConnlist compares the list of connections and, where a case has one, the
// list with exposure; where it has neither, the reasons.
func runConnlist(_ *runner, c *testCase, in *input) (outcome, error) {
	var expect struct{ Connlist, Exposure, Explain []string }
	if err := c.decode("expect", &expect); err != nil {
		return outcome{}, err
	}
	m := reach.New(in.snapshot, netpolOptions())
	switch {
	case expect.Connlist == nil && expect.Exposure == nil && expect.Explain == nil:
		return outcome{expected: "the case states nothing"}, nil
	case expect.Connlist == nil && expect.Exposure == nil:
		return sameLines("explain", inPlace(expect.Explain), inPlace(explained(m))), nil
	}
	lines := connectionsOf(m, cutsOf(m)).lines()
	if expect.Connlist != nil {
		if out := sameLines("connlist", expect.Connlist, lines); !out.agreed || expect.Exposure == nil {
			return out, nil
		}
	}
	return sameLines("exposure", expect.Exposure, append(lines, exposureLines(in.snapshot)...)), nil
}

// sameLines compares two sets of lines without regard to white space and order.
func sameLines(check string, want, got []string) outcome {
	count := map[string]int{}
	for _, l := range want {
		count[strings.Join(strings.Fields(l), " ")] |= 1
	}
	for _, l := range got {
		count[strings.Join(strings.Fields(l), " ")] |= 2
	}
	delete(count, "")
	out := outcome{check: check, expected: plural(len(want), "line"), got: "the same"}
	for _, l := range slices.Sorted(maps.Keys(count)) {
		switch count[l] {
		case 1:
			out.notes = append(out.notes, "missing: "+l)
		case 2:
			out.notes = append(out.notes, "not expected: "+l)
		}
	}
	out.agreed = len(out.notes) == 0
	if !out.agreed {
		out.got = plural(len(out.notes), "difference")
		out.notes = out.notes[:min(len(out.notes), 12)]
	}
	return out
}

// twoFolders reads the case of a comparison; both folders are read by the
// adapter itself.
func folder(c *testCase, name string) (*input, error) {
	var input map[string]json.RawMessage
	if err := c.decode("input", &input); err != nil {
		return nil, err
	}
	docs, err := namedFiles(&testCase{ID: c.ID, fields: input}, name)
	if err != nil {
		return nil, err
	}
	return read(docs)
}

// runNetpolDiff compares the lines of a difference: ref1 is dir1.
func runNetpolDiff(_ *runner, c *testCase, _ *input) (outcome, error) {
	var expect []string
	if err := c.decode("expect", &expect); err != nil {
		return outcome{}, err
	}
	var models [2]*reach.Model
	for i, name := range []string{"dir1", "dir2"} {
		in, err := folder(c, name)
		if err != nil {
			return outcome{}, err
		}
		models[i] = reach.New(in.snapshot, netpolOptions())
	}
	return sameLines("diff", expect, netpolDiff(models[0], models[1])), nil
}

func netpolDiff(before, after *reach.Model) []string {
	cuts := cutsOf(before, after)
	a, b := connectionsOf(before, cuts), connectionsOf(after, cuts)
	all := map[[2]string]bool{}
	for k := range a.ports {
		all[k] = true
	}
	for k := range b.ports {
		all[k] = true
	}
	var out []string
	for _, k := range joined(all, a, b, cuts) {
		one, two := a.ports[k.ends], b.ports[k.ends]
		if one == two {
			continue
		}
		kind, info := "changed", ""
		switch {
		case one == "":
			kind, one, info = "added", "No Connections", newWorkloads(k.ends, a, b, "added")
		case two == "":
			kind, two, info = "removed", "No Connections", newWorkloads(k.ends, b, a, "removed")
		}
		out = append(out, fmt.Sprintf("diff-type: %s, source: %s, destination: %s, ref1: %s, ref2: %s%s", kind, k.shown[0], k.shown[1], one, two, info))
	}
	if len(out) > 0 {
		out = append(out, "Connectivity diff:")
	}
	return out
}

// ends is a connection by its key, and as it is shown.
type ends struct{ ends, shown [2]string }

// joined makes one connection of those that differ only in ranges of addresses
// that are neighbours, and changed alike.
func joined(all map[[2]string]bool, a, b *connections, cuts [2][]reach.Range) []ends {
	var out []ends
	for k := range all {
		if !strings.HasSuffix(k[0], external) && !strings.HasSuffix(k[1], external) {
			out = append(out, ends{k, k})
		}
	}
	workloads := map[string]bool{}
	maps.Copy(workloads, a.workloads)
	maps.Copy(workloads, b.workloads)
	for w := range workloads {
		for d, list := range cuts {
			at := func(r reach.Range) [2]string {
				if reach.Direction(d) == reach.Ingress {
					return [2]string{externalName(r), w}
				}
				return [2]string{w, externalName(r)}
			}
			for i := 0; i < len(list); i++ {
				r := list[i]
				k := at(r)
				for i+1 < len(list) && list[i+1].First.Is4() && a.ports[at(list[i+1])] == a.ports[k] && b.ports[at(list[i+1])] == b.ports[k] {
					i++
					r.Last = list[i].Last
				}
				out = append(out, ends{k, at(r)})
			}
		}
	}
	return out
}

// newWorkloads tells which ends of a connection only one side has.
func newWorkloads(k [2]string, without, with *connections, what string) string {
	var names []string
	for _, end := range k {
		if with.workloads[end] && !without.workloads[end] {
			names = append(names, end)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ", workloads-diff-info: workload " + strings.Join(names, " and ") + " " + what
}
