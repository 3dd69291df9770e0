package e2e

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write golden files anew: only when an id was meant to change, which opens every waiver of it")

// frozen are a few objects with some thirty findings.
const frozen = `apiVersion: extensions/v1beta1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 1
  template:
    metadata: {labels: {app: web}}
    spec:
      hostNetwork: true
      hostPID: true
      volumes:
        - {name: node, hostPath: {path: /etc}}
        - {name: docker, hostPath: {path: /var/run/docker.sock}}
      containers:
        - name: app
          image: nginx:latest
          env:
            - {name: DB_PASSWORD, value: "uZ8kq2Lw9xR4"}
            - {name: API_TOKEN, value: "ghp_q2LkWd8Zr5TbYx1NfGhJ0sVuCm4oEa7PiBwQ"}
          securityContext: {privileged: true, capabilities: {add: [SYS_ADMIN, NET_ADMIN]}}
        - name: side
          image: busybox:1.36
          ports: [{containerPort: 80, hostPort: 8080}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: r, namespace: shop}
rules:
  - {apiGroups: [""], resources: [secrets], verbs: [get]}
  - {apiGroups: [""], resources: [pods/exec], verbs: [create]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 80}, {port: 22, name: ssh}]}
`

// moved is the same in a newer version, in another order, on other lines, with
// more replicas.
const moved = `# a comment that moves all lines

apiVersion: v1
kind: Service
metadata: {namespace: shop, name: web}
spec: {ports: [{port: 22, name: ssh}, {port: 80}], selector: {app: web}, type: LoadBalancer}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {namespace: shop, name: r}
rules:
  - {verbs: [create], resources: [pods/exec], apiGroups: [""]}
  - {verbs: [get], resources: [secrets], apiGroups: [""]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {new: label}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: side
          image: busybox:1.36
          ports: [{containerPort: 80, hostPort: 8080}]
        - name: app
          image: nginx:latest
          env:
            - {name: API_TOKEN, value: "ghp_q2LkWd8Zr5TbYx1NfGhJ0sVuCm4oEa7PiBwQ"}
            - {name: DB_PASSWORD, value: "uZ8kq2Lw9xR4"}
          securityContext: {privileged: true, capabilities: {add: [NET_ADMIN, SYS_ADMIN]}}
      volumes:
        - {name: docker, hostPath: {path: /var/run/docker.sock}}
        - {name: node, hostPath: {path: /etc}}
      hostPID: true
      hostNetwork: true
`

// identities lists id and control of the findings that are of security.
func identities(t *testing.T, text string) []string {
	var out []string
	for _, f := range scan(t, everything(t), map[string][]byte{"x.yaml": []byte(text)}) {
		if f.Family != "hygiene" {
			out = append(out, fmt.Sprintf("%s %s %s/%s %s", f.ID, f.Control, f.Subject.Kind, f.Subject.Name, f.Subject.Container))
		}
	}
	slices.Sort(out)
	return out
}

func TestFrozenIdentities(t *testing.T) {
	const golden = "testdata/identities.txt"
	got := identities(t, frozen)
	if *rewrite {
		if err := os.WriteFile(golden, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(want) < 25 {
		t.Errorf("only %d identities", len(want))
	}
	// A new control may find more; what was found keeps its identity.
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("identity is gone: %s", w)
		}
	}
	other := identities(t, moved)
	for _, id := range got {
		if !slices.Contains(other, id) {
			t.Errorf("another order, version and place changed %s", id)
		}
	}
	for _, id := range other {
		if !slices.Contains(got, id) {
			t.Errorf("another order, version and place made %s", id)
		}
	}
}
