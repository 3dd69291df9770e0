package node

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/test/live/lab"
)

// TestHardenRuntime opens the container runtime of a node to the network, has
// merlon harden write its configuration, starts the runtime with that, and lets
// a pod run: all else in the file must have stayed as it was.
func TestHardenRuntime(t *testing.T) {
	m := openNode(t)
	l := lab.Open(t)
	t.Cleanup(func() { m.restart(t, "containerd-n1") }) // once its file is as before
	m.edit(t, "containerd.toml", "[grpc]\n", "[metrics]\n  address = \"0.0.0.0:1338\"\n\n[grpc]\n  tcp_address = \"0.0.0.0:1339\"\n")
	m.edit(t, "containerd.toml", "  sandbox_image", "  stream_server_address = \"0.0.0.0\"\n  disable_apparmor = true\n  sandbox_image")
	m.restart(t, "containerd-n1")
	open := []string{"runtime/apparmor-switched-off", "runtime/containerd-on-the-network", "runtime/open-stream-server", "runtime/public-metrics-address"}
	lab.Eventually(t, "the opened runtime is found", func() (bool, string) {
		failed := m.runtimeFindings(t)
		return slices.Equal(failed, open), strings.Join(failed, "\n")
	})
	out := filepath.Join(t.TempDir(), "files")
	if _, errs, code := lab.Merlon(t, "harden", "--node", "--control", "runtime", "--form", "flags", "--write", out); code != 0 {
		t.Fatalf("harden: %d\n%s", code, errs)
	}
	text, err := os.ReadFile(filepath.Join(out, "containerd.toml"))
	if err != nil {
		t.Fatal(err)
	}
	m.replace(t, "containerd.toml", text)
	m.restart(t, "containerd-n1")
	lab.Eventually(t, "the hardened runtime scans clean", func() (bool, string) {
		failed := m.runtimeFindings(t)
		return len(failed) == 0, strings.Join(failed, "\n")
	})
	ns := l.Namespace(t)
	l.Apply(t, ns, `
apiVersion: v1
kind: Pod
metadata: {name: under-it}
spec: {restartPolicy: Never, containers: [{name: app, image: "`+image+`", command: [sh, -c, "echo it runs"]}]}
`)
	lab.Eventually(t, "a pod runs under the hardened runtime", func() (bool, string) {
		phase := l.Kubectl(t, "", "get", "pod", "-n", ns, "under-it", "-o", "jsonpath={.status.phase}")
		return phase == "Succeeded", phase + "\n" + l.Kubectl(t, "", "get", "events", "-n", ns)
	})
	if log := l.Kubectl(t, "", "logs", "-n", ns, "under-it"); log != "it runs\n" {
		t.Errorf("its log is %q", log)
	}
}

// runtimeFindings lists the controls that fail on the node's container runtime.
func (m *machine) runtimeFindings(t *testing.T) []string {
	t.Helper()
	var out []string
	for at := range m.scan(t) {
		if control, thing, _ := strings.Cut(at, " "); thing == "containerd" {
			out = append(out, control)
		}
	}
	slices.Sort(out)
	return out
}
