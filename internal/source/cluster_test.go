package source

import (
	"slices"
	"testing"
)

func TestRights(t *testing.T) {
	var got []string
	for _, r := range Rights([]string{
		"Secret", "apps/Deployment", "networking.k8s.io/NetworkPolicy", "networking.k8s.io/Ingress", "Ingress", "Namespace", "coordination.k8s.io/Lease",
		"policy/PodSecurityPolicy", "apiserver.config.k8s.io/AdmissionConfiguration", "gateway.networking.k8s.io/Gateway", "consul.hashicorp.com/Mesh",
		"constraints.gatekeeper.sh/K8sRequiredLabels", "security.openshift.io/SecurityContextConstraints", "rbac.authorization.k8s.io/ClusterRole",
	}, false) {
		scope := ""
		if r.Namespaced {
			scope = " in namespaces"
		}
		got = append(got, r.Group+"/"+r.Resource+scope)
	}
	want := []string{
		"/namespaces", "apps/deployments in namespaces", "constraints.gatekeeper.sh/k8srequiredlabels", "consul.hashicorp.com/meshes in namespaces",
		"gateway.networking.k8s.io/gateways in namespaces", "networking.k8s.io/ingresses in namespaces", "networking.k8s.io/networkpolicies in namespaces",
		"rbac.authorization.k8s.io/clusterroles", "security.openshift.io/securitycontextconstraints",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if r := Rights(nil, true); len(r) != 1 || r[0].Resource != "secrets" {
		t.Errorf("%+v", r)
	}
}
