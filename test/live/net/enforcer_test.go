package packets

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/merlon-security/merlon/test/live/lab"
)

// node is the one whose packets are judged; its network also holds the bridge
// that joins the pods.
const (
	node        = "n1"
	nodeNetwork = "/run/netns/mlab-n1"
	podNetwork  = "10.244.0.0/16"
	queue       = "100"
)

// enforcer is the plug-in at work.
type enforcer struct {
	mu   sync.Mutex
	seen map[string]int // "KIND NAMESPACE/NAME" → version
}

// startEnforcer starts the plug-in, sends it the first packet of every
// connection of pods, and ends it with the test.
//
// The plug-in would make its rules itself, with nftables; this kernel may lack
// the expression for queues, and has iptables' target. So the rules are ours;
// which packets pass is the plug-in's decision.
func startEnforcer(t *testing.T, l *lab.Lab) *enforcer {
	t.Helper()
	binary := os.Getenv("MERLON_ENFORCER")
	if binary == "" {
		t.Fatal("MERLON_ENFORCER does not name the program of test/live/net/enforcer: make test-node builds it")
	}
	definePolicies(t, l)
	inNode(t, "sysctl", "-q", "-w", "net.bridge.bridge-nf-call-iptables=1")
	for _, rule := range []string{
		"-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
		"-m addrtype --src-type LOCAL -j ACCEPT", // the node reaches its pods
		"-s " + podNetwork + " -j NFQUEUE --queue-num " + queue,
		"-d " + podNetwork + " -j NFQUEUE --queue-num " + queue,
	} {
		inNode(t, append([]string{"iptables", "-w", "-t", "mangle", "-A", "POSTROUTING"}, strings.Fields(rule)...)...)
	}
	t.Cleanup(func() { inNode(t, "iptables", "-w", "-t", "mangle", "-F", "POSTROUTING") })
	cmd := exec.Command("nsenter", "--net="+nodeNetwork, "--", binary, "-kubeconfig", l.Kubeconfig, "-node", node, "-queue", queue)
	log, err := os.Create(filepath.Join(t.TempDir(), "enforcer.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the enforcer said:\n%s", text[max(0, len(text)-4000):])
		}
	})
	e := &enforcer{seen: map[string]int{}}
	go e.listen(bufio.NewScanner(out))
	lab.Eventually(t, "the enforcer reads the queue", func() (bool, string) {
		text, err := exec.Command("nsenter", "--net="+nodeNetwork, "--", "cat", "/proc/net/netfilter/nfnetlink_queue").CombinedOutput()
		return err == nil && strings.Contains(string(text), queue), string(text)
	})
	return e
}

// listen notes what the enforcer says that it has taken note of.
func (e *enforcer) listen(lines *bufio.Scanner) {
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		e.mu.Lock()
		switch {
		case len(f) == 4 && f[0] == "seen":
			e.seen[f[1]+" "+f[2]], _ = strconv.Atoi(f[3])
		case len(f) == 3 && f[0] == "gone":
			delete(e.seen, f[1]+" "+f[2])
		}
		e.mu.Unlock()
	}
}

// policies returns those that are enforced.
func (e *enforcer) policies() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[string]int{}
	for k, v := range e.seen {
		if strings.Contains(k, "Policy ") {
			out[k] = v
		}
	}
	return out
}

// apply makes some policies the only ones, and waits until they are enforced.
func (b *bench) apply(t *testing.T, policies string) {
	t.Helper()
	t.Cleanup(func() { b.Kubectl(t, policies, "delete", "--ignore-not-found", "-f", "-") })
	b.Kubectl(t, policies, "apply", "-f", "-")
	want := map[string]int{}
	var list struct {
		Items []struct {
			Kind     string
			Metadata struct{ Name, Namespace, ResourceVersion string }
		}
	}
	kinds := "networkpolicies,adminnetworkpolicies,baselineadminnetworkpolicies"
	if err := json.Unmarshal([]byte(b.Kubectl(t, "", "get", kinds, "-A", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Items {
		version, err := strconv.Atoi(o.Metadata.ResourceVersion)
		if err != nil {
			t.Fatal(err)
		}
		want[o.Kind+" "+o.Metadata.Namespace+"/"+o.Metadata.Name] = version
	}
	if len(want) == 0 {
		t.Fatal("no policy is there")
	}
	lab.Eventually(t, "the policies are enforced, and no others", func() (bool, string) {
		have := b.enforcer.policies()
		if len(have) != len(want) {
			return false, ""
		}
		for k, v := range want {
			if have[k] < v {
				return false, k
			}
		}
		return true, ""
	})
}

// definePolicies makes the API server serve the admin policies, by the
// definitions of the module that the enforcer is built with.
func definePolicies(t *testing.T, l *lab.Lab) {
	t.Helper()
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/network-policy-api")
	list.Dir = "enforcer"
	dir, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "config/crd/experimental/policy.networking.k8s.io_*adminnetworkpolicies.yaml"))
	if err != nil || len(files) != 2 {
		t.Fatalf("the definitions of admin policies are not where they were: %v %v", files, err)
	}
	for _, f := range files {
		l.Kubectl(t, "", "apply", "-f", f)
		t.Cleanup(func() { l.Kubectl(t, "", "delete", "--wait=false", "-f", f) })
	}
	l.Kubectl(t, "", "wait", "--for=condition=Established", "--timeout=60s", "crd", "adminnetworkpolicies.policy.networking.k8s.io", "baselineadminnetworkpolicies.policy.networking.k8s.io")
}

// inNode runs a command in the node's network.
func inNode(t *testing.T, argv ...string) {
	t.Helper()
	out, err := exec.Command("nsenter", append([]string{"--net=" + nodeNetwork, "--"}, argv...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

// addAddress gives the machine an address on its link to the node, for the time
// of the test.
func addAddress(t *testing.T, address string) {
	t.Helper()
	run := func(what string) ([]byte, error) {
		return exec.Command("ip", "addr", what, address+"/32", "dev", "mlabhost").CombinedOutput()
	}
	if out, err := run("add"); err != nil {
		t.Fatalf("add the address %s: %v\n%s", address, err, out)
	}
	t.Cleanup(func() { _, _ = run("del") })
}
