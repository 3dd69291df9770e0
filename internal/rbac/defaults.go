package rbac

import (
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// defaultRule is one rule of a default role; lists are separated by spaces, ""
// the core group as "core".
type defaultRule struct{ groups, resources, verbs, paths string }

// defaultRoles returns the ClusterRoles that every cluster has and that people
// bind. Source: kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy,
// Kubernetes 1.36.
func defaultRoles() []*fact.Object {
	const (
		write = "create delete deletecollection patch update"
		read  = "get list watch"
	)
	viewRules := []defaultRule{
		{"core", "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers replicationcontrollers/scale serviceaccounts services services/status", read, ""},
		{"core", "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status resourcequotas resourcequotas/status namespaces", read, ""},
		{"discovery.k8s.io", "endpointslices", read, ""},
		{"apps", "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status", read, ""},
		{"autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", read, ""},
		{"batch", "cronjobs cronjobs/status jobs jobs/status", read, ""},
		{"policy", "poddisruptionbudgets poddisruptionbudgets/status", read, ""},
		{"networking.k8s.io", "ingresses ingresses/status networkpolicies", read, ""},
	}
	editRules := append([]defaultRule{
		{"core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy", read, ""},
		{"core", "serviceaccounts", "impersonate", ""},
		{"core", "pods pods/attach pods/exec pods/portforward pods/proxy", write, ""},
		{"core", "pods/eviction", "create", ""},
		{"core", "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets serviceaccounts services services/proxy", write, ""},
		{"core", "serviceaccounts/token", "create", ""},
		{"apps", "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale", write, ""},
		{"autoscaling", "horizontalpodautoscalers", write, ""},
		{"batch", "cronjobs jobs", write, ""},
		{"policy", "poddisruptionbudgets", write, ""},
		{"networking.k8s.io", "ingresses networkpolicies", write, ""},
		{"coordination.k8s.io", "leases", write + " " + read, ""},
	}, viewRules...)
	adminRules := append([]defaultRule{
		{"authorization.k8s.io", "localsubjectaccessreviews", "create", ""},
		{Group, "rolebindings roles", write + " " + read, ""},
	}, editRules...)
	return []*fact.Object{
		defaultRole("cluster-admin", []defaultRule{{"*", "*", "*", ""}, {"", "", "*", "*"}}),
		defaultRole("admin", adminRules),
		defaultRole("edit", editRules),
		defaultRole("view", viewRules),
		defaultRole("system:discovery", []defaultRule{{"", "", "get", "/api /api/* /apis /apis/* /healthz /livez /openapi /openapi/* /readyz /version /version/"}}),
		defaultRole("system:public-info-viewer", []defaultRule{{"", "", "get", "/healthz /livez /readyz /version /version/"}}),
		defaultRole("system:basic-user", []defaultRule{{"authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", "create", ""}, {"authentication.k8s.io", "selfsubjectreviews", "create", ""}}),
		defaultRole("system:auth-delegator", []defaultRule{{"authentication.k8s.io", "tokenreviews", "create", ""}, {"authorization.k8s.io", "subjectaccessreviews", "create", ""}}),
		defaultRole("system:monitoring", []defaultRule{{"", "", "get", "/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*"}}),
		defaultRole("system:node-proxier", []defaultRule{{"core", "services endpoints", "list watch", ""}, {"core", "nodes", read, ""}, {"discovery.k8s.io", "endpointslices", "list watch", ""}}),
		defaultRole("system:persistent-volume-provisioner", []defaultRule{{"core", "persistentvolumes", "create delete get list watch", ""}, {"core", "persistentvolumeclaims", "get list update watch", ""}}),
		defaultRole("system:kubelet-api-admin", []defaultRule{{"core", "nodes", "get list watch proxy", ""}, {"core", "nodes/log nodes/metrics nodes/proxy nodes/stats nodes/spec nodes/configz nodes/healthz nodes/pods", "*", ""}}),
	}
}

func defaultRole(name string, rules []defaultRule) *fact.Object {
	b := &fact.Builder{}
	b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
	b.String(b.Key("apiVersion"), fact.Pos{}, Group+"/v1")
	b.String(b.Key("kind"), fact.Pos{}, "ClusterRole")
	b.Begin(b.Key("metadata"), fact.Pos{}, fact.Map)
	b.String(b.Key("name"), fact.Pos{}, name)
	b.Begin(b.Key("labels"), fact.Pos{}, fact.Map)
	b.String(b.Key("kubernetes.io/bootstrapping"), fact.Pos{}, "rbac-defaults")
	b.End()
	b.End()
	b.Begin(b.Key("rules"), fact.Pos{}, fact.List)
	for _, r := range rules {
		b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
		words(b, "apiGroups", r.groups)
		words(b, "resources", r.resources)
		words(b, "verbs", r.verbs)
		words(b, "nonResourceURLs", r.paths)
		b.End()
	}
	b.End()
	b.End()
	o, _ := fact.NewObject(b.Tree().Root(), fact.Origin{Source: "builtin"})
	return &o
}

func words(b *fact.Builder, field, list string) {
	if list == "" {
		return
	}
	b.Begin(b.Key(field), fact.Pos{}, fact.List)
	for w := range strings.FieldsSeq(list) {
		if w == "core" {
			w = ""
		}
		b.String(fact.Key{}, fact.Pos{}, w)
	}
	b.End()
}
