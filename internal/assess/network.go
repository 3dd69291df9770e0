package assess

import (
	"net/netip"
	"slices"
	"sync"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/reach"
)

// network answers what network policies allow.
type network struct{ model *reach.Model }

func newNetwork(s *fact.Snapshot) *network { return &network{reach.New(s, reach.Options{})} }

// networkIndex is made at first use, and followed to what changed since when it is
// asked again: a change of a policy costs little.
type networkIndex struct {
	once  sync.Once
	value *network
	since []fact.Change
}

// maxSince bounds the changes that wait: beyond it the model is made anew.
const maxSince = 1000

func (w *world) network() *network {
	x := w.reached
	x.once.Do(func() {
		if x.value == nil {
			x.value = newNetwork(w.snapshot)
		} else {
			x.value = &network{x.value.model.Apply(x.since...)}
		}
		x.since = nil
	})
	return x.value
}

// followNetwork notes a change, if it can change who reaches whom. What else
// changes does not reach the model, which is asked for nothing else.
func (w *world) followNetwork(before, after *fact.Object) {
	x := w.reached
	if x.value == nil || !wires(before) && !wires(after) {
		return
	}
	since := slices.Clone(x.since)
	if before != nil && (after == nil || before.Origin != after.Origin) {
		since = append(since, fact.Change{Op: fact.Delete, Object: before})
	}
	if after != nil {
		since = append(since, fact.Change{Op: fact.Upsert, Object: after})
	}
	w.reached = &networkIndex{value: x.value, since: since}
	if len(since) > maxSince {
		w.reached = &networkIndex{}
	}
}

// wires reports whether an object has a part in who reaches whom.
func wires(o *fact.Object) bool {
	if o == nil {
		return false
	}
	return policing(o) || o.Group == "" && (o.Kind == "Namespace" || o.Kind == "Node") || workloadOf(o) != nil
}

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
