package cli

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/framework"
)

// Every control can be explained, out of its own cases; no two share a former
// id; and what they say of a framework that ships, it has.
func TestEveryControl(t *testing.T) {
	list, errs := loadControls(nil)
	for _, err := range errs {
		t.Error(err)
	}
	standards, err := loadFrameworks(nil)
	if err != nil {
		t.Fatal(err)
	}
	former := map[string]string{}
	for _, c := range list {
		var out bytes.Buffer
		if err := (&lesson{w: &out}).control(c); err != nil {
			t.Errorf("%s: %v", c.ID, err)
		}
		for _, part := range []string{"The attack", "An example that fails", "Its twin that passes", "The fix", "Looked at", "To accept it"} {
			if !strings.Contains(out.String(), "\n"+part) {
				t.Errorf("%s: the explanation has no part %q", c.ID, part)
			}
		}
		for _, a := range c.Aliases {
			if former[a] != "" {
				t.Errorf("%s and %s were both named %s", former[a], c.ID, a)
			}
			former[a] = c.ID
		}
		for _, f := range standards {
			for _, item := range c.Maps[f.Name].Items {
				if !slices.ContainsFunc(f.Items, func(it framework.Item) bool { return it.ID == item }) {
					t.Errorf("%s names item %s, which %s does not have", c.ID, item, f.Name)
				}
			}
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"scan", "explain", "controls", "workload/privileged-container", "workload/host-path-volume", "rbac/wildcard-in-rule"}
	for _, c := range []struct {
		name string
		want []string
	}{
		{"scna", []string{"scan"}},
		{"explian", []string{"explain"}},
		{"privilegd-container", []string{"workload/privileged-container"}},
		{"host-path", []string{"workload/host-path-volume"}},
		{"workload/privileged-containers", []string{"workload/privileged-container"}},
		{"something else entirely", nil},
		{"", nil},
	} {
		if got := nearest(c.name, known); !slices.Equal(got, c.want) {
			t.Errorf("nearest(%q) = %q, want %q", c.name, got, c.want)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"scan", "scan", 0}, {"scna", "scan", 2}, {"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("distance(%q, %q) = %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
