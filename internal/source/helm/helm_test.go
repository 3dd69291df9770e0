package helm

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/sandbox"
	"github.com/merlon-security/merlon/internal/source"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
)

// Lines of the output are told where they were written, or not at all.
func TestTrace(t *testing.T) {
	dir := unpack(t, "trace.txtar")
	objects, gaps := collect(t, dir, nil)
	for _, g := range gaps {
		t.Errorf("gap: %+v", g)
	}
	by := map[string]*fact.Object{}
	for _, o := range objects {
		by[o.Kind+" "+o.Name] = o
	}
	for _, c := range []struct{ object, field, want string }{
		{"Deployment release-name-web", "spec.template.spec.hostPID", "web/templates/deployment.yaml:11"},
		{"Deployment release-name-web", "spec.template.spec.containers.0.image", "web/templates/deployment.yaml:15"},
		{"Deployment release-name-web", "spec.template.spec.containers.0.name", "web/templates/deployment.yaml:14 name"},
		{"Deployment release-name-web", "spec.replicas", "web/templates/deployment.yaml:8 replicas"},
		{"Deployment release-name-web", "spec.template.spec.containers.0.securityContext.privileged", "web/templates/deployment.yaml:17 securityContext"},
		{"Deployment release-name-web", "spec.template.spec.containers.0.resources.limits.memory", "web/templates/deployment.yaml:19"},
		{"Deployment release-name-web", "metadata.labels.team", "web/templates/deployment.yaml:6"},
		{"Deployment release-name-web", "metadata.annotations.sum", "web/templates/deployment.yaml:0"}, // the sum is another with marks
		{"ConfigMap cache-settings", "data.mode", "web/charts/cache/templates/settings.yaml:6 store.mode"},
		{"ConfigMap cache-settings", "data.zone", "web/charts/cache/templates/settings.yaml:7 global.zone"},
		{"CustomResourceDefinition things.example.com", "spec.group", "web/crds/things.yaml:4"},
		{"Pod test", "metadata.name", "web/templates/tests/test.yaml:4"},
	} {
		o := by[c.object]
		if o == nil {
			t.Errorf("%s was not rendered", c.object)
			continue
		}
		v := o.Root
		for _, name := range strings.Split(c.field, ".") {
			if name == "0" {
				v = v.Index(0)
			} else {
				v = v.At(name)
			}
		}
		w, line := o.At(v)
		place, _ := strings.CutPrefix(w.File, filepath.ToSlash(dir)+"/")
		if got := strings.TrimSpace(fmt.Sprintf("%s:%d %s", place, w.Pos.Line, w.Values)); got != c.want || line == 0 {
			t.Errorf("%s %s: got %s (rendered line %d), want %s", c.object, c.field, got, line, c.want)
		}
	}
}

func TestValues(t *testing.T) {
	dir := unpack(t, "trace.txtar")
	write(t, filepath.Join(dir, "one.yaml"), "name: one\nreplicas: 1\n")
	write(t, filepath.Join(dir, "two.yaml"), "replicas: 2\n")
	objects, _ := collect(t, filepath.Join(dir, "web"), func(r *source.Rendering) {
		r.Values, r.Set, r.Release = []string{filepath.Join(dir, "one.yaml"), filepath.Join(dir, "two.yaml")}, []string{"name=set"}, "shop"
	})
	for _, o := range objects {
		if o.Kind == "Deployment" {
			got := fmt.Sprint(o.Name, " ", o.Root.At("spec", "replicas").Int(), " ", o.Root.At("spec", "template", "spec", "containers").Index(0).At("name").Str())
			if got != "shop-web 2 set" {
				t.Errorf("got %s", got)
			}
			return
		}
	}
	t.Fatal("no Deployment")
}

