package live

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/yamldoc"
	"github.com/merlon-security/merlon/test/live/lab"
)

var update = flag.Bool("update", false, "write testdata/refused.txt anew")

// served is what the API server serves, by "group/Kind".
type served struct {
	path       string // with %s for the namespace, where there is one
	apiVersion string
}

// discover asks the API server which kinds it serves, all versions.
func discover(t *testing.T, l *lab.Lab) map[string]served {
	t.Helper()
	out := map[string]served{}
	for _, root := range []string{"/api", "/apis"} {
		var list struct {
			Items []struct {
				Metadata struct{ Name string }
				Versions []struct {
					Version   string
					Resources []struct {
						Resource, Scope string
						ResponseKind    struct{ Kind string }
					}
				}
			}
		}
		if err := json.Unmarshal(l.Get(t, root, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"), &list); err != nil {
			t.Fatal(err)
		}
		for _, g := range list.Items {
			for _, v := range g.Versions {
				for _, r := range v.Resources {
					apiVersion, path := v.Version, "/api/"+v.Version
					if g.Metadata.Name != "" {
						apiVersion = g.Metadata.Name + "/" + v.Version
						path = "/apis/" + apiVersion
					}
					if r.Scope == "Namespaced" {
						path += "/namespaces/%s"
					}
					out[apiVersion+" "+r.ResponseKind.Kind] = served{path + "/" + r.Resource, apiVersion}
				}
			}
		}
	}
	return out
}

// TestParity has the API server take in the objects of every control's cases,
// as a dry run: what comes back has every default filled in. The verdict on
// that must be the verdict on the file.
func TestParity(t *testing.T) {
	t.Parallel()
	l := lab.Open(t)
	list, _ := control.Living(shipped(t))
	p := &parity{lab: l, t: t, lib: control.NewLibrary(), types: yamldoc.NewTypes()}
	p.proto = p.types.NewProtobufReader()
	p.proto.Lean = true
	p.prepare(list)
	for _, c := range list {
		cases, err := c.Cases()
		if err != nil {
			t.Fatal(err)
		}
		compared := map[finding.Verdict]bool{}
		for i := range cases {
			if cs := &cases[i]; p.serves(c, cs) {
				compared[cs.Verdict] = p.one(c, cs) || compared[cs.Verdict]
			}
		}
		for _, v := range slices.Sorted(maps.Keys(compared)) {
			if !compared[v] {
				p.refused = append(p.refused, c.ID+" "+string(v))
			}
		}
	}
	served := p.alike + p.written + p.different + p.invalid
	t.Logf("%d cases: %d judged alike, %d by what is written, %d otherwise; the API server refuses %d, and serves no kind of %d", served+p.unserved, p.alike, p.written, p.different, p.invalid, p.unserved)
	p.compareRefused()
	if p.alike*10 < served*9 {
		t.Errorf("of %d cases only %d could be compared", served, p.alike)
	}
}

// unserved says why no API server of today serves a kind.
func unserved(apiVersion, kind string) string {
	group, _, _ := strings.Cut(apiVersion, "/")
	switch {
	case group == "merlon.dev":
		return "Merlon reads it on the machine"
	case strings.HasSuffix(group, ".config.k8s.io"), group == "audit.k8s.io":
		return "it is a file of a component"
	case group == "kubeadm.k8s.io", apiVersion == "v1" && kind == "Config":
		return "it is a file of a tool"
	}
	switch apiVersion + " " + kind {
	case "policy/v1beta1 PodSecurityPolicy":
		return "it was dropped in 1.25"
	case "policy/v1beta1 PodDisruptionBudget", "batch/v1beta1 CronJob", "extensions/v1beta1 Deployment", "extensions/v1beta1 Ingress", "extensions/v1beta1 NetworkPolicy",
		"admissionregistration.k8s.io/v1beta1 ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1beta1 MutatingWebhookConfiguration",
		"admissionregistration.k8s.io/v1beta1 ValidatingAdmissionPolicy", "admissionregistration.k8s.io/v1beta1 MutatingAdmissionPolicy",
		"admissionregistration.k8s.io/v1alpha1 ValidatingAdmissionPolicyBinding":
		return "a newer version of the API took its place"
	}
	return ""
}

// byWriting lists the cases whose verdict is about what a person wrote, which
// nobody can tell any more once the API server has filled in the rest.
func byWriting() map[string]string {
	const asked = "the user asked, by a setting, for what is written"
	const home = "the API server writes the namespace into every object"
	return map[string]string{
		"hygiene/autoscaler-minimum-too-low: nothing written, not judged where asked":                            asked,
		"hygiene/deprecated-service-account-field: both, and they differ":                                        "the API server writes both fields alike",
		"hygiene/deprecated-service-account-field: the old field":                                                "the API server writes both fields alike",
		"hygiene/lax-pull-policy: only what is written counts":                                                   asked,
		"hygiene/policy-without-selector: nothing selected":                                                      "an empty selector is what the API server makes of none",
		"hygiene/policy-without-selector: peers by address only":                                                 "an empty selector is what the API server makes of none",
		"hygiene/replicas-fight-autoscaler: both":                                                                "every object of a cluster has a number of replicas",
		"hygiene/unset-resources: no requests, where they are to be written":                                     asked,
		"namespace/default-namespace: a Service that names no namespace, beside its workload that does the same": home,
		"namespace/default-namespace: tools that add it later, where the user says so":                           home,
		"network/namespace-without-policies: workloads that name no namespace":                                   home,
		"rbac/default-service-account: only where written, when asked for":                                       asked,
		"workload/pinned-node: by name":                                                                          "the scheduler writes the node into every pod",
		"workload/service-account-token-mounted: only what is seen to be mounted, and nothing is":                asked,
	}
}

type parity struct {
	lab     *lab.Lab
	t       *testing.T
	lib     *control.Library
	types   *yamldoc.Types
	proto   *yamldoc.ProtobufReader
	json    yamldoc.JSONReader
	served  map[string]served
	refused []string // controls and verdicts, where no case could be compared

	alike, different, written, invalid, unserved int
}

// prepare makes the kinds that the cases need and Kubernetes does not have, and
// their namespaces.
func (p *parity) prepare(list []*control.Control) {
	p.served = discover(p.t, p.lab)
	namespaces, accounts := map[string]bool{}, map[string]bool{}
	var customs []string
	for _, c := range list {
		cases, err := c.Cases()
		if err != nil {
			p.t.Fatal(err)
		}
		for _, cs := range cases {
			for _, root := range cs.Objects {
				apiVersion, kind := root.At("apiVersion").Str(), root.At("kind").Str()
				ns := root.At("metadata", "namespace").Str()
				if ns != "" {
					namespaces[ns] = true
				} else {
					ns = "default"
				}
				accounts[ns+"/default"] = true // the controller makes it, too, but later
				for _, field := range []string{"serviceAccountName", "serviceAccount"} {
					if name := root.At("spec", field).Str(); name != "" {
						accounts[ns+"/"+name] = true
					}
				}
				group, version, ok := strings.Cut(apiVersion, "/")
				if _, known := p.served[apiVersion+" "+kind]; known || !ok || !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io") && !strings.Contains(group, "x-k8s") && !strings.Contains(group, "gateway") && !strings.Contains(group, "snapshot") && group != "policy.networking.k8s.io" {
					continue
				}
				if name := group + " " + version + " " + kind; !slices.Contains(customs, name) {
					customs = append(customs, name)
				}
			}
		}
	}
	p.lab.DefineAll(p.t, customs)
	for ns := range namespaces {
		p.lab.NamespaceOf(p.t, ns)
	}
	p.served = discover(p.t, p.lab)
	for account := range accounts {
		ns, name, _ := strings.Cut(account, "/")
		body := fmt.Sprintf(`{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":%q}}`, name)
		p.lab.Do(p.t, "POST", "/api/v1/namespaces/"+ns+"/serviceaccounts", "application/json", []byte(body))
	}
}

