package live

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/test/live/lab"
)

// Bad weather. In each test Merlon watches, something goes wrong, the cluster
// changes meanwhile, and in the end the watch and a fresh scan say the same.

// waitFor waits until a gap was told, or until none is open but what Merlon
// does not ask for.
func (w *follower) waitFor(t *testing.T, kind, about string) {
	t.Helper()
	lab.Eventually(t, "a gap "+kind+" about "+about, func() (bool, string) {
		return w.had(kind, about), strings.Join(w.gaps(), "\n")
	})
}

func (w *follower) clear(t *testing.T) {
	t.Helper()
	lab.Eventually(t, "no gap is left", func() (bool, string) {
		open := slices.DeleteFunc(w.gaps(), func(g string) bool { return strings.HasPrefix(g, "not-asked ") })
		return len(open) == 0, strings.Join(open, "\n")
	})
}

func TestServerRestarts(t *testing.T) {
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns)
	l.Apply(t, ns, deployment("web")+"---"+deployment("old"))
	w := follow(t, a.Kubeconfig, ns)
	l.Stop(t, "kube-apiserver")
	w.waitFor(t, "unavailable", "list pods")
	if n := len(objectsOf(w)); n == 0 {
		t.Error("what was seen before is forgotten")
	}
	l.Start(t, "kube-apiserver")
	l.Kubectl(t, "", "delete", "-n", ns, "deployment/old")
	l.Apply(t, ns, deployment("new"))
	w.clear(t)
	w.converges(t, l)
}

func objectsOf(w *follower) []*fact.Object {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(w.snapshot.Objects()), func(o *fact.Object) bool { return o.Namespace != w.namespace })
}

// TestWatchExpires ends watches with 410, as an event and as an answer, while
// objects come and go: only a new list tells that they are gone.
func TestWatchExpires(t *testing.T) {
	t.Parallel()
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns)
	l.Apply(t, ns, deployment("web")+"---"+deployment("old"))
	p := newProxy(t, l)
	a.Token(t, p.url, p.authority)
	w := follow(t, a.Kubeconfig, ns)
	var events, answers atomic.Int32
	p.misbehave(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("watch") == "" {
			return false
		}
		if strings.Contains(r.URL.Path, "deployments") {
			events.Add(1)
			rw.Header().Set("Content-Type", "application/json")
			fmt.Fprint(rw, `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Expired","code":410}}`)
		} else {
			answers.Add(1)
			refuse(rw, http.StatusGone, "Expired")
		}
		return true
	})
	l.Kubectl(t, "", "delete", "-n", ns, "deployment/old", "--cascade=foreground")
	l.Apply(t, ns, deployment("new"))
	lab.Eventually(t, "watches end with 410", func() (bool, string) {
		return events.Load() > 1 && answers.Load() > 20, fmt.Sprint(events.Load(), answers.Load())
	})
	w.converges(t, l) // by lists alone
	p.misbehave(nil)
	l.Apply(t, ns, deployment("newer"))
	w.converges(t, l)
	w.clear(t)
}

// TestListExpires forgets the second page of every list.
func TestListExpires(t *testing.T) {
	t.Parallel()
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns)
	for i := range 520 {
		body := fmt.Sprintf(`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"a-%d"}}`, i)
		if code, answer := l.Do(t, "POST", "/api/v1/namespaces/"+ns+"/serviceaccounts", "application/json", []byte(body)); code != http.StatusCreated {
			t.Fatalf("make an account: %d %s", code, answer)
		}
	}
	p := newProxy(t, l)
	a.Token(t, p.url, p.authority)
	want, err := fresh(t, a.Kubeconfig, ns)
	if err != nil {
		t.Fatal(err)
	}
	for _, times := range []int32{1, 100} {
		var gone atomic.Int32
		p.misbehave(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Query().Get("continue") == "" || gone.Add(1) > times {
				return false
			}
			refuse(rw, http.StatusGone, "Expired")
			return true
		})
		got, err := fresh(t, a.Kubeconfig, ns)
		if err != nil || gone.Load() == 0 {
			t.Fatal(err, gone.Load())
		}
		if n, m := len(namesOf(want, ns)), len(namesOf(got, ns)); n != m || m < 520 {
			t.Errorf("%d objects, %d when the second page is forgotten %d times", n, m, times)
		}
		if g := gapsOf(got); len(g) != 1 {
			t.Errorf("gaps: %v", g)
		}
	}
}

