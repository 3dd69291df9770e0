package assess

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/merlon-security/merlon/internal/fact"
)

// TestNetworkFollows holds a network that follows changes equal to one that is
// made anew after each.
func TestNetworkFollows(t *testing.T) {
	pod := func(ns, name, app string) string {
		return fmt.Sprintf("{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s, labels: {app: %s}}, spec: {containers: [{name: c, image: c}]}}", name, ns, app)
	}
	policy := func(ns, name, spec string) string {
		return fmt.Sprintf("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: %s, namespace: %s}, spec: %s}", name, ns, spec)
	}
	admin := func(priority int, action string) string {
		return fmt.Sprintf("{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: a}, spec: {priority: %d, subject: {namespaces: {matchLabels: {team: shop}}}, egress: [{action: %s, to: [{networks: [169.254.169.254/32]}]}]}}", priority, action)
	}
	namespace := func(labels string) string {
		return "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: " + labels + "}}"
	}
	s := (&fact.Snapshot{}).Apply(
		fact.Change{Op: fact.Upsert, Object: in(t, "", "", pod("shop", "web", "web"), 0)},
		fact.Change{Op: fact.Upsert, Object: in(t, "", "", pod("bank", "db", "db"), 0)})
	w := newWorld("", "", s)
	answers := func(w *world) (out []string) {
		for _, o := range w.snapshot.Objects() {
			if o.Kind == "Pod" {
				allowed, limited := w.MayReach(o, netip.MustParseAddr("169.254.169.254"), "TCP", 80)
				out = append(out, fmt.Sprint(o.Name, allowed, limited, w.Reaching(o, "TCP", 80)))
			}
		}
		return out
	}
	seen := map[string]bool{}
	for i, step := range []struct{ drop, add string }{
		{"", policy("shop", "deny", "{podSelector: {}, policyTypes: [Ingress, Egress]}")},
		{"", policy("shop", "out", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{ipBlock: {cidr: 169.254.0.0/16}}]}]}")},
		{"", namespace("{team: shop}")},
		{"", admin(1, "Deny")},
		{"", admin(1, "Pass")},
		{"", "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: shop}}"},
		{"", policy("shop", "deny", "{podSelector: {}, ingress: [{from: [{namespaceSelector: {}}]}]}")},
		{namespace("{team: shop}"), ""},
		{policy("shop", "deny", "{}"), ""},
		{"", pod("shop", "job", "job")},
		{pod("bank", "db", "db"), ""},
		{policy("shop", "out", "{}"), pod("shop", "web", "other")},
	} {
		s = follow(t, w, step.drop, step.add)
		if i%4 == 1 {
			continue // two changes wait for the next question
		}
		got, want := answers(w), answers(newWorld("", "", s))
		if !slices.Equal(got, want) {
			t.Fatalf("step %d: %q, want %q", i, got, want)
		}
		seen[fmt.Sprint(got)] = true
	}
	if len(seen) < 5 {
		t.Errorf("only %d different answers: %v", len(seen), seen)
	}
}

// follow takes an object out of a world's snapshot, puts one in, and has the world
// follow.
func follow(t *testing.T, w *world, drop, add string) *fact.Snapshot {
	var changes []fact.Change
	var differences [][2]*fact.Object
	for k, text := range []string{drop, add} {
		if text == "" {
			continue
		}
		o := in(t, "", "", text, 0)
		var before *fact.Object
		if j := slices.IndexFunc(w.snapshot.Objects(), func(x *fact.Object) bool { return x.Ref() == o.Ref() }); j >= 0 {
			before = w.snapshot.Objects()[j]
		}
		if k == 0 {
			changes = append(changes, fact.Change{Op: fact.Delete, Object: before})
			differences = append(differences, [2]*fact.Object{before, nil})
		} else {
			changes = append(changes, fact.Change{Op: fact.Upsert, Object: o})
			differences = append(differences, [2]*fact.Object{before, o})
		}
	}
	w.see(w.snapshot.Apply(changes...))
	for _, d := range differences {
		w.follow(d[0], d[1])
	}
	return w.snapshot
}
