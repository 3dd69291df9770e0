// Package lab gives a test the real API server that make test has started, a
// namespace of its own in it, and Merlon's account.
//
// Tests never touch a cluster that somebody happens to have configured: only
// the one that `lab run` has started for them and names in MERLON_LAB_DIR.
package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/merlon-security/merlon/internal/cli"
)

// Lab is the test cluster.
type Lab struct {
	Kubeconfig string // of its administrator
	AuditLog   string
	dir        string
	config     *rest.Config
	http       *http.Client
}

// Open returns the cluster, or ends the test: by skipping it, or, under make
// test, where nothing may be skipped, by failing it.
func Open(t testing.TB) *Lab {
	t.Helper()
	dir := os.Getenv("MERLON_LAB_DIR")
	if dir == "" {
		if os.Getenv("MERLON_LIVE") != "" {
			t.Fatal("no test cluster: MERLON_LAB_DIR is not set")
		}
		t.Skip("no test cluster: make test starts one (lab run -- go test ./test/live/...)")
	}
	l := &Lab{Kubeconfig: filepath.Join(dir, "kubeconfig"), AuditLog: filepath.Join(dir, "logs", "audit.log"), dir: dir}
	var err error
	if l.config, err = clientcmd.BuildConfigFromFlags("", l.Kubeconfig); err != nil {
		t.Fatal(err)
	}
	if l.http, err = rest.HTTPClientFor(l.config); err != nil {
		t.Fatal(err)
	}
	return l
}

// Do sends one request as the administrator and returns the answer's code and
// body.
func (l *Lab) Do(t testing.TB, method, path, contentType string, body []byte) (int, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, l.config.Host+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := l.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, out
}

