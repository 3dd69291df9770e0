package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf16"

	"github.com/merlon-security/merlon/internal/cli"
	"github.com/merlon-security/merlon/internal/finding"
)

// TestMain lets the test's own binary be Merlon, so that a test can look at a
// process of its own.
func TestMain(m *testing.M) {
	if file := os.Getenv("MERLON_E2E_CHILD"); file != "" {
		code := cli.Main(os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
		if err := writePeak(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 3
		}
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// writePeak tells the peak of memory of this program in kB. What the kernel
// counts for the parent (ru_maxrss) would not do: it begins from the peak of
// the process that started this one.
func writePeak(file string) error {
	status, err := os.ReadFile("/proc/self/status")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the peak of memory: %w", err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		return errors.New("read the peak of memory: no VmHWM in /proc/self/status")
	}
	return os.WriteFile(file, m[1], 0o600)
}

// child runs Merlon in a process of its own and returns its output, exit code
// and peak of memory in MB.
func child(t *testing.T, args ...string) (stdout string, code, peak int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	file := filepath.Join(t.TempDir(), "peak")
	cmd.Env = append(os.Environ(), "MERLON_E2E_CHILD="+file, "GOCOVERDIR="+t.TempDir())
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	kB, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) && runtime.GOOS != "linux" {
		t.Skip("this system does not tell the memory of a process")
	}
	if err != nil {
		t.Fatalf("exit code %d, no peak of memory: %v: %.500q", cmd.ProcessState.ExitCode(), err, errs.String())
	}
	if peak, err = strconv.Atoi(string(kB)); err != nil {
		t.Fatal(err)
	}
	t.Logf("exit code %d, peak %d MB, %.1f CPU seconds, %d bytes of errors %.200q", cmd.ProcessState.ExitCode(), peak/1024,
		(cmd.ProcessState.SystemTime() + cmd.ProcessState.UserTime()).Seconds(), errs.Len(), errs.String())
	return out.String(), cmd.ProcessState.ExitCode(), peak / 1024
}

func reported(t *testing.T, stdout string) *finding.Report {
	t.Helper()
	r := &finding.Report{}
	if err := json.Unmarshal([]byte(stdout), r); err != nil {
		t.Fatalf("no report: %v", err)
	}
	return r
}

const bad = "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, namespace: orchard}\nspec: {hostNetwork: true, containers: [{name: a, image: b}]}\n"

// TestBrokenInput holds that each thing that cannot be read is told with its
// place, that the rest is scanned, and that the exit code says so.
func TestBrokenInput(t *testing.T) {
	pod := fmt.Sprintf(bad, "good")
	deepYAML := "apiVersion: v1\nkind: Pod\nmetadata: {name: deep}\nspec: " + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "\n"
	var block strings.Builder
	block.WriteString("apiVersion: v1\nkind: Pod\nspec:\n")
	for i := range 10_000 {
		block.WriteString(strings.Repeat(" ", i%3000+1) + "a:\n")
	}
	bomb := "apiVersion: v1\nkind: Pod\na: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'j'; c++ {
		bomb += fmt.Sprintf("%c: &%c [%s]\n", c, c, strings.TrimSuffix(strings.Repeat("*"+string(c-1)+", ", 10), ", "))
	}
	wide := utf16.Encode([]rune("\ufeff" + pod))
	var le bytes.Buffer
	for _, u := range wide {
		le.Write([]byte{byte(u), byte(u >> 8)})
	}
	for i, c := range []struct {
		name, file, text string
		gap              string // kind of gap; "" for none
		line             uint32 // 0: some line
		findings         bool   // of the good pod
	}{
		{"unclosed list amid good documents", "x.yaml", pod + "---\na: [1, 2\n---\n" + pod, "invalid-yaml", 0, true},
		{"bad indentation", "x.yaml", "a: b\n  c: d\n---\n" + pod, "invalid-yaml", 2, true},
		{"tab", "x.yaml", "a:\n\tb: c\n---\n" + pod, "invalid-yaml", 2, true},
		{"unknown anchor", "x.yaml", "a: *nowhere\n---\n" + pod, "invalid-yaml", 1, true},
		{"unknown tag", "x.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: !!python/object x}\n---\n" + pod, "", 0, true},
		{"duplicate key", "x.yaml", strings.Replace(pod, "kind: Pod", "kind: Pod\nkind: Pod", 1), "duplicate-key", 3, true},
		{"broken json", "x.json", `{"apiVersion" "v1", "kind": "Pod"}`, "invalid-json", 1, false},
		{"json ends early", "x.json", `{"apiVersion": "v1", "kind": "Pod", "spec": {`, "invalid-json", 1, false},
		{"deep flow", "x.yaml", deepYAML + "---\n" + pod, "too-deep", 0, true},
		{"deep block", "x.yaml", block.String(), "", 0, false},
		{"deep json", "x.json", `{"apiVersion":"v1","kind":"Pod","a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + "}", "too-deep", 0, false},
		{"deep json maps", "x.json", strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000), "too-deep", 0, false},
		{"alias bomb", "x.yaml", bomb + "---\n" + pod, "alias-bomb", 0, true},
		{"binary", "x.yaml", "\x7fELF\x02\x01\x01\x00\x00\x00\x00", "binary", 0, false},
		{"binary behind a document", "x.yaml", pod + "---\n\x00\x01\x02", "binary", 0, true},
		{"not utf-8", "x.yaml", "a: \xff\xfe\xfa\n---\n" + pod, "", 0, true},
		{"empty", "x.yaml", "", "no-objects", 0, false},
		{"only comments", "x.yaml", "# nothing\n---\n---\n# at all\n", "no-objects", 0, false},
		{"carriage returns", "x.yaml", strings.ReplaceAll(pod, "\n", "\r\n"), "", 0, true},
		{"byte order mark", "x.yaml", "\ufeff" + pod, "", 0, true},
		{"utf-16", "x.yaml", le.String(), "", 0, true},
		{"unknown kind", "x.yaml", "apiVersion: fruit.example.com/v1\nkind: Apple\nmetadata: {name: a}\n---\n" + pod, "", 0, true},
		{"no kind", "x.yaml", "a: b\n---\n" + pod, "", 0, true},
		{"list of odd things", "x.yaml", "apiVersion: v1\nkind: List\nitems: [1, null, [], {a: b}, {apiVersion: v1, kind: Pod, metadata: {name: good, namespace: orchard}, spec: {hostNetwork: true, containers: [{name: a, image: b}]}}]\n", "", 0, true},
		{"wrong types", "x.yaml", "apiVersion: v1\nkind: Pod\nmetadata: [1]\nspec: {containers: {a: b}, volumes: 3, hostNetwork: {}, initContainers: [1, null, a]}\n---\n" + pod, "wrong-type", 0, true},
	} {
		if raced && i%5 > 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			dir := tree(t, map[string]string{c.file: c.text})
			file := filepath.Join(dir, c.file)
			stdout, stderr, code := merlon(t, "", "scan", "--all", "-o", "json", file)
			if code != 0 && code != 1 && code != 3 || stderr != "" {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			r := reported(t, stdout)
			found := 0
			for _, f := range r.Findings {
				if f.Control == "workload/host-network" && f.Subject.Name == "good" {
					found++
				}
			}
			if c.findings != (found > 0) {
				t.Errorf("findings of the good pod: %d", found)
			}
			if c.findings && code != 1 {
				t.Errorf("exit code %d with findings", code)
			}
			if c.gap == "" {
				return
			}
			if !c.findings && code != 3 {
				t.Errorf("exit code %d without findings, with a gap", code)
			}
			for _, g := range r.Gaps {
				if g.Kind == c.gap && filepath.FromSlash(g.Location.File) == file && (c.gap == "no-objects" || g.Location.Line > 0) && (c.line == 0 || g.Location.Line == c.line) {
					return
				}
			}
			t.Errorf("no gap %s at line %d: %+v", c.gap, c.line, r.Gaps)
		})
	}
}

// TestBrokenFolders holds the same for what stands in a folder besides files.
func TestBrokenFolders(t *testing.T) {
	if raced {
		t.Skip("held without the race detector: it runs the same commands as others, one after the other")
	}
	pod := fmt.Sprintf(bad, "good")
	outside := tree(t, map[string]string{"secret.yaml": fmt.Sprintf(bad, "outside")})
	for _, c := range []struct {
		name string
		make func(dir string) error
		gap  string
	}{
		{"link to itself", func(d string) error { return os.Symlink("loop", filepath.Join(d, "loop")) }, "unreadable"},
		{"two links in a ring", func(d string) error {
			return errors.Join(os.Symlink("b.yaml", filepath.Join(d, "a.yaml")), os.Symlink("a.yaml", filepath.Join(d, "b.yaml")))
		}, "unreadable"},
		{"folder within itself", func(d string) error {
			return errors.Join(os.Mkdir(filepath.Join(d, "x"), 0o755), os.Symlink("..", filepath.Join(d, "x", "up")))
		}, ""},
		{"file outside", func(d string) error {
			return os.Symlink(filepath.Join(outside, "secret.yaml"), filepath.Join(d, "x.yaml"))
		}, "link-out-of-tree"},
		{"folder outside", func(d string) error { return os.Symlink(outside, filepath.Join(d, "x")) }, "link-out-of-tree"},
		{"above by dots", func(d string) error {
			rel, err := filepath.Rel(d, filepath.Join(outside, "secret.yaml"))
			return errors.Join(err, os.Symlink(rel, filepath.Join(d, "x.yaml")))
		}, "link-out-of-tree"},
		{"root", func(d string) error { return os.Symlink("/", filepath.Join(d, "x")) }, "link-out-of-tree"},
		{"dangling", func(d string) error { return os.Symlink("nowhere.yaml", filepath.Join(d, "x.yaml")) }, "unreadable"},
		{"pipe", func(d string) error { return syscall.Mkfifo(filepath.Join(d, "x.yaml"), 0o644) }, "unreadable"},
		{"pipe of another name", func(d string) error { return syscall.Mkfifo(filepath.Join(d, "x"), 0o644) }, ""},
		{"device", func(d string) error { return os.Symlink("/dev/zero", filepath.Join(d, "x.yaml")) }, "link-out-of-tree"},
		{"folder named like a file", func(d string) error { return os.Mkdir(filepath.Join(d, "x.yaml"), 0o755) }, ""},
		{"unreadable file", func(d string) error {
			return errors.Join(os.WriteFile(filepath.Join(d, "x.yaml"), []byte(pod), 0o644), os.Chmod(filepath.Join(d, "x.yaml"), 0))
		}, "unreadable"},
		{"unreadable folder", func(d string) error { return os.Mkdir(filepath.Join(d, "x"), 0) }, "unreadable"},
		{"chart", func(d string) error {
			return errors.Join(os.Mkdir(filepath.Join(d, "x"), 0o755), os.WriteFile(filepath.Join(d, "x", "Chart.yaml"), []byte("name: x\n"), 0o644))
		}, "not-rendered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasPrefix(c.name, "unreadable") && os.Getuid() == 0 {
				t.Skip("root reads everything")
			}
			dir := tree(t, map[string]string{"good.yaml": pod})
			if err := c.make(dir); err != nil {
				t.Skip("this system cannot have it: ", err)
			}
			_, stderr, code := merlon(t, "", "scan", "-o", "json", dir)
			if code != 1 || stderr != "" {
				t.Fatalf("exit code %d: %s", code, stderr)
			}
			stdout, _, quiet := merlon(t, "", "scan", "--fail-on", "none", "-o", "json", dir)
			r := reported(t, stdout)
			good := 0
			for _, f := range r.Findings {
				if f.Subject.Name == "outside" {
					t.Errorf("a file outside of the folder was read: %s", f.Location.File)
				}
				if f.Control == "workload/host-network" && f.Subject.Name == "good" {
					good++
				}
			}
			if good != 1 || r.Summary.Files != 1 {
				t.Errorf("the good pod was found %d times in %d files", good, r.Summary.Files)
			}
			if c.gap == "" {
				if len(r.Gaps) > 0 || quiet != 0 {
					t.Errorf("exit code %d, gaps %+v", quiet, r.Gaps)
				}
				return
			}
			for _, g := range r.Gaps {
				if g.Kind == c.gap && g.Location.File != "" {
					if want := 3; quiet != want && c.gap != "not-rendered" {
						t.Errorf("exit code %d with a gap, want %d", quiet, want)
					}
					return
				}
			}
			t.Errorf("no gap %s: %+v", c.gap, r.Gaps)
		})
	}
}

func TestMissingPath(t *testing.T) {
	_, stderr, code := merlon(t, "", "scan", filepath.Join(t.TempDir(), "nowhere"))
	if code != 3 || !strings.Contains(stderr, "nowhere") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// large writes a file of about 100 MB.
func large(t *testing.T, head, each string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "large.yaml")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	piece := []byte(strings.Repeat(each, max(1, (1<<20)/len(each))))
	if _, err := f.WriteString(head); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < 100<<20; n += len(piece) {
		if _, err := f.Write(piece); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.WriteString("---\n" + fmt.Sprintf(bad, "last")); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestOneLargeDocument(t *testing.T) {
	for _, c := range []struct{ name, head, each string }{
		{"yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: large}\ndata:\n", "  key: some value that is not very long but there are many of it\n"},
		{"one line", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: large}\ndata: {a: \"\n", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
		{"json", `{"apiVersion": "v1", "kind": "ConfigMap", "data": {`, `"key": "some value that is not very long but there are many of it", `},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, code, peak := child(t, "scan", "-o", "json", large(t, c.head, c.each))
			r := reported(t, stdout)
			if len(r.Gaps) == 0 || r.Gaps[0].Kind != "too-large" || r.Gaps[0].Location.Line == 0 {
				t.Errorf("gaps: %+v", r.Gaps)
			}
			if c.name == "yaml" && code != 1 {
				t.Errorf("exit code %d: what stands behind the large document was not scanned", code)
			}
			if code == 0 {
				t.Error("exit code 0")
			}
			// The largest document that is read at all has 32 MB; beside it stands
			// the tree that is made of it.
			if peak > 640 && !raced {
				t.Errorf("peak of %d MB", peak)
			}
		})
	}
}

func TestManyDocuments(t *testing.T) {
	if raced {
		t.Skip("one goroutine at a time reads, and the memory is not the same")
	}
	each := "---\napiVersion: v1\nkind: Pod\nmetadata: {name: one, namespace: orchard}\nspec: {containers: [{name: a, image: b, args: [" + strings.Repeat("some words of an argument, ", 200) + "x]}]}\n"
	stdout, code, peak := child(t, "scan", "-o", "json", large(t, "", each))
	r := reported(t, stdout)
	if code != 1 || r.Summary.Objects < 15_000 || len(r.Gaps) > 0 {
		t.Errorf("exit code %d, %d objects, %d gaps", code, r.Summary.Objects, len(r.Gaps))
	}
	// A document is kept whole, so what is held grows with the input.
	if peak > 1200 && !raced {
		t.Errorf("peak of %d MB", peak)
	}
}
