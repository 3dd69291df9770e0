package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

func rules(t *testing.T) Rules {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseRules(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheHouse(t *testing.T) {
	files, err := Read(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("%d files read: the test looks in the wrong place", len(files))
	}
	for _, p := range rules(t).Check(files) {
		t.Error(p)
	}
}

// TestPlantedViolations plants one violation of each rule into a small tree and
// demands that it is told, and nothing else.
func TestPlantedViolations(t *testing.T) {
	r, err := ParseRules(`
| package | owns | may import |
|---|---|---|
| fact | x | – |
| finding | x | fact |
| sink | x | finding |
| builtin | x | sink |
| cli | x | all |

| dependency | only in |
|---|---|
| example.com/cel | cli |
| os | cli |
| time.Now | cli |
`)
	if err != nil {
		t.Fatal(err)
	}
	good := map[string]string{
		"fact":       "// Package fact is.\npackage fact\n",
		"finding":    "// Package finding is.\npackage finding\nimport _ \"M/internal/fact\"\n",
		"sink":       "// Package sink is.\npackage sink\n",
		"sink/table": "// Package table is.\npackage table\n",
		"sink/json":  "// Package json is.\npackage json\n",
		"builtin":    "// Package builtin is.\npackage builtin\nimport (\n_ \"M/internal/sink/table\"\n_ \"M/internal/sink/json\"\n)\n",
		"cli":        "// Package cli is.\npackage cli\nimport (\n_ \"example.com/cel\"\n_ \"os\"\n\"time\"\n)\nvar _ = time.Now\n",
	}
	if p := r.Check(tree(t, good)); len(p) > 0 {
		t.Fatalf("the good tree is refused: %v", p)
	}
	for _, c := range []struct{ name, pkg, source, want string }{
		{"upward import", "fact", "// Package fact is.\npackage fact\nimport _ \"M/internal/finding\"\n", "may not import finding"},
		{"no row", "extra", "// Package extra is.\npackage extra\n", "has no row"},
		{"siblings", "sink/table", "// Package table is.\npackage table\nimport _ \"M/internal/sink/json\"\n", "may not import sink/json"},
		{"implementation named elsewhere", "finding", "// Package finding is.\npackage finding\nimport _ \"M/internal/sink/json\"\n", "may not import sink/json"},
		{"implementation named by the command line", "cli", "// Package cli is.\npackage cli\nimport _ \"M/internal/sink/json\"\n", "may not import sink/json"},
		{"implementation not listed", "sink/extra", "// Package extra is.\npackage extra\n", "is not listed in builtin"},
		{"fenced module", "finding", "// Package finding is.\npackage finding\nimport _ \"example.com/cel/v2/x\"\n", "example.com/cel is fenced"},
		{"fenced package", "finding", "// Package finding is.\npackage finding\nimport _ \"os\"\n", "os is fenced"},
		{"fenced function", "finding", "// Package finding is.\npackage finding\nimport \"time\"\nvar _ = time.Now()\n", "time.Now is fenced"},
		{"forbidden name", "fact/util", "// Package util is.\npackage util\n", "says nothing"},
		{"init", "fact", "// Package fact is.\npackage fact\nfunc init() {}\n", "init()"},
		{"mutable variable", "fact", "// Package fact is.\npackage fact\nvar count int\nfunc Add() { count++ }\n", "is changed"},
		{"mutable map", "fact", "// Package fact is.\npackage fact\nvar seen = map[string]int{}\nfunc Add() { seen[\"a\"] = 1 }\n", "is changed"},
		{"no comment", "fact", "package fact\n", "no package comment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{}
			for k, v := range good {
				files[k] = v
			}
			files[c.pkg] = c.source
			problems := r.Check(tree(t, files))
			if len(problems) == 0 || !strings.Contains(strings.Join(problems, "\n"), c.want) {
				t.Errorf("got %q, want one with %q", problems, c.want)
			}
		})
	}
}

func TestRowWithoutPackage(t *testing.T) {
	r, err := ParseRules("| package | owns | may import |\n|---|---|---|\n| fact | x | – |\n| ghost | x | – |\n")
	if err != nil {
		t.Fatal(err)
	}
	problems := r.Check(tree(t, map[string]string{"fact": "// Package fact is.\npackage fact\n"}))
	if len(problems) != 1 || !strings.Contains(problems[0], "ghost") {
		t.Errorf("got %q", problems)
	}
}

// tree writes packages, by their path, and reads them as Read does.
func tree(t *testing.T, packages map[string]string) []File {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module M\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for pkg, source := range packages {
		at := filepath.Join(dir, "internal", filepath.FromSlash(pkg))
		if err := os.MkdirAll(at, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(at, "x.go"), []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return files
}
