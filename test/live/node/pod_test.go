package node

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/test/live/lab"
)

// elsewhere is what a scan from a pod of the test cluster cannot see, and why.
var elsewhere = []string{
	// The test cluster's nodes have networks of their own on one machine, so that
	// the network of a node is not that of the machine's first process.
	"node/localhost-routed-from-network", "other-network",
}

// TestScanFromPod runs the Job that merlon permissions --node prints, with an
// image made as deploy/container makes it, and holds that it reports what a scan
// by root on the machine does; without its capabilities it does not.
func TestScanFromPod(t *testing.T) {
	m := openNode(t)
	l := lab.Open(t)
	const name = "localhost/merlon:test"
	m.image(t, name, buildMerlon(t))
	m.spoil(t)
	ns := l.Namespace(t)
	job, errs, code := lab.Merlon(t, "permissions", "--node", "n1", "--image", name, "--account-namespace", ns)
	if code != 0 {
		t.Fatalf("permissions: %d\n%s", code, errs)
	}
	seen := m.told(t, scanFromPod(t, l, ns, job))
	out, errs, code := lab.Merlon(t, "scan", "--node", "-o", "json", "--fail-on", "none")
	if code != 0 {
		t.Fatalf("scan: %d\n%s", code, errs)
	}
	want := m.told(t, out)
	if a, b := slices.Sorted(maps.Keys(seen)), slices.Sorted(maps.Keys(want)); !slices.Equal(a, b) {
		t.Errorf("only from the pod:\n%s\nonly on the machine:\n%s", strings.Join(beyond(a, want), "\n"), strings.Join(beyond(b, seen), "\n"))
	}
	for component := range programsOf {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(seen)), func(s string) bool { return strings.Contains(s, "n1."+component) }) {
			t.Errorf("the pod says nothing of %s", component)
		}
	}
	const add = "add: [SYS_PTRACE, DAC_READ_SEARCH]"
	bare := strings.Replace(strings.Replace(job, add, "add: []", 1), "merlon-n1", "bare-n1", 1)
	if bare == job || !strings.Contains(bare, "add: []") {
		t.Fatalf("the manifest has changed:\n%s", job)
	}
	if !strings.Contains(scanFromPod(t, l, ns, bare), `"kind":"unreadable"`) {
		t.Error("without capabilities there is no gap: what are they for?")
	}
}

// spoil starts the components that nothing is wrong with so that something is:
// what is all right is not in a report.
func (m *machine) spoil(t *testing.T) {
	t.Helper()
	for _, program := range [...]string{"kube-controller-manager", "kube-scheduler", "kube-proxy-n1"} {
		t.Cleanup(func() { m.restart(t, program) })
	}
	m.edit(t, "kube-proxy.yaml", "metricsBindAddress", "enableProfiling: true\nmetricsBindAddress")
	m.restart(t, "kube-controller-manager", "--profiling=true")
	m.restart(t, "kube-scheduler", "--profiling=true")
	m.restart(t, "kube-proxy-n1")
}

// scanFromPod runs a Job to its end and returns what it has logged.
func scanFromPod(t *testing.T, l *lab.Lab, ns, job string) string {
	t.Helper()
	l.Kubectl(t, job, "apply", "-f", "-")
	name := strings.Trim(strings.Fields(job[strings.Index(job, "metadata: {name: "):])[2], `",`)
	var phase string
	lab.Eventually(t, "the Job "+name+" ends", func() (bool, string) {
		phase = l.Kubectl(t, "", "get", "pods", "-n", ns, "-l", "job-name="+name, "-o", "jsonpath={.items[*].status.phase}")
		return phase == "Succeeded" || phase == "Failed", phase + "\n" + l.Kubectl(t, "", "get", "events", "-n", ns)
	})
	log := l.Kubectl(t, "", "logs", "-n", ns, "job/"+name)
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(log)); err != nil {
		t.Fatalf("%s has logged no report: %v\n%s", phase, err, log)
	}
	return compact.String()
}

// told lists what a report says of this cluster's components and files.
func (m *machine) told(t *testing.T, report string) map[string]bool {
	t.Helper()
	var r finding.Report
	if err := json.Unmarshal([]byte(report), &r); err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for i := range r.Findings {
		f := &r.Findings[i]
		if (f.Location.File == "" || m.own(f.Location.File)) && !slices.Contains(elsewhere, f.Control) {
			at := ""
			if len(f.Evidence) > 0 {
				at = f.Evidence[0].Path + " = " + f.Evidence[0].Value
			}
			out[fmt.Sprintf("%s %s %s: %s [%s]", f.Verdict, f.Control, f.Subject.Name, f.Message, at)] = true
		}
	}
	for _, g := range r.Gaps {
		if (g.Location.File == "" || m.own(g.Location.File)) && !slices.Contains(elsewhere, g.Kind) {
			out[fmt.Sprintf("gap %s: %s", g.Location.File, g.Message)] = true
		}
	}
	return out
}

// beyond lists what others do not have.
func beyond(list []string, others map[string]bool) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return others[s] })
}

func buildMerlon(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "merlon")
	build := exec.Command("go", "build", "-o", binary, "../../../cmd/merlon")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build merlon: %v\n%s", err, out)
	}
	return binary
}

// image gives the node an image with the binary and nothing else, as
// deploy/container/Dockerfile makes it.
func (m *machine) image(t *testing.T, name, binary string) {
	t.Helper()
	program, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	layer := archive(t, map[string][]byte{"merlon": program})
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/merlon"}, "User": "65532:65532", "WorkingDir": "/work"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := json.Marshal([]any{map[string]any{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(file, archive(t, map[string][]byte{"manifest.json": manifest, "config.json": config, "layer.tar": layer}), 0o600); err != nil {
		t.Fatal(err)
	}
	m.ctr(t, "images", "import", file)
	t.Cleanup(func() { m.ctr(t, "images", "rm", name) })
}

// ctr speaks to the node's container runtime.
func (m *machine) ctr(t *testing.T, args ...string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(m.dir, "n1", "kubelet.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "containerRuntimeEndpoint: unix://")
	if !ok {
		t.Fatal("kubelet.yaml names no runtime")
	}
	socket, _, _ := strings.Cut(rest, "\n")
	if out, err := exec.Command("ctr", append([]string{"--address", socket, "--namespace", "k8s.io"}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("ctr %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func archive(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
