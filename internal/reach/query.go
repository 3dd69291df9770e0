package reach

import (
	"net/netip"
	"slices"
)

// Between returns the ports on which the policies let the pods of one endpoint
// open connections to those of another. A pod always reaches itself; the answer
// is about two pods.
func (m *Model) Between(src, dst int) Ports {
	out := m.row(Egress, src).of(m, dst)
	if out.Empty() {
		return out
	}
	return out.And(m.row(Ingress, dst).of(m, src))
}

// To returns the ports on which an endpoint may open connections to an address
// outside the cluster.
func (m *Model) To(src int, a netip.Addr) Ports { return m.row(Egress, src).at(a) }

// From returns the ports on which an address outside may open connections to
// the pods of an endpoint.
func (m *Model) From(a netip.Addr, dst int) Ports { return m.row(Ingress, dst).at(a) }

// NetPart is a range of addresses and what is allowed with it.
type NetPart struct {
	Range
	Ports Ports
}

// Outside returns what an endpoint may exchange with addresses outside, as
// ranges in order that together are all addresses.
func (m *Model) Outside(d Direction, endpoint int) []NetPart {
	r := m.row(d, endpoint)
	out := make([]NetPart, len(r.nets))
	for i, n := range r.nets {
		out[i] = NetPart{n.Range, n.ports}
	}
	return out
}

// Cuts returns all addresses as ranges that no rule of a direction, in any of
// the models, splits.
func Cuts(d Direction, models ...*Model) []Range {
	var ranges []Range
	for _, m := range models {
		for _, p := range m.Policies {
			for _, r := range p.Rules[d] {
				if !r.anyPeer {
					ranges = append(ranges, r.ranges...)
				}
			}
		}
	}
	return cut(ranges)
}

// Protected reports whether some policy limits an endpoint in a direction.
func (m *Model) Protected(d Direction, endpoint int) bool {
	return m.rows[d][endpoint].limited
}

// Real reports whether an endpoint is of pods that were seen.
func (e *Endpoint) Real() bool { return len(e.Members) > 0 }

// WorkloadsBetween returns the ports on which every pod of one workload may
// connect to every pod of another (all), and those on which some pod may to some
// (some). They differ only where pods of one workload have different labels.
func (m *Model) WorkloadsBetween(src, dst *Workload) (all, some Ports) {
	if len(src.Endpoints) == 1 && len(dst.Endpoints) == 1 {
		all = m.Between(src.Endpoints[0], dst.Endpoints[0])
		return all, all
	}
	all = AllPorts()
	for _, s := range src.Endpoints {
		for _, d := range dst.Endpoints {
			p := m.Between(s, d)
			all, some = all.And(p), some.Or(p)
		}
	}
	if len(src.Endpoints) == 0 || len(dst.Endpoints) == 0 {
		all = Ports{}
	}
	return all, some
}

// Open reports whether the policies of an endpoint allow everything in a
// direction.
func (m *Model) Open(d Direction, endpoint int) bool {
	r := m.row(d, endpoint)
	return len(r.pods) == 1 && r.pods[0].ports.All() && !slices.ContainsFunc(r.nets, func(n netPart) bool { return !n.ports.All() })
}

// Closed reports whether they allow nothing.
func (m *Model) Closed(d Direction, endpoint int) bool {
	r := m.row(d, endpoint)
	return len(r.pods) == 1 && r.pods[0].ports.Empty() && !slices.ContainsFunc(r.nets, func(n netPart) bool { return !n.ports.Empty() })
}
