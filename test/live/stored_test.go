package live

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/merlon-security/merlon/test/live/lab"
)

// TestNothingIsWritten holds what the cluster stores, each object with its
// version, before a scan and a watch against what it stores after, and the API
// server's own count of it. Leases and Events are written all the time by the
// cluster itself.
func TestNothingIsWritten(t *testing.T) {
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns, "--with", "secret-metadata")
	l.Apply(t, ns, "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {type: ExternalName, externalName: example.com}\n")
	var before map[string]string
	lab.Eventually(t, "the cluster has come to rest", func() (bool, string) { // what earlier tests made goes in its own time
		last := before
		before = stored(t, l)
		diff := cmp.Diff(last, before)
		return last != nil && diff == "" && counted(t, l, before) == "", diff + counted(t, l, before)
	})
	if len(before) < 150 {
		t.Fatalf("only %d objects are stored", len(before))
	}
	if r := scan(t, a.Kubeconfig, "--all", "--with", "secret-metadata"); r.Summary.Objects < 50 {
		t.Errorf("the scan saw %d objects", r.Summary.Objects)
	}
	w := follow(t, a.Kubeconfig, ns)
	w.converges(t, l)
	w.stop()
	after := stored(t, l)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("stored (- before, + after a scan and a watch):\n%s", diff)
	}
	lab.Eventually(t, "the API server counts as many objects as before", func() (bool, string) {
		diff := counted(t, l, after)
		return diff == "", diff
	})
}

// stored returns the version of everything that the API server stores, by
// resource, namespace and name.
func stored(t *testing.T, l *lab.Lab) map[string]string {
	t.Helper()
	out, seen := map[string]string{}, map[string]bool{}
	all := discover(t, l)
	for _, kind := range slices.Sorted(maps.Keys(all)) {
		path := strings.Replace(all[kind].path, "/namespaces/%s", "", 1)
		resource := resourceOf(path)
		if seen[resource] || passing(resource) {
			continue
		}
		seen[resource] = true
		var list struct {
			Kind  string
			Items []struct {
				Metadata struct{ Namespace, Name, ResourceVersion string }
			}
		}
		body := l.Get(t, path, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
		if json.Unmarshal(body, &list) != nil || list.Kind != "PartialObjectMetadataList" {
			continue // a review, which is never stored
		}
		for _, o := range list.Items {
			out[resource+" "+o.Metadata.Namespace+"/"+o.Metadata.Name] = o.Metadata.ResourceVersion
		}
	}
	return out
}

// resourceOf names the resource behind a path as the API server's metrics do.
func resourceOf(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	if parts[0] == "api" {
		return parts[2]
	}
	return parts[3] + "." + parts[1]
}

// passing are resources that the cluster itself writes all the time.
func passing(resource string) bool {
	name, _, _ := strings.Cut(resource, ".")
	return name == "events" || name == "leases"
}

// counted compares the API server's metric of what it stores with a list of it.
func counted(t *testing.T, l *lab.Lab, objects map[string]string) string {
	t.Helper()
	listed, metric := map[string]int{}, map[string]int{}
	for line := range strings.Lines(string(l.Get(t, "/metrics", "text/plain"))) {
		rest, ok := strings.CutPrefix(line, `apiserver_storage_objects{resource="`)
		resource, number, _ := strings.Cut(rest, `"} `)
		if !ok || passing(resource) {
			continue
		}
		n := 0.0
		if _, err := fmt.Sscan(number, &n); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		metric[resource], listed[resource] = int(n), 0
	}
	if len(metric) < 30 {
		t.Fatalf("the API server counts only %d resources", len(metric))
	}
	for name := range objects {
		resource, _, _ := strings.Cut(name, " ")
		if _, ok := metric[resource]; ok {
			listed[resource]++
		}
	}
	return cmp.Diff(listed, metric)
}
