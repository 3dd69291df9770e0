package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/finding"
	"go.yaml.in/yaml/v3"
)

// mistake is one thing done wrong in the hardened application, as the files in
// mistakes/ write it.
type mistake struct {
	Name string `yaml:"name"`
	// In is the object that is changed, Kind/name; or "container" or "pod", for a
	// change that is made in every form in which the application has one.
	In     string         `yaml:"in"`
	Not    []string       `yaml:"not"`  // forms in which the change is no mistake, or not possible
	Only   []string       `yaml:"only"` // forms in which it is one
	Set    map[string]any `yaml:"set"`
	Append map[string]any `yaml:"append"`
	Delete []string       `yaml:"delete"`
	Add    []any          `yaml:"add"`  // whole objects
	Drop   []string       `yaml:"drop"` // objects taken away, Kind/name
	Want   string         `yaml:"want"` // the one control meant; "" for a change that is no mistake

	// Enforce asks for the controls of good order that need to be switched on.
	Enforce bool `yaml:"enforce"`

	file string
}

// form is one way in which the application holds a container or a pod.
type form struct {
	name      string
	object    string // Kind/name
	pod       string // path of the pod's spec
	container string // path of the container below it
	ephemeral bool
}

var forms = []form{
	{"deployment", "Deployment/web", "spec.template.spec", "containers[app]", false},
	{"list", "Deployment/web", "spec.template.spec", "containers[app]", false},
	{"init", "Deployment/web", "spec.template.spec", "initContainers[prepare]", false},
	{"sidecar", "Deployment/web", "spec.template.spec", "initContainers[proxy]", false},
	{"statefulset", "StatefulSet/database", "spec.template.spec", "containers[database]", false},
	{"daemonset", "DaemonSet/agent", "spec.template.spec", "containers[agent]", false},
	{"job", "Job/migrate", "spec.template.spec", "containers[migrate]", false},
	{"cronjob", "CronJob/backup", "spec.jobTemplate.spec.template.spec", "containers[backup]", false},
	{"pod", "Pod/bare", "spec", "containers[app]", false},
	{"ephemeral", "Pod/bare", "spec", "ephemeralContainers[debug]", true},
}

func mistakes(t *testing.T) []mistake {
	t.Helper()
	files, err := filepath.Glob("mistakes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no mistakes", err)
	}
	var out []mistake
	seen := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		dec := yaml.NewDecoder(bytes.NewReader(data))
		dec.KnownFields(true)
		var list []mistake
		if err := dec.Decode(&list); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, m := range list {
			m.file = strings.TrimSuffix(filepath.Base(file), ".yaml")
			if seen[m.Name] {
				t.Errorf("%s: two mistakes are named %q", file, m.Name)
			}
			seen[m.Name] = true
			out = append(out, m)
		}
	}
	return out
}

// formsOf returns the forms of a mistake; one without a name for a change of
// one object.
func (m *mistake) formsOf() []form {
	if m.In != "container" && m.In != "pod" {
		return []form{{object: m.In}}
	}
	var out []form
	for _, f := range forms {
		inPod := m.In == "pod" && (f.name == "init" || f.name == "sidecar" || f.name == "ephemeral")
		if raced && f.name != "deployment" && f.name != "ephemeral" {
			continue // the others are judged by the same code, one at a time
		}
		if !inPod && !slices.Contains(m.Not, f.name) && (len(m.Only) == 0 || slices.Contains(m.Only, f.name)) {
			out = append(out, f)
		}
	}
	return out
}

// TestSeededMistakes holds that each mistake gives the finding meant and no
// other, with every control switched on.
func TestSeededMistakes(t *testing.T) {
	list := mistakes(t)
	seeded, wrong, names := 0, 0, 0
	bases := map[string]map[string]bool{}
	engines := map[bool]*assess.Engine{false: everything(t), true: enforcing(t)}
	for i := range list {
		m := &list[i]
		if m.Want != "" {
			names++
		}
		if raced && i%20 > 0 {
			continue
		}
		for _, f := range m.formsOf() {
			name := m.file + "/" + strings.ReplaceAll(m.Name, " ", "-")
			if f.name != "" {
				name += "/" + f.name
			}
			seeded++
			ok := t.Run(name, func(t *testing.T) {
				engine := engines[m.Enforce]
				key := fmt.Sprint(f.name, m.Enforce)
				base, known := bases[key]
				if !known {
					base = map[string]bool{}
					for _, x := range scan(t, engine, map[string][]byte{"app.yaml": f.written(t, f.base(t))}) {
						base[x.ID] = true
					}
					bases[key] = base
				}
				objects, err := m.seed(f.base(t), f)
				if err != nil {
					t.Fatal(err)
				}
				var meant, strangers []finding.Finding
				for _, x := range scan(t, engine, map[string][]byte{"app.yaml": f.written(t, objects)}) {
					switch {
					case base[x.ID]:
					case x.Control == m.Want && x.Verdict == finding.Fail:
						meant = append(meant, x)
					default:
						strangers = append(strangers, x)
					}
				}
				if m.Want != "" && len(meant) == 0 {
					t.Errorf("%s found nothing", m.Want)
				}
				if len(strangers) > 0 {
					t.Errorf("meant %q, strangers:%s", m.Want, told(strangers))
				}
			})
			if !ok {
				wrong++
			}
		}
	}
	t.Logf("%d single mistakes, %d as seeded in their forms, %d not as meant", names, seeded, wrong)
	if names < 120 {
		t.Errorf("only %d mistakes", names)
	}
}

