package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// kubescapeFiles reads all files of a case as one list of objects.
func kubescapeFiles(c *testCase) ([]document, error) {
	files, err := manyFiles(c)
	var out []document
	for _, f := range files {
		out = append(out, splitArray(f)...)
	}
	return out, err
}

// alert is one result that kubescape's own test expects.
type alert struct {
	Objects     []string `json:"objects"`
	FailedPaths []string `json:"failedPaths"`
	ReviewPaths []string `json:"reviewPaths"`
	DeletePaths []string `json:"deletePaths"`
	FixPaths    []struct {
		Path string `json:"path"`
	} `json:"fixPaths"`
}

// paths returns the paths of an alert. Each inner list is of paths that say one
// thing: a path that failed stands alone; of paths that would mend, any does.
func (a *alert) paths() [][]string {
	var out [][]string
	for _, p := range slices.Concat(a.FailedPaths, a.ReviewPaths, a.DeletePaths) {
		out = append(out, []string{p})
	}
	var fixes []string
	for _, f := range a.FixPaths {
		fixes = append(fixes, f.Path)
	}
	if len(fixes) > 0 {
		out = append(out, fixes)
	}
	return out
}

// runKubescape compares the set of failing objects of one rule, both ways, and
// the paths where both sides write them in the same form. The number of alerts
// is not compared: kubescape counts paths or containers, as the rule will.
func runKubescape(r *runner, c *testCase, in *input) (outcome, error) {
	var expect struct {
		Violations int     `json:"violations"`
		Alerts     []alert `json:"alerts"`
	}
	if err := c.decode("expect", &expect); err != nil {
		return outcome{}, err
	}
	s, err := r.kubescapeSettings(c)
	if err != nil {
		return outcome{}, err
	}
	a, err := r.ask(in, c.text("rule"), s)
	if err != nil {
		return outcome{}, err
	}
	want := wantedObjects(expect.Alerts)
	out := outcome{check: a.id, hits: a.hits, notes: a.notes, got: "not answered", expected: "fail: " + strings.Join(want.names(), ", ")}
	if expect.Violations == 0 {
		out.expected = "pass"
	}
	if !a.mapped {
		return out, nil
	}
	var problem string
	out.got, problem = want.compare(a.failed())
	if problem == "" && !anyRow(a.rows, func(o *options) bool { return o.noPaths || o.derive != "" }) {
		problem = want.comparePaths(a.failed())
	}
	if problem != "" {
		out.notes = append(out.notes, problem)
	}
	out.agreed = problem == "" && a.judged() && (expect.Violations > 0) == (len(a.failed()) > 0)
	return out, nil
}

func anyRow(rows []*row, f func(*options) bool) bool {
	return slices.ContainsFunc(rows, func(r *row) bool { return f(&r.options) })
}

// kubescapeSettings reads the lists that a rule is configured by: the case's
// own, else kubescape's defaults. Other files beside them are not settings.
func (r *runner) kubescapeSettings(c *testCase) (setting, error) {
	s := setting{values: map[string]any{}}
	defaults, err := r.data.reference("kubescape/default-config-inputs.json")
	if err != nil {
		return s, err
	}
	var general struct {
		Settings struct {
			Inputs map[string]any `json:"postureControlInputs"`
		} `json:"settings"`
	}
	if len(defaults) > 0 {
		if err := json.Unmarshal(defaults, &general); err != nil {
			return s, fmt.Errorf("read kubescape's default settings: %w", err)
		}
	}
	for k, v := range general.Settings.Inputs {
		s.values[k] = v
	}
	var config map[string]string
	if err := c.decode("config", &config); err != nil {
		return s, err
	}
	if text := config["data.json"]; text != "" {
		var own struct {
			Inputs map[string]any `json:"postureControlInputs"`
		}
		if err := json.Unmarshal([]byte(text), &own); err != nil {
			return s, fmt.Errorf("case %s: read data.json: %w", c.ID, err)
		}
		for k, v := range own.Inputs {
			s.values[k] = v
		}
	}
	return s, nil
}

// wanted is what a case expects to fail: paths, as an alert has them, by object. An object without a
// name stands for some object of its kind, one without a kind for any.
type wanted map[wantedObject][][]string

type wantedObject struct{ kind, namespace, name string }

func (o wantedObject) String() string {
	if o.kind == "" {
		return "something"
	}
	return o.kind + " " + strings.TrimPrefix(o.namespace+"/"+o.name, "/")
}

// matches reports whether a finding is about the object. The data drops most
// namespaces: one that is not given is not compared.
func (o wantedObject) matches(h *hit) bool {
	return (o.kind == "" || o.kind == h.kind) && (o.name == "" || o.name == h.name) && (o.namespace == "" || o.namespace == h.namespace)
}

func wantedObjects(alerts []alert) wanted {
	out := wanted{}
	for _, a := range alerts {
		if len(a.Objects) == 0 {
			out[wantedObject{}] = nil
		}
		for _, text := range a.Objects {
			o := parseObject(text)
			out[o] = append(out[o], a.paths()...)
		}
	}
	return out
}

