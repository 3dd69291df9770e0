package cluster

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"
)

// testCluster returns a cluster that is only a state folder.
func testCluster(t *testing.T, tier Tier) *Cluster {
	t.Helper()
	cfg, err := Config{Tier: tier, Dir: filepath.Join(t.TempDir(), "state"), Source: ".", Cache: t.TempDir()}.complete()
	if err != nil {
		t.Fatal(err)
	}
	c, err := claim(cfg, Binaries{Programs: "/programs"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClaimRefusesAFolderThatIsTaken(t *testing.T) {
	c := testCluster(t, ControlPlane)
	if _, err := claim(Config{Dir: c.dir, Tier: ControlPlane}, Binaries{}); err == nil || !strings.Contains(err.Error(), "a cluster is there already") {
		t.Errorf("claim of a cluster's folder: %v", err)
	}
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.txt"), []byte("years"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := claim(Config{Dir: foreign, Tier: ControlPlane}, Binaries{}); err == nil {
		t.Error("claim of a folder with other content succeeded")
	}
	if err := Down(context.Background(), foreign); err != nil {
		t.Errorf("down of a folder that is no cluster's: %v", err)
	}
	if _, err := os.Stat(filepath.Join(foreign, "thesis.txt")); err != nil {
		t.Errorf("down removed what is not ours: %v", err)
	}
}

func TestDownCanBeRepeated(t *testing.T) {
	c := testCluster(t, ControlPlane)
	for range 2 {
		if err := Down(context.Background(), c.dir); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(c.dir); !os.IsNotExist(err) {
			t.Fatalf("state folder after down: %v", err)
		}
	}
}

func TestOpenKnowsWhatUpDecided(t *testing.T) {
	c := testCluster(t, ControlPlane)
	again, err := Open(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	if again.Server() != c.Server() || again.Programs() != "/programs" {
		t.Errorf("opened cluster has server %s and programs %s", again.Server(), again.Programs())
	}
	p, err := again.program("kube-apiserver")
	if err != nil {
		t.Fatal(err)
	}
	if p.argv[0] != "/programs/kube-apiserver" || p.node != "" {
		t.Errorf("API server is started as %v in %q", p.argv, p.node)
	}
}

func TestConfigRefusesFlagsForUnknownPrograms(t *testing.T) {
	if _, err := (Config{Args: map[string][]string{"apiserver": {"--v=4"}}}).complete(); err == nil {
		t.Error("no error")
	}
}

func TestPortsAreFreeAndDistinct(t *testing.T) {
	p, err := choosePorts(Config{Tier: ControlPlane})
	if err != nil {
		t.Fatal(err)
	}
	all := []int{p.API, p.Etcd, p.EtcdPeer, p.ControllerManager, p.Scheduler}
	slices.Sort(all)
	if len(slices.Compact(all)) != 5 || all[0] == 0 {
		t.Errorf("ports %+v", p)
	}
	if p, err = choosePorts(Config{Tier: OneNode}); err != nil || p.API != defaultPort || p.Scheduler != defaultPort+4 {
		t.Errorf("ports in a namespace of its own: %+v, %v", p, err)
	}
}

func TestNodesRunEverythingInTheirNamespace(t *testing.T) {
	c := testCluster(t, TwoNodes)
	var names []string
	for _, p := range c.programs() {
		if p.node == "" {
			t.Errorf("%s runs in the machine's network namespace", p.name)
		}
		names = append(names, p.name)
	}
	if len(names) != 10 {
		t.Errorf("programs %v", names)
	}
}

func TestNodeConfiguration(t *testing.T) {
	c := testCluster(t, TwoNodes)
	n := c.state.Tier.nodes()[1]
	v := nodeFiles{Node: n, Dir: c.nodeDir(n), Cgroup: cgroupName(n.Name)}
	out := filepath.Join(t.TempDir(), "out")
	all := template.Must(template.ParseFS(configs, "config/*.tmpl"))
	for _, tmpl := range all.Templates() {
		if err := fill(all, tmpl.Name(), out, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := fill(all, "cni.conflist.tmpl", out, v); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var conflist struct {
		Name    string
		Plugins []struct{ Type string }
	}
	if err := json.Unmarshal(b, &conflist); err != nil {
		t.Fatalf("decode CNI configuration: %v\n%s", err, b)
	}
	if conflist.Name != "mlab-n2" || len(conflist.Plugins) != 2 || !strings.Contains(string(b), `"10.244.2.0/24"`) {
		t.Errorf("CNI configuration of n2:\n%s", b)
	}
}
