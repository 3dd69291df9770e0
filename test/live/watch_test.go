package live

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/merlon-security/merlon/test/live/lab"
)

// TestWatch holds that merlon watch tells what opens and closes in a running
// cluster, with the rights that merlon permissions prints.
func TestWatch(t *testing.T) {
	l := lab.Open(t)
	ns := l.Namespace(t)
	a := l.Account(t, ns)
	binary := filepath.Join(t.TempDir(), "merlon")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/merlon").CombinedOutput(); err != nil {
		t.Fatalf("build merlon: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "watch", "--cluster", "--kubeconfig", a.Kubeconfig, "--namespace", ns, "-o", "json", "--control", "workload/privileged-container")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 1000)
	go events(out, lines)
	next := func(want string) {
		t.Helper()
		for {
			select {
			case got, open := <-lines:
				if !open {
					t.Fatalf("ended before %s", want)
				}
				if got == want {
					return
				}
				t.Logf("told %s", got)
			case <-time.After(2 * time.Minute):
				t.Fatalf("%s is not told", want)
			}
		}
	}
	next("watching")
	deployment := func(privileged string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n  selector: {matchLabels: {app: web}}\n  template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: a, image: b, securityContext: {privileged: " + privileged + "}}]}\n"
	}
	l.Apply(t, ns, deployment("true"))
	next("opened web")
	l.Apply(t, ns, deployment("false"))
	next("closed web")
	l.Apply(t, ns, deployment("true"))
	next("opened web")
	l.Kubectl(t, "", "delete", "deployment", "-n", ns, "web")
	next("closed web")
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for range lines {
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("interrupted, it ends with %v", err)
	}
}

// events reads the lines of merlon watch.
func events(in io.Reader, out chan<- string) {
	defer close(out)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Event   string
			Finding struct{ Subject struct{ Name string } }
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			out <- "a line that is no JSON: " + lines.Text()
			continue
		}
		if e.Finding.Subject.Name != "" {
			e.Event += " " + e.Finding.Subject.Name
		}
		out <- e.Event
	}
}
