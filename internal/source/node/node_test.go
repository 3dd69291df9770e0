//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// fakeRoot is a folder that looks like the root of a machine.
type fakeRoot struct {
	t   *testing.T
	dir string
}

func newRoot(t *testing.T) *fakeRoot {
	r := &fakeRoot{t, t.TempDir()}
	r.write("/proc/stat", "cpu 1\nbtime 1000000\n")
	r.write("/etc/hostname", "n1\n")
	r.write("/etc/passwd", "root:x:0:0::/:/bin/sh\netcd:x:900:900::/:\n")
	return r
}

func (r *fakeRoot) write(name, text string) {
	r.t.Helper()
	file := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *fakeRoot) link(target, name string) {
	r.t.Helper()
	file := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Symlink(target, file); err != nil {
		r.t.Fatal(err)
	}
}

// process adds a process; root is where its own file system lies, "" for that of
// the machine.
func (r *fakeRoot) process(pid int, root string, argv ...string) {
	at := fmt.Sprintf("/proc/%d/", pid)
	r.write(at+"cmdline", strings.Join(argv, "\x00")+"\x00")
	r.write(at+"stat", fmt.Sprintf("%d (a b) c) S 1 %s 500 0", pid, strings.Repeat("0 ", 17)))
	r.link(filepath.Join(r.dir, root), at+"root")
	r.link("/usr/bin/"+filepath.Base(argv[0]), at+"exe")
	if err := os.MkdirAll(filepath.Join(r.dir, at, "fd"), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

// scan returns what the source tells: facts by kind and name, and gaps.
func (r *fakeRoot) scan() (map[string]fact.Value, []fact.Gap) {
	r.t.Helper()
	s := &Source{NodeInput: source.NodeInput{Root: r.dir, Now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}}
	objects := map[string]fact.Value{}
	var gaps []fact.Gap
	synced := false
	err := s.Collect(context.Background(), func(c fact.Change) error {
		switch c.Op {
		case fact.Upsert:
			key := c.Object.Kind + " " + c.Object.Name
			if _, twice := objects[key]; twice && c.Object.Name != "" {
				r.t.Errorf("%s is told twice", key)
			}
			objects[key] = c.Object.Root
		case fact.GapOpened:
			gaps = append(gaps, c.Gap)
		case fact.Synced:
			synced = true
		}
		return nil
	})
	if err != nil || !synced {
		r.t.Fatalf("collect: %v, synced %v", err, synced)
	}
	return objects, gaps
}

func text(v fact.Value) string { return string(yamldoc.JSON(v)) }

func gapAt(gaps []fact.Gap, file, message string) bool {
	return slices.ContainsFunc(gaps, func(g fact.Gap) bool { return g.File == file && strings.Contains(g.Message, message) })
}

// TestOwnNetwork tells the settings of a network only where they are the
// machine's.
func TestOwnNetwork(t *testing.T) {
	own, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		t.Skip(err)
	}
	for network, known := range map[string]bool{"": true, own: true, "net:[1]": false} {
		r := newRoot(t)
		r.process(10, "", "kubelet")
		r.write("/proc/sys/net/ipv4/ip_forward", "1\n")
		r.write("/proc/sys/vm/overcommit_memory", "1\n")
		if network != "" {
			r.link(network, "/proc/1/ns/net")
		}
		objects, gaps := r.scan()
		host := text(objects["NodeHost n1"])
		if !strings.Contains(host, `"vm.overcommit_memory":"1"`) || strings.Contains(host, `"net.ipv4.ip_forward":"1"`) != known {
			t.Errorf("in %q: %s", network, host)
		}
		if gapAt(gaps, "/proc/sys/net", "hostNetwork") == known {
			t.Errorf("in %q: %v", network, gaps)
		}
	}
}

func TestComponents(t *testing.T) {
	r := newRoot(t)
	r.process(10, "", "/usr/bin/kubelet", "--config", "/var/lib/kubelet/config.yaml", "--config-dir=/etc/kubelet.d", "--hostname-override=worker-7", "--v=2", "--v=4")
	r.write("/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\nreadOnlyPort: 1\nstaticPodPath: /manifests\n")
	r.write("/etc/kubelet.d/20.conf", "readOnlyPort: 2\n")
	r.write("/etc/kubelet.d/10.conf", "readOnlyPort: 3\n")
	r.write("/etc/kubelet.d/notes.txt", "readOnlyPort: 4\n")
	r.write("/manifests/etcd.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: etcd}\nspec: {containers: [{name: etcd, image: etcd, command: [etcd, --name=a]}]}\n")
	r.process(11, "", "etcd")
	r.write("/proc/11/environ", "ETCD_CERT_FILE=/c.crt\x00HOME=/root\x00ETCD_INITIAL_CLUSTER_TOKEN=s3cr3t-Zk29vPq81Lm\x00")
	r.process(12, "", "bash", "-c", "exec kube-scheduler --profiling")
	r.process(13, "", "vim", "kubelet")
	r.write("/proc/14/cmdline", "")
	objects, gaps := r.scan()
	kubelet := text(objects["NodeComponent worker-7.kubelet"])
	for _, want := range []string{`"component":"kubelet"`, `"path":"/etc/kubelet.d/10.conf"`, `"newerThanProcess":true`} {
		if !strings.Contains(kubelet, want) {
			t.Errorf("kubelet %s\nhas no %s", kubelet, want)
		}
	}
	if first, second := strings.Index(kubelet, "10.conf"), strings.Index(kubelet, "20.conf"); first < 0 || second < first || strings.Contains(kubelet, "notes.txt") {
		t.Errorf("drop-ins are not in their order: %s", kubelet)
	}
	etcd := text(objects["NodeComponent worker-7.etcd"])
	if !strings.Contains(etcd, "/c.crt") || strings.Contains(etcd, "HOME") || strings.Contains(etcd, "s3cr3t") {
		t.Errorf("etcd's environment: %s", etcd)
	}
	if _, ok := objects["Pod etcd"]; !ok {
		t.Error("the static pod is not told")
	}
	if spec := text(objects["NodeFile worker-7:static-pod-manifest:/manifests/etcd.yaml"]); !strings.Contains(spec, `"component":"etcd"`) || !strings.Contains(spec, `"mode":"0600"`) {
		t.Errorf("manifest: %s", spec)
	}
	for key := range objects {
		if strings.HasPrefix(key, "NodeComponent") && !strings.HasSuffix(key, ".kubelet") && !strings.HasSuffix(key, ".etcd") {
			t.Errorf("%s: a shell and an editor are no component", key)
		}
	}
	if len(gaps) > 0 {
		t.Errorf("gaps: %+v", gaps)
	}
}

func TestTwoKubelets(t *testing.T) {
	r := newRoot(t)
	r.process(10, "", "kubelet", "--root-dir=/a")
	r.process(11, "", "kubelet", "--root-dir=/b")
	r.process(12, "", "kubelet")
	r.process(13, "", "kubelet")
	objects, _ := r.scan()
	for _, name := range []string{"n1.kubelet", "n1.kubelet./b", "n1.kubelet.2", "n1.kubelet.3"} {
		if _, ok := objects["NodeComponent "+name]; !ok {
			t.Errorf("no %s", name)
		}
	}
}

// TestOtherMountNamespace has a component whose files are others than those of
// the machine under the same paths.
func TestOtherMountNamespace(t *testing.T) {
	r := newRoot(t)
	r.process(10, "/container", "kube-proxy", "--config=/conf/p.yaml")
	r.write("/container/conf/p.yaml", "metricsBindAddress: inside\n")
	r.write("/conf/p.yaml", "metricsBindAddress: outside\n")
	objects, _ := r.scan()
	if got := text(objects["NodeComponent n1.kube-proxy"]); !strings.Contains(got, "inside") || strings.Contains(got, "outside") {
		t.Error(got)
	}
}

func TestLinks(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "secret.yaml")
	if err := os.WriteFile(outside, []byte("readOnlyPort: 666\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRoot(t)
	r.process(10, "", "kubelet", "--config=/conf/link.yaml")
	r.link("../../../../../../../../../.."+outside, "/conf/link.yaml")
	objects, gaps := r.scan()
	if got := text(objects["NodeComponent n1.kubelet"]); strings.Contains(got, "666") || !strings.Contains(got, `"unread":["/conf/link.yaml"]`) {
		t.Errorf("a link led out of the root: %s", got)
	}
	if !gapAt(gaps, "/conf/link.yaml", "cannot be read") {
		t.Errorf("no gap: %+v", gaps)
	}
	r = newRoot(t)
	r.process(10, "", "kubelet", "--config=/conf/link.yaml")
	r.link("/real/config.yaml", "/conf/link.yaml") // absolute, as the machine means it
	r.write("/real/config.yaml", "readOnlyPort: 12\n")
	objects, gaps = r.scan()
	if got := text(objects["NodeComponent n1.kubelet"]); !strings.Contains(got, `"readOnlyPort":12`) || len(gaps) > 0 {
		t.Errorf("a link within the root is not followed: %s %+v", got, gaps)
	}
}

func TestBadFiles(t *testing.T) {
	for _, tt := range []struct {
		name, message string
		make          func(r *fakeRoot, file string)
	}{
		{"missing", "no such file", func(*fakeRoot, string) {}},
		{"huge", "larger than", func(r *fakeRoot, file string) { r.write(file, strings.Repeat("#", maxConfig+1)) }},
		{"no YAML", "did not find", func(r *fakeRoot, file string) { r.write(file, "a: [") }},
		{"folder", "regular file", func(r *fakeRoot, file string) { r.write(file+"/x", "") }},
		{"pipe", "regular file", func(r *fakeRoot, file string) {
			r.write("/c/keep", "")
			if err := syscall.Mkfifo(filepath.Join(r.dir, file), 0o600); err != nil {
				r.t.Fatal(err)
			}
		}},
		{"alias bomb", "", func(r *fakeRoot, file string) {
			r.write(file, "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\n")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRoot(t)
			r.process(10, "", "kubelet", "--config=/c/k.yaml", "--anonymous-auth=false")
			tt.make(r, "/c/k.yaml")
			objects, gaps := r.scan()
			if got := text(objects["NodeComponent n1.kubelet"]); !strings.Contains(got, `"unread":["/c/k.yaml"]`) {
				t.Error(got)
			}
			if !gapAt(gaps, "/c/k.yaml", tt.message) {
				t.Errorf("gaps %+v, want one with %q", gaps, tt.message)
			}
		})
	}
}

// TestVanished has processes that end between being listed and being read: what
// is left of them in /proc is no reason to fail.
func TestVanished(t *testing.T) {
	r := newRoot(t)
	r.process(10, "", "kubelet")
	for _, name := range []string{"stat", "root", "exe", "fd"} {
		if err := os.RemoveAll(filepath.Join(r.dir, "proc/10", name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(r.dir, "proc/11"), 0o755); err != nil {
		t.Fatal(err)
	}
	objects, gaps := r.scan()
	if _, ok := objects["NodeComponent n1.kubelet"]; !ok || !gapAt(gaps, "/proc/10/root", "mount namespace") || !gapAt(gaps, "/proc/10/fd", "listens") {
		t.Errorf("%d objects, gaps %+v", len(objects), gaps)
	}
}

func TestNothing(t *testing.T) {
	r := newRoot(t)
	_, gaps := r.scan()
	if !gapAt(gaps, "", "no component") {
		t.Errorf("gaps %+v", gaps)
	}
	err := (&Source{NodeInput: source.NodeInput{Root: filepath.Join(t.TempDir(), "none")}}).Collect(context.Background(), func(fact.Change) error { return nil })
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a root that is not there: %v", err)
	}
}

func TestNoSecrets(t *testing.T) {
	const key = "dGhpcyBpcyBhIHZlcnkgc2VjcmV0IGtleSAzMg=="
	r := newRoot(t)
	r.process(10, "", "kube-apiserver", "--encryption-provider-config=/e.yaml", "--token-auth-file=/tokens.csv", "--oidc-client-secret", "hunter2-Zk29vPq81Lm")
	r.write("/e.yaml", "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: [secrets]\n  providers:\n  - secretbox: {keys: [{name: k, secret: "+key+"}]}\n")
	r.write("/tokens.csv", "31ada4fd-adec-460c-809a-9e56ceb75269,admin,1\n")
	r.write("/etc/kubernetes/admin.conf", "apiVersion: v1\nkind: Config\nusers: [{name: a, user: {token: 31ada4fd-adec-460c-809a-9e56ceb75269, client-key-data: "+key+"}}]\n")
	objects, _ := r.scan()
	encryption := false
	for name, o := range objects {
		got := text(o)
		encryption = encryption || strings.Contains(got, `"secretbox"`)
		for _, secret := range []string{key, "hunter2", "31ada4fd"} {
			if strings.Contains(got, secret) {
				t.Errorf("%s holds a secret: %s", name, got)
			}
		}
	}
	if !encryption {
		t.Error("the encryption configuration is not told")
	}
}

func TestListening(t *testing.T) {
	r := newRoot(t)
	r.process(10, "", "kubelet")
	r.link("socket:[77]", "/proc/10/fd/3")
	r.link("socket:[78]", "/proc/10/fd/4")
	r.write("/proc/10/net/tcp", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   0: 0100007F:2808 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 77 1\n   1: 00000000:2809 00000000:0000 0A 0:0 0:0 0     0        0 99 1\n   2: 00000000:280A 00000000:0000 01 0:0 0:0 0     0        0 78 1\n")
	r.write("/proc/10/net/tcp6", "   0: 00000000000000000000000001000000:1F90 00000000000000000000000000000000:0000 0A 0:0 0:0 0     0        0 78 1\n junk\n")
	objects, _ := r.scan()
	if got := text(objects["NodeComponent n1.kubelet"]); !strings.Contains(got, `"listening":["127.0.0.1:10248","[::1]:8080"]`) {
		t.Error(got)
	}
}

func FuzzSocketAddress(f *testing.F) {
	f.Add("0100007F:1F90")
	f.Add(":")
	f.Fuzz(func(t *testing.T, s string) {
		if a, ok := socketAddress(s); ok && a == "" {
			t.Errorf("%q", s)
		}
	})
}
