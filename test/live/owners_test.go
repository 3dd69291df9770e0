package live

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/test/live/lab"
)

// TestOwners has the real controllers make pods of everything that makes pods:
// each is judged once, through what a person would edit.
func TestOwners(t *testing.T) {
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns)
	template := `
      metadata: {labels: {app: x}}
      spec: {containers: [{name: app, image: "registry.example.com/app:1", securityContext: {privileged: true}}]%s}`
	pod := fmt.Sprintf(template, "")
	once := fmt.Sprintf(template, ", restartPolicy: Never")
	l.Apply(t, ns, deployment("web")+`
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db, labels: {kustomize.toolkit.fluxcd.io/name: apps, kustomize.toolkit.fluxcd.io/namespace: flux-system}}
spec: {serviceName: db, replicas: 2, podManagementPolicy: Parallel, selector: {matchLabels: {app: x}}, template: {`+flow(pod)+`}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec: {schedule: "0 3 * * *", suspend: true, jobTemplate: {spec: {template: {`+flow(once)+`}}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: alone}
spec: {template: {`+flow(once)+`}}
---
apiVersion: v1
kind: Pod
metadata: {name: bare, annotations: {argocd.argoproj.io/tracking-id: "shop:/Pod:`+ns+`/bare"}}
spec: {containers: [{name: app, image: "registry.example.com/app:1", securityContext: {privileged: true}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: kept-node-1, annotations: {kubernetes.io/config.mirror: abc}}
spec: {nodeName: node-1, containers: [{name: app, image: "registry.example.com/app:1", securityContext: {privileged: true}}]}
---
apiVersion: v1
kind: Pod
metadata: {name: kept-node-2, annotations: {kubernetes.io/config.mirror: abc}}
spec: {nodeName: node-2, containers: [{name: app, image: "registry.example.com/app:1", securityContext: {privileged: true}}]}
`)
	l.Kubectl(t, "", "create", "job", "-n", ns, "--from=cronjob/nightly", "nightly-1")
	want := []string{
		"CronJob nightly pods 1 count 1 []",
		"Deployment web pods 3 count 1 [{helm Release shop shop}]",
		"Job alone pods 1 count 1 []",
		"Pod bare pods 0 count 1 [{argocd Application  shop}]",
		"Pod kept pods 0 count 2 []",
		"StatefulSet db pods 2 count 1 [{flux Kustomization flux-system apps}]",
	}
	uid := ""
	lab.Eventually(t, "each is judged through its owner", func() (bool, string) {
		r := scan(t, a.Kubeconfig, "--namespace", ns, "--control", "workload/privileged-container")
		uid = r.Cluster.UID
		var got []string
		for _, f := range r.Findings {
			got = append(got, fmt.Sprintf("%s %s pods %d count %d %v", f.Subject.Kind, f.Subject.Name, f.Pods, f.Count, f.ManagedBy))
			if f.Location != (finding.Location{}) || len(f.Evidence) == 0 || f.Subject.Cluster != uid {
				t.Errorf("%+v", f)
			}
		}
		slices.Sort(got)
		return slices.Equal(got, want), strings.Join(got, "\n")
	})
	var system struct{ Metadata struct{ UID string } }
	if err := json.Unmarshal(l.Get(t, "/api/v1/namespaces/kube-system", "application/json"), &system); err != nil || system.Metadata.UID != uid {
		t.Errorf("cluster %q, kube-system %q: %v", uid, system.Metadata.UID, err)
	}
}

// flow puts a block of YAML on one line.
func flow(block string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(strings.TrimSpace(block), "\n", ", ")), " ")
}

// TestOwnersComeAndGo leaves pods behind, and takes them in again.
func TestOwnersComeAndGo(t *testing.T) {
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns)
	l.Apply(t, ns, deployment("web"))
	w := follow(t, a.Kubeconfig, ns)
	w.converges(t, l)
	l.Kubectl(t, "", "delete", "-n", ns, "deployment/web", "--cascade=orphan")
	w.converges(t, l)
	l.Kubectl(t, "", "delete", "-n", ns, "replicaset", "--all", "--cascade=orphan")
	w.converges(t, l)
	lab.Eventually(t, "the pods stand for themselves", func() (bool, string) {
		n := 0
		for _, o := range objectsOf(w) {
			if o.Kind == "Pod" {
				n++
			}
		}
		return n == 3, fmt.Sprint(n, " pods")
	})
	l.Apply(t, ns, deployment("web")) // the controllers adopt them
	lab.Eventually(t, "the pods are back behind their owner", func() (bool, string) {
		for _, o := range objectsOf(w) {
			if o.Kind == "Deployment" {
				return o.Pods == 3, fmt.Sprint(o.Pods, " pods")
			}
		}
		return false, "no Deployment"
	})
	w.converges(t, l)
}
