// Package node tests what needs pods that run: a kubelet that starts them, and
// mirrors static ones. It runs under `lab run --tier node`.
package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/test/live/lab"
)

const image = "localhost/busybox:1"

// TestPodsThatRun scans a cluster whose pods run: what the kubelet and the
// controllers add changes nothing, each pod is judged through its owner, and a
// static pod, which the kubelet alone knows, is found by its mirror.
func TestPodsThatRun(t *testing.T) {
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns)
	manifests := filepath.Join(os.Getenv("MERLON_LAB_DIR"), "n1", "manifests")
	if _, err := os.Stat(manifests); err != nil {
		t.Fatalf("the node's folder of static pods: %v", err)
	}
	container := `{name: app, image: "` + image + `", command: [sleep, "3600"], securityContext: {privileged: true}}`
	static := filepath.Join(manifests, "kept.yaml")
	text := "apiVersion: v1\nkind: Pod\nmetadata: {name: kept, namespace: " + ns + "}\nspec: {containers: [" + container + "]}\n"
	if err := os.WriteFile(static, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(static) })
	l.Apply(t, ns, `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {terminationGracePeriodSeconds: 0, containers: [`+container+`]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {terminationGracePeriodSeconds: 0, containers: [`+container+`]}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  suspend: true
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: app, image: "`+image+`", command: ["true"], securityContext: {privileged: true}}]}}}}
`)
	l.Kubectl(t, "", "create", "job", "-n", ns, "--from=cronjob/nightly", "nightly-1")
	l.Kubectl(t, "", "wait", "-n", ns, "--for=condition=Available", "--timeout=240s", "deployment/web")
	l.Kubectl(t, "", "wait", "-n", ns, "--for=condition=Complete", "--timeout=240s", "job/nightly-1")
	want := []string{"CronJob nightly 1", "DaemonSet agent 1", "Deployment web 2", "Pod kept 0"}
	lab.Eventually(t, "each is judged through its owner", func() (bool, string) {
		got := judged(t, a, ns)
		return slices.Equal(got, want), strings.Join(got, "\n")
	})
}

// judged lists whom one control fails, with their pods.
func judged(t *testing.T, a *lab.Account, ns string) []string {
	t.Helper()
	out, errs, code := lab.Merlon(t, "scan", "--cluster", "--kubeconfig", a.Kubeconfig, "--namespace", ns, "--control", "workload/privileged-container", "-o", "json", "--fail-on", "none")
	if code != 0 {
		t.Fatalf("scan: %d %s", code, errs)
	}
	var r finding.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range r.Findings {
		got = append(got, fmt.Sprintf("%s %s %d", f.Subject.Kind, f.Subject.Name, f.Pods))
	}
	slices.Sort(got)
	return got
}