// base is the application as a form needs it: a bare pod is added where one is
// asked for.
func (f *form) base(t *testing.T) []map[string]any {
	objects := application(t)
	if f.object != "Pod/bare" {
		return objects
	}
	for _, o := range objects {
		if nameOf(o) != "Deployment/web" {
			continue
		}
		template := o["spec"].(map[string]any)["template"].(map[string]any)
		pod := map[string]any{
			"apiVersion": "v1", "kind": "Pod", "spec": template["spec"],
			"metadata": map[string]any{"name": "bare", "namespace": "orchard", "labels": template["metadata"].(map[string]any)["labels"]},
		}
		pod = clone(pod)
		if f.ephemeral {
			app := pod["spec"].(map[string]any)["containers"].([]any)[0].(map[string]any)
			debug := map[string]any{"name": "debug"}
			for _, key := range []string{"image", "imagePullPolicy", "securityContext", "volumeMounts", "env", "args"} {
				debug[key] = app[key]
			}
			pod["spec"].(map[string]any)["ephemeralContainers"] = []any{clone(debug)}
		}
		return append(objects, pod)
	}
	t.Fatal("no Deployment/web")
	return nil
}

func clone(m map[string]any) map[string]any {
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

// written writes the objects: as one List where the form says so, as YAML for
// objects on their own, else as JSON, which costs less.
func (f *form) written(t *testing.T, objects []map[string]any) []byte {
	switch f.name {
	case "list":
		objects = []map[string]any{{"apiVersion": "v1", "kind": "List", "items": objects}}
	case "":
		return written(t, objects)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, o := range objects {
		if err := enc.Encode(o); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func nameOf(o map[string]any) string {
	meta, _ := o["metadata"].(map[string]any)
	return fmt.Sprintf("%v/%v", o["kind"], meta["name"])
}

// seed makes the mistake.
func (m *mistake) seed(objects []map[string]any, f form) ([]map[string]any, error) {
	for _, gone := range m.Drop {
		n := len(objects)
		objects = slices.DeleteFunc(objects, func(o map[string]any) bool { return nameOf(o) == gone })
		if len(objects) == n {
			return nil, fmt.Errorf("no %s to drop", gone)
		}
	}
	for _, o := range m.Add {
		objects = append(objects, clone(o.(map[string]any)))
	}
	if len(m.Set)+len(m.Append)+len(m.Delete) == 0 {
		return objects, nil
	}
	prefix := ""
	switch m.In {
	case "container":
		prefix = f.pod + "." + f.container + "."
	case "pod":
		prefix = f.pod + "."
	}
	for _, o := range objects {
		if nameOf(o) != f.object {
			continue
		}
		for path, v := range m.Set {
			if err := change(o, prefix+path, func(any) any { return v }); err != nil {
				return nil, err
			}
		}
		for path, v := range m.Append {
			if err := change(o, prefix+path, func(old any) any { l, _ := old.([]any); return append(slices.Clone(l), v) }); err != nil {
				return nil, err
			}
		}
		for _, path := range m.Delete {
			if err := change(o, prefix+path, func(any) any { return nil }); err != nil {
				return nil, err
			}
		}
		return objects, nil
	}
	return nil, fmt.Errorf("no object %s", f.object)
}

// change replaces the value at a path; nil takes it away. Missing maps on the
// way are made; elements of lists are named by name or by index.
func change(o map[string]any, path string, with func(old any) any) error {
	var at any = o
	steps := stepsOf(path)
	put := func(any) {}
	for i, step := range steps {
		last := i == len(steps)-1
		switch x := at.(type) {
		case map[string]any:
			if _, ok := x[step]; !ok && !last {
				x[step] = map[string]any{}
				if i+1 < len(steps) && steps[i+1] == "0" {
					x[step] = []any{map[string]any{}}
				}
			}
			put = func(v any) {
				if v == nil {
					delete(x, step)
				} else {
					x[step] = v
				}
			}
			if last {
				v := with(x[step])
				if v == nil {
					if _, ok := x[step]; !ok {
						return fmt.Errorf("%s: nothing to delete", path)
					}
				}
				put(v)
				return nil
			}
			at = x[step]
		case []any:
			j := slices.IndexFunc(x, func(e any) bool { m, ok := e.(map[string]any); return ok && m["name"] == step })
			if n, err := strconv.Atoi(step); j < 0 && err == nil && n < len(x) {
				j = n
			}
			if j < 0 {
				return fmt.Errorf("%s: no element %q", path, step)
			}
			if last {
				if v := with(x[j]); v != nil {
					x[j] = v
				} else {
					put(slices.Delete(slices.Clone(x), j, j+1))
				}
				return nil
			}
			put = func(v any) { x[j] = v }
			at = x[j]
		default:
			return fmt.Errorf("%s: cannot go below %q", path, step)
		}
	}
	return nil
}

// stepsOf splits a path such as a.b[c]["d.e"].
func stepsOf(path string) []string {
	var out []string
	var b strings.Builder
	flush := func() {
		if b.Len() > 0 {
			out = append(out, b.String())
			b.Reset()
		}
	}
	bracket := false
	for _, r := range path {
		switch {
		case r == '.' && !bracket:
			flush()
		case r == '[':
			flush()
			bracket = true
		case r == ']':
			flush()
			bracket = false
		case r == '"' && bracket:
		default:
			b.WriteRune(r)
		}
	}
	flush()
	return out
}
