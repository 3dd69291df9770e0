package rbac

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
	"github.com/merlon-security/merlon/internal/rbac/least"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/merlon-security/merlon/test/live/lab"
)

// record reads the cluster's own audit log.
func record(t *testing.T, s *server) *least.Record { return recordOf(t, s.auditLog) }

func recordOf(t *testing.T, logs ...string) *least.Record {
	t.Helper()
	kind, _ := config.Find(builtin.Events(), "audit")
	src, err := kind.New(func(v any) error {
		*v.(*source.EventInput) = source.EventInput{Paths: logs}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &least.Record{}
	err = src.Read(context.Background(), func(e *fact.AuditEvent) error { r.Add(e, nil); return nil }, func(g fact.Gap) error {
		if g.Kind != "cut-line" { // the API server is writing
			t.Errorf("gap: %+v", g)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// proved makes least roles for everybody of whom a log says something, by name and
// by each of the groups, with names of objects and without, of what was allowed
// and of all that was asked for; and holds each to its proof. It returns what was
// allowed to each by name.
func proved(t *testing.T, r *least.Record) map[rbac.Subject][]least.Use {
	t.Helper()
	allowed, asked := map[rbac.Subject][]least.Use{}, map[rbac.Subject][]least.Use{}
	for _, u := range r.Uses() {
		subjects := []rbac.Subject{u.User.Subject()}
		if !slices.Contains(u.User.Groups, rbac.Masters) {
			for _, g := range u.User.Groups {
				subjects = append(subjects, rbac.Subject{Kind: rbac.GroupKind, Name: g})
			}
		}
		for _, who := range subjects {
			asked[who] = append(asked[who], u)
			if u.Allowed {
				allowed[who] = append(allowed[who], u)
			}
		}
	}
	plans, elements := 0, 0
	for who := range asked {
		for _, list := range [][]least.Use{allowed[who], asked[who]} {
			for _, names := range []int{0, 10} {
				plan := least.Make(who, list, least.Options{Name: "t-least-" + who.Name, Names: names})
				proof := plan.Prove(list)
				if !proof.Held() {
					t.Errorf("%s: %+v", who, proof)
				}
				plans, elements = plans+1, elements+proof.Elements
			}
		}
	}
	t.Logf("%d subjects, %d plans with %d elements", len(asked), plans, elements)
	return allowed
}

// TestOtherLogs holds least roles from the logs that MERLON_AUDIT_LOGS names, a
// folder or a file, to their proofs.
func TestOtherLogs(t *testing.T) {
	logs := os.Getenv("MERLON_AUDIT_LOGS")
	if logs == "" {
		t.Skip("MERLON_AUDIT_LOGS names no log")
	}
	proved(t, recordOf(t, logs))
}

// scale makes a Deployment and waits until its pods are there, as often as asked.
func scale(t *testing.T, s *server, name string) {
	t.Helper()
	s.kubectl(t, "", "create", "deployment", "-n", "t-work", name, "--image=registry.example.com/app:1", "--replicas=2")
	pods := func(want int) {
		t.Helper()
		lab.Eventually(t, fmt.Sprintf("%d pods of %s", want, name), func() (bool, string) {
			n := strings.Count(s.kubectl(t, "", "get", "pods", "-n", "t-work", "-l", "app="+name, "-o", "name"), "\n")
			return n == want, fmt.Sprint(n)
		})
	}
	pods(2)
	s.kubectl(t, "", "scale", "deployment", "-n", "t-work", name, "--replicas=4")
	pods(4)
	s.kubectl(t, "", "scale", "deployment", "-n", "t-work", name, "--replicas=1")
	pods(1)
}

// TestLeast makes least roles of what the cluster's own controllers did, proves
// them, and has the controllers of Deployments work with nothing else.
func TestLeast(t *testing.T) {
	s := open(t)
	s.kubectl(t, "apiVersion: v1\nkind: Namespace\nmetadata: {name: t-work}\n", "apply", "-f", "-")
	t.Cleanup(func() { s.kubectl(t, "", "delete", "namespace", "t-work") })
	scale(t, s, "before")
	time.Sleep(time.Second)
	uses := proved(t, record(t, s))
	if len(uses) < 10 {
		t.Fatalf("the log shows only %d callers", len(uses))
	}
	there := strings.Fields(s.kubectl(t, "", "get", "namespaces", "-o", "jsonpath={.items[*].metadata.name}"))
	for _, name := range []string{"deployment-controller", "replicaset-controller"} {
		who := rbac.Subject{Kind: rbac.ServiceAccountKind, Namespace: "kube-system", Name: name}
		// In t-work nothing has a name of its own: what comes next is named otherwise.
		used := slices.DeleteFunc(uses[who], func(u least.Use) bool { // by other tests, in namespaces that are gone
			return u.Request.Namespace != "" && !slices.Contains(there, u.Request.Namespace)
		})
		plan := least.Make(who, used, least.Options{Name: "t-least-" + name, Names: 0})
		if plan.YAML() == "" {
			t.Fatalf("the log shows nothing of %s", who)
		}
		binding := "system:controller:" + name
		old := s.kubectl(t, "", "get", "clusterrolebinding", binding, "-o", "yaml")
		s.kubectl(t, "", "delete", "clusterrolebinding", binding)
		t.Cleanup(func() {
			var again []string
			for line := range strings.Lines(old) {
				if !strings.HasPrefix(line, "  uid:") && !strings.HasPrefix(line, "  resourceVersion:") {
					again = append(again, line)
				}
			}
			s.kubectl(t, strings.Join(again, ""), "create", "-f", "-")
		})
		s.kubectl(t, plan.YAML(), "apply", "-f", "-")
		t.Cleanup(func() { s.kubectl(t, plan.YAML(), "delete", "--ignore-not-found", "-f", "-") })
		q := rbac.Request{Verb: "delete", Group: "apps", Resource: "deployments", Namespace: "t-work"}
		s.until(t, who, q, false)
	}
	time.Sleep(time.Second)
	scale(t, s, "after")
}

// TestLeastOfAWorkload has a program with a wide right at work, writes its least
// roles from the log, and has it at work again with nothing else.
func TestLeastOfAWorkload(t *testing.T) {
	s := open(t)
	const setup = `
{apiVersion: v1, kind: Namespace, metadata: {name: t-deploy}}
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: deployer, namespace: t-deploy}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: wide, namespace: t-deploy}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}, subjects: [{kind: ServiceAccount, name: deployer}]}
`
	s.kubectl(t, setup, "apply", "-f", "-")
	t.Cleanup(func() { s.kubectl(t, "", "delete", "namespace", "t-deploy") })
	who := rbac.Subject{Kind: rbac.ServiceAccountKind, Namespace: "t-deploy", Name: "deployer"}
	secrets := rbac.Request{Verb: "list", Resource: "secrets", Namespace: "t-deploy"}
	s.until(t, who, secrets, true)
	deployer := s.as(t, who)
	work := func() {
		t.Helper()
		deployer.kubectl(t, "", "create", "configmap", "settings", "--from-literal=a=b")
		deployer.kubectl(t, "", "create", "deployment", "app", "--image=registry.example.com/app:1")
		deployer.kubectl(t, "", "scale", "deployment", "app", "--replicas=2")
		deployer.kubectl(t, "", "set", "image", "deployment/app", "app=registry.example.com/app:2")
		deployer.kubectl(t, "", "get", "deployments,pods", "-o", "wide")
		deployer.kubectl(t, "", "delete", "deployment/app", "configmap/settings")
	}
	work()
	time.Sleep(time.Second)
	manifest, errs, code := lab.Merlon(t, "rbac", "least", who.String(), "--audit", s.auditLog, "--cluster", "--kubeconfig", s.kubeconfig)
	if code != 0 && !strings.Contains(errs, "cut-line") || !strings.Contains(errs, "proved: all") || !strings.Contains(errs, "RoleBinding t-deploy/wide") {
		t.Fatalf("%d %s", code, errs)
	}
	s.kubectl(t, "", "delete", "rolebinding", "-n", "t-deploy", "wide")
	s.until(t, who, secrets, false)
	s.kubectl(t, manifest, "apply", "-f", "-")
	s.until(t, who, rbac.Request{Verb: "delete", Resource: "configmaps", Namespace: "t-deploy", Name: "settings"}, true)
	work()
}

// until waits until the API server says so.
func (s *server) until(t *testing.T, who rbac.Subject, q rbac.Request, want bool) {
	t.Helper()
	lab.Eventually(t, fmt.Sprintf("%s: %s: %t", who, q, want), func() (bool, string) {
		got, err := s.allowed(who.User(), q)
		return err == nil && got == want, fmt.Sprint(got, err)
	})
}

// as returns the server as a service account's, in its namespace.
func (s *server) as(t *testing.T, who rbac.Subject) *server {
	t.Helper()
	authority := s.kubectl(t, "", "config", "view", "--raw", "-o", "jsonpath={.clusters[0].cluster.certificate-authority-data}")
	token := strings.TrimSpace(s.kubectl(t, "", "create", "token", who.Name, "-n", who.Namespace))
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]\n"+
		"users: [{name: u, user: {token: %s}}]\ncontexts: [{name: c, context: {cluster: c, user: u, namespace: %s}}]\n", s.url, authority, token, who.Namespace)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return &server{url: s.url, kubeconfig: file}
}
