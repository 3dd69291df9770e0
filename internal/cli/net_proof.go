package cli

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/reach"
)

// maxDenied is how many flows that stay denied are told one by one.
const maxDenied = 10

// prove holds the policies against the flows, as they were written and read
// again, on top of what is there.
func prove(s, policies *fact.Snapshot, flows []reach.Flow) ([]string, error) {
	before, after := reach.Pair(s, applied(s, policies), reach.Options{})
	for _, g := range policies.Gaps() {
		return nil, fmt.Errorf("the policies that were made cannot be read again: %s", g.Message)
	}
	byName := map[string]*reach.Workload{}
	for _, w := range after.Workloads {
		byName[w.String()] = w
	}
	lost, opened := 0, 0
	var denied []string
	for _, f := range flows {
		was, is := allowsFlow(before, byName, f), allowsFlow(after, byName, f)
		switch {
		case was && !is:
			lost++
		case !was && is:
			opened++
		case !was && !is:
			denied = append(denied, flowText(f))
		}
	}
	if lost > 0 {
		return nil, fmt.Errorf("%d of %d flows would be cut by the policies that were made: they are not written", lost, len(flows))
	}
	number := "1 policy"
	if n := len(policies.Objects()); n != 1 {
		number = fmt.Sprintf("%d policies", n)
	}
	out := []string{fmt.Sprintf("%s for %s; proven: %d of %s allowed, none is cut.", number, plural(len(after.Workloads), "workload"), len(flows)-len(denied), plural(len(flows), "flow"))}
	if opened > 0 {
		out = append(out, fmt.Sprintf("Policies of today deny %s of these; with the new ones beside them they are allowed.", plural(opened, "flow")))
	}
	if len(denied) > 0 {
		out = append(out, fmt.Sprintf("Other policies, which come first, deny %s before and after (merlon net allowed --explain names them):", plural(len(denied), "flow")))
		slices.Sort(denied)
		for _, d := range denied[:min(len(denied), maxDenied)] {
			out = append(out, "  "+clean(oneLine(d)))
		}
		if n := len(denied) - maxDenied; n > 0 {
			out = append(out, fmt.Sprintf("  and %d more", n))
		}
	}
	return append(out, countPairs(before, after)), nil
}

func flowText(f reach.Flow) string {
	end := func(e reach.FlowEnd) string {
		switch {
		case e.Workload != nil:
			return e.Workload.String()
		case e.Range.First.IsValid():
			return e.Range.String()
		}
		return "any source"
	}
	return fmt.Sprintf("%s => %s : %s (%s)", end(f.From), end(f.To), f.Ports, f.Why)
}

// allowsFlow reports whether a model allows all of a flow: for every pod of its
// workloads and every address of its ranges.
func allowsFlow(m *reach.Model, byName map[string]*reach.Workload, f reach.Flow) bool {
	pods := func(e reach.FlowEnd) []int { return byName[e.Workload.String()].Endpoints }
	switch {
	case f.From.Workload != nil && f.To.Workload != nil:
		for _, a := range pods(f.From) {
			for _, b := range pods(f.To) {
				if !f.Ports.Within(m.Between(a, b)) {
					return false
				}
			}
		}
		return true
	case f.From.Workload != nil:
		return allowsOutside(m, reach.Egress, pods(f.From), f.To, f.Ports)
	}
	return allowsOutside(m, reach.Ingress, pods(f.To), f.From, f.Ports)
}

func allowsOutside(m *reach.Model, d reach.Direction, pods []int, other reach.FlowEnd, ports reach.Ports) bool {
	ranges := other.Ranges()
	if !other.Range.First.IsValid() { // any source: an address that no rule names stands for it
		a := netip.AddrFrom4([4]byte{203, 0, 113, 1})
		ranges = []reach.Range{{First: a, Last: a}}
	}
	for _, e := range pods {
		for _, part := range m.Outside(d, e) {
			if !ports.Within(part.Ports) && slices.ContainsFunc(ranges, part.Meets) {
				return false
			}
		}
	}
	return true
}

// countPairs tells how many pairs of different workloads can connect on any
// port, how many of them are cut, and how many are new.
func countPairs(before, after *reach.Model) string {
	classes := before.Classes()
	open := 0
	for _, c := range before.Connections(classes) {
		for _, f := range c.From {
			for _, t := range c.To {
				open += len(classes[f].Members) * len(classes[t].Members)
				if f == t {
					open -= len(classes[f].Members)
				}
			}
		}
	}
	cut, added := 0, 0
	for _, c := range reach.Diff(before, after).Changes {
		n := len(c.From) * len(c.To)
		for _, name := range c.From {
			if _, self := slices.BinarySearch(c.To, name); self {
				n--
			}
		}
		if c.After.Empty() {
			cut += n
		} else if c.Before.Empty() {
			added += n
		}
	}
	w := len(before.Workloads)
	text := fmt.Sprintf("Of %d pairs of workloads %d could connect before; %d of them are cut.", w*(w-1), open, cut)
	if added > 0 {
		text += fmt.Sprintf(" %d are new.", added)
	}
	return text
}
