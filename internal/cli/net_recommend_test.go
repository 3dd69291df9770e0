package cli

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/reach"
)

const twoWorkloads = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: c, env: [{name: DB, value: "db:5432"}]}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec:
  selector: {matchLabels: {app: db}}
  template: {metadata: {labels: {app: db}}, spec: {containers: [{name: c, image: c}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: coredns, namespace: kube-system}
spec:
  selector: {matchLabels: {k8s-app: kube-dns}}
  template: {metadata: {labels: {k8s-app: kube-dns}}, spec: {containers: [{name: c, image: c}]}}
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{port: 5432}]}
`

// Applied one after the other, the policies cut nothing that is needed on the way.
func TestRecommendSteps(t *testing.T) {
	n := &netInput{Streams: Streams{In: strings.NewReader(twoWorkloads), Out: io.Discard, Err: &bytes.Buffer{}}}
	s, err := n.readFiles(context.Background(), []string{"-"})
	if err != nil {
		t.Fatal(err)
	}
	m := reach.New(s, reach.Options{})
	flows := m.Intent()
	if len(flows) == 0 {
		t.Fatal("nothing is declared")
	}
	byName := func(m *reach.Model) map[string]*reach.Workload {
		out := map[string]*reach.Workload{}
		for _, w := range m.Workloads {
			out[w.String()] = w
		}
		return out
	}
	for _, w := range []string{"shop/web[Deployment]", "shop/db[Deployment]"} {
		flows = append(flows, reach.Flow{From: reach.FlowEnd{Workload: byName(m)[w]}, To: reach.FlowEnd{Workload: byName(m)["kube-system/coredns[Deployment]"]}, Ports: reach.PortsOf(reach.UDP, 53, 53)})
	}
	advice := m.Recommend(m.Intent())
	for k := range len(advice) + 1 {
		policies := &fact.Snapshot{}
		if k > 0 {
			if policies, err = n.policiesOf(context.Background(), adviceYAML(advice[:k])); err != nil {
				t.Fatal(err)
			}
		}
		after := reach.New(applied(s, policies), reach.Options{})
		for _, f := range flows {
			if !allowsFlow(after, byName(after), f) {
				t.Errorf("after step %d: %s → %s is cut", k, f.From.Workload, f.To.Workload)
			}
		}
	}
}
