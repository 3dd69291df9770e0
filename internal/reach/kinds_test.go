package reach

import (
	"slices"
	"testing"

	"github.com/merlon-security/merlon/internal/fact"
)

// What is evaluated is also what is asked of a cluster.
func TestKinds(t *testing.T) {
	kinds := Kinds()
	if !slices.IsSorted(kinds) || len(slices.Compact(slices.Clone(kinds))) != len(kinds) {
		t.Errorf("not sorted, or twice: %q", kinds)
	}
	for _, k := range policyKinds {
		group, kind := fact.InGroup(k)
		if !isPolicy(&fact.Object{Group: group, Kind: kind}) {
			t.Errorf("%s is asked for, and not evaluated", k)
		}
	}
	for _, k := range []string{"Namespace", "Node", "Pod", "apps/Deployment", "Service", "networking.k8s.io/Ingress", "cilium.io/CiliumNetworkPolicy"} {
		if !slices.Contains(kinds, k) {
			t.Errorf("%s is not asked for", k)
		}
	}
}
