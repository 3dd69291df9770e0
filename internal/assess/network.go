package assess

import (
	"net/netip"
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/reach"
)

// network answers what network policies allow.
type network struct{ model *reach.Model }

func newNetwork(s *fact.Snapshot) *network { return &network{reach.New(s, reach.Options{})} }

// MayReach reports whether the policies let a pod of o connect to an address,
// and whether some policy limits what its pods connect to.
func (w *world) MayReach(o *fact.Object, addr netip.Addr, protocol string, port uint16) (allowed, limited bool) {
	n := w.network()
	x := n.model.WorkloadOf(o)
	proto, ok := reach.ParseProtocol(protocol)
	if x == nil || !ok {
		return false, false
	}
	for _, e := range x.Endpoints {
		allowed = allowed || n.model.To(e, addr).Has(proto, port)
		limited = limited || n.model.Protected(reach.Egress, e)
	}
	return allowed, limited
}

// Reaching returns the namespaces whose pods may connect to a port of a pod of
// o; port 0 is every port.
func (w *world) Reaching(o *fact.Object, protocol string, port uint16) []string {
	n := w.network()
	x := n.model.WorkloadOf(o)
	proto, ok := reach.ParseProtocol(protocol)
	if x == nil || !ok {
		return nil
	}
	want := reach.PortsOf(proto, max(port, 1), port)
	if port == 0 {
		want = reach.PortsOf(proto, 1, 65535)
	}
	seen := map[string]bool{}
	var out []string
	for i, e := range n.model.Endpoints {
		if !e.Real() || seen[e.Namespace] {
			continue
		}
		for _, d := range x.Endpoints {
			if i != d && want.Within(n.model.Between(i, d)) {
				seen[e.Namespace] = true
				out = append(out, e.Namespace)
				break
			}
		}
	}
	slices.Sort(out)
	return out
}
