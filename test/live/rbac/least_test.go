package rbac

import (
	"context"
	"fmt"
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
func record(t *testing.T, s *server) *least.Record {
	t.Helper()
	kind, _ := config.Find(builtin.Events(), "audit")
	src, err := kind.New(func(v any) error {
		*v.(*source.EventInput) = source.EventInput{Paths: []string{s.auditLog}}
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
	uses := map[rbac.Subject][]least.Use{}
	for _, u := range record(t, s).Uses() {
		gone := strings.HasPrefix(u.Request.Namespace, "live-") // of other tests: there can be no Role in it
		if who := u.User.Subject(); u.Allowed && !gone && !strings.HasPrefix(who.Name, "lab-") && who.Name != "system:apiserver" {
			uses[who] = append(uses[who], u)
		}
	}
	if len(uses) < 5 {
		t.Fatalf("the log shows only %d callers", len(uses))
	}
	for who, list := range uses {
		plan := least.Make(who, list, least.Options{Name: "t-least-" + who.Name, Names: 10})
		proof := plan.Prove(list)
		if len(proof.Denied)+len(proof.Idle) > 0 {
			t.Errorf("%s: %+v", who, proof)
		}
		t.Logf("%s: %d uses, %d elements", who, proof.Replayed, proof.Elements)
	}
	for _, name := range []string{"deployment-controller", "replicaset-controller"} {
		who := rbac.Subject{Kind: rbac.ServiceAccountKind, Namespace: "kube-system", Name: name}
		// In t-work nothing has a name of its own: what comes next is named otherwise.
		plan := least.Make(who, uses[who], least.Options{Name: "t-least-" + name, Names: 0})
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
		lab.Eventually(t, fmt.Sprintf("%s may no longer %s", who, q), func() (bool, string) {
			ok, err := s.allowed(who.User(), q)
			return err == nil && !ok, fmt.Sprint(err)
		})
	}
	time.Sleep(time.Second)
	scale(t, s, "after")
}
