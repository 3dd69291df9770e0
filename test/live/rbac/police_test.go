package rbac

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/merlon-security/merlon/test/live/lab"
)

// grant is a rule, and where it holds: "" for everywhere.
type grant struct{ in, verbs, groups, resources, names string }

// policy is one of the 23 of rbac-police, in each of the ways in which its
// description says that a subject can have the right, each with all that Merlon
// has to say of a subject that holds this and no more.
type policy struct {
	id   string
	ways []way
}

type way struct {
	grants []grant
	want   []string // controls of the family rights, in order
}

const own = "t-police" // a namespace of no importance

func one(in, verbs, groups, resources, names string, want ...string) way {
	return way{[]grant{{in, verbs, groups, resources, names}}, want}
}

var policies = []policy{
	{"approve_csrs", []way{{[]grant{
		{"", "create", "certificates.k8s.io", "certificatesigningrequests", ""},
		{"", "update", "certificates.k8s.io", "certificatesigningrequests/approval", ""},
		{"", "approve", "certificates.k8s.io", "signers", "kubernetes.io/kube-apiserver-client"},
	}, []string{"signing-certificates"}}}},
	{"assign_sa", []way{
		one("kube-system", "create", "", "pods", "", "pods-in-system-namespaces"),
		one("kube-system", "create", "apps", "deployments", "", "pods-in-system-namespaces"),
		one("kube-system", "patch", "apps", "daemonsets", "", "pods-in-system-namespaces"),
		one("", "update", "batch", "cronjobs", "", "pods-in-system-namespaces"),
	}},
	{"bind_roles", []way{
		{[]grant{{"", "bind", rbacGroup, "clusterroles", ""}, {"", "create", rbacGroup, "clusterrolebindings", ""}}, []string{"binding-roles"}},
		{[]grant{{"kube-system", "bind", rbacGroup, "roles", ""}, {"kube-system", "create", rbacGroup, "rolebindings", ""}}, []string{"binding-roles"}},
		one("", "bind", rbacGroup, "clusterroles", "cluster-admin", "binding-roles"),
	}},
	{"cluster_admin", []way{{[]grant{{"", "*", "*", "*", ""}}, nil}}}, // all of them: see TestPolice
	{"control_webhooks", []way{
		one("", "create", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "", "admission-webhooks"),
		one("", "patch", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", "", "admission-webhooks"),
	}},
	{"eks_modify_aws_auth", []way{
		one("kube-system", "patch", "", "configmaps", "aws-auth", "system-config-maps"),
		one("", "update", "", "configmaps", "", "system-config-maps"),
	}},
	{"escalate_roles", []way{
		one("", "escalate", rbacGroup, "clusterroles", "", "escalating-roles"),
		one("kube-system", "escalate", rbacGroup, "roles", "", "escalating-roles"),
	}},
	{"impersonate", []way{
		one("", "impersonate", "", "users", "", "impersonating"),
		one("", "impersonate", "", "groups", "system:masters", "impersonating"),
		one("kube-system", "impersonate", "", "serviceaccounts", "", "impersonating"),
	}},
	{"issue_token_secrets", []way{
		one("kube-system", "create", "", "secrets", "", "tokens-elsewhere", "writing-system-secrets"),
		one("kube-system", "patch", "", "secrets", "", "writing-system-secrets"),
	}},
	{"list_secrets", []way{one("", "list", "", "secrets", "", "listing-all-secrets", "reading-system-secrets", "tokens-elsewhere")}},
	{"modify_node_status", []way{one("", "patch", "", "nodes/status", "", "node-status")}},
	{"modify_pod_status", []way{one(own, "update", "", "pods/status", "", "pod-status")}},
	{"modify_pods", []way{
		one("kube-system", "patch", "", "pods", "", "changing-system-pods", "code-in-pods"),
		one("", "update", "", "pods", "", "changing-system-pods", "code-in-pods"),
	}},
	{"modify_service_status_cve_2020_8554", []way{one(own, "patch", "", "services/status", "", "service-status")}},
	{"nodes_proxy", []way{
		one("", "create", "", "nodes/proxy", "", "node-proxy"),
		one("", "get", "", "*/proxy", "", "node-proxy"),
	}},
	{"obtain_token_weak_ns", []way{
		one(own, "get", "", "secrets", "", "tokens-elsewhere"),
		one(own, "create", "", "serviceaccounts/token", "", "tokens-elsewhere"),
	}},
	{"pods_ephemeral_ctrs", []way{one(own, "patch", "", "pods/ephemeralcontainers", "", "debug-containers")}},
	{"pods_exec", []way{one("kube-system", "create", "", "pods/exec", "", "code-in-pods", "exec-in-system-namespaces")}},
	{"providerIAM", nil}, // a service account by itself: see TestPolice
	{"rce_weak_ns", []way{
		one(own, "create", "", "pods/exec", "", "code-in-pods"),
		one(own, "update", "", "pods", "", "code-in-pods"),
	}},
	{"retrieve_token_secrets", []way{
		one("kube-system", "get", "", "secrets", "", "reading-system-secrets", "tokens-elsewhere"),
		one("kube-system", "list", "", "secrets", "", "reading-system-secrets", "tokens-elsewhere"),
	}},
	{"steal_pods", []way{
		{[]grant{{"kube-system", "delete", "", "pods", ""}, {"", "patch", "", "nodes", ""}}, []string{"drawing-pods-to-a-node", "node-status"}},
		{[]grant{{"kube-system", "create", "", "pods/eviction", ""}, {"", "update", "", "nodes/status", ""}}, []string{"drawing-pods-to-a-node", "node-status"}},
		{[]grant{{"kube-system", "delete", "", "pods", ""}, {"", "delete", "", "nodes", ""}}, []string{"drawing-pods-to-a-node"}},
	}},
	{"token_request", []way{one("kube-system", "create", "", "serviceaccounts/token", "", "system-tokens", "tokens-elsewhere")}},
}

const rbacGroup = "rbac.authorization.k8s.io"

// harmless are grants that look like those of the policies and are none.
var harmless = []grant{
	{"", "create", "certificates.k8s.io", "certificatesigningrequests", ""},
	{own, "create", "", "pods", ""},
	{own, "patch", "apps", "deployments", ""},
	{own, "bind", rbacGroup, "roles", ""},
	{"", "get,list,watch", "admissionregistration.k8s.io", "validatingwebhookconfigurations", ""},
	{"kube-system", "patch", "", "configmaps", "t-settings"},
	{own, "update", "", "configmaps", ""},
	{"", "impersonate", "", "users", "t-robot"},
	{"kube-system", "get", "", "secrets", "t-tls"},
	{"", "get,list,watch", "", "nodes,pods,services,serviceaccounts,nodes/metrics", ""},
	{"kube-system", "delete", "", "pods", ""},
	{"kube-system", "get,list,watch", "", "pods,pods/log,configmaps", ""},
	{"", "get", "example.com", "secrets", ""},
	{"", "get", "", "nodes/*", ""}, // which is no wildcard
}

// account is the name of the subject that has a policy's right in one way.
func account(id string, way int) string {
	return fmt.Sprintf("t-%s-%d", strings.ReplaceAll(strings.ToLower(id), "_", "-"), way)
}

// manifest writes a subject, and roles and bindings with grants for it.
func manifest(name string, grants []grant) string {
	var b strings.Builder
	fmt.Fprintf(&b, "---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: %s, namespace: %s}}\n", name, own)
	for i, g := range grants {
		kind, meta := "ClusterRole", fmt.Sprintf("{name: %s-%d}", name, i)
		if g.in != "" {
			kind, meta = "Role", fmt.Sprintf("{name: %s-%d, namespace: %s}", name, i, g.in)
		}
		names := ""
		if g.names != "" {
			names = ", resourceNames: [" + g.names + "]"
		}
		fmt.Fprintf(&b, "---\n{apiVersion: %s/v1, kind: %s, metadata: %s, rules: [{apiGroups: [%q], resources: [%s], verbs: [%s]%s}]}\n",
			rbacGroup, kind, meta, g.groups, quoted(g.resources), quoted(g.verbs), names)
		fmt.Fprintf(&b, "---\n{apiVersion: %s/v1, kind: %sBinding, metadata: %s, roleRef: {apiGroup: %s, kind: %s, name: %s-%d}, subjects: [{kind: ServiceAccount, name: %s, namespace: %s}]}\n",
			rbacGroup, kind, meta, rbacGroup, kind, name, i, name, own)
	}
	return b.String()
}

func quoted(words string) string { return `"` + strings.ReplaceAll(words, ",", `", "`) + `"` }

// risky returns the controls that name each subject.
func risky(t *testing.T, args ...string) map[string][]string {
	t.Helper()
	out, errs, code := lab.Merlon(t, append([]string{"rbac", "risky", "-o", "json"}, args...)...)
	if code > 1 {
		t.Fatalf("risky: %d %s", code, errs)
	}
	var list []struct{ Subject, Control string }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, r := range list {
		found[r.Subject] = append(found[r.Subject], strings.TrimPrefix(r.Control, "rights/"))
	}
	for _, controls := range found {
		slices.Sort(controls)
	}
	return found
}

// TestPolice seeds the cluster for every policy of rbac-police, and asks who holds
// risky rights: of a new cluster nobody, nor whoever holds harmless ones; then
// every subject with what is seeded for it, and no other.
func TestPolice(t *testing.T) {
	s := open(t)
	live := []string{"--cluster", "--kubeconfig", s.kubeconfig}
	if got := risky(t, live...); len(got) > 0 {
		t.Fatalf("in a new cluster: %v", got)
	}
	s.kubectl(t, "", "create", "namespace", own)
	t.Cleanup(func() { s.kubectl(t, "", "delete", "namespace", own) })
	seed := func(text string) {
		s.kubectl(t, text, "apply", "-f", "-")
		t.Cleanup(func() { s.kubectl(t, text, "delete", "--ignore-not-found", "-f", "-") })
	}
	var text strings.Builder
	for i, g := range harmless {
		text.WriteString(manifest(fmt.Sprint("t-harmless-", i), []grant{g}))
	}
	seed(text.String())
	if got := risky(t, live...); len(got) > 0 {
		t.Errorf("of harmless rights: %v", got)
	}
	text.Reset()
	want := map[string][]string{}
	ways := 0
	for _, p := range policies {
		for i, w := range p.ways {
			ways++
			text.WriteString(manifest(account(p.id, i), w.grants))
			want["sa "+own+"/"+account(p.id, i)] = w.want
		}
	}
	text.WriteString("---\n{apiVersion: v1, kind: ServiceAccount, metadata: {name: t-provideriam-0, namespace: " + own + ", annotations: {eks.amazonaws.com/role-arn: \"arn:aws:iam::123456789012:role/t\"}}}\n")
	want["sa "+own+"/t-provideriam-0"] = []string{"cloud-identity"}
	seed(text.String())
	got := risky(t, live...)
	all := "sa " + own + "/" + account("cluster_admin", 0)
	if !slices.Contains(got[all], "anything") || len(got[all]) < 20 {
		t.Errorf("of an administrator: %v", got[all])
	}
	delete(got, all)
	delete(want, all)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(- want, + got)\n%s", diff)
	}
	t.Logf("%d policies in %d ways, %d harmless grants", len(policies), ways+1, len(harmless))
}
