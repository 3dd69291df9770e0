package reach

import "testing"

// TestWorkloadOf holds that pods and what stands between are found by the
// workload that they are part of.
func TestWorkloadOf(t *testing.T) {
	owned := func(kind, name, byKind, byName string, spec map[string]any) map[string]any {
		meta := map[string]any{"name": name, "namespace": "shop"}
		if byName != "" {
			meta["ownerReferences"] = []any{map[string]any{"kind": byKind, "name": byName, "controller": true}}
		}
		version := "apps/v1"
		if kind == "Pod" {
			version = "v1"
		}
		return map[string]any{"apiVersion": version, "kind": kind, "metadata": meta, "spec": spec}
	}
	pod := map[string]any{"containers": []any{map[string]any{"name": "c"}}}
	template := map[string]any{"template": map[string]any{"spec": pod}}
	s := snapshotOf(
		owned("Deployment", "web", "", "", template), owned("ReplicaSet", "web-1", "Deployment", "web", template), owned("Pod", "web-1-x", "ReplicaSet", "web-1", pod),
		owned("Deployment", "db", "", "", template), owned("ReplicaSet", "db-1", "Deployment", "db", template),
		owned("Pod", "alone", "", "", pod), owned("Pod", "of-another", "Database", "main", pod),
		map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "web", "namespace": "shop"}})
	m := New(s, Options{})
	want := map[string]string{
		"web": "shop/web[Deployment]", "web-1": "shop/web[Deployment]", "web-1-x": "shop/web[Deployment]",
		"db": "shop/db[Deployment]", "db-1": "shop/db[Deployment]",
		"alone": "shop/alone[Pod]", "of-another": "shop/main[Database]",
	}
	for _, o := range s.Objects() {
		w := m.WorkloadOf(o)
		switch {
		case o.Kind == "ConfigMap":
			if w != nil {
				t.Errorf("a ConfigMap is no workload: %s", w)
			}
		case w == nil || w.String() != want[o.Name]:
			t.Errorf("%s %s: %v, want %s", o.Kind, o.Name, w, want[o.Name])
		}
	}
}
