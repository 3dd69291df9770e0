package kustomize

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/sandbox"
	"github.com/merlon-security/merlon/internal/source"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// TestMain lets the test binary be the child that builds.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sandbox.Command {
		if err := sandbox.Serve(os.Args[2:], os.Stdin, os.Stdout, map[string]sandbox.Job{Name: Build}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func unpack(t *testing.T, name string) string {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range a.Files {
		file := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func collect(t *testing.T, survey *source.Survey) (objects []*fact.Object, gaps []fact.Gap) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &Source{Input: source.Input{Survey: survey, Rendering: source.Rendering{Runner: &sandbox.Runner{
		Self: []string{exe}, Limits: sandbox.Limits{CPU: 5 * time.Second, Memory: 512 << 20},
	}}}}
	err = s.Collect(context.Background(), func(c fact.Change) error {
		switch c.Op {
		case fact.Upsert:
			objects = append(objects, c.Object)
		case fact.GapOpened:
			gaps = append(gaps, c.Gap)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return objects, gaps
}

func survey(t *testing.T, dir string) *source.Survey {
	t.Helper()
	s, err := source.NewSurvey(context.Background(), []string{dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func TestOverlays(t *testing.T) {
	dir := unpack(t, "overlays.txtar")
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "link/hostname")); err != nil {
		t.Fatal(err)
	}
	s := survey(t, dir)
	objects, gaps := collect(t, s)
	var told []string
	for _, g := range gaps {
		place, _ := strings.CutPrefix(g.File, filepath.ToSlash(dir)+"/")
		told = append(told, fmt.Sprintf("%s:%d %s", place, g.Pos.Line, g.Kind))
		t.Logf("%s:%d %s: %s", place, g.Pos.Line, g.Kind, g.Message)
	}
	want := []string{
		"below/base/kustomization.yaml:1 refused",
		"bomb/kustomization.yaml:0 render-failed",
		"charts/kustomization.yaml:1 refused",
		"container/kustomization.yaml:2 refused",
		"exec/kustomization.yaml:1 refused",
		"git/kustomization.yaml:2 refused",
		"inflator/kustomization.yaml:1 refused",
		"link/kustomization.yaml:0 render-failed",
		"loop/top/kustomization.yaml:0 render-failed",
		"out/kustomization.yaml:1 refused",
		"patchurl/kustomization.yaml:3 refused",
		"read/kustomization.yaml:0 render-failed",
		"remote/kustomization.yaml:3 refused",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	var got []string
	for _, o := range objects {
		world, _ := strings.CutPrefix(o.Origin.World, filepath.ToSlash(dir)+"/")
		got = append(got, world+" "+o.Kind+" "+strings.Split(o.Name, "-m")[0])
	}
	if diff := cmp.Diff([]string{"good/dev Deployment web", "good/prod Deployment prod-web", "good/prod ConfigMap prod-settings"}, trim(got)); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	// What was not used stays for others, as does what an overlay that was refused lists.
	tree := s.Trees[0]
	for name, claimed := range map[string]bool{
		"good/base/web.yaml": true, "good/prod/privileged.yaml": true, "good/base/kustomization.yaml": true,
		"remote/plain.yaml": false, "flux/kustomization.yaml": false,
	} {
		if tree.Claimed(name) != claimed {
			t.Errorf("%s: claimed %v, want %v", name, tree.Claimed(name), claimed)
		}
	}
}

// trim cuts the hash that Kustomize puts behind the name of what it generates.
func trim(names []string) []string {
	for i, n := range names {
		if at := strings.Index(n, "prod-settings-"); at >= 0 {
			names[i] = n[:at+len("prod-settings")]
		}
	}
	return names
}

// A line is told where a file has what the output says, and nowhere else.
func TestTrace(t *testing.T) {
	dir := unpack(t, "overlays.txtar")
	objects, _ := collect(t, survey(t, dir))
	for _, o := range objects {
		if o.Name != "prod-web" {
			continue
		}
		spec := o.Root.At("spec", "template", "spec")
		container := spec.At("containers").Index(0)
		for _, c := range []struct {
			v    fact.Value
			want string
		}{
			{spec.At("hostPID"), "good/base/web.yaml:8"},
			{container.At("image"), "good/base/web.yaml:11"},
			{container.At("securityContext", "privileged"), "good/prod/privileged.yaml:10"},
			{o.Root.At("metadata", "name"), "good/base/web.yaml:0"},
			{o.Root.At("metadata", "labels", "team"), "good/base/web.yaml:0"},
		} {
			w, line := o.At(c.v)
			place, _ := strings.CutPrefix(w.File, filepath.ToSlash(dir)+"/")
			if got := fmt.Sprintf("%s:%d", place, w.Pos.Line); got != c.want || line != c.v.Pos().Line {
				t.Errorf("%s: got %s (rendered line %d), want %s", c.v.Path(), got, line, c.want)
			}
		}
		if k := o.Rendering.Known; k.Name != "web" || k.Namespace != "default" {
			t.Errorf("known as %v", k)
		}
		return
	}
	t.Fatal("prod-web was not built")
}

// Overlays of others, brought by hand: MERLON_OVERLAYS=FOLDER. What comes out is
// what Kustomize itself builds from the disk, and every line that is told has in
// its file the key that the output has.
func TestOverlaysOfOthers(t *testing.T) {
	dir := os.Getenv("MERLON_OVERLAYS")
	if dir == "" {
		dir = unpack(t, "overlays.txtar")
	}
	objects, gaps := collect(t, survey(t, dir))
	for _, g := range gaps {
		t.Logf("%s:%d %s: %s", g.File, g.Pos.Line, g.Kind, g.Message)
	}
	got := map[string]map[string]int{}
	files := map[string][]string{}
	lines := 0
	for _, o := range objects {
		if got[o.Origin.World] == nil {
			got[o.Origin.World] = map[string]int{}
		}
		got[o.Origin.World][signature(o.Root)]++
		lines += holdLines(t, o, files)
	}
	for world := range got {
		m, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), world)
		if err != nil {
			t.Errorf("%s: %v", world, err)
			continue
		}
		text, err := m.AsYaml()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int{}
		d := source.Decoder{Emit: func(c fact.Change) error {
			if c.Op == fact.Upsert {
				want[signature(c.Object.Root)]++
			}
			return nil
		}}
		if _, _, err := d.Decode(context.Background(), bytes.NewReader(text), fact.Origin{}, nil); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got[world]); diff != "" {
			t.Errorf("%s (-Kustomize +Merlon):\n%s", world, diff)
		}
	}
	if len(got) == 0 || lines == 0 {
		t.Fatalf("%d overlays and %d lines compared", len(got), lines)
	}
	t.Logf("%d overlays, %d lines compared, %d gaps", len(got), lines, len(gaps))
}

func signature(root fact.Value) string {
	return fmt.Sprintf("%s %s %x", root.At("kind").Str(), root.At("metadata", "name").Str(), root.Hash())
}

// holdLines checks every place that is told of an object.
func holdLines(t *testing.T, o *fact.Object, files map[string][]string) int {
	t.Helper()
	n := 0
	for v, w := range o.Rendering.Values {
		if v.Key() == (fact.Key{}) {
			continue
		}
		text, ok := files[w.File]
		if !ok {
			data, err := os.ReadFile(w.File)
			if err != nil {
				t.Fatalf("a place in no file: %v", err)
			}
			text = strings.Split(string(data), "\n")
			files[w.File] = text
		}
		n++
		if at := text[w.Pos.Line-1]; !strings.Contains(at, v.Key().String()) {
			t.Errorf("%s: %s is told as %s:%d, which says %q", o.Name, v.Path(), w.File, w.Pos.Line, at)
		}
	}
	return n
}
