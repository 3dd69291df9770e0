// Package packets holds the answers of merlon net against real packets: pods of
// a real cluster call each other and addresses outside, a plug-in that is not
// ours enforces the policies, and who gets through is what Merlon says.
//
// It needs root and runs under `lab run --tier node`.
package packets

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/merlon-security/merlon/test/live/lab"
)

// outside are addresses of the machine, which is not part of the cluster: one
// that it has, one that the test adds.
var outside = []string{"10.199.0.1", "10.199.0.200"}

// end is who calls and is called.
type end struct {
	name    string // as merlon net takes it
	tag     string // its own
	address string
	process string // of its network; "" for the machine
}

// bench is the cluster as the test sees it.
type bench struct {
	*lab.Lab
	enforcer   *enforcer
	kubeconfig string // of Merlon's account
	ends       []end
}

func TestPackets(t *testing.T) {
	b := newBench(t)
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no situations: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".yaml"), func(t *testing.T) {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			b.holds(t, string(text))
		})
	}
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("random-%d", seed), func(t *testing.T) {
			b.holds(t, randomPolicies(rand.New(rand.NewPCG(seed, 29))))
		})
	}
}

// holds applies policies, makes every call, and holds Merlon to what came of it.
func (b *bench) holds(t *testing.T, policies string) {
	b.apply(t, policies)
	file := filepath.Join(t.TempDir(), "cluster.snapshot")
	if out, errs, code := lab.Merlon(t, "snapshot", "save", file, "--cluster", "--kubeconfig", b.kubeconfig); code != 0 {
		t.Fatalf("snapshot save: %d %s %s", code, out, errs)
	}
	calls := b.calls()
	through := b.made(t, calls)
	said := map[[2]string]map[string]string{} // what may pass between two ends, by protocol
	open, wrong := 0, 0
	for i, c := range calls {
		ends := [2]string{c.From, c.To}
		if said[ends] == nil {
			said[ends] = allowed(t, file, c.From, c.To)
		}
		if through[i] {
			open++
		}
		if through[i] != c.Port.within(said[ends][strings.ToUpper(c.Port.Protocol)]) {
			if wrong++; wrong <= 10 {
				out, _, _ := lab.Merlon(t, "net", "allowed", c.From, c.To, c.Port.String(), "--snapshot", file, "--explain")
				t.Errorf("%s → %s %s: through is %t, and Merlon says\n%s", c.Src, c.Dst, c.Port, through[i], out)
			}
		}
	}
	t.Logf("%d calls, %d got through, %d otherwise than Merlon says", len(calls), open, wrong)
	b.live(t, file)
}

// allowed asks Merlon what may pass between two ends, by protocol: "80,8000-8080".
func allowed(t *testing.T, file, from, to string) map[string]string {
	t.Helper()
	out, errs, code := lab.Merlon(t, "net", "allowed", from, to, "--snapshot", file, "-o", "json")
	var answer struct{ Allowed json.RawMessage }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || code > 1 {
		t.Fatalf("net allowed %s %s: %d %s %v", from, to, code, errs, err)
	}
	ports := map[string]string{}
	if string(answer.Allowed) == `"all"` {
		return map[string]string{"TCP": "1-65535", "UDP": "1-65535"}
	}
	if err := json.Unmarshal(answer.Allowed, &ports); err != nil {
		t.Fatal(err)
	}
	return ports
}

// within reports whether a list of ports holds this one.
func (p port) within(list string) bool {
	for _, span := range strings.Split(list, ",") {
		first, last, ok := strings.Cut(span, "-")
		if !ok {
			last = first
		}
		a, err1 := strconv.Atoi(first)
		b, err2 := strconv.Atoi(last)
		if err1 == nil && err2 == nil && a <= p.Number && p.Number <= b {
			return true
		}
	}
	return false
}

// live holds that a cluster and its snapshot give one answer.
func (b *bench) live(t *testing.T, file string) {
	t.Helper()
	kept, _, _ := lab.Merlon(t, "net", "list", "--snapshot", file, "--pairs", "-o", "csv")
	now, errs, code := lab.Merlon(t, "net", "list", "--cluster", "--kubeconfig", b.kubeconfig, "--pairs", "-o", "csv")
	if code != 0 || now != kept {
		t.Errorf("net list --cluster: %d %s\n%s\nof the snapshot\n%s", code, errs, now, kept)
	}
}

// calls are all calls between two ends of which one is a pod.
func (b *bench) calls() (out []call) {
	for _, src := range b.ends {
		for _, dst := range b.ends {
			if src.tag == dst.tag || src.name == dst.name || src.process == "" && dst.process == "" {
				continue
			}
			for _, p := range ports {
				c := call{From: src.name, To: dst.name, Src: src.tag, Dst: dst.tag, Address: dst.address, Port: p}
				if src.process == "" {
					c.Local = src.address
				}
				out = append(out, c)
			}
		}
	}
	return out
}

// made makes the calls and returns which got through.
func (b *bench) made(t *testing.T, calls []call) []bool {
	t.Helper()
	out := make([]bool, len(calls))
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, src := range b.ends {
		var mine []call
		var at []int
		for i, c := range calls {
			if c.Src == src.tag {
				mine, at = append(mine, c), append(at, i)
			}
		}
		wg.Go(func() {
			answers, err := makeCalls(src.process, mine)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
				return
			}
			for k, i := range at {
				out[i] = answers[k]
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return out
}

// newBench makes pods that run, servers in them and outside, and the enforcer.
func newBench(t *testing.T) *bench {
	b := &bench{Lab: lab.Open(t)}
	if os.Getuid() != 0 {
		t.Fatal("this needs root: it enters the networks of pods")
	}
	ns := b.Namespace(t)
	b.kubeconfig = b.Account(t, ns).Kubeconfig
	world, err := os.ReadFile("testdata/world/pods.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"shop", "data", "tools"} {
		b.NamespaceOf(t, name)
	}
	b.Kubectl(t, string(world), "apply", "-f", "-")
	b.Kubectl(t, "", "wait", "-n", "shop", "--for=condition=Available", "--timeout=90s", "deployment/api")
	b.Kubectl(t, "", "wait", "--for=condition=Ready", "--timeout=90s", "pod", "-A", "-l", "packets")
	var list struct {
		Items []struct {
			Metadata struct {
				Name, Namespace, UID string
				Labels               map[string]string
			}
			Status struct{ PodIP string }
		}
	}
	if err := json.Unmarshal([]byte(b.Kubectl(t, "", "get", "pods", "-A", "-l", "packets", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, p := range list.Items {
		ns := p.Metadata.Namespace + "/"
		b.ends = append(b.ends, end{ns + p.Metadata.Labels["packets"], ns + p.Metadata.Name, p.Status.PodIP, processOf(t, p.Metadata.UID)})
	}
	for _, a := range outside {
		b.ends = append(b.ends, end{name: a, tag: a, address: a})
	}
	addAddress(t, outside[1])
	for _, e := range b.ends {
		startServer(t, e.process, e.tag, e.address)
	}
	b.enforcer = startEnforcer(t, b.Lab)
	return b
}
