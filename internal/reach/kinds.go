package reach

import (
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
)

// policyKinds are the policies that are evaluated.
var policyKinds = [...]string{
	"networking.k8s.io/NetworkPolicy",
	adminGroup + "/AdminNetworkPolicy", adminGroup + "/BaselineAdminNetworkPolicy", adminGroup + "/ClusterNetworkPolicy",
}

// Kinds returns the kinds of objects that a model looks at, in order: what it
// needs of a cluster.
func Kinds() []string {
	out := append(fact.WorkloadKinds(), "Namespace", "Node", kindGateway, kindGrant)
	out = append(out, policyKinds[:]...)
	for k := range entryKinds {
		out = append(out, k)
	}
	for k := range foreignKinds {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// DeclaringKinds returns the kinds that [Model.Intent] looks at beside those.
func DeclaringKinds() []string { return []string{"ConfigMap", "ServiceAccount"} }
