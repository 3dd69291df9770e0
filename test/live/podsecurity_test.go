package live

import (
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/podsecurity"
	"github.com/merlon-security/merlon/internal/yamldoc"
	"github.com/merlon-security/merlon/test/live/lab"
)

// securityPods are pods at the edges of the Pod Security levels.
const securityPods = `
{containers: [{name: a, image: b}]}
{hostNetwork: true, containers: [{name: a, image: b, ports: [{containerPort: 80}]}]}
{hostPID: true, containers: [{name: a, image: b}]}
{volumes: [{name: h, hostPath: {path: /}}], containers: [{name: a, image: b}]}
{containers: [{name: a, image: b, ports: [{containerPort: 80, hostPort: 80}]}]}
{containers: [{name: a, image: b, securityContext: {privileged: true}}]}
{initContainers: [{name: i, image: b, securityContext: {capabilities: {add: [SYS_ADMIN]}}}], containers: [{name: a, image: b}]}
{containers: [{name: a, image: b, securityContext: {capabilities: {add: [CHOWN]}}}]}
{securityContext: {sysctls: [{name: net.ipv4.tcp_syncookies, value: "1"}]}, containers: [{name: a, image: b}]}
{securityContext: {seccompProfile: {type: Unconfined}}, containers: [{name: a, image: b}]}
{securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, containers: [{name: a, image: b, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}
{securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, containers: [{name: a, image: b, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}}}]}
{securityContext: {runAsNonRoot: true, runAsUser: 0, seccompProfile: {type: RuntimeDefault}}, containers: [{name: a, image: b, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}
{securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, volumes: [{name: scratch, emptyDir: {}}, {name: share, nfs: {server: s, path: /}}], containers: [{name: a, image: b, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}
{securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}, containers: [{name: a, image: b, livenessProbe: {httpGet: {host: example.com, port: 80}}, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]}
`

// TestPodSecurityLevels holds what Merlon says that a namespace could enforce
// against what the API server says when it is asked, by a dry run, to enforce it.
func TestPodSecurityLevels(t *testing.T) {
	l := lab.Open(t)
	e := &podsecurity.Evaluator{}
	levels := map[string]int{}
	for spec := range strings.Lines(strings.TrimSpace(securityPods)) {
		ns := l.Namespace(t)
		manifest := "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: " + spec
		l.Apply(t, ns, "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default}\n")
		l.Apply(t, ns, manifest)
		d, err := yamldoc.NewReader(strings.NewReader(manifest), "pod", yamldoc.Limits{}).Next()
		if err != nil {
			t.Fatal(err)
		}
		o, _ := fact.NewObject(d.Root, fact.Origin{})
		pods := fact.PodTemplates(&o)
		got, err := e.Level(&pods[0], "latest")
		if err != nil {
			t.Fatal(err)
		}
		want := podsecurity.Privileged
		for _, level := range []string{podsecurity.Baseline, podsecurity.Restricted} {
			out := l.Kubectl(t, "", "label", "--dry-run=server", "--overwrite", "namespace", ns, "pod-security.kubernetes.io/enforce="+level, "pod-security.kubernetes.io/enforce-version=latest")
			if strings.Contains(out, "Warning") {
				break
			}
			want = level
		}
		levels[want]++
		if got != want {
			t.Errorf("%s: Merlon says %s, the API server %s", strings.TrimSpace(spec), got, want)
		}
	}
	if len(levels) != 3 {
		t.Errorf("not every level was met: %v", levels)
	}
}
