package fact

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestWorkloadKinds holds the list to the tables that tell where pods lie.
func TestWorkloadKinds(t *testing.T) {
	source, err := os.ReadFile("kinds.go")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, name := range []string{"func podPaths", "func manyPods"} {
		_, text, ok := strings.Cut(string(source), name)
		if !ok {
			t.Fatal(name)
		}
		text, _, _ = strings.Cut(text, "\n}\n")
		for _, c := range regexp.MustCompile(`"([a-z.0-9-]*/[A-Z][A-Za-z]+)"`).FindAllStringSubmatch(text, -1) {
			want = append(want, strings.TrimPrefix(c[1], "/"))
		}
	}
	got := WorkloadKinds()
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}