func namesOf(s *fact.Snapshot, ns string) []string {
	var out []string
	for _, o := range s.Objects() {
		if o.Namespace == ns {
			out = append(out, o.GroupKind()+"/"+o.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestBrokenAggregatedAPI registers an API group whose server is not there.
func TestBrokenAggregatedAPI(t *testing.T) {
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns)
	l.Apply(t, ns, deployment("web"))
	w := follow(t, a.Kubeconfig, ns)
	const service = `
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v3.projectcalico.org}
spec: {group: projectcalico.org, version: v3, groupPriorityMinimum: 1500, versionPriority: 20, insecureSkipTLSVerify: true, service: {namespace: default, name: nobody}}
`
	l.Kubectl(t, service, "apply", "-f", "-")
	t.Cleanup(func() { l.Do(t, "DELETE", "/apis/apiregistration.k8s.io/v1/apiservices/v3.projectcalico.org", "", nil) })
	w.waitFor(t, "unavailable", "projectcalico.org/NetworkPolicy")
	l.Apply(t, ns, deployment("new"))
	w.converges(t, l) // gaps included
	r := scan(t, a.Kubeconfig, "--namespace", ns)
	if g := gapKinds(r); !slices.Contains(g, "unavailable discover projectcalico.org/NetworkPolicy") {
		t.Errorf("gaps of a scan: %v", g)
	}
	if !slices.ContainsFunc(r.Findings, func(f finding.Finding) bool { return f.Subject.Name == "web" }) {
		t.Error("the rest was not judged")
	}
	l.Do(t, "DELETE", "/apis/apiregistration.k8s.io/v1/apiservices/v3.projectcalico.org", "", nil)
	w.clear(t)
	w.converges(t, l)
}

// TestTooManyRequests turns every second request away, with and without a word
// on when to come back.
func TestTooManyRequests(t *testing.T) {
	t.Parallel()
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns)
	l.Apply(t, ns, deployment("web")+"---"+deployment("old"))
	p := newProxy(t, l)
	a.Token(t, p.url, p.authority)
	var n, refused atomic.Int32
	p.misbehave(func(rw http.ResponseWriter, _ *http.Request) bool {
		i := n.Add(1)
		if i%2 == 0 {
			return false
		}
		if refused.Add(1)%16 == 0 {
			rw.Header().Set("Retry-After", "1")
		}
		refuse(rw, http.StatusTooManyRequests, "TooManyRequests")
		return true
	})
	w := follow(t, a.Kubeconfig, ns)
	l.Kubectl(t, "", "delete", "-n", ns, "deployment/old")
	l.Apply(t, ns, deployment("new"))
	w.converges(t, l)
	w.clear(t)
	if refused.Load() < 20 {
		t.Errorf("only %d requests were turned away", refused.Load())
	}
}

// TestTokenExpires takes Merlon's token away, and gives it another later.
func TestTokenExpires(t *testing.T) {
	t.Parallel()
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns)
	l.Apply(t, ns, deployment("web"))
	w := follow(t, a.Kubeconfig, ns)
	a.Revoke(t)
	w.waitFor(t, "unauthorized", "list pods")
	_, errs, code := lab.Merlon(t, "scan", "--cluster", "--kubeconfig", a.Kubeconfig)
	if code != 3 || !strings.Contains(errs, "401") {
		t.Errorf("a scan with a token that has expired: %d %s", code, errs)
	}
	l.Apply(t, ns, deployment("new"))
	a.Token(t, l.Host(), l.Authority())
	w.clear(t)
	w.converges(t, l)
}

// TestPermissionRevoked takes one right away while Merlon watches: it forgets
// what it may no longer see, says so, and comes back with the right.
func TestPermissionRevoked(t *testing.T) {
	t.Parallel()
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns)
	l.Apply(t, ns, deployment("web")+"---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n")
	w := follow(t, a.Kubeconfig, ns)
	rights := a.Rights(t)
	less := strings.Replace(rights, "serviceaccounts, services]", "serviceaccounts]", 1)
	if less == rights {
		t.Fatal("no right on services to take away")
	}
	l.Kubectl(t, less, "apply", "-f", "-")
	w.waitFor(t, "forbidden", "list services")
	w.converges(t, l)
	for _, o := range objectsOf(w) {
		if o.Kind == "Service" {
			t.Errorf("Service %s is still told", o.Name)
		}
	}
	l.Kubectl(t, rights, "apply", "-f", "-")
	w.clear(t)
	w.converges(t, l)
}