// Kubectl runs kubectl as the administrator and returns what it printed.
func (l *Lab) Kubectl(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	out, err := l.kubectl(stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (l *Lab) kubectl(stdin string, args ...string) (string, error) {
	cmd := exec.Command("kubectl", append([]string{"--kubeconfig", l.Kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// NamespaceOf makes a namespace of a name, if there is none, that goes with the
// test.
func (l *Lab) NamespaceOf(t testing.TB, name string) {
	t.Helper()
	l.gone(t, "/api/v1/namespaces/"+name)
	body := fmt.Sprintf(`{"apiVersion":"v1","kind":"Namespace","metadata":{"name":%q}}`, name)
	if code, _ := l.Do(t, "POST", "/api/v1/namespaces", "application/json", []byte(body)); code == http.StatusCreated {
		t.Cleanup(func() { l.Do(t, "DELETE", "/api/v1/namespaces/"+name, "", nil) })
	}
}

// Namespace makes a namespace that goes with the test.
func (l *Lab) Namespace(t testing.TB) string {
	t.Helper()
	code, body := l.Do(t, "POST", "/api/v1/namespaces", "application/json", []byte(`{"apiVersion":"v1","kind":"Namespace","metadata":{"generateName":"live-"}}`))
	var ns struct{ Metadata struct{ Name string } }
	if err := json.Unmarshal(body, &ns); err != nil || code != http.StatusCreated {
		t.Fatalf("make a namespace: %d %s", code, body)
	}
	t.Cleanup(func() { l.Do(t, "DELETE", "/api/v1/namespaces/"+ns.Metadata.Name, "", nil) })
	return ns.Metadata.Name
}

// Apply applies manifests in a namespace.
func (l *Lab) Apply(t testing.TB, namespace, manifests string) {
	t.Helper()
	l.Kubectl(t, manifests, "apply", "-n", namespace, "-f", "-")
}

// Merlon runs a command of Merlon's in this process and returns what it wrote
// and its exit code.
func Merlon(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = cli.Main(args, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	return out.String(), errs.String(), code
}

// Account is Merlon's identity in the cluster, with the rights that merlon
// permissions prints and no others.
type Account struct {
	lab             *Lab
	Namespace, Name string
	Kubeconfig      string // with a token in a file beside it
	User            string // as the audit log names it
}

// Account grants what `merlon permissions` prints, with args added, to a
// ServiceAccount in a namespace.
func (l *Lab) Account(t testing.TB, namespace string, args ...string) *Account {
	t.Helper()
	a := &Account{lab: l, Namespace: namespace, Name: "merlon-" + namespace, Kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	a.User = "system:serviceaccount:" + namespace + ":" + a.Name
	rights := a.Rights(t, args...)
	l.Kubectl(t, rights, "apply", "-f", "-")
	t.Cleanup(func() { _, _ = l.kubectl(rights, "delete", "--wait=false", "-f", "-") })
	a.Token(t, l.config.Host, l.config.CAData)
	return a
}

// Rights returns the manifest that grants the account its rights.
func (a *Account) Rights(t testing.TB, args ...string) string {
	t.Helper()
	out, errs, code := Merlon(t, append([]string{"permissions", "--account", a.Name, "--account-namespace", a.Namespace}, args...)...)
	if code != 0 {
		t.Fatalf("merlon permissions: %d %s", code, errs)
	}
	return out
}

// Token writes a kubeconfig for the account that reaches the API server at an
// address, whose certificate an authority vouches for, with a new token. The token lives as long as an object does, which
// Revoke deletes.
func (a *Account) Token(t testing.TB, server string, authority []byte) {
	t.Helper()
	l := a.lab
	l.Apply(t, a.Namespace, "apiVersion: v1\nkind: Secret\nmetadata: {name: token-lives, annotations: {made: \""+fmt.Sprint(time.Now().UnixNano())+"\"}}\n")
	path := "/api/v1/namespaces/" + a.Namespace
	_, body := l.Do(t, "GET", path+"/secrets/token-lives", "", nil)
	var secret struct{ Metadata struct{ UID string } }
	if err := json.Unmarshal(body, &secret); err != nil {
		t.Fatal(err)
	}
	request := fmt.Sprintf(`{"apiVersion":"authentication.k8s.io/v1","kind":"TokenRequest","spec":{"boundObjectRef":{"apiVersion":"v1","kind":"Secret","name":"token-lives","uid":%q}}}`, secret.Metadata.UID)
	code, body := l.Do(t, "POST", path+"/serviceaccounts/"+a.Name+"/token", "application/json", []byte(request))
	var token struct{ Status struct{ Token string } }
	if err := json.Unmarshal(body, &token); err != nil || code != http.StatusCreated {
		t.Fatalf("ask for a token: %d", code)
	}
	file := a.Kubeconfig + ".token"
	if err := os.WriteFile(file, []byte(token.Status.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := a.Kubeconfig + ".ca"
	if err := os.WriteFile(ca, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: merlon, user: {tokenFile: %q}}]
contexts: [{name: lab, context: {cluster: lab, user: merlon}}]
current-context: lab
`, server, ca, file)
	if err := os.WriteFile(a.Kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Revoke ends the account's token, as its expiry would.
func (a *Account) Revoke(t testing.TB) {
	t.Helper()
	a.lab.Kubectl(t, "", "delete", "secret", "-n", a.Namespace, "token-lives")
}

// Stop kills one of the cluster's programs, Start brings it back.
func (l *Lab) Stop(t testing.TB, program string) { t.Helper(); l.run(t, "stop", "--now", program) }

// Start brings back a program and returns when the cluster answers again.
func (l *Lab) Start(t testing.TB, program string) { t.Helper(); l.run(t, "start", program) }

func (l *Lab) run(t testing.TB, command string, args ...string) {
	t.Helper()
	tool := os.Getenv("MERLON_LAB")
	if tool == "" {
		t.Fatal("MERLON_LAB does not name the lab program")
	}
	out, err := exec.Command(tool, append([]string{command, "--dir", l.dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("lab %s: %v\n%s", command, err, out)
	}
}

// Host is the API server's address, Transport speaks to it without an identity.
func (l *Lab) Host() string { return l.config.Host }

// Authority vouches for the API server's certificate.
func (l *Lab) Authority() []byte { return l.config.CAData }

// Define makes the API server serve a custom kind whose objects may hold
// anything, and waits until it does.
func (l *Lab) Define(t testing.TB, group, kind, plural string, namespaced bool) {
	t.Helper()
	l.gone(t, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"+plural+"."+group)
	scope := "Cluster"
	if namespaced {
		scope = "Namespaced"
	}
	l.Kubectl(t, fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[3]s.%[1]s, annotations: {api-approved.kubernetes.io: "unapproved, for a test"}}
spec:
  group: %[1]s
  scope: %[4]s
  names: {kind: %[2]s, plural: %[3]s, singular: %[5]s}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`, group, kind, plural, scope, strings.ToLower(kind)), "apply", "-f", "-")
	t.Cleanup(func() { l.Undefine(t, group, plural) })
	Eventually(t, "the API server serves "+plural+"."+group, func() (bool, string) {
		code, body := l.Do(t, "GET", "/apis/"+group+"/v1/"+plural, "", nil)
		return code == http.StatusOK, string(body)
	})
}

// gone waits until something is there to stay, or not there.
func (l *Lab) gone(t testing.TB, path string) {
	t.Helper()
	Eventually(t, path+" is not on its way out", func() (bool, string) {
		code, body := l.Do(t, "GET", path, "", nil)
		return code == http.StatusNotFound || !bytes.Contains(body, []byte("deletionTimestamp")), string(body)
	})
}

// Undefine takes a custom kind and all its objects away.
func (l *Lab) Undefine(t testing.TB, group, plural string) {
	t.Helper()
	l.Do(t, "DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/"+plural+"."+group, "", nil)
}

// Transport returns a transport that trusts the API server and presents no
// credentials.
func (l *Lab) Transport(t testing.TB) http.RoundTripper {
	t.Helper()
	rt, err := rest.TransportFor(rest.AnonymousClientConfig(l.config))
	if err != nil {
		t.Fatal(err)
	}
	return rt
}

// patience is how long a cluster may take to come to what a test waits for. It
// only costs time where it never does.
const patience = 4 * time.Minute

// Eventually waits for something that Kubernetes brings about in its own time.
func Eventually(t testing.TB, what string, holds func() (bool, string)) {
	t.Helper()
	last := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		ok, state := holds()
		if ok {
			return
		}
		last = state
	}
	t.Fatalf("%s: not within %s\n%s", what, patience, last)
}
