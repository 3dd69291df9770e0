package least_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
	"github.com/merlon-security/merlon/internal/rbac/least"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

var web = rbac.Subject{Kind: rbac.ServiceAccountKind, Namespace: "shop", Name: "web"}

func use(verb, resource, ns, name string) least.Use {
	q, err := rbac.ParseRequest(verb, resource)
	if err != nil {
		panic(err)
	}
	q.Namespace, q.Name = ns, name
	return least.Use{User: web.User(), Request: q, Allowed: true, Count: 1}
}

// TestPlans makes plans of random uses: each allows all, needs every element, and
// says the same as YAML.
func TestPlans(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	for range 150 {
		var uses []least.Use
		for range 1 + r.IntN(25) {
			u := use(pick("get", "list", "update", "create"), pick("pods", "secrets", "deployments", "pods/exec", "nodes", "widgets.example.com"), pick("", "a", "b", "c"), pick("", "x", "y", "true", "web-x7k2p"))
			if r.IntN(8) == 0 {
				u.Request = rbac.Request{Verb: pick("get", "post"), Path: pick("/metrics", "/healthz", "/a b")}
			}
			uses = append(uses, u)
		}
		plan := least.Make(web, uses, least.Options{Name: "web-least", Names: r.IntN(3)})
		if p := plan.Prove(uses); len(p.Denied)+len(p.Idle) > 0 {
			t.Fatalf("%+v\n%s", p, plan.YAML())
		}
		if diff := cmp.Diff(told(plan.Objects()), told(parse(t, plan.YAML()))); diff != "" {
			t.Fatalf("(- objects, + YAML)\n%s", diff)
		}
	}
}

// TestPlanOfNode leaves out what the Node authorizer lets a node do, whether it
// is so always or by what runs there.
func TestPlanOfNode(t *testing.T) {
	node := rbac.Subject{Kind: rbac.UserKind, Name: "system:node:n1"}
	var uses []least.Use
	for _, u := range []least.Use{
		use("list", "services", "", ""), use("patch", "nodes/status", "", "n1"), use("get", "secrets", "shop", "tls"), use("create", "serviceaccounts/token", "shop", "web"),
		use("list", "secrets", "shop", ""), use("get", "nodes", "", "n2"),
	} {
		u.User = node.User()
		uses = append(uses, u)
	}
	watch := use("watch", "pods", "", "")
	watch.User, watch.Request.Fields = node.User(), "spec.nodeName=n1"
	uses = append(uses, watch)
	plan := least.Make(node, uses, least.Options{Name: "n1", Names: 5})
	if p := plan.Prove(uses); !p.Held() || p.Elements == 0 {
		t.Errorf("%+v", p)
	}
	for _, want := range []string{"resources: [secrets]\n    verbs: [list]", "resourceNames: [n2]"} {
		if !strings.Contains(plan.YAML(), want) {
			t.Errorf("no %q in\n%s", want, plan.YAML())
		}
	}
	if strings.Contains(plan.YAML(), "services") || strings.Contains(plan.YAML(), "token") || strings.Contains(plan.YAML(), "pods") {
		t.Error(plan.YAML())
	}
}

// TestProofFails shows that a proof can fail.
func TestProofFails(t *testing.T) {
	uses := []least.Use{use("get", "pods", "a", "")}
	plan := least.Make(web, uses, least.Options{Name: "x"})
	plan.Roles[0].Rules[0].Verbs = []string{"get", "list"}
	if p := plan.Prove(uses); len(p.Idle) != 1 || p.Idle[0].Element != "verb list" {
		t.Errorf("%+v", p)
	}
	plan.Roles[0].Rules[0].Verbs = []string{"list"}
	if p := plan.Prove(uses); len(p.Denied) != 1 {
		t.Errorf("%+v", p)
	}
}

func parse(t *testing.T, text string) []*fact.Object {
	t.Helper()
	var out []*fact.Object
	docs := yamldoc.NewReader(strings.NewReader(text), "plan.yaml", yamldoc.Limits{})
	for {
		doc, err := docs.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if o, ok := fact.NewObject(doc.Root, fact.Origin{}); ok {
			out = append(out, &o)
		}
	}
}

func told(objects []*fact.Object) []uint64 {
	var out []uint64
	for _, o := range objects {
		out = append(out, o.Root.Hash())
	}
	return out
}

func TestRecord(t *testing.T) {
	at := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	r := &least.Record{}
	add := func(hours int, e fact.AuditEvent) {
		e.Time = at.Add(time.Duration(hours) * time.Hour)
		r.Add(&e, nil)
	}
	admin := fact.Caller{Name: "admin", Groups: []string{"system:masters"}}
	bob := fact.Caller{Name: "bob", Groups: []string{"devs", "system:authenticated"}}
	pods := fact.AuditObject{Resource: "pods", Namespace: "shop", Name: "web-0"}
	add(0, fact.AuditEvent{User: admin, Impersonated: bob, Verb: "create", Object: pods, URI: "/api/v1/namespaces/shop/pods", Stage: "ResponseComplete", Code: 201})
	add(1, fact.AuditEvent{User: bob, Verb: "get", URI: "/metrics?x=1", Stage: "RequestReceived"})
	add(2, fact.AuditEvent{User: bob, Verb: "get", URI: "/metrics?x=1", Stage: "ResponseComplete", Code: 403})
	add(2, fact.AuditEvent{Verb: "list", Object: pods, Stage: "ResponseStarted", Code: 401}) // nobody knows whose
	node := fact.Caller{Name: "system:node:n1", Groups: []string{"system:nodes"}}
	add(2, fact.AuditEvent{User: node, Verb: "watch", Object: fact.AuditObject{Resource: "pods"}, URI: "/api/v1/pods?fieldSelector=spec.nodeName%3Dn1&watch=true", Stage: "ResponseComplete", Code: 200})
	add(100, fact.AuditEvent{User: bob, Verb: "get", Object: pods, Decision: "allow", Code: 404, Stage: "ResponseComplete"})
	var got []string
	for _, u := range r.Uses() {
		word := " refused"
		if u.Allowed {
			word = " allowed"
		}
		got = append(got, strings.TrimSpace(u.User.Name+" "+u.Request.String()+" "+u.Request.Fields)+word)
	}
	want := []string{
		"admin impersonate groups devs allowed", "admin impersonate users bob allowed",
		"bob create pods in shop allowed", "bob get pods web-0 in shop allowed", "bob get /metrics refused",
		"system:node:n1 watch pods spec.nodeName=n1 allowed",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s := r.Silences(); len(s) != 1 || r.Covered() != 3*time.Hour || r.Events != 4 {
		t.Errorf("%v %v %d", s, r.Covered(), r.Events)
	}
}