// TestOneNameInTwoGroups has a Service of Kubernetes and one of Knative, both
// named web.
func TestOneNameInTwoGroups(t *testing.T) {
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns)
	w := follow(t, a.Kubeconfig, ns)
	l.Define(t, "serving.knative.dev", "Service", "services", true)
	l.Apply(t, ns, `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: ExternalName, externalName: example.com}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: web}
spec: {template: {spec: {containers: [{image: "registry.example.com/app:1", securityContext: {privileged: true}}]}}}
`)
	both := []string{"Service/web", "serving.knative.dev/Service/web"}
	lab.Eventually(t, "both are seen", func() (bool, string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		names := namesOf(w.snapshot, ns)
		return slices.Contains(names, both[0]) && slices.Contains(names, both[1]), fmt.Sprint(names)
	})
	w.converges(t, l)
	l.Kubectl(t, "", "delete", "-n", ns, "services.v1./web")
	lab.Eventually(t, "one is gone, the other is not", func() (bool, string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		names := namesOf(w.snapshot, ns)
		return !slices.Contains(names, both[0]) && slices.Contains(names, both[1]), fmt.Sprint(names)
	})
	w.converges(t, l)
	l.Undefine(t, "serving.knative.dev", "services")
	lab.Eventually(t, "the kind is gone", func() (bool, string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		names := namesOf(w.snapshot, ns)
		return !slices.Contains(names, both[1]), fmt.Sprint(names)
	})
	w.converges(t, l)
}

// TestClockSkew puts the API server's clock an hour ahead.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns)
	l.Apply(t, ns, deployment("web"))
	// What lies in the namespace alone: other tests change the rest meanwhile.
	look := func() (own []string, notices string, settled bool) {
		r := scan(t, a.Kubeconfig, "--namespace", ns)
		for _, f := range r.Findings {
			if f.Subject.Namespace == ns {
				own = append(own, f.Control+" "+f.Subject.Kind+"/"+f.Subject.Name)
			}
			settled = settled || f.Subject.Kind == "Deployment" && f.Pods == 3
		}
		return own, strings.Join(r.Notices, "\n"), settled
	}
	var straight []string
	var notices string
	lab.Eventually(t, "the pods are behind their owner", func() (settled bool, _ string) { // else they still come and go
		straight, notices, settled = look()
		return settled, fmt.Sprint(len(straight), " findings")
	})
	p := newProxy(t, l)
	p.edit = func(r *http.Response) { r.Header.Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)) }
	a.Token(t, p.url, p.authority)
	ahead, told, _ := look()
	if !strings.Contains(told, "clocks") || strings.Contains(notices, "clocks") {
		t.Errorf("of the clocks is said: %q, and with one ahead: %q", notices, told)
	}
	if diff := cmp.Diff(straight, ahead); diff != "" {
		t.Errorf("findings (+ with the clock ahead):\n%s", diff)
	}
	w := follow(t, a.Kubeconfig, ns)
	l.Apply(t, ns, deployment("new"))
	w.converges(t, l)
}
