package dockerfile

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
)

const example = "# syntax=docker/dockerfile:1\nARG VERSION=1.26\nFROM golang:${VERSION} AS build\nENV A=b C=\"d e\" \\\n    # in between\n    F=g\nENV OLD form of it\nRUN <<EOF\nUSER nobody\nEOF\nUSER app\nFROM build as test\nRUN true\nFROM scratch\nCOPY --from=build /a /a\n"

func TestParse(t *testing.T) {
	got, err := parse(example)
	if err != nil {
		t.Fatal(err)
	}
	want := []instruction{
		{name: "ARG", text: "VERSION=1.26", line: 2},
		{name: "FROM", text: "golang:${VERSION} AS build", line: 3},
		{name: "ENV", text: "A=b C=\"d e\"      F=g", line: 4},
		{name: "ENV", text: "OLD form of it", line: 7},
		{name: "RUN", text: "<<EOF\nUSER nobody", line: 8},
		{name: "USER", text: "app", line: 11},
		{name: "FROM", text: "build as test", line: 12},
		{name: "RUN", text: "true", line: 13},
		{name: "FROM", text: "scratch", line: 14},
		{name: "COPY", flags: []string{"--from=build"}, text: "/a /a", line: 15},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(instruction{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]pair{{"A", "b"}, {"C", "d e"}, {"F", "g"}}, pairs(want[2].text), cmp.AllowUnexported(pair{})); diff != "" {
		t.Errorf("pairs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]pair{{"OLD", "form of it"}}, pairs(want[3].text), cmp.AllowUnexported(pair{})); diff != "" {
		t.Errorf("pairs (-want +got):\n%s", diff)
	}
	if _, err := parse("FROM a\nnonsense here\n"); err == nil || err.Error() != "line 2: no instruction of a Dockerfile begins it" {
		t.Errorf("nonsense: %v", err)
	}
}

func TestCollect(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"Dockerfile": example, "api.Containerfile": "FROM alpine", "Dockerfile.broken": "no", "Dockerfile.dockerignore": "x"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	s := &Source{Input: source.Input{Paths: []string{dir}}}
	err := s.Collect(context.Background(), func(c fact.Change) error {
		switch {
		case c.Op == fact.GapOpened:
			got = append(got, filepath.Base(c.Gap.File)+" "+c.Gap.Kind)
		case c.Op == fact.Upsert:
			x := c.Object.Name
			for st := range c.Object.Root.At("stages").Children() {
				x += " [" + st.At("name").Str() + " " + st.At("image").Str() + " " + st.At("external").Text() + " " + st.At("user").Str() + "]"
			}
			got = append(got, x)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Dockerfile [build golang:1.26 true app] [test build false app] [2 scratch false ]",
		"Dockerfile.broken invalid-dockerfile",
		"api.Containerfile [0 alpine true ]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parse(text)
		if err == nil && len(list) > 0 {
			object("x", list)
		}
	})
}
