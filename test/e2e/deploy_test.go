package e2e

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// pinned is an action or image named by what nobody can move, or by a
// placeholder for it that the user fills in.
var (
	pinned      = regexp.MustCompile(`@([0-9a-f]{40}|sha256:[0-9a-f]{64}|COMMIT_OF_[A-Z_]+|sha256:DIGEST_OF_[A-Z_]+)$`)
	installLine = regexp.MustCompile(`(?i)(docker|podman|crane) pull|go install [a-z].*@|brew install|curl .*\| *(ba)?sh|helm (repo add|install)|krew install|npx |pip install|\bghcr\.io|\bdocker\.io/merlon|:latest`)
)

// TestDeployNamesWhatCannotMove reads the templates: they are YAML, and all that
// they use is pinned.
func TestDeployNamesWhatCannotMove(t *testing.T) {
	files, err := filepath.Glob("../../deploy/ci/*.yml")
	if err != nil || len(files) < 3 {
		t.Fatalf("templates %q: %v", files, err)
	}
	uses := 0
	for _, name := range append(files, "../../action.yml", "../../.pre-commit-hooks.yaml") {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var doc yaml.Node
		if err := yaml.Unmarshal(data, &doc); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		walk(&doc, func(key string, value *yaml.Node) {
			if key == "uses" || key == "image" && value.Kind == yaml.ScalarNode || key == "name" && strings.Contains(value.Value, "@") {
				uses++
				if !pinned.MatchString(value.Value) {
					t.Errorf("%s:%d: %s is not pinned", name, value.Line, value.Value)
				}
			}
			if key == "run" && strings.Contains(value.Value, "${{") {
				t.Errorf("%s:%d: a script takes foreign text in: %s", name, value.Line, value.Value)
			}
		})
	}
	if uses < 7 {
		t.Errorf("only %d things are used", uses)
	}
}

func walk(n *yaml.Node, see func(key string, value *yaml.Node)) {
	for i, x := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			see(n.Content[i-1].Value, x)
		}
		walk(x, see)
	}
}

// TestNothingIsInstalledFromANameNobodyOwns reads every document and template.
func TestNothingIsInstalledFromANameNobodyOwns(t *testing.T) {
	read := 0
	for _, root := range []string{"../../docs", "../../deploy", "../../README.md", "../../CONTRIBUTING.md", "../../action.yml", "../../.pre-commit-hooks.yaml"} {
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.Contains(filepath.ToSlash(name), "docs/reference/controls") {
				return err
			}
			data, err := os.ReadFile(name)
			read++
			for i, line := range strings.Split(string(data), "\n") {
				if m := installLine.FindString(line); m != "" {
					t.Errorf("%s:%d: %s", name, i+1, m)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if read < 20 {
		t.Errorf("only %d documents read", read)
	}
}

// TestActionRuns runs the script of the GitHub Action as a runner does, with
// inputs that a shell would trip over.
func TestActionRuns(t *testing.T) {
	if raced {
		t.Skip("held without the race detector: it runs the same commands as others, one after the other")
	}
	data, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	var action struct {
		Runs struct {
			Steps []struct {
				Run string
				Env map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(data, &action); err != nil {
		t.Fatal(err)
	}
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	work := t.TempDir()
	evil := "a $(touch pwned) 'b.yaml"
	if err := os.WriteFile(filepath.Join(work, evil), []byte("apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {hostNetwork: true, containers: [{name: a, image: b}]}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	step := action.Runs.Steps[0]
	cmd := exec.CommandContext(t.Context(), "bash", "-c", step.Run)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "RUNNER_TEMP="+work, "CGO_ENABLED=0")
	for key := range step.Env {
		switch key {
		case "MERLON_SOURCE":
			cmd.Env = append(cmd.Env, key+"="+source)
		case "MERLON_INPUT_PATHS":
			cmd.Env = append(cmd.Env, key+"="+evil+"\n")
		case "MERLON_INPUT_ARGS":
			cmd.Env = append(cmd.Env, key+"=--fail-on=none\n--control=workload/host-network")
		case "MERLON_INPUT_SARIF":
			cmd.Env = append(cmd.Env, key+"=out.sarif")
		}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "::error file=a $(touch pwned) 'b.yaml,line=4") {
		t.Errorf("no annotation in %s", out)
	}
	if _, err := os.Stat(filepath.Join(work, "pwned")); err == nil {
		t.Error("a file name was run")
	}
	if _, err := os.Stat(filepath.Join(work, "out.sarif")); err != nil {
		t.Error(err)
	}
}
