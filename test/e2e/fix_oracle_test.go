package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/remedy"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// TestRealManifestsAreFixed holds the same over manifests that others wrote to be
// attacked, where they are.
func TestRealManifestsAreFixed(t *testing.T) {
	if raced {
		t.Skip("held without the race detector: it runs the same commands as others, one after the other")
	}
	patched := map[string]bool{}
	for _, c := range shipped(t) {
		patched[c.ID] = c.Mends() && !c.Hygiene()
	}
	x := newFixer(t, false)
	for _, name := range []string{"badpods", "kubernetes-goat"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "oracles", name+".jsonl"))
		if err != nil {
			t.Logf("%s is not here", name)
			continue
		}
		wanted, fixed, asked := 0, 0, 0
		for line := range bytes.Lines(data) {
			var c struct {
				ID    string
				Input json.RawMessage
			}
			if err := json.Unmarshal(line, &c); err != nil {
				t.Fatal(err)
			}
			many, one := map[string]string{}, ""
			if json.Unmarshal(c.Input, &many) != nil && json.Unmarshal(c.Input, &one) == nil {
				many["app.yaml"] = one
			}
			for file, text := range many {
				if !holdsObjects(text) {
					continue // of a chart
				}
				t.Run(name+"/"+c.ID+"/"+file, func(t *testing.T) {
					files := map[string][]byte{file: []byte(text)}
					x.amend = nil
					before := map[string]bool{}
					for _, f := range scan(t, x.engine, files) {
						before[f.ID] = true
					}
					plan := x.plan(t, files, func(f *finding.Finding) bool { return patched[f.Control] })
					for _, l := range plan.Left {
						if l.Kind != remedy.Question {
							t.Errorf("%s: %s: %v", l.Finding.Control, l.Kind, l.Why)
						}
					}
					wanted, fixed, asked = wanted+len(plan.Fixes)+len(plan.Left), fixed+len(plan.Fixes), asked+len(plan.Left)
					if len(plan.Files) == 0 {
						return
					}
					onlyMeant(t, []byte(text), plan)
					x.amend = nil
					left := map[string]bool{}
					for _, l := range plan.Left {
						left[l.Finding.ID] = true
					}
					for _, f := range scan(t, x.engine, map[string][]byte{file: plan.Files[0].After}) {
						if !before[f.ID] || patched[f.Control] && !left[f.ID] {
							t.Errorf("after the fix: %s %s", f.Control, f.Message)
						}
					}
				})
			}
		}
		t.Logf("%s: of %d findings with a patch %d fixed, %d asked", name, wanted, fixed, asked)
	}
}

// holdsObjects reports whether a text is nothing but Kubernetes objects.
func holdsObjects(text string) bool {
	docs := yamldoc.NewReader(strings.NewReader(text), "", yamldoc.Limits{})
	n := 0
	for {
		doc, err := docs.Next()
		if err == io.EOF {
			return n > 0
		}
		if err != nil || doc.Root.At("apiVersion").Str() == "" || doc.Root.At("kind").Str() == "" {
			return false
		}
		n++
	}
}