// Charts of others, brought by hand: MERLON_CHARTS=FOLDER. What comes out is what
// Helm's own loader and engine give for the same chart, and every line that is
// told has in the template what the output has.
func TestCharts(t *testing.T) {
	dir := os.Getenv("MERLON_CHARTS")
	if dir == "" {
		dir = unpack(t, "trace.txtar")
	}
	s, err := source.NewSurvey(context.Background(), []string{dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]int{}
	files := map[string][]string{}
	gaps := map[string]bool{}
	lines := 0
	src := &Source{Input: source.Input{Survey: s, Rendering: source.Rendering{Minor: 36, Runner: &sandbox.Runner{Self: []string{exe}, Limits: sandbox.Limits{Time: 5 * time.Minute}}}}}
	err = src.Collect(context.Background(), func(c fact.Change) error {
		switch c.Op {
		case fact.GapOpened:
			gaps[c.Gap.File] = true
			t.Logf("%s:%d %s: %s", c.Gap.File, c.Gap.Pos.Line, c.Gap.Kind, c.Gap.Message)
		case fact.Upsert:
			o := c.Object
			if got[o.Origin.World] == nil {
				got[o.Origin.World] = map[string]int{}
			}
			got[o.Origin.World][signature(o.Root)]++
			lines += holdLines(t, o, files)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	charts := 0
	for _, tree := range s.Trees {
		for _, item := range tree.Items {
			world := tree.Place(item.Name)
			if item.Kind != source.Chart || got[world] == nil {
				continue
			}
			charts++
			if diff := cmp.Diff(reference(t, world), got[world]); diff != "" {
				t.Errorf("%s (-Helm +Merlon):\n%s", world, diff)
			}
		}
	}
	if charts == 0 || lines == 0 {
		t.Fatalf("%d charts and %d lines compared", charts, lines)
	}
	t.Logf("%d charts, %d lines compared, %d places with gaps", charts, lines, len(gaps))
}

func signature(root fact.Value) string {
	return fmt.Sprintf("%s %s %x", root.At("kind").Str(), root.At("metadata", "name").Str(), root.Hash())
}

// reference renders a chart with nothing but Helm.
func reference(t *testing.T, dir string) map[string]int {
	t.Helper()
	c, err := loader.LoadDir(dir)
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	if err := chartutil.ProcessDependencies(c, map[string]any{}); err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	caps := common.DefaultCapabilities.Copy()
	kv, err := common.ParseKubeVersion("v1.36.0")
	if err != nil {
		t.Fatal(err)
	}
	caps.KubeVersion = *kv
	values, err := util.ToRenderValues(c, map[string]any{}, common.ReleaseOptions{Name: "release-name", Namespace: "default", Revision: 1, IsInstall: true}, caps)
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	out, err := engine.Engine{CustomTemplateFuncs: predictable()}.RenderWithContext(t.Context(), c, values)
	if err != nil {
		t.Fatalf("%s: %v", dir, err)
	}
	got := map[string]int{}
	d := source.Decoder{Emit: func(c fact.Change) error {
		if c.Op == fact.Upsert {
			got[signature(c.Object.Root)]++
		}
		return nil
	}}
	for _, crd := range c.CRDObjects() {
		out["crds/"+crd.Name] = string(crd.File.Data)
	}
	for _, name := range slices.Sorted(maps.Keys(out)) {
		if path.Base(name) == "NOTES.txt" {
			continue
		}
		if _, _, err := d.Decode(context.Background(), strings.NewReader(out[name]), fact.Origin{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// holdLines checks every place that is told of an object: what a template says
// before its first action is what the output's line begins with, by its key.
func holdLines(t *testing.T, o *fact.Object, files map[string][]string) int {
	n := 0
	var visit func(v fact.Value)
	visit = func(v fact.Value) {
		for c := range v.Children() {
			visit(c)
		}
		w, line := o.At(v)
		if w.Pos.Line == 0 || strings.HasSuffix(w.File, ".tgz") || v.Key() == (fact.Key{}) {
			return
		}
		text, ok := files[w.File]
		if !ok {
			data, err := os.ReadFile(w.File)
			if err != nil {
				t.Fatalf("%s: a place in no file: %v", w.File, err)
			}
			text = strings.Split(string(data), "\n")
			files[w.File] = text
		}
		if int(w.Pos.Line) > len(text) {
			t.Fatalf("%s:%d is no line", w.File, w.Pos.Line)
		}
		n++
		at := text[w.Pos.Line-1]
		if !strings.Contains(at, "{{") && !strings.Contains(at, v.Key().String()) {
			t.Errorf("%s: %s at line %d of the output is told as %s:%d, which says %q", o.Name, v.Path(), line, w.File, w.Pos.Line, at)
		}
	}
	visit(o.Root)
	return n
}
