package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/remedy"
	"github.com/merlon-security/merlon/internal/yamldoc"
	"github.com/merlon-security/merlon/test/live/lab"
	"go.yaml.in/yaml/v3"
)

// started is a fixed pod, and the mistakes that were made in it and fixed.
type started struct {
	name string
	spec map[string]any
	from []string
}

// TestFixedWorkloadsStart makes the seeded mistakes of workloads, one by one, in
// the forms by turns, has them fixed, and holds that a kubelet starts what comes
// out: admitted to a namespace that enforces the restricted level, by a runtime
// that holds the container to its user, its capabilities and its read-only files.
// Mistakes that leave the same pod share one.
func TestFixedWorkloadsStart(t *testing.T) {
	l := lab.Open(t)
	pods, controls := fixedPods(t)
	const namespace = "orchard"
	for _, o := range application(t) {
		switch o["kind"] {
		case "Namespace", "ServiceAccount", "ConfigMap", "PriorityClass":
			raw, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			l.Kubectl(t, string(raw), "apply", "-f", "-")
		}
	}
	t.Cleanup(func() {
		l.Kubectl(t, "", "delete", "--wait=false", "namespace/"+namespace, "priorityclass/business")
	})
	var all bytes.Buffer
	for _, p := range pods {
		err := json.NewEncoder(&all).Encode(map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": p.name, "namespace": namespace}, "spec": p.spec})
		if err != nil {
			t.Fatal(err)
		}
	}
	l.Kubectl(t, all.String(), "create", "--validate=strict", "-f", "-")
	lab.Eventually(t, "every fixed pod is ready", func() (bool, string) {
		var waits []string
		for _, p := range pods {
			if said := notReady(t, l, namespace, p.name); said != "" {
				waits = append(waits, fmt.Sprintf("%s (%s): %s", p.name, strings.Join(p.from, ", "), said))
			}
		}
		return len(waits) == 0, strings.Join(waits, "\n")
	})
	mistakes := 0
	for _, p := range pods {
		mistakes += len(p.from)
	}
	t.Logf("%d mistakes, of %d controls, are fixed in %d pods, and all are ready", mistakes, len(controls), len(pods))
}

type containerStatus struct {
	State map[string]struct{ Reason, Message string }
}

// notReady says why a pod is not ready; "" when it is.
func notReady(t *testing.T, l *lab.Lab, namespace, name string) string {
	_, body := l.Do(t, "GET", "/api/v1/namespaces/"+namespace+"/pods/"+name, "", nil)
	var pod struct {
		Status struct {
			Phase, Reason, Message string
			Conditions             []struct{ Type, Status, Message string }

			InitContainerStatuses, ContainerStatuses []containerStatus
		}
	}
	if err := json.Unmarshal(body, &pod); err != nil {
		return err.Error()
	}
	why := []string{pod.Status.Phase, pod.Status.Reason, pod.Status.Message}
	for _, c := range pod.Status.Conditions {
		if c.Type == "Ready" && c.Status == "True" {
			return ""
		}
		why = append(why, c.Message)
	}
	for _, c := range append(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses...) {
		for _, s := range c.State {
			why = append(why, s.Reason, s.Message)
		}
	}
	return strings.Join(slices.DeleteFunc(why, func(s string) bool { return s == "" }), "; ")
}

// gathered are fixed pods, each once.
type gathered struct {
	pods    []*started
	known   map[string]*started
	covered map[string]bool // controls that were at fault
}

func (g *gathered) add(t *testing.T, control, from string, spec map[string]any) {
	t.Helper()
	if spec["hostUsers"] == false {
		return // the test cluster's node maps no users
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	p := g.known[string(raw)]
	if p == nil {
		p = &started{name: fmt.Sprintf("fixed-%d", len(g.pods)), spec: spec}
		g.pods, g.known[string(raw)] = append(g.pods, p), p
	}
	p.from = append(p.from, from)
	g.covered[control] = true
}

// fixedPods makes, fixes and gathers the mistakes whose fix asks nothing; for
// controls of workloads that none of them is about it takes their own cases. It
// returns the pods and the controls that were at fault.
func fixedPods(t *testing.T) ([]*started, []string) {
	mends := map[string]bool{}
	for _, c := range shipped(t) {
		mends[c.ID] = c.Mends()
	}
	engines := map[bool]*fixer{false: newFixer(t, false), true: newFixer(t, true)}
	g := &gathered{known: map[string]*started{}, covered: map[string]bool{}}
	for i, m := range mistakes(t) {
		if !mends[m.Want] || m.In != "container" && m.In != "pod" {
			continue
		}
		list := slices.DeleteFunc(m.formsOf(), func(f form) bool { return f.ephemeral || f.name == "list" })
		if len(list) == 0 {
			continue
		}
		f := list[i%len(list)]
		if spec, ok := fixedSpec(t, engines[m.Enforce], &m, f); ok {
			g.add(t, m.Want, m.Name+" in "+f.name, spec)
		}
	}
	for _, c := range shipped(t) {
		if strings.HasPrefix(c.ID, "workload/") && c.Mends() && !g.covered[c.ID] {
			fixedCase(t, engines[false], c, g)
		}
	}
	ids := slices.Sorted(maps.Keys(g.covered))
	if len(ids) < 34 {
		t.Errorf("only %d controls: %v", len(ids), ids)
	}
	for _, c := range shipped(t) {
		if strings.HasPrefix(c.ID, "workload/") && c.Mends() && !g.covered[c.ID] {
			t.Logf("%s: no mistake of a pod that this cluster runs is fixed without a question", c.ID)
		}
	}
	return g.pods, ids
}

// fixedCase adds the first failing case of a control that can be fixed whole.
func fixedCase(t *testing.T, x *fixer, c *control.Control, g *gathered) {
	t.Helper()
	cases, err := c.Cases()
	if err != nil {
		t.Fatal(err)
	}
	for i := range cases {
		cs := &cases[i]
		if cs.Verdict != finding.Fail || len(cs.Objects) != 1 || cs.Objects[0].At("kind").Str() != "Pod" || cs.Objects[0].At("spec", "hostUsers").Present() {
			continue // the runtime of the test cluster has no user namespaces
		}
		plan := x.plan(t, map[string][]byte{"app.yaml": yamldoc.YAML(cs.Objects[0])}, func(*finding.Finding) bool { return true })
		open := slices.ContainsFunc(plan.Left, func(l remedy.Left) bool {
			return l.Kind != remedy.NoPatch || slices.Contains(slices.Collect(maps.Keys(l.Finding.Frameworks)), "pss-restricted")
		})
		var pod map[string]any
		if open || len(plan.Files) == 0 || yaml.Unmarshal(plan.Files[0].After, &pod) != nil {
			continue
		}
		spec := clone(pod)["spec"].(map[string]any)
		delete(spec, "serviceAccountName")
		forLab(spec)
		g.add(t, c.ID, c.ID+": "+cs.Name, spec)
		return
	}
}

// fixedSpec makes a mistake, fixes it, and returns the spec of the pod as the test
// cluster can start it; false where the fix asks.
func fixedSpec(t *testing.T, x *fixer, m *mistake, f form) (map[string]any, bool) {
	t.Helper()
	objects, err := m.seed(f.base(t), f)
	if err != nil {
		t.Fatal(err)
	}
	plan := x.plan(t, map[string][]byte{"app.yaml": written(t, objects)}, func(found *finding.Finding) bool { return found.Control == m.Want })
	if len(plan.Left) > 0 || len(plan.Files) == 0 {
		return nil, false
	}
	for dec := yaml.NewDecoder(bytes.NewReader(plan.Files[0].After)); ; {
		var o map[string]any
		err := dec.Decode(&o)
		if errors.Is(err, io.EOF) {
			t.Fatalf("%s: no %s after the fix", m.Name, f.object)
		}
		if err != nil {
			t.Fatal(err)
		}
		if nameOf(o) != f.object {
			continue
		}
		var at any = clone(o)
		for _, step := range strings.Split(f.pod, ".") {
			at = at.(map[string]any)[step]
		}
		spec := at.(map[string]any)
		forLab(spec)
		return spec, true
	}
}

// forLab gives a pod what the test cluster has in place of what it has not: the
// program, which no fix is about, and what only other clusters provide. What says
// how the pod is run stays.
func forLab(spec map[string]any) {
	spec["terminationGracePeriodSeconds"] = 0
	_, err := os.Stat("/sys/kernel/security/apparmor")
	apparmor := err == nil
	context := func(of map[string]any) {
		if c, ok := of["securityContext"].(map[string]any); ok && !apparmor {
			delete(c, "appArmorProfile") // the kubelet refuses it where the kernel has none
		}
	}
	context(spec)
	if c, ok := spec["securityContext"].(map[string]any); ok && c["runAsUser"] == nil {
		delete(c, "runAsGroup") // runtimes refuse a group without a user, as it was before the fix
	}
	names := map[string]bool{}
	volumes, _ := spec["volumes"].([]any)
	for _, v := range volumes {
		volume := v.(map[string]any)
		names[volume["name"].(string)] = true
		for _, source := range []string{"csi", "secret", "persistentVolumeClaim"} {
			if volume[source] != nil {
				delete(volume, source)
				volume["emptyDir"] = map[string]any{}
			}
		}
	}
	for _, list := range []string{"initContainers", "containers"} {
		containers, _ := spec[list].([]any)
		for _, v := range containers {
			c := v.(map[string]any)
			context(c)
			c["image"], c["imagePullPolicy"], c["command"] = "localhost/nobody:1", "IfNotPresent", []any{"sleep", "3600"}
			if list == "initContainers" && c["restartPolicy"] != "Always" {
				c["command"] = []any{"true"}
			}
			for _, key := range []string{"args", "resources", "startupProbe", "livenessProbe", "readinessProbe", "lifecycle"} {
				delete(c, key)
			}
			mounts, _ := c["volumeMounts"].([]any)
			for _, m := range mounts { // those of claims, which a template makes
				if name := m.(map[string]any)["name"].(string); !names[name] {
					names[name] = true
					volumes = append(volumes, map[string]any{"name": name, "emptyDir": map[string]any{}})
				}
			}
		}
	}
	if len(volumes) > 0 {
		spec["volumes"] = volumes
	}
}