// serves reports whether the API server serves every kind of a case. Where it
// does not, there must be a reason.
func (p *parity) serves(c *control.Control, cs *control.Case) bool {
	for _, root := range cs.Objects {
		apiVersion, kind := root.At("apiVersion").Str(), root.At("kind").Str()
		if _, ok := p.served[apiVersion+" "+kind]; ok {
			continue
		}
		if unserved(apiVersion, kind) == "" && os.Getenv("MERLON_OLD_KUBERNETES") == "" {
			p.t.Errorf("%s:%d %s: the API server does not serve %s %s, and the test does not know why", c.File, cs.Line, cs.Name, apiVersion, kind)
		}
		p.unserved++
		return false
	}
	return true
}

// one judges a case as it is written and as the API server gives it back, and
// reports whether it takes it.
func (p *parity) one(c *control.Control, cs *control.Case) bool {
	name := fmt.Sprintf("%s: %s", c.ID, cs.Name)
	var written, returned []fact.Value
	for _, root := range cs.Objects {
		v, why := p.taken(root)
		if why != "" {
			root = p.completed(root)
			v, why = p.taken(root)
		}
		if why != "" {
			p.invalid++
			p.t.Logf("refused: %s: %s", name, why)
			return false
		}
		written, returned = append(written, root), append(returned, v)
	}
	file, live := p.judge(c, cs, written), p.judge(c, cs, returned)
	why, known := byWriting()[name]
	switch {
	case file == live && known:
		p.t.Errorf("%s is judged alike now: take it off the list", name)
	case file == live:
		p.alike++
	case known:
		p.written++
		p.t.Logf("judged by what is written: %s: %s", name, why)
	default:
		p.different++
		p.t.Errorf("%s:%d %s\n  file: %s\n  live: %s", c.File, cs.Line, cs.Name, file, live)
	}
	return true
}

