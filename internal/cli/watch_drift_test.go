package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/merlon-security/merlon/internal/fact"
)

// TestDifferences says what a drift line says.
func TestDifferences(t *testing.T) {
	before := map[string]any{"spec": map[string]any{
		"pid": 1, "seen": "2026-01-01", "daysLeft": 9, "mode": "0600", "gone": "x", "command": []any{"kubelet", "--a=1", "--b=1", "--b=1"},
		"configuration": []any{map[string]any{"path": "/c.yaml", "newerThanProcess": true, "content": map[string]any{"readOnlyPort": 0, "list": []any{map[string]any{"x": 1}}}}},
	}}
	after := map[string]any{"spec": map[string]any{
		"pid": 2, "seen": "2026-01-02", "daysLeft": 8, "mode": "0644", "new": map[string]any{"y": 1}, "command": []any{"kubelet", "--a=2", "--b=1"},
		"configuration": []any{map[string]any{"path": "/c.yaml", "content": map[string]any{"readOnlyPort": 10255, "list": []any{}}}},
	}}
	want := []difference{
		{"spec.command", "--a=1 --b=1", "--a=2"},
		{"spec.configuration[/c.yaml].content.list", "{1 field}", "{0 fields}"},
		{"spec.configuration[/c.yaml].content.readOnlyPort", "0", "10255"},
		{"spec.gone", "x", ""}, {"spec.mode", "0600", "0644"}, {"spec.new", "", "{1 field}"},
	}
	if diff := cmp.Diff(want, differences(fact.Of(before), fact.Of(after), "", nil)); diff != "" {
		t.Error(diff)
	}
	if d := differences(fact.Of(before), fact.Of(before), "", nil); d != nil {
		t.Error(d)
	}
}

// TestWatchTellsDrift changes a flag, a setting of a file and a mode of a machine
// that is watched, with the process started anew, and wants each told with what
// it was.
func TestWatchTellsDrift(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only machines that run Linux are read")
	}
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	process := func(pid string, argv ...string) {
		write("proc/"+pid+"/cmdline", strings.Join(argv, "\x00")+"\x00")
		write("proc/"+pid+"/stat", pid+" (kubelet) S 1")
		for name, target := range map[string]string{"root": root, "exe": "/usr/bin/kubelet"} {
			if err := os.Symlink(target, filepath.Join(root, "proc", pid, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("proc/stat", "btime 1\n")
	write("etc/hostname", "n1\n")
	write("conf/kubelet.yaml", "kind: KubeletConfiguration\nreadOnlyPort: 0\n")
	process("7", "kubelet", "--config=/conf/kubelet.yaml", "--anonymous-auth=false")

	read, out := io.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := newRoot(Streams{In: strings.NewReader(""), Out: out, Err: io.Discard})
	cmd.SetArgs([]string{"watch", "--node", "--host-root", root, "--every", "1s", "-o", "json", "--control", "kubelet/anonymous-auth"})
	ended := make(chan error, 1)
	go func() {
		err := cmd.ExecuteContext(ctx)
		out.Close()
		ended <- err
	}()
	told := map[string]difference{}
	opened := false
	lines := bufio.NewScanner(read)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		switch {
		case e.Event == "watching":
			write("conf/kubelet.yaml", "kind: KubeletConfiguration\nreadOnlyPort: 10255\n")
			if err := os.Chmod(filepath.Join(root, "conf/kubelet.yaml"), 0o644); err != nil {
				t.Fatal(err)
			}
			process("8", "kubelet", "--config=/conf/kubelet.yaml", "--anonymous-auth=true")
			if err := os.RemoveAll(filepath.Join(root, "proc/7")); err != nil {
				t.Fatal(err)
			}
		case e.Event == "opened":
			opened = e.Finding.Control == "kubelet/anonymous-auth"
		case e.Drift != nil:
			for _, c := range e.Drift.Changes {
				told[e.Drift.Name+" "+c.Path] = c
			}
		}
		if _, ok := told["n1.kubelet spec.command"]; ok && opened && len(told) >= 3 {
			break
		}
	}
	cancel()
	go io.Copy(io.Discard, read)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, want := range []struct{ at, before, after string }{
		{"n1.kubelet spec.command", "--anonymous-auth=false", "--anonymous-auth=true"},
		{"n1.kubelet spec.configuration[/conf/kubelet.yaml].content.readOnlyPort", "0", "10255"},
		{"n1:kubelet-config:/conf/kubelet.yaml spec.mode", "0600", "0644"},
	} {
		if got := told[want.at]; got.Before != want.before || got.After != want.after {
			t.Errorf("%s: %+v, want %s -> %s\n%v", want.at, got, want.before, want.after, told)
		}
	}
	if !opened {
		t.Error("the finding is not told")
	}
}
