package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// TestPlaces writes the objects of every failing case to a file and holds that
// line and column of each finding are those of the last field of its evidence
// that is present.
func TestPlaces(t *testing.T) {
	lib := control.NewLibrary()
	checked, placeless := 0, 0
	for _, c := range shipped(t) {
		cases, err := c.Cases()
		if err != nil {
			t.Fatal(err)
		}
		for i := range cases {
			cs := &cases[i]
			if cs.Verdict != finding.Fail {
				continue
			}
			var file bytes.Buffer
			for _, root := range cs.Objects {
				file.WriteString("---\n" + string(yamldoc.YAML(root)))
			}
			lines := strings.Split(file.String(), "\n")
			e := assess.New(lib, []*control.Control{c}, assess.Options{Minor: assess.NewestMinor(), Workers: 1, Params: map[string]map[string]any{c.ID: cs.Params}})
			for _, f := range scan(t, e, map[string][]byte{"case.yaml": file.Bytes()}) {
				if f.Verdict != finding.Fail || c.Scope.Each == control.EachNamespace || c.Scope.Each == control.EachInput {
					continue
				}
				l := f.Location
				if l.Line == 0 || l.Column == 0 || int(l.Line) > len(lines) || int(l.Column) > len(lines[l.Line-1]) {
					placeless++
					t.Errorf("%s: %s: place %+v is none", c.File, cs.Name, l)
					continue
				}
				if len(f.Evidence) == 0 {
					continue
				}
				checked++
				rest := lines[l.Line-1][l.Column-1:]
				if !begins(rest, f.Evidence[0].Path, f.Evidence[0].Value == "(not set)") {
					t.Errorf("%s: %s: %s = %s is placed at %q", c.File, cs.Name, f.Evidence[0].Path, f.Evidence[0].Value, rest)
				}
			}
		}
	}
	t.Logf("%d places, %d without one", checked, placeless)
}

// begins reports whether a line from the column on begins with the last field of
// the path; for one that is missing, with the nearest that is there.
func begins(rest, path string, missing bool) bool {
	steps := stepsOf(path)
	for i := len(steps) - 1; i >= 0; i-- {
		step := steps[i]
		if step == "serviceAccountName" {
			step = "serviceAccount" // the deprecated field is read as the present one
			rest = strings.Replace(rest, "serviceAccountName:", "serviceAccount:", 1)
		}
		for _, form := range []string{step + ":", fmt.Sprintf("%q:", step), "'" + step + "':", "? " + step} {
			if strings.HasPrefix(rest, form) {
				return true
			}
		}
		path = strings.TrimSuffix(path, "."+step)
		if strings.HasSuffix(path, "]") {
			return true // an element: it begins with any field of it
		}
		if !missing {
			return false
		}
	}
	return true // the document itself
}
