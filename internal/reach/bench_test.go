package reach

import (
	"fmt"
	"testing"

	"github.com/merlon-security/merlon/internal/fact"
)

// fleet is a cluster of n workloads, twenty in a namespace, with policies in
// every second one: default deny, and for each workload what may reach it.
func fleet(n int) *fact.Snapshot {
	var changes []fact.Change
	add := func(doc map[string]any) {
		changes = append(changes, fact.Change{Op: fact.Upsert, Object: object(doc, len(changes))})
	}
	for i := range n {
		ns, app := fmt.Sprintf("team-%d", i/20), fmt.Sprintf("app-%d", i%20)
		if i%20 == 0 {
			add(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns, "labels": map[string]any{"team": fmt.Sprint(i / 200)}}})
			if (i/20)%2 == 0 {
				add(policyDoc(ns, "default-deny", map[string]any{"podSelector": map[string]any{}, "policyTypes": []any{"Ingress"}}))
			}
		}
		labels := map[string]any{"app": app}
		add(map[string]any{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": app, "namespace": ns},
			"spec": map[string]any{"replicas": 1, "selector": map[string]any{"matchLabels": labels},
				"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": map[string]any{"containers": []any{map[string]any{"name": "c", "ports": []any{map[string]any{"containerPort": 8080, "name": "http"}}}}}}}})
		if (i/20)%2 == 0 {
			add(policyDoc(ns, "allow-"+app, allowFrom(app, fmt.Sprintf("app-%d", (i+1)%20), 8080)))
		}
	}
	return (&fact.Snapshot{}).Apply(changes...)
}

func policyDoc(ns, name string, spec map[string]any) map[string]any {
	return map[string]any{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": map[string]any{"name": name, "namespace": ns}, "spec": spec}
}

func allowFrom(app, from string, port int) map[string]any {
	match := func(v string) map[string]any { return map[string]any{"matchLabels": map[string]any{"app": v}} }
	return map[string]any{"podSelector": match(app), "policyTypes": []any{"Ingress"},
		"ingress": []any{map[string]any{"from": []any{map[string]any{"podSelector": match(from)}}, "ports": []any{map[string]any{"port": port}}}}}
}

func BenchmarkModel(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		s := fleet(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				New(s, Options{})
			}
		})
	}
}

func BenchmarkList(b *testing.B) {
	m := New(fleet(10000), Options{})
	lines := 0
	for b.Loop() {
		classes := m.Classes()
		lines = len(m.Connections(classes))
		b.ReportMetric(float64(len(classes)), "classes")
	}
	b.ReportMetric(float64(lines), "lines")
}

// BenchmarkApply is one policy change at 10,000 pods, and a question then: a
// rule's port; a policy that looks at a label none looked at before; one on all
// pods, of which one is asked for or each.
func BenchmarkApply(b *testing.B) {
	m := New(fleet(10000), Options{})
	team0 := func(name string, spec map[string]any) *fact.Object {
		o := object(policyDoc("team-0", name, spec), 99)
		for _, p := range m.Policies {
			if p.Object.InNamespace() == "team-0" && p.Object.Name == name {
				o.Origin = p.Object.Origin
			}
		}
		return o
	}
	all := func(i int) *fact.Object {
		every := map[string]any{"namespaces": map[string]any{}}
		rule := map[string]any{"action": "Deny", "from": []any{every}, "ports": []any{map[string]any{"portNumber": map[string]any{"port": 1 + i%1000, "protocol": "TCP"}}}}
		return object(map[string]any{"apiVersion": adminGroup + "/v1alpha1", "kind": "AdminNetworkPolicy", "metadata": map[string]any{"name": "all"},
			"spec": map[string]any{"priority": 1, "subject": every, "ingress": []any{rule}}}, 1<<20)
	}
	asked := map[string]int{"all, each asked": len(m.Endpoints)}
	for name, change := range map[string]func(i int) *fact.Object{
		"port": func(i int) *fact.Object { return team0("allow-app-3", allowFrom("app-3", "app-7", 1000+i%1000)) },
		"label": func(i int) *fact.Object {
			return team0("more", map[string]any{"podSelector": map[string]any{"matchLabels": map[string]any{fmt.Sprint("key", i): "x"}}})
		},
		"all": all, "all, each asked": all,
	} {
		b.Run(name, func(b *testing.B) {
			next := m
			for i := 0; b.Loop(); i++ {
				next = next.Apply(fact.Change{Op: fact.Upsert, Object: change(i)})
				next.Between(i%len(next.Endpoints), 0)
				for e := range asked[name] {
					next.Open(Ingress, e)
				}
			}
		})
	}
}

// TestApplyLarge holds one change at 2,000 pods equal to a rebuild.
func TestApplyLarge(t *testing.T) {
	s := fleet(400)
	m := New(s, Options{})
	o := object(policyDoc("team-0", "one-more", allowFrom("app-3", "app-7", 9000)), 9999)
	change := fact.Change{Op: fact.Upsert, Object: o}
	same(t, "one more", m.Apply(change), New(s.Apply(change), Options{}))
}

// BenchmarkDiff compares two clusters of 10,000 workloads that differ in one
// policy.
func BenchmarkDiff(b *testing.B) {
	s := fleet(10000)
	o := object(policyDoc("team-0", "one-more", allowFrom("app-3", "app-7", 9000)), 1<<20)
	t := s.Apply(fact.Change{Op: fact.Upsert, Object: o})
	b.ReportAllocs()
	for b.Loop() {
		x, y := Pair(s, t, Options{})
		Diff(x, y)
	}
}
