package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const watchedPod = `apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  containers:
    - name: app
      image: registry.example.com/web:1.2.3
      securityContext: {privileged: PRIVILEGED}
`

// watching runs merlon watch on a folder and hands out its events.
type watchRun struct {
	t      *testing.T
	dir    string
	lines  chan event
	cancel context.CancelFunc
	code   chan error
	errors bytes.Buffer
}

func startWatch(t *testing.T, files map[string]string, args ...string) *watchRun {
	t.Helper()
	w := &watchRun{t: t, dir: t.TempDir(), lines: make(chan event, 1000), code: make(chan error, 1)}
	for name, text := range files {
		w.write(name, text)
	}
	read, write := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	w.cancel = cancel
	root := newRoot(Streams{In: strings.NewReader(""), Out: write, Err: &w.errors})
	root.SetArgs(append([]string{"watch", w.dir, "-o", "json", "--control", "workload/privileged-container"}, args...))
	go func() {
		err := root.ExecuteContext(ctx)
		write.Close()
		w.code <- err
	}()
	go func() {
		defer close(w.lines)
		in := bufio.NewScanner(read)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			var e event
			if err := json.Unmarshal(in.Bytes(), &e); err != nil {
				t.Errorf("a line that is no JSON: %s", in.Text())
				return
			}
			w.lines <- e
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range w.lines {
		}
	})
	return w
}

func (w *watchRun) write(name, text string) {
	w.t.Helper()
	name = filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

// want waits for the next events to be these, by name and subject.
func (w *watchRun) want(events ...string) []event {
	w.t.Helper()
	var got []event
	for _, want := range events {
		select {
		case e, ok := <-w.lines:
			if !ok {
				w.t.Fatalf("ended, want %s: %s", want, w.errors.String())
			}
			text := e.Event
			if e.Finding != nil {
				text += " " + e.Finding.Subject.Name
			}
			if e.Gap != nil {
				text += " " + e.Gap.Kind
			}
			if text != want {
				w.t.Fatalf("told %s, want %s", text, want)
			}
			got = append(got, e)
		case <-time.After(2 * time.Minute):
			w.t.Fatalf("nothing is told, want %s", want)
		}
	}
	return got
}

func pod(privileged string) string { return strings.ReplaceAll(watchedPod, "PRIVILEGED", privileged) }

func TestWatch(t *testing.T) {
	w := startWatch(t, map[string]string{"a.yaml": pod("true"), "b.yaml": "kind: [\n"})
	got := w.want("opened web", "gap-opened invalid-yaml", "watching")
	if x := got[2].Watching; x.Objects != 1 || x.Open != 1 || x.Gaps != 1 {
		t.Errorf("watching says %+v", x)
	}
	w.write("a.yaml", pod("false"))
	w.want("closed web")
	w.write("a.yaml", "# a line\n"+pod("true"))
	w.want("opened web")
	// Another line says nothing new; a waiver closes; what opens next shows it.
	w.write("a.yaml", "# a line\n# and one\n"+pod("true"))
	w.write("new/c.yaml", strings.ReplaceAll(pod("true"), "name: web", "name: api"))
	w.want("opened api")
	w.write("new/c.yaml", strings.ReplaceAll(pod("true # merlon:waive workload/privileged-container until=2099-01-01 reason=known"), "name: web", "name: api"))
	w.write("new/c.yaml", strings.ReplaceAll(strings.ReplaceAll(pod("true"), "{privileged: true}", "\n        # merlon:waive workload/privileged-container until=2099-01-01 reason=known\n        privileged: true"), "name: web", "name: api"))
	w.want("closed api")
	if err := os.Rename(filepath.Join(w.dir, "a.yaml"), filepath.Join(w.dir, "new/z.yaml")); err != nil {
		t.Fatal(err)
	}
	w.write("b.yaml", "a: b\n")
	w.want("gap-closed invalid-yaml")
	if err := os.RemoveAll(filepath.Join(w.dir, "new")); err != nil {
		t.Fatal(err)
	}
	w.want("closed web")
	w.cancel()
	if err := <-w.code; err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestWatchChangesOnly(t *testing.T) {
	w := startWatch(t, map[string]string{"a.yaml": pod("true")}, "--changes-only")
	w.want("watching")
	w.write("a.yaml", pod("false"))
	w.want("closed web")
}
