package rbac

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/merlon-security/merlon/test/live/lab"
)

// worldOfInputs has a Deployment whose pods are bound to a node, and rights.
const worldOfInputs = `
{apiVersion: v1, kind: Namespace, metadata: {name: t-in}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: t-in}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeName: t-input-node
      containers: [{name: c, image: "registry.example.com/c:1", envFrom: [{secretRef: {name: held}}]}]
---
{apiVersion: v1, kind: Node, metadata: {name: t-input-node}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: reader, namespace: t-in}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: reader, namespace: t-in}, rules: [{apiGroups: [""], resources: [secrets], verbs: [get]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: reader, namespace: t-in}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}, subjects: [{kind: ServiceAccount, name: reader}]}
`

// TestInputs asks every command of a living cluster, of a snapshot of it and of
// what kubectl wrote into a file: they say the same.
func TestInputs(t *testing.T) {
	s := open(t)
	dir := t.TempDir()
	s.kubectl(t, worldOfInputs, "apply", "-f", "-")
	t.Cleanup(func() { s.kubectl(t, worldOfInputs, "delete", "--ignore-not-found", "-f", "-") })
	lab.Eventually(t, "a pod of the Deployment", func() (bool, string) {
		out := s.kubectl(t, "", "get", "pods", "-n", "t-in", "-o", "name")
		return strings.Contains(out, "pod/web-"), out
	})
	dump := filepath.Join(dir, "dump.json")
	if err := os.WriteFile(dump, []byte(s.kubectl(t, "", "get", everything+",serviceaccounts", "-A", "-o", "json")), 0o600); err != nil {
		t.Fatal(err)
	}
	saved := filepath.Join(dir, "saved.snapshot")
	if _, errs, code := lab.Merlon(t, "snapshot", "save", saved, "--cluster", "--kubeconfig", s.kubeconfig); code != 0 {
		t.Fatalf("snapshot: %d %s", code, errs)
	}
	inputs := map[string][]string{
		"cluster":  {"--cluster", "--kubeconfig", s.kubeconfig},
		"snapshot": {"--snapshot", saved},
		"file":     {"-f", dump},
	}
	const node = "system:node:t-input-node"
	for _, q := range []struct {
		args []string
		code int
		want string // in the answer
		pods bool   // whether the pods of the Deployment decide
	}{
		{args: []string{"can", "sa", "t-in/reader", "get", "secrets", "held", "-n", "t-in"}, want: `"name": "reader"`},
		{args: []string{"can", "sa", "t-in/reader", "list", "secrets", "-n", "t-in"}, code: 1},
		{args: []string{"can", "group:system:masters", "delete", "nodes"}},
		{args: []string{"can", node, "get", "secrets", "held", "-n", "t-in"}, want: "node authorizer", pods: true},
		{args: []string{"can", node, "get", "secrets", "other", "-n", "t-in"}, code: 1, pods: true},
		{args: []string{"who", "get", "secrets", "held", "-n", "t-in"}, want: node, pods: true},
		{args: []string{"who", "get", "secrets", "-n", "t-in", "--all"}, want: "sa t-in/reader", pods: true},
		{args: []string{"who", "create", "deployments", "-n", "t-in", "--all"}, want: "system:masters"},
		{args: []string{"show", "sa", "t-in/reader"}, want: `"name": "reader"`},
		{args: []string{"show", "sa", "kube-system/deployment-controller"}, want: "system:controller:deployment-controller"},
		{args: []string{"risky"}, code: 1, want: "tokens-elsewhere"},
		{args: []string{"without", "t-in/reader"}, want: "sa t-in/reader"},
		{args: []string{"least", "sa", "t-in/reader", "--audit", s.auditLog}, want: `"unused"`},
	} {
		answers := map[string]any{}
		for name, in := range inputs {
			out, errs, code := lab.Merlon(t, append(append([]string{"rbac"}, append(q.args, in...)...), "-o", "json")...)
			if q.pods && name == "snapshot" {
				if code != 3 || !strings.Contains(errs, "no pods that controllers made") {
					t.Errorf("%s of a snapshot, which cannot tell: %d %s", q.args, code, errs)
				}
				continue
			}
			if code != q.code && !(q.args[0] == "least" && strings.Contains(errs, "cut-line")) || !strings.Contains(out, q.want) {
				t.Errorf("%s of a %s: %d %s%.1000s", q.args, name, code, errs, out)
			}
			answers[name] = answer(t, out)
		}
		for name, a := range answers {
			if diff := cmp.Diff(answers["cluster"], a); diff != "" && q.args[0] != "least" { // more was logged since
				t.Errorf("%s (- cluster, + %s)\n%s", q.args, name, diff)
			}
		}
	}
	for _, b := range [][]string{inputs["cluster"], {dump}} {
		if out, errs, code := lab.Merlon(t, append([]string{"rbac", "diff", saved}, b...)...); code != 0 {
			t.Errorf("diff with %s: %d %s%.1000s", b, code, errs, out)
		}
	}
	s.kubectl(t, "", "delete", "rolebinding", "-n", "t-in", "reader")
	if out, errs, code := lab.Merlon(t, append([]string{"rbac", "diff", saved}, inputs["cluster"]...)...); code != 1 || !strings.Contains(out, "-  sa t-in/reader") {
		t.Errorf("diff after a binding was taken away: %d %s%.1000s", code, errs, out)
	}
	l := lab.Open(t)
	if _, errs, code := lab.Merlon(t, "rbac", "who", "create", "deployments", "--cluster", "--kubeconfig", l.Account(t, l.Namespace(t)).Kubeconfig); code != 0 {
		t.Errorf("with the rights that merlon permissions prints: %d %s", code, errs)
	}
}

// answer decodes an answer without the places in files.
func answer(t *testing.T, out string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%v: %.200s", err, out)
	}
	var strip func(v any)
	strip = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				strip(x)
			}
		case map[string]any:
			delete(v, "at")
			delete(v, "in")
			for _, x := range v {
				strip(x)
			}
		}
	}
	strip(v)
	return v
}
