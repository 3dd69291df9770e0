package frameworks

import (
	"regexp"
	"slices"
	"testing"

	"github.com/merlon-security/merlon/controls"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/finding"
)

// TestControlsAreWhole holds what every control that ships must have, and that
// it answers items which the standards have.
func TestControlsAreWhole(t *testing.T) {
	list, err := control.Load(controls.FS, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 100 {
		t.Fatalf("only %d controls", len(list))
	}
	standards := load(t)
	name := regexp.MustCompile(`^[a-z0-9-]+/[a-z0-9-]+$`)
	titles := map[string]string{}
	for _, c := range list {
		if !name.MatchString(c.ID) {
			t.Errorf("%s: a name is made of lower-case letters, digits and dashes", c.File)
		}
		if c.Price == "" || c.Since == "" {
			t.Errorf("%s: price and since are needed", c.File)
		}
		if other := titles[c.Title]; other != "" {
			t.Errorf("%s: has the title of %s", c.File, other)
		}
		titles[c.Title] = c.File
		cases, err := c.Cases()
		if err != nil {
			t.Error(err)
		}
		for _, v := range []finding.Verdict{finding.Pass, finding.Fail} {
			if !slices.ContainsFunc(cases, func(x control.Case) bool { return x.Verdict == v }) {
				t.Errorf("%s: no case has verdict %s", c.File, v)
			}
		}
		for framework, mapping := range c.Maps {
			standard, ok := standards[framework]
			if !ok {
				continue // one whose items come later
			}
			for _, id := range mapping.Items {
				if !slices.ContainsFunc(standard.Items, func(it item) bool { return it.ID == id }) {
					t.Errorf("%s: %s has no item %s", c.File, framework, id)
				}
			}
		}
	}
	for file, f := range standards {
		for _, it := range f.Items {
			for _, id := range it.Controls {
				if !slices.ContainsFunc(list, func(c *control.Control) bool { return c.ID == id }) {
					t.Errorf("%s: item %s is answered by %s, which is no control", file, it.ID, id)
				}
			}
		}
	}
}

// TestProseOfControlsIsOurs holds that what controls say is not the wording of
// the standards.
func TestProseOfControlsIsOurs(t *testing.T) {
	dir := reference(t)
	if dir == "" {
		return
	}
	const length = 6
	foreign := foreignRuns(t, dir, length)
	list, err := control.Load(controls.FS, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range list {
		for _, text := range []string{c.Title, c.Why, c.Fix, c.Price, c.Message} {
			for _, run := range runs(text, length) {
				if from, ok := foreign[run]; ok {
					t.Errorf("%s shares %q with %q", c.File, run, from)
				}
			}
		}
	}
}
