// Package rbac holds Merlon's answers about permissions against those of a real
// API server.
package rbac

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
)

const everything = "clusterroles,roles,clusterrolebindings,rolebindings,pods,persistentvolumes,volumeattachments,resourceslices"

// apply makes a world in the cluster and waits until its authorizers know it.
func apply(t *testing.T, s *server, text string) {
	t.Helper()
	for _, ns := range namespaces {
		s.kubectl(t, fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: default, namespace: %s}\n", ns, ns), "apply", "--server-side", "-f", "-")
	}
	t.Cleanup(func() {
		s.kubectl(t, text, "delete", "--wait=false", "--ignore-not-found", "--force", "--grace-period=0", "-f", "-")
		for _, ns := range namespaces {
			s.kubectl(t, "", "delete", "namespace", "--wait=true", ns)
		}
	})
	s.kubectl(t, text, "apply", "--server-side", "--force-conflicts", "-f", "-")
	last := "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: t-last}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}\nsubjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: t-last}]\n"
	s.kubectl(t, last, "apply", "-f", "-")
	t.Cleanup(func() { s.kubectl(t, last, "delete", "-f", "-") })
	user := rbac.User{Name: "t-last", Groups: []string{rbac.Authenticated}}
	for range 100 {
		if ok, err := s.allowed(user, rbac.Request{Verb: "list", Resource: "pods"}); err == nil && ok {
			time.Sleep(2 * time.Second) // for the controller of aggregated roles
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the API server does not know the last binding")
}

// seed is random unless MERLON_SEED says which.
func seed(t *testing.T) random {
	n := uint64(time.Now().UnixNano())
	if v, err := strconv.ParseUint(os.Getenv("MERLON_SEED"), 10, 64); err == nil {
		n = v
	}
	t.Logf("MERLON_SEED=%d", n)
	return random{rand.New(rand.NewPCG(n, 6))}
}

type question struct {
	user    rbac.User
	request rbac.Request
	want    bool // what the API server says
}

// ask puts every question to the API server.
func ask(t *testing.T, s *server, list []question) {
	t.Helper()
	var wg sync.WaitGroup
	work := make(chan *question)
	for range 16 {
		wg.Go(func() {
			for q := range work {
				var err error
				if q.want, err = s.allowed(q.user, q.request); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range list {
		work <- &list[i]
	}
	close(work)
	wg.Wait()
}

// old says that the cluster is of the oldest supported Kubernetes. What Merlon
// knows of a cluster without having seen it is of the newest.
var old = os.Getenv("MERLON_OLD_KUBERNETES") != ""

// TestSameAsTheAPIServer asks random questions over random permissions, of what
// a cluster holds and of the manifests that it was made from.
func TestSameAsTheAPIServer(t *testing.T) {
	s := open(t)
	r := seed(t)
	text := r.world()
	apply(t, s, text)
	indexes := map[string]*rbac.Index{
		"cluster":   rbac.New(objects(t, s.kubectl(t, "", "get", everything, "-A", "-o", "json"))),
		"manifests": rbac.New(objects(t, text)),
	}
	if old {
		delete(indexes, "manifests")
	}
	t.Run("can", func(t *testing.T) { sameCan(t, s, r, indexes) })
	t.Run("who", func(t *testing.T) { sameWho(t, s, r, indexes) })
}

func sameCan(t *testing.T, s *server, r random, indexes map[string]*rbac.Index) {
	questions := make([]question, 10_000)
	for i := range questions {
		u := r.user()
		questions[i] = question{user: u, request: r.request(slices.Contains(u.Groups, rbac.Nodes) && r.chance(80))}
	}
	ask(t, s, questions)
	allowed, nodes := 0, 0
	wrong := map[string]int{}
	for _, q := range questions {
		if q.want {
			allowed++
			if slices.Contains(q.user.Groups, rbac.Nodes) {
				nodes++
			}
		}
		for name, x := range indexes {
			if got := x.Can(q.user, q.request); got != q.want {
				if wrong[name]++; wrong[name] < 10 {
					t.Errorf("%s: %+v %+v: Merlon says %t, the API server %t", name, q.user, q.request, got, q.want)
				}
			}
			if got := len(x.Why(q.user, q.request)) > 0; got != q.want {
				t.Errorf("%s: %+v %+v: reasons %t, the API server %t", name, q.user, q.request, got, q.want)
			}
		}
	}
	t.Logf("%d questions, %d allowed, %d of them to nodes; wrong: %v", len(questions), allowed, nodes, wrong)
	if allowed < 500 || nodes < 50 {
		t.Errorf("too few questions are allowed to prove anything")
	}
}

// sameWho asks who may do something, and then of everybody known whether they
// may: nobody is missing and nobody is too many.
func sameWho(t *testing.T, s *server, r random, indexes map[string]*rbac.Index) {
	var everybody []rbac.Subject
	for _, x := range indexes {
		everybody = append(everybody, x.Subjects()...)
	}
	for _, n := range append(nodeNames, "t-gone") {
		everybody = append(everybody, rbac.Subject{Kind: rbac.UserKind, Name: "system:node:" + n})
	}
	everybody = append(everybody, rbac.Subject{Kind: rbac.GroupKind, Name: rbac.Masters})
	seen := map[rbac.Subject]bool{}
	everybody = slices.DeleteFunc(everybody, func(s rbac.Subject) bool {
		again := seen[s] || s.Name == "t-last" || !strings.Contains(s.Name, "t-") && !strings.HasPrefix(s.Name, "system:") || strings.Contains(s.Name, "controller")
		seen[s] = true
		return again
	})
	found := 0
	for i := range 100 {
		q := r.request(i%3 == 0)
		questions := make([]question, len(everybody))
		for i, who := range everybody {
			questions[i] = question{user: who.User(), request: q}
		}
		ask(t, s, questions)
		for name, x := range indexes {
			holders := map[rbac.Subject]bool{}
			for _, g := range x.Who(q) {
				holders[g.Subject] = true
			}
			for i, who := range everybody {
				got := holders[who]
				for _, g := range questions[i].user.Groups {
					got = got || holders[rbac.Subject{Kind: rbac.GroupKind, Name: g}]
				}
				if questions[i].want {
					found++
				}
				// A node that nothing refers to is not known, and may what all may.
				if got != questions[i].want && !(who.Name == "system:node:t-gone" && questions[i].want) {
					t.Errorf("%s: %s: who says %t of %s, the API server %t", name, q, got, who, questions[i].want)
				}
			}
		}
	}
	t.Logf("100 questions of %d subjects, %d answers are yes", len(everybody), found)
}

// TestDefaults holds the roles and bindings that Merlon knows without having seen
// them against those of a new cluster.
func TestDefaults(t *testing.T) {
	if old {
		t.Skip("what Merlon knows is of the newest Kubernetes")
	}
	s := open(t)
	var own []*fact.Object
	own = append(own, objects(t, s.kubectl(t, "", "get", "clusterroles,roles,clusterrolebindings,rolebindings", "-A", "-l", "kubernetes.io/bootstrapping=rbac-defaults", "-o", "json"))...)
	if diff := cmp.Diff(grants(rbac.New(own)), grants(rbac.New(nil))); diff != "" {
		t.Errorf("(- API server, + built in)\n%s", diff)
	}
}

// grants lists everything that an index grants.
func grants(x *rbac.Index) []string {
	var out []string
	for _, s := range x.Subjects() {
		for _, b := range x.Bindings(s) {
			for _, r := range x.Rules(b) {
				out = append(out, fmt.Sprintf("%s %s %s/%s %016x", s, b.Kind, b.Namespace, b.Name, r.Hash()))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
