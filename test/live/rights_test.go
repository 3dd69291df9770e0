package live

import (
	"bufio"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/test/live/lab"
)

// audited is an event of the API server's audit log, as far as it is read.
type audited struct {
	Verb           string
	RequestURI     string
	User           struct{ Username string }
	ObjectRef      *struct{ Resource, APIGroup string }
	ResponseStatus struct{ Code int }
}

// auditOf returns what a user did, by the API server's own account.
func auditOf(t *testing.T, l *lab.Lab, user string) []audited {
	t.Helper()
	f, err := os.Open(l.AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []audited
	in := bufio.NewScanner(f)
	in.Buffer(nil, 256<<20)
	for in.Scan() {
		var e audited
		if !strings.Contains(in.Text(), user) || json.Unmarshal(in.Bytes(), &e) != nil || e.User.Username != user {
			continue
		}
		out = append(out, e)
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func scan(t *testing.T, kubeconfig string, args ...string) *finding.Report {
	t.Helper()
	out, errs, code := lab.Merlon(t, append([]string{"scan", "--cluster", "--kubeconfig", kubeconfig, "-o", "json", "--fail-on", "none"}, args...)...)
	if code != 0 && code != 3 {
		t.Fatalf("scan: %d %s", code, errs)
	}
	r := &finding.Report{}
	if err := json.Unmarshal([]byte(out), r); err != nil {
		t.Fatal(err)
	}
	return r
}

func gapKinds(r *finding.Report) []string {
	var out []string
	for _, g := range r.Gaps {
		out = append(out, g.Kind+" "+g.Subject)
	}
	slices.Sort(out)
	return out
}

// TestLeastPrivilege scans and watches with exactly the printed rights: nothing
// is refused, nothing is asked for beyond them, nothing is written.
func TestLeastPrivilege(t *testing.T) {
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns)
	l.Apply(t, ns, deployment("web"))
	r := scan(t, a.Kubeconfig, "--all")
	if got := gapKinds(r); !slices.Equal(got, []string{"not-asked list secrets"}) {
		t.Errorf("gaps: %v", got)
	}
	if r.Cluster == nil || r.Cluster.UID == "" || !strings.HasPrefix(r.Cluster.Version, "v1.") || r.Summary.Objects < 50 {
		t.Errorf("%+v, %d objects", r.Cluster, r.Summary.Objects)
	}
	w := follow(t, a.Kubeconfig, ns)
	l.Kubectl(t, "", "scale", "-n", ns, "deployment/web", "--replicas=2")
	w.converges(t, l)
	w.stop()
	events := auditOf(t, l, a.User)
	if len(events) < 50 {
		t.Fatalf("the audit log has %d requests of Merlon's", len(events))
	}
	for _, e := range events {
		if !slices.Contains([]string{"get", "list", "watch"}, e.Verb) || e.ResponseStatus.Code >= 400 || e.ObjectRef != nil && e.ObjectRef.Resource == "secrets" {
			t.Errorf("%s %s: %d", e.Verb, e.RequestURI, e.ResponseStatus.Code)
		}
	}
}

// TestSecretMetadata asks for Secrets: the API server sends no value, and no
// annotation gets any further.
func TestSecretMetadata(t *testing.T) {
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns, "--with", "secret-metadata")
	const canary = "merlon-canary-5a1f"
	l.Apply(t, ns, `
apiVersion: v1
kind: Secret
metadata: {name: held, annotations: {note: `+canary+`}}
stringData: {password: `+canary+`}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers: [{name: app, image: "registry.example.com/app:1"}]
  volumes: [{name: s, secret: {secretName: held}}]
`)
	p := newProxy(t, l)
	p.record = true
	a.Token(t, p.url, p.authority)
	out, errs, _ := lab.Merlon(t, "scan", "--cluster", "--kubeconfig", a.Kubeconfig, "-o", "json", "--fail-on", "none", "--with", "secret-metadata", "--namespace", ns)
	if strings.Contains(out+errs, canary) {
		t.Error("a value or an annotation of a Secret was printed")
	}
	if !strings.Contains(out, `"metadata-only"`) || strings.Contains(out, `"not-asked"`) {
		t.Logf("%s %.2000s", errs, out)
		t.Error("the report does not say that only metadata was read")
	}
	asked := 0
	for _, e := range p.exchanges() {
		if !strings.HasSuffix(e.path, "/secrets") {
			continue
		}
		asked++
		// An annotation is metadata: the API server sends it. The values it must not.
		if !strings.Contains(e.accept, "PartialObjectMetadata") || strings.Contains(e.body, `"data"`) {
			t.Errorf("%s was asked for as %q and answered with data", e.path, e.accept)
		}
	}
	if asked == 0 {
		t.Error("Secrets were not asked for")
	}
}

// TestForbiddenIsAGap takes one right away: the report names verb and resource,
// says which controls did not run, and no control judges by what is absent.
func TestForbiddenIsAGap(t *testing.T) {
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns)
	l.Apply(t, ns, deployment("web"))
	rights := a.Rights(t)
	if !strings.Contains(rights, "networkpolicies") {
		t.Fatal("no right on networkpolicies to take away")
	}
	l.Kubectl(t, strings.ReplaceAll(strings.ReplaceAll(rights, "ingresses, networkpolicies", "ingresses"), "ingressclasses, networkpolicies", "ingressclasses"), "apply", "-f", "-")
	r := scan(t, a.Kubeconfig, "--namespace", ns)
	if got := gapKinds(r); !slices.Contains(got, "forbidden list networkpolicies.networking.k8s.io in namespace "+ns) {
		t.Errorf("gaps: %v", got)
	}
	for _, f := range r.Findings {
		if strings.HasPrefix(f.Control, "network/") && strings.Contains(f.Control, "polic") {
			t.Errorf("%s was judged without seeing policies: %s", f.Control, f.Message)
		}
	}
	if !slices.ContainsFunc(r.Notices, func(n string) bool { return strings.Contains(n, "were not run") }) {
		t.Errorf("no notice of controls that did not run: %v", r.Notices)
	}
}

func TestNamespaceRights(t *testing.T) {
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns, "--namespace", ns)
	l.Apply(t, ns, deployment("web"))
	r := scan(t, a.Kubeconfig, "--namespace", ns)
	if got := gapKinds(r); !slices.Equal(got, []string{"not-asked list secrets"}) {
		t.Errorf("gaps: %v", got)
	}
	for _, e := range auditOf(t, l, a.User) {
		if e.ResponseStatus.Code >= 400 {
			t.Errorf("%s %s: %d", e.Verb, e.RequestURI, e.ResponseStatus.Code)
		}
	}
}

// deployment is a Deployment that Merlon has something to say of.
func deployment(name string) string {
	return `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: ` + name + `
  annotations: {meta.helm.sh/release-name: shop, meta.helm.sh/release-namespace: shop}
spec:
  replicas: 3
  selector: {matchLabels: {app: ` + name + `}}
  template:
    metadata: {labels: {app: ` + name + `}}
    spec:
      containers: [{name: app, image: "registry.example.com/app:1", securityContext: {privileged: true}}]
`
}
