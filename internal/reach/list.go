package reach

import (
	"iter"
	"slices"
	"strings"
)

// End is one end of a listed connection: a workload, addresses outside of the
// cluster, or what stands for all controllers of ingresses.
type End struct {
	Workload *Workload
	Range    Range
	Entry    bool
}

// String returns the end's name.
func (e End) String() string {
	switch {
	case e.Entry:
		return "{ingress-controller}"
	case e.Workload != nil:
		return e.Workload.String()
	}
	return e.Range.String() + "[External]"
}

// Connection is a connection that is possible.
type Connection struct {
	Src, Dst End
	Ports    Ports
}

// external groups addresses by what one class may exchange with them.
type external struct {
	ranges []Range
	ports  Ports
}

// outside returns, for the direction seen from a class, the addresses of IPv4
// and IPv6 with the ports that are possible, neighbours of one answer joined.
func (n *Net) outside(c *Class, dir Direction, pieces []Range) []external {
	var out []external
	for _, r := range pieces {
		a := Party{Addr: r.From}
		var ports Ports
		if dir == Egress {
			ports = n.Allowed(Party{Class: c}, a)
		} else {
			ports = n.Allowed(a, Party{Class: c})
		}
		if ports.Empty() {
			continue
		}
		if i := len(out) - 1; i >= 0 && out[i].ports.Equal(ports) {
			out[i].ranges = append(out[i].ranges, r)
			continue
		}
		out = append(out, external{[]Range{r}, ports})
	}
	for i := range out {
		out[i].ranges = merged(out[i].ranges)
	}
	return out
}

// Pieces returns the runs of addresses that no rule tells apart, those of IPv4
// first; with six false only them.
func (n *Net) Pieces(six bool) []Range {
	return slices.DeleteFunc(slices.Clone(n.pieces), func(r Range) bool { return !six && r.From.Is6() })
}

// Pairs yields every possible connection between workloads, and between them
// and addresses outside, those of IPv6 with six. Connections of a workload with
// itself are left out. Nothing is kept from one pair to the next.
func (n *Net) Pairs(six bool) iter.Seq[Connection] {
	return func(yield func(Connection) bool) {
		pieces := n.Pieces(six)
		between := map[[2]*Class]Ports{}
		for _, src := range n.workloads {
			for _, dst := range n.workloads {
				if src == dst || src.String() == dst.String() {
					continue
				}
				key := [2]*Class{src.Class, dst.Class}
				ports, ok := between[key]
				if !ok {
					ports = n.Allowed(Party{Class: src.Class}, Party{Class: dst.Class})
					between[key] = ports
				}
				if !ports.Empty() && !yield(Connection{End{Workload: src}, End{Workload: dst}, ports}) {
					return
				}
			}
		}
		for _, dir := range []Direction{Egress, Ingress} {
			if !n.pairsOutside(dir, pieces, yield) {
				return
			}
		}
	}
}

func (n *Net) pairsOutside(dir Direction, pieces []Range, yield func(Connection) bool) bool {
	known := map[*Class][]external{}
	for _, w := range n.workloads {
		out, ok := known[w.Class]
		if !ok {
			out = n.outside(w.Class, dir, pieces)
			known[w.Class] = out
		}
		for _, x := range out {
			for _, r := range x.ranges {
				c := Connection{End{Workload: w}, End{Range: r}, x.ports}
				if dir == Ingress {
					c.Src, c.Dst = c.Dst, c.Src
				}
				if !yield(c) {
					return false
				}
			}
		}
	}
	return true
}

// Entered returns what comes in through controllers of ingresses and routes, and
// is let through, by workload.
func (n *Net) Entered() []Connection {
	ports := map[*Workload]Ports{}
	for _, e := range n.entries {
		if !e.Direct {
			ports[e.Workload] = ports[e.Workload].Union(e.Ports)
		}
	}
	controller := n.Controller()
	var out []Connection
	for w, opened := range ports {
		if through := opened.Intersect(n.Allowed(controller, Party{Class: w.Class})); !through.Empty() {
			out = append(out, Connection{End{Entry: true}, End{Workload: w}, through})
		}
	}
	slices.SortFunc(out, func(a, b Connection) int { return strings.Compare(a.Dst.String(), b.Dst.String()) })
	return out
}
