package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/merlon-security/merlon/controls"
	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/merlon-security/merlon/internal/yamldoc"
	"go.yaml.in/yaml/v3"
)

// shipped returns every control that a scan runs: those of the family rights,
// which merlon rbac risky runs, tell of subjects and have their own cases.
func shipped(t testing.TB) []*control.Control {
	t.Helper()
	list, err := loadShipped()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var loadShipped = sync.OnceValues(func() ([]*control.Control, error) {
	list, err := control.Load(controls.FS, true)
	return slices.DeleteFunc(list, func(c *control.Control) bool { return c.Rights() }), err
})

// everything is an engine with every control, as `scan --all` has it, shared by
// the tests of this package.
func everything(t testing.TB) *assess.Engine {
	t.Helper()
	shipped(t)
	return everythingOnce()
}

var everythingOnce = sync.OnceValue(func() *assess.Engine {
	list, err := loadShipped()
	if err != nil {
		panic(err)
	}
	list, _ = control.Filed(list)
	return assess.New(control.NewLibrary(), list, assess.Options{Minor: assess.NewestMinor(), Workers: 1})
})

// enforcing is an engine in which the controls that are off until a site asks
// for them are on too.
func enforcing(t testing.TB) *assess.Engine {
	t.Helper()
	params := map[string]map[string]any{}
	for _, c := range shipped(t) {
		if _, ok := c.Params["enforce"]; ok && c.ID != "hygiene/unsorted-keys" {
			params[c.ID] = map[string]any{"enforce": true}
		}
	}
	list, _ := control.Filed(shipped(t))
	return assess.New(control.NewLibrary(), list, assess.Options{Minor: assess.NewestMinor(), Workers: 1, Params: params})
}

// scan assesses documents, by file name, as `merlon scan --all` does.
func scan(t testing.TB, e *assess.Engine, files map[string][]byte) []finding.Finding {
	t.Helper()
	r, err := e.Assess(snapshot(t, files))
	if err != nil {
		t.Fatal(err)
	}
	return r.Report(nil, nil).Findings
}

// snapshot reads files as the source of `merlon scan -` does.
func snapshot(t testing.TB, files map[string][]byte) *fact.Snapshot {
	t.Helper()
	var changes []fact.Change
	for _, name := range slices.Sorted(maps.Keys(files)) {
		kind, ok := config.Find(builtin.Sources(), "manifest")
		if !ok {
			t.Fatal("no source of manifests")
		}
		src, err := kind.New(func(v any) error {
			*v.(*source.Input) = source.Input{Paths: []string{"-"}, Stdin: bytes.NewReader(files[name])}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		err = src.Collect(t.Context(), func(c fact.Change) error {
			if c.Object != nil {
				c.Object.Origin.File = name
			}
			if c.Op == fact.GapOpened && c.Gap.Kind != yamldoc.UnknownField && c.Gap.Kind != yamldoc.WrongType {
				t.Fatalf("%s: gap: %s", name, c.Gap.Message)
			}
			changes = append(changes, c)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return (&fact.Snapshot{}).Apply(changes...)
}

// application returns the hardened application as plain data.
func application(t testing.TB) []map[string]any {
	t.Helper()
	var out []map[string]any
	for _, raw := range applicationOnce() {
		var o map[string]any
		if err := json.Unmarshal(raw, &o); err != nil {
			t.Fatal(err)
		}
		out = append(out, o)
	}
	return out
}

var applicationOnce = sync.OnceValue(func() [][]byte {
	files, err := filepath.Glob("hardened/*.yaml")
	if err != nil || len(files) == 0 {
		panic("no manifests in hardened/")
	}
	var out [][]byte
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			panic(err)
		}
		objects, err := decoded(data)
		if err != nil {
			panic(file + ": " + err.Error())
		}
		for _, o := range objects {
			raw, err := json.Marshal(o)
			if err != nil {
				panic(err)
			}
			out = append(out, raw)
		}
	}
	return out
})

// decoded returns the documents of a file as plain data.
func decoded(data []byte) ([]map[string]any, error) {
	var out []map[string]any
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc map[string]any
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, doc)
	}
}

// written returns objects as one file of YAML.
func written(t testing.TB, objects []map[string]any) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	for _, o := range objects {
		if err := enc.Encode(o); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// told lists findings for a failed test.
func told(findings []finding.Finding) string {
	var b strings.Builder
	for i := range findings {
		f := &findings[i]
		b.WriteString("\n    " + f.Control + " " + string(f.Verdict) + " on " + f.Subject.Kind + "/" + f.Subject.Name + "/" + f.Subject.Container + ": " + f.Message)
		for _, e := range f.Evidence[:min(2, len(f.Evidence))] {
			b.WriteString("\n      " + e.Path + " = " + e.Value)
		}
	}
	return b.String()
}
