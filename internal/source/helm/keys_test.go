package helm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/sandbox"
	"github.com/merlon-security/merlon/internal/source"
)

// revisable renders the chart of a file of charts, and returns it to be asked.
func revisable(t *testing.T, file, values string) source.Revisable {
	t.Helper()
	dir := unpack(t, file)
	if values != "" {
		write(t, dir+"/web/values.yaml", values)
	}
	survey, err := source.NewSurvey(context.Background(), []string{dir}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(survey.Close)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var charts []source.Revisable
	s := &Source{Input: source.Input{Survey: survey, Rendering: source.Rendering{
		Minor: 36, Runner: &sandbox.Runner{Self: []string{exe}, Limits: sandbox.Limits{CPU: 2 * time.Second, Memory: 256 << 20}}, Charts: func(c source.Revisable) { charts = append(charts, c) },
	}}}
	if err := s.Collect(context.Background(), func(c fact.Change) error {
		if c.Op == fact.GapOpened {
			t.Errorf("gap: %+v", c.Gap)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(charts) != 1 {
		t.Fatalf("%d charts", len(charts))
	}
	return charts[0]
}

// Where keys of the values come out is found, whatever way the templates take,
// and what does not bear another key is left out.
func TestKeys(t *testing.T) {
	keys, err := revisable(t, "keys.txtar", "").Keys(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range keys {
		line := strings.Join(k.Path, ".") + " " + k.Kind.String()
		for _, o := range k.Outlets {
			line += fmt.Sprintf(" > %s/%s %s", o.Ref.Kind, o.Ref.Name, fact.PathText(o.Path))
		}
		got = append(got, line)
	}
	slices.Sort(got)
	want := []string{
		"count integer",
		"hostNetwork boolean",
		"placement map",
		"placement.nodes absent > Pod/web spec.nodeSelector",
		"pod map",
		"pod.annotations absent > Pod/web metadata.annotations",
		"pod.securityContext map > Pod/web spec.securityContext",
		"pod.securityContext.fsGroup integer",
		"securityContext map > Pod/web spec.containers[0].securityContext",
		"sidecars map",
		"sidecars.logger map",
		"sidecars.logger.image string",
		"sidecars.logger.port integer",
		"sub map",
		"sub.global map",
		"sub.securityContext map > Pod/sub spec.containers[0].securityContext",
		"sub.securityContext.privileged boolean",
		"tolerations absent > Pod/web spec.tolerations",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// A chart is rendered anew with values over its own, and what is not seen then is
// an error.
func TestRenderAnew(t *testing.T) {
	chart := revisable(t, "keys.txtar", "")
	for _, c := range []struct{ values, want string }{
		{"hostNetwork: false\nsecurityContext: {privileged: false}\n", "false false"},
		{"count: 3\n", "true false"},
		{"pod: null\n", "error"},
		{"sidecars: {broken: {image: [}\n", "error"},
		{"securityContext: {a: b, a: c}\n", "error"},
	} {
		got := "error"
		objects, err := chart.Render(context.Background(), []byte(c.values))
		for _, o := range objects {
			if err == nil && o.Name == "web" {
				spec := o.Root.At("spec")
				got = fmt.Sprint(spec.At("hostNetwork").Bool(), " ", spec.At("containers").Index(0).At("securityContext", "privileged").Bool())
			}
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s (%v)", c.values, got, c.want, err)
		}
	}
}

// A chart that is fine by itself and runs into a limit with other values ends
// with the child's failure, so that nobody tries on.
func TestRenderAnewIsBounded(t *testing.T) {
	chart := revisable(t, "loop.txtar", "")
	_, err := chart.Render(context.Background(), []byte("count: 100000000000\n"))
	var failure *sandbox.Failure
	if !errors.As(err, &failure) || failure.Kind != sandbox.TimeLimit && failure.Kind != sandbox.MemoryLimit {
		t.Errorf("got %v, want a limit", err)
	}
	if objects, err := chart.Render(context.Background(), []byte("count: 2\n")); err != nil || len(objects) != 1 {
		t.Errorf("got %d objects, %v", len(objects), err)
	}
}