// compareRefused holds the controls of which no case with some verdict could be
// compared, since the API server takes none, to the list of those: it grows by
// intent, not by accident.
func (p *parity) compareRefused() {
	const file = "testdata/refused.txt"
	slices.Sort(p.refused)
	got := strings.Join(p.refused, "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			p.t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		p.t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" && os.Getenv("MERLON_OLD_KUBERNETES") == "" {
		p.t.Errorf("controls of which the API server refuses every case of a verdict (-update writes the list anew):\n%s", diff)
	}
}

// completed adds what the API server insists on and a case may leave out.
func (p *parity) completed(root fact.Value) fact.Value {
	var o map[string]any
	if err := json.Unmarshal(yamldoc.JSON(root), &o); err != nil {
		p.t.Fatal(err)
	}
	part := func(in map[string]any, key string, otherwise any) map[string]any {
		if in[key] == nil {
			in[key] = otherwise
		}
		out, _ := in[key].(map[string]any)
		return out
	}
	spec := part(o, "spec", map[string]any{})
	template := spec
	switch root.At("kind").Str() {
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet":
		template = part(spec, "template", map[string]any{})
		labels := part(part(template, "metadata", map[string]any{}), "labels", map[string]any{"app": "app"})
		part(spec, "selector", map[string]any{"matchLabels": labels})
		template = part(template, "spec", map[string]any{})
	case "HorizontalPodAutoscaler":
		part(spec, "maxReplicas", 20)
	case "Pod":
	default:
		return root
	}
	containers, _ := template["containers"].([]any)
	for i, c := range containers {
		if c, ok := c.(map[string]any); ok {
			part(c, "name", fmt.Sprint("c", i))
			part(c, "image", "registry.example.com/app:1")
		}
	}
	if root.At("kind").Str() != "HorizontalPodAutoscaler" && containers == nil {
		template["containers"] = []any{map[string]any{"name": "app", "image": "registry.example.com/app:1"}}
	}
	text, err := json.Marshal(o)
	if err != nil {
		p.t.Fatal(err)
	}
	v, err := p.json.Object(text)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// taken has the API server take in an object and returns what it makes of it,
// or why it does not.
func (p *parity) taken(root fact.Value) (fact.Value, string) {
	apiVersion, kind := root.At("apiVersion").Str(), root.At("kind").Str()
	path := p.served[apiVersion+" "+kind].path
	if strings.Contains(path, "%s") {
		ns := root.At("metadata", "namespace").Str()
		if ns == "" {
			ns = "default"
		}
		path = fmt.Sprintf(path, ns)
	}
	accept := "application/json"
	if p.types.BuiltIn(apiVersion, kind) {
		accept = "application/vnd.kubernetes.protobuf"
	}
	code, contentType, body := p.lab.DryRun(p.t, http.MethodPost, path, accept, yamldoc.JSON(root))
	if code == http.StatusConflict { // it is there: the case's own namespace, a built-in role
		code, contentType, body = p.lab.DryRun(p.t, http.MethodPut, path+"/"+root.At("metadata", "name").Str(), accept, yamldoc.JSON(root))
	}
	if code != http.StatusCreated && code != http.StatusOK {
		var status struct{ Message string }
		_ = json.Unmarshal(body, &status)
		return fact.Value{}, fmt.Sprintf("%d %s", code, status.Message)
	}
	var v fact.Value
	var err error
	if strings.HasPrefix(contentType, "application/vnd.kubernetes.protobuf") {
		v, err = p.proto.Object(body, "", "")
	} else {
		v, err = p.json.Object(body)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return v, ""
}

// judge says what a control makes of objects: each verdict with its subject.
func (p *parity) judge(c *control.Control, cs *control.Case, roots []fact.Value) string {
	minor := assess.NewestMinor()
	if _, m, ok := strings.Cut(cs.Kubernetes, "."); ok {
		if _, err := fmt.Sscan(m, &minor); err != nil {
			p.t.Fatal(err)
		}
	}
	var changes []fact.Change
	for i, root := range roots {
		if o, ok := fact.NewObject(root, fact.Origin{Source: "case", Doc: i}); ok {
			changes = append(changes, fact.Change{Op: fact.Upsert, Object: &o})
		}
	}
	counts := map[finding.Verdict]int{}
	e := assess.New(p.lib, []*control.Control{c}, assess.Options{Minor: minor, Params: map[string]map[string]any{c.ID: cs.Params}, Workers: 1,
		Observe: func(_ *control.Control, _ control.Subject, v finding.Verdict) { counts[v]++ }})
	a, err := e.Assess((&fact.Snapshot{}).Apply(changes...))
	if err != nil {
		p.t.Fatal(err)
	}
	verdict := finding.Pass
	for _, v := range []finding.Verdict{finding.Unknown, finding.Fail} {
		if counts[v] > 0 {
			verdict = v
		}
	}
	text := []string{string(verdict)}
	for _, f := range a.Report(nil, nil).Findings {
		name := f.Subject.Name
		for _, o := range roots { // a generated name is new each time
			if meta := o.At("metadata"); meta.At("name").Str() == name && meta.At("generateName").Str() != "" {
				name = meta.At("generateName").Str()
			}
		}
		text = append(text, fmt.Sprintf("%s %s/%s %s", f.Verdict, f.Subject.Kind, name, f.Subject.Container))
	}
	slices.Sort(text[1:])
	return strings.Join(text, "; ")
}
