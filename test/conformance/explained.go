package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/reach"
)

// netpol-analyzer also writes why each connection is allowed or denied: for all
// ports that have the same reasons, the policies and rules of both sides.

// defaultOnly is how it says that no policy decides.
const defaultOnly = " due to the system default (Allow all)"

// explained writes the reasons for all connections.
func explained(m *reach.Model) []string {
	x := &explaining{m: m, blocks: map[string][]string{}, entries: entriesOf(m)}
	cuts := cutsOf(m)
	for _, w := range m.Workloads {
		if len(w.Endpoints) == 0 {
			continue
		}
		end := reach.PodEnd(w.Endpoints[0])
		for _, v := range m.Workloads {
			if v != w && len(v.Endpoints) > 0 {
				x.connection(w.String(), v.String(), end, reach.PodEnd(v.Endpoints[0]))
			}
		}
		for d, list := range cuts {
			for _, r := range list {
				switch {
				case !r.First.Is4():
				case reach.Direction(d) == reach.Ingress:
					x.connection(externalName(r), w.String(), reach.OutsideEnd(r.First), end)
				default:
					x.connection(w.String(), externalName(r), end, reach.OutsideEnd(r.First))
				}
			}
		}
		if controller := controllerOf(m); len(x.entries[w.String()]) > 0 {
			x.connection(ingressController, w.String(), reach.PodEnd(controller), end)
		}
	}
	var out []string
	if len(x.blocks) > 0 {
		out = append(out, "# Specific connections and their reasons #")
	}
	for _, k := range slices.Sorted(maps.Keys(x.blocks)) {
		out = append(out, x.blocks[k]...)
	}
	if len(x.defaults) > 0 {
		out = append(append(out, "# All Connections"+defaultOnly+" #"), x.defaults...)
	}
	return out
}

func controllerOf(m *reach.Model) int {
	return slices.IndexFunc(m.Endpoints, func(e *reach.Endpoint) bool { return e.Virtual == ingressController })
}

// entriesOf returns the ways in from an ingress controller, by workload.
func entriesOf(m *reach.Model) map[string][]reach.Entry {
	out := map[string][]reach.Entry{}
	for _, e := range m.Entries() {
		if !e.Direct {
			out[e.Workload.String()] = append(out[e.Workload.String()], e)
		}
	}
	return out
}

// explaining is the list under way.
type explaining struct {
	m        *reach.Model
	blocks   map[string][]string // by connection
	defaults []string            // connections that nothing limits
	entries  map[string][]reach.Entry
}

// connection explains one.
func (x *explaining) connection(src, dst string, a, b reach.End) {
	reasons := x.m.Explain(a, b, reach.AllPorts())
	entries := x.entries[dst]
	if src != ingressController {
		entries = nil
	}
	byText := map[string]reach.Ports{}
	for _, part := range parts(reasons, entries) {
		text := x.side(reach.Egress, src, dst, part, reasons, nil) + x.side(reach.Ingress, dst, src, part, reasons, entries)
		byText[text] = byText[text].Or(part)
	}
	onlyDefault := "\t\tEgress (Allowed)" + defaultOnly + "\n\t\tIngress (Allowed)" + defaultOnly + "\n"
	if byText[onlyDefault].All() {
		x.defaults = append(x.defaults, src+" => "+dst)
		return
	}
	lines := map[string][]string{}
	for text, ports := range byText {
		verdict := "Allowed"
		if strings.Contains(text, "(Denied)") {
			verdict = "Denied"
		}
		if text == onlyDefault {
			lines[verdict] = append(lines[verdict], "\t"+verdict+" "+explainedPorts(ports)+defaultOnly)
			continue
		}
		lines[verdict] = append(lines[verdict], "\t"+verdict+" "+explainedPorts(ports)+" due to the following policies and rules:\n"+text)
	}
	out := []string{"Connections between " + src + " => " + dst + ":"}
	for _, verdict := range []string{"Allowed", "Denied"} {
		if len(lines[verdict]) > 0 {
			out = append(out, verdict+" connections:")
			for _, l := range lines[verdict] {
				out = append(out, strings.Split(strings.TrimSuffix(l, "\n"), "\n")...)
			}
		}
	}
	x.blocks[src+" "+dst] = out
}

// parts cuts all ports where any reason does.
func parts(reasons []reach.Reason, entries []reach.Entry) []reach.Ports {
	out := []reach.Ports{reach.AllPorts()}
	split := func(by reach.Ports) {
		var next []reach.Ports
		for _, p := range out {
			for _, q := range []reach.Ports{p.And(by), p.Minus(by)} {
				if !q.Empty() {
					next = append(next, q)
				}
			}
		}
		out = next
	}
	for _, r := range reasons {
		split(r.Ports)
	}
	for _, e := range entries {
		split(e.Ports)
	}
	return out
}

