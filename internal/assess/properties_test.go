package assess_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/controls"
	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

func shipped(t testing.TB) []*control.Control {
	t.Helper()
	list, err := control.Load(controls.FS, true)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// report assesses objects and returns everything that the engine says of them.
func report(t testing.TB, list []*control.Control, objects []fact.Object, o assess.Options) string {
	t.Helper()
	o.Minor = assess.NewestMinor()
	changes := make([]fact.Change, len(objects))
	for i := range objects {
		x := objects[i]
		changes[i] = fact.Change{Op: fact.Upsert, Object: &x}
	}
	a, err := assess.New(control.NewLibrary(), list, o).Assess((&fact.Snapshot{}).Apply(changes...))
	if err != nil {
		t.Fatal(err)
	}
	out, err := json.MarshalIndent(a.Report(nil, nil), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	results, err := json.Marshal(a.Results())
	if err != nil {
		t.Fatal(err)
	}
	return string(out) + "\n" + string(results)
}

// corpora are inputs on which every way of running the engine must agree.
func corpora(t *testing.T, list []*control.Control) map[string][]fact.Object {
	out := map[string][]fact.Object{"cases": casesOf(t, list), "generated": generated(600), "odd": odd()}
	if raced {
		return map[string][]fact.Object{"generated": generated(200), "odd": odd()}
	}
	if found := reference(t); len(found) > 0 {
		out["oracles"] = found
	}
	return out
}

// casesOf puts the objects of all controls' cases into one input, each case in a
// namespace of its own where it names none of its own.
func casesOf(t *testing.T, list []*control.Control) []fact.Object {
	var out []fact.Object
	for _, c := range list {
		cases, err := c.Cases()
		if err != nil {
			t.Fatal(err)
		}
		for i := range cases {
			for j, root := range cases[i].Objects {
				if o, ok := fact.NewObject(root, fact.Origin{Source: "case", File: fmt.Sprintf("%s#%d", c.ID, i), Doc: j}); ok {
					out = append(out, o)
				}
			}
		}
	}
	return out
}

// generated makes workloads of which many are alike, as in a real cluster, and
// some are odd.
func generated(n int) []fact.Object {
	r := rand.New(rand.NewPCG(1, 2))
	kinds := []string{"Pod", "apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "batch/Job", "batch/CronJob"}
	var b strings.Builder
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	for i := range n {
		kind := kinds[r.IntN(len(kinds))]
		group, name, both := strings.Cut(kind, "/")
		version := "v1"
		if !both {
			name = kind
		} else {
			version = group + "/v1"
		}
		spec := map[string]any{"containers": []any{map[string]any{
			"name": pick("app", "web", "x"), "image": pick("nginx", "nginx:latest", "r.example.com/a:1@sha256:"+strings.Repeat("a", 64), ""),
			"securityContext": map[string]any{
				"privileged": r.IntN(20) == 0, "runAsUser": r.IntN(3), "readOnlyRootFilesystem": r.IntN(2) == 0,
				"capabilities": map[string]any{"add": []string{pick("NET_ADMIN", "SYS_ADMIN", "CHOWN")}, "drop": []string{pick("ALL", "all", "NET_RAW")}},
			},
			"env": []any{map[string]any{"name": pick("A", "DB_PASSWORD"), "value": pick("x", "hunter2hunter2", "postgres://u:p4ssw0rdX@h/d")}},
		}}, "hostNetwork": r.IntN(15) == 0, "serviceAccountName": pick("default", "web", "")}
		if r.IntN(10) == 0 {
			spec["volumes"] = []any{map[string]any{"name": "h", "hostPath": map[string]any{"path": pick("/", "/etc", "/srv", "/var/run/docker.sock")}}}
		}
		if r.IntN(30) == 0 {
			spec["securityContext"] = nil
		}
		template := map[string]any{"metadata": map[string]any{"labels": map[string]any{"app": fmt.Sprint("a", i%40)}}, "spec": spec}
		body := any(map[string]any{"selector": map[string]any{"matchLabels": map[string]any{"app": fmt.Sprint("a", i%40)}}, "replicas": r.IntN(4), "template": template})
		switch name {
		case "Pod":
			body = spec
		case "CronJob":
			body = map[string]any{"schedule": "* * * * *", "jobTemplate": map[string]any{"spec": map[string]any{"template": template}}}
		}
		doc, _ := json.Marshal(map[string]any{"apiVersion": version, "kind": name, "metadata": map[string]any{"name": fmt.Sprint("w", i), "namespace": fmt.Sprint("n", i%17)}, "spec": body})
		b.Write(append(doc, '\n'))
		if i%9 == 0 {
			fmt.Fprintf(&b, `{"apiVersion":"v1","kind":"Service","metadata":{"name":"s%d","namespace":"n%d"},"spec":{"type":%q,"selector":{"app":"a%d"},"ports":[{"port":%d}]}}`+"\n", i, i%17, pick("ClusterIP", "NodePort", "LoadBalancer"), i%50, 20+r.IntN(5))
			fmt.Fprintf(&b, `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"p%d","namespace":"n%d"},"spec":{"podSelector":{"matchLabels":{"app":"a%d"}},"policyTypes":[%q]}}`+"\n", i, i%17, i%50, pick("Ingress", "Egress"))
			fmt.Fprintf(&b, `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"Role","metadata":{"name":"r%d","namespace":"n%d"},"rules":[{"apiGroups":[""],"resources":[%q],"verbs":[%q]}]}`+"\n", i, i%17, pick("pods", "secrets", "*"), pick("get", "create", "*"))
			fmt.Fprintf(&b, `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"b%d","namespace":"n%d"},"roleRef":{"kind":"Role","name":"r%d"},"subjects":[{"kind":"ServiceAccount","name":%q}]}`+"\n", i, i%17, i, pick("default", "web"))
		}
	}
	return objectsOf("generated", []byte(b.String()))
}

// odd makes objects whose fields are not of the kind that they should be, each
// behind one that lacks the field: what is an error in one must not be taken
// for what is absent in the other.
func odd() []fact.Object {
	var b strings.Builder
	n := 0
	for _, field := range []string{"metadata", "spec", "metadata.annotations", "metadata.labels", "spec.securityContext", "spec.volumes", "spec.containers", "spec.initContainers", "spec.hostNetwork", "spec.serviceAccountName"} {
		for _, value := range []string{"null", "[]", "{}", "1", `"x"`, "true", "[1]", "[null]", "[[]]", `{"x": 1}`, `["a"]`} {
			n++
			parts := map[string]string{"metadata": `{"name": "p%d"}`, "spec": `{"containers": [{"name": "a", "image": "b"}]}`}
			parts["metadata"] = fmt.Sprintf(parts["metadata"], n)
			top, below, deep := strings.Cut(field, ".")
			if deep {
				parts[top] = strings.TrimSuffix(parts[top], "}") + fmt.Sprintf(`, %q: %s}`, below, value)
			} else {
				parts[top] = value
			}
			fmt.Fprintf(&b, `{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "q%d"}, "spec": {"containers": [{"name": "a", "image": "b"}]}}`+"\n", n)
			fmt.Fprintf(&b, `{"apiVersion": "v1", "kind": "Pod", "metadata": %s, "spec": %s}`+"\n", parts["metadata"], parts["spec"])
		}
	}
	return objectsOf("odd", []byte(b.String()))
}

// objectsOf reads what can be read of some manifests.
func objectsOf(name string, data []byte) []fact.Object {
	var out []fact.Object
	docs := yamldoc.NewReader(bytes.NewReader(data), name, yamldoc.Limits{})
	for {
		doc, err := docs.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			continue
		}
		if o, ok := fact.NewObject(doc.Root, fact.Origin{Source: "manifest", File: name, Doc: doc.Index}); ok {
			out = append(out, o)
		}
	}
}

// reference reads the inputs of the conformance tests, where there are any.
func reference(t *testing.T) []fact.Object {
	files, err := filepath.Glob("../../../shared/oracles/*.jsonl")
	if err != nil || len(files) == 0 {
		return nil
	}
	var out []fact.Object
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for line := range bytes.Lines(data) {
			if n++; n > 25 {
				break
			}
			var c any
			if json.Unmarshal(line, &c) != nil {
				continue
			}
			for i, text := range manifestsIn(c) {
				out = append(out, objectsOf(fmt.Sprintf("%s:%d:%d", filepath.Base(file), n, i), []byte(text))...)
			}
		}
	}
	t.Logf("%d objects of conformance inputs", len(out))
	return out
}

// manifestsIn returns the texts in a case that look like manifests, and what
// looks like an object itself.
func manifestsIn(v any) []string {
	var out []string
	switch x := v.(type) {
	case string:
		if strings.Contains(x, "apiVersion") && strings.Contains(x, "kind") {
			out = append(out, x)
		}
	case []any:
		for _, e := range x {
			out = append(out, manifestsIn(e)...)
		}
	case map[string]any:
		if x["apiVersion"] != nil && x["kind"] != nil {
			raw, err := json.Marshal(x)
			if err == nil {
				return append(out, string(raw))
			}
		}
		keys := make([]string, 0, len(x))
		for k := range x {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			out = append(out, manifestsIn(x[k])...)
		}
	}
	return out
}

// TestOneInputOneReport holds that the report depends on the input alone: not on
// how many work on it, not on what is remembered, not on the run.
func TestOneInputOneReport(t *testing.T) {
	list := shipped(t)
	for name, objects := range corpora(t, list) {
		t.Run(name, func(t *testing.T) {
			want := report(t, list, objects, assess.Options{Workers: 1})
			if !strings.Contains(want, `"control"`) {
				t.Fatal("no findings: nothing is shown")
			}
			for how, o := range map[string]assess.Options{
				"four workers": {Workers: 4}, "no memory": {Workers: 3, NoMemo: true},
			} {
				if got := report(t, list, objects, o); got != want {
					t.Errorf("%s: %s", how, difference(want, got))
				}
			}
		})
	}
}

// difference lists findings that only one of two reports has, or else the first
// line in which they differ.
func difference(a, b string) string {
	told := func(s string) map[string]bool {
		var r finding.Report
		if err := json.NewDecoder(strings.NewReader(s)).Decode(&r); err != nil {
			return nil
		}
		out := map[string]bool{}
		for _, f := range r.Findings {
			out[fmt.Sprintf("%s %s %+v %+v: %s", f.Verdict, f.Control, f.Subject, f.Location, f.Message)] = true
		}
		return out
	}
	var out []string
	x, y := told(a), told(b)
	for f := range x {
		if !y[f] {
			out = append(out, "lost "+f)
		}
	}
	for f := range y {
		if !x[f] {
			out = append(out, "new "+f)
		}
	}
	slices.Sort(out)
	if len(out) > 0 {
		return strings.Join(out[:min(8, len(out))], "\n")
	}
	p, q := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(p), len(q)) {
		if p[i] != q[i] {
			return fmt.Sprintf("line %d: %s\nnow %s", i+1, p[i], q[i])
		}
	}
	return "only their length differs"
}