// parseObject reads "apiVersion/Kind/namespace/name", where apiVersion may hold
// a slash, and "external:apiVersion/Kind/name" for what kubescape made up.
func parseObject(text string) wantedObject {
	rest, external := strings.CutPrefix(text, "external:")
	parts := strings.Split(rest, "/")
	n := len(parts)
	switch {
	case external && n >= 2:
		return wantedObject{kind: parts[n-2], name: parts[n-1]}
	case !external && n >= 4:
		return wantedObject{kind: parts[n-3], namespace: parts[n-2], name: parts[n-1]}
	}
	return wantedObject{}
}

// objects returns what is expected to fail, sorted.
func (w wanted) objects() []wantedObject {
	return slices.SortedFunc(maps.Keys(w), func(a, b wantedObject) int { return strings.Compare(a.String(), b.String()) })
}

func (w wanted) names() []string {
	var out []string
	for _, o := range w.objects() {
		out = append(out, o.String())
	}
	return out
}

// compare compares the sets of objects. It returns what was found, and what is
// wrong with it.
func (w wanted) compare(hits []hit) (got, problem string) {
	found := map[string]bool{}
	for _, h := range hits {
		found[strings.TrimSpace(h.kind+" "+strings.TrimPrefix(h.namespace+"/"+h.name, "/"))] = true
		known := false
		for o := range w {
			known = known || o.matches(&h)
		}
		if !known {
			problem = "not expected: " + h.kind + " " + h.name
		}
	}
	for _, o := range w.objects() {
		if !slices.ContainsFunc(hits, func(h hit) bool { return o.matches(&h) }) {
			problem = "not found: " + o.String()
		}
	}
	if len(found) == 0 {
		return "pass", problem
	}
	return "fail: " + strings.Join(sortedKeys(found), ", "), problem
}

// kubescapeGroup sorts cases by what the input holds; each is in one group.
func kubescapeGroup(_ *testCase, in *input) []string {
	kinds := kindsOf(in)
	for _, g := range []struct {
		name string
		in   func(kind string) bool
	}{{"cloud", cloudKind}, {"host", hostKind}, {"rbac", accessKind}, {"network", networkKind}} {
		if slices.ContainsFunc(kinds, g.in) || g.name == "host" && slices.ContainsFunc(in.objects(), runsComponent) {
			return []string{g.name}
		}
	}
	return []string{"workload"}
}

// kindsOf lists group/Kind of all objects, those of documents that cannot be
// parsed included: they say it in a line.
func kindsOf(in *input) []string {
	var out []string
	for _, o := range in.objects() {
		out = append(out, groupKind(o))
	}
	kind, version := regexp.MustCompile(`(?m)^kind: *"?([A-Za-z]+)`), regexp.MustCompile(`(?m)^apiVersion: *"?([a-z0-9./]+)`)
	for _, gap := range in.snapshot.Gaps() {
		for _, d := range in.documents {
			if d.name != gap.File {
				continue
			}
			k, v := kind.FindSubmatch(d.text), version.FindSubmatch(d.text)
			if k != nil && v != nil {
				group := path.Dir(string(v[1]))
				out = append(out, strings.TrimPrefix(group, ".")+"/"+string(k[1]))
			}
		}
	}
	return out
}

func inGroup(kind string, groups ...string) bool {
	group, _, _ := strings.Cut(kind, "/")
	return slices.Contains(groups, group)
}

func cloudKind(kind string) bool {
	return inGroup(kind, "eks.amazonaws.com", "container.googleapis.com", "management.azure.com")
}

func hostKind(kind string) bool { return kind == "/Node" || inGroup(kind, "hostdata.kubescape.cloud") }

func accessKind(kind string) bool {
	return kind == "/ServiceAccount" || inGroup(kind, "rbac.authorization.k8s.io")
}

func networkKind(kind string) bool {
	return kind == "/Service" || kind == "/Endpoints" ||
		inGroup(kind, "networking.k8s.io", "gateway.networking.k8s.io", "networking.istio.io", "security.istio.io", "cilium.io",
			"policy.networking.k8s.io", "crd.projectcalico.org", "projectcalico.org", "discovery.k8s.io")
}

// runsComponent reports whether an object configures a component of Kubernetes:
// a Pod that starts one, or the settings of kube-proxy.
func runsComponent(o *fact.Object) bool {
	switch o.GroupKind() {
	case "ConfigMap":
		return o.Name == "kube-proxy" && o.InNamespace() == "kube-system"
	case "Pod":
		for _, p := range fact.PodTemplates(o) {
			for _, c := range p.Containers() {
				word := c.Value.Get(fact.K("command")).Index(0).Str()
				if word == "" {
					word = c.Value.Get(fact.K("args")).Index(0).Str()
				}
				switch path.Base(word) {
				case "kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kubelet":
					return true
				}
			}
		}
	}
	return false
}