// side writes what one side decides about some ports.
func (x *explaining) side(d reach.Direction, self, other string, part reach.Ports, reasons []reach.Reason, entries []reach.Entry) string {
	title := map[reach.Direction]string{reach.Ingress: "Ingress", reach.Egress: "Egress"}[d]
	verdict := "Allowed"
	var lines, list []string
	for _, e := range entries {
		text, open := " allows ingress connections through service "+e.Service.Name, part.Within(e.Ports)
		if !open {
			text, verdict = " allows ingress to service "+e.Service.Name+", but the protocols and ports do not match", "Denied"
		}
		lines = append(lines, fmt.Sprintf("%s '%s/%s'%s", e.Object.Kind, e.Object.InNamespace(), e.Object.Name, text))
	}
	told := map[*reach.Policy]bool{} // of a policy, the first rule is told
	for _, r := range reasons {
		if r.Direction != d || !part.Within(r.Ports) || r.Policy == nil || told[r.Policy] {
			continue
		}
		told[r.Policy] = true
		if r.Verdict == reach.Denied || r.Verdict == reach.Isolated {
			verdict = "Denied"
		}
		if text := reasonText(&r, title, self, other); r.Policy.Tier == reach.Namespace {
			list = append(list, text)
		} else {
			lines = append(lines, text)
		}
	}
	if len(list) > 1 {
		lines = append(lines, "NetworkPolicy list:\n\t\t\t\t- "+strings.Join(list, "\n\t\t\t\t- "))
	} else {
		lines = append(lines, list...)
	}
	if len(lines) == 0 {
		return "\t\t" + title + " (" + verdict + ")" + defaultOnly + "\n"
	}
	return "\t\t" + title + " (" + verdict + ")\n\t\t\t" + strings.Join(lines, "\n\t\t\t") + "\n"
}

// reasonText writes one step of a decision.
func reasonText(r *reach.Reason, title, self, other string) string {
	o := r.Policy.Object
	name := o.Kind + " '" + strings.TrimPrefix(o.InNamespace()+"/"+o.Name, "/") + "'"
	switch {
	case r.Rule != nil:
		does := map[reach.Verdict]string{reach.Allowed: "allows", reach.Denied: "denies", reach.Passed: "passes"}[r.Verdict]
		rule := fmt.Sprintf("#%d", r.Rule.Index+1)
		if r.Policy.Tier != reach.Namespace {
			rule = cmp.Or(r.Rule.Name, rule)
		}
		return name + " " + does + " connections by " + title + " rule " + rule
	case len(r.Near) > 0:
		why := "the protocols and ports do not match"
		if r.Near[0].Named() {
			why = "named ports of the rule have no match in the configuration of the destination peer"
		}
		return fmt.Sprintf("%s selects %s, and %s rule #%d selects %s, but %s", name, self, title, r.Near[0].Index+1, other, why)
	case len(r.Policy.Rules[r.Direction]) == 0:
		return name + " selects " + self + ", but " + other + " is not allowed by any " + title + " rule (no rules defined)"
	}
	return name + " selects " + self + ", but " + other + " is not allowed by any " + title + " rule"
}

// explainedPorts writes ports as the reasons have them.
func explainedPorts(p reach.Ports) string {
	var out []string
	for _, proto := range []reach.Protocol{reach.TCP, reach.UDP, reach.SCTP} {
		switch list := p.List(proto); {
		case list == reach.AllPorts().List(proto):
			out = append(out, proto.String())
		case list != "":
			out = append(out, proto.String()+":["+list+"]")
		}
	}
	return strings.Join(out, ", ")
}

// inPlace writes before each line those that it stands under, so that a set of
// lines says which reason is whose.
func inPlace(lines []string) []string {
	var out, path []string
	for _, l := range lines {
		depth := len(l) - len(strings.TrimLeft(l, "\t"))
		text := strings.TrimSpace(l)
		if strings.Trim(text, "#-") == "" {
			continue // a rule drawn across the page
		}
		level := 0 // of a connection, its verdicts, ports, sides, policies
		switch {
		case depth > 0:
			level = depth + 1
		case text == "Allowed connections:" || text == "Denied connections:":
			level = 1
		}
		path = path[:min(len(path), level)]
		path = append(path, text)
		out = append(out, strings.Join(path, " | "))
	}
	return out
}
