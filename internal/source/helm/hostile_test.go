package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/sandbox"
	"github.com/merlon-security/merlon/internal/source"
	"golang.org/x/tools/txtar"
)

// TestMain lets the test binary be the child that renders.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == sandbox.Command {
		if err := sandbox.Serve(os.Args[2:], os.Stdin, os.Stdout, map[string]sandbox.Job{Name: Render, KeysName: Keys}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// unpack writes the files of an archive of testdata below a new folder.
func unpack(t *testing.T, name string) string {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range a.Files {
		write(t, filepath.Join(dir, f.Name), string(f.Data))
	}
	return dir
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// collect renders what is in a folder.
func collect(t *testing.T, dir string, change func(*source.Rendering)) (objects []*fact.Object, gaps []fact.Gap) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	s := &Source{Input: source.Input{Paths: []string{dir}, Rendering: source.Rendering{Minor: 36, Runner: &sandbox.Runner{
		Self: []string{exe}, Limits: sandbox.Limits{Time: 60 * time.Second, CPU: 3 * time.Second, Memory: 384 << 20},
	}}}}
	if change != nil {
		change(&s.Rendering)
	}
	err = s.Collect(context.Background(), func(c fact.Change) error {
		switch c.Op {
		case fact.Upsert:
			objects = append(objects, c.Object)
		case fact.GapOpened:
			gaps = append(gaps, c.Gap)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return objects, gaps
}

// Each chart below does something that no chart should. The chart is refused or
// bounded, told as a gap, and the good one beside it is rendered.
func TestHostile(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	called := make(chan struct{}, 1)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			c.Close()
			called <- struct{}{}
		}
	}()
	dir := unpack(t, "hostile.txtar")
	write(t, filepath.Join(dir, "schema-http/values.schema.json"), `{"$ref": "http://`+listener.Addr().String()+`/schema.json"}`)
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "link-out/templates/hostname.yaml")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "archive-bomb/charts/bomb-1.0.0.tgz"), string(bomb(t)))
	want := map[string]struct{ kind, message string }{
		"loop":         {"render-failed", "and was stopped"},
		"memory":       {"render-failed", "memory"},
		"recursion":    {"render-failed", ""},
		"tpl":          {"render-failed", ""},
		"link-out":     {"render-failed", "leads out of what is scanned"},
		"schema-http":  {"refused", "outside of it"},
		"schema-file":  {"refused", "outside of it"},
		"yaml-bomb":    {"render-failed", ""},
		"archive-bomb": {"render-failed", ""},
		"bad-output":   {"invalid-yaml", "line 2 of the rendered text"},
		"required":     {"values-missing", "needs a value: which host?"},
		"dependency":   {"dependency-missing", "redis"},
		"escape":       {"render-failed", "leads out of what is scanned"},
		"schema":       {"values-invalid", "replicas (type)"},
		"lookup":       {"not-asked", "lookup"},
		"dns":          {"not-asked", "getHostByName"},
		"kube":         {"render-failed", "wants Kubernetes"},
	}
	objects, gaps := collect(t, dir, nil)
	for name, w := range want {
		found := false
		for _, g := range gaps {
			if strings.HasPrefix(g.File, filepath.ToSlash(filepath.Join(dir, name))+"/") {
				found = found || g.Kind == w.kind && strings.Contains(g.Message, w.message)
				t.Logf("%s: %s:%d %s: %s", name, filepath.Base(g.File), g.Pos.Line, g.Kind, g.Message)
			}
		}
		if !found {
			t.Errorf("%s: no gap of kind %s that says %q", name, w.kind, w.message)
		}
	}
	known := map[string]bool{}
	for _, o := range objects {
		known[o.Name] = true
		if text := string(fmt.Sprint(o.Root.At("data", "text").Str())); text != "" {
			t.Errorf("%s: a file outside of the chart was read", o.Name)
		}
	}
	for _, name := range []string{"good", "from-lookup", "from-dns", "files", "dependency"} {
		if !known[name] {
			t.Errorf("%s was not rendered", name)
		}
	}
	select {
	case <-called:
		t.Error("something was fetched")
	default:
	}
}

// bomb is a small packed chart that unpacks to more than a chart may have.
func bomb(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	tw := tar.NewWriter(zip)
	const size = 300 << 20
	if err := tw.WriteHeader(&tar.Header{Name: "bomb/templates/a.yaml", Mode: 0o644, Size: size}); err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range size / len(zeros) {
		if _, err := tw.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
