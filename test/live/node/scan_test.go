package node

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/merlon-security/merlon/internal/cli"
	"github.com/merlon-security/merlon/internal/finding"
)

// machine is the node that the test cluster runs, and how its programs are
// started again with other settings.
type machine struct {
	dir string // of the cluster
	lab string // the program that runs it
}

// openNode returns the node, or ends the test: by skipping it, or, under make
// test, where nothing may be skipped, by failing it.
func openNode(t *testing.T) *machine {
	t.Helper()
	dir := os.Getenv("MERLON_LAB_DIR")
	if _, err := os.Stat(filepath.Join(dir, "n1", "kubelet.yaml")); dir == "" || err != nil {
		if os.Getenv("MERLON_LIVE") != "" {
			t.Fatal("no test cluster with a node: MERLON_LAB_DIR does not name one")
		}
		t.Skip("no test cluster with a node: make test starts one (lab run --tier node -- go test ./test/live/node)")
	}
	m := &machine{dir: dir, lab: filepath.Join(t.TempDir(), "lab")}
	build := exec.Command("go", "-C", filepath.Join("..", "..", "cluster"), "build", "-o", m.lab, "./cmd/lab")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build lab: %v\n%s", err, out)
	}
	return m
}

func (m *machine) run(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, m.lab, args...).CombinedOutput(); err != nil {
		t.Fatalf("lab %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// restart starts a program of the cluster again with more flags.
func (m *machine) restart(t *testing.T, program string, flags ...string) {
	t.Helper()
	m.run(t, "stop", "--now", "--dir", m.dir, program)
	m.run(t, append([]string{"start", "--dir", m.dir, program, "--"}, flags...)...)
}

// edit adds lines to a configuration file of the node, until the test ends.
func (m *machine) edit(t *testing.T, name, from, to string) {
	t.Helper()
	file := filepath.Join(m.dir, "n1", name)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(before), from) {
		t.Fatalf("%s holds no %q", name, from)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(file, before, info.Mode()); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(file, []byte(strings.Replace(string(before), from, to, 1)), info.Mode()); err != nil {
		t.Fatal(err)
	}
}

// scan runs merlon on the node and returns what fails on its components:
// "control component" to the path of the field at fault.
func (m *machine) scan(t *testing.T) map[string]string {
	t.Helper()
	var out, errs bytes.Buffer
	code := cli.Main([]string{"scan", "--node", "--all", "--k8s-version", "1.36", "-o", "json", "--fail-on", "none"}, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	var r finding.Report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("scan: exit code %d: %v\n%s", code, err, errs.String())
	}
	if code != 0 {
		t.Fatalf("scan: exit code %d, gaps %+v\n%s", code, r.Gaps, errs.String())
	}
	failed := map[string]string{}
	for _, f := range r.Findings {
		if f.Verdict != finding.Fail || !m.own(f.Location.File) {
			continue
		}
		at := ""
		if len(f.Evidence) > 0 {
			at = f.Evidence[0].Path + " = " + f.Evidence[0].Value
		}
		component := strings.Split(f.Subject.Name+"..", ".")[1]
		if f.Subject.Kind == "NodeFile" {
			component = filepath.Base(f.Subject.Name)
		}
		failed[f.Control+" "+component] = at
	}
	return failed
}

// own tells the processes and files of this cluster from those of others that
// run on the machine meanwhile.
func (m *machine) own(file string) bool {
	if !strings.HasPrefix(file, "/proc/") {
		return strings.HasPrefix(file, m.dir)
	}
	env, err := os.ReadFile(filepath.Join(file, "environ"))
	return err == nil && strings.Contains(string(env), "@"+m.dir)
}

// flip is a change of settings with one start of a program, and the verdicts
// that it changes: control to the place that must be named, "" for a pass.
type flip struct {
	name    string
	program string
	edits   [][3]string // file, text, what takes its place
	flags   []string
	want    map[string]string
}

const file = "spec.configuration[0].content."

var flips = []flip{
	{name: "kubelet, by flag", program: "kubelet-n1",
		flags: []string{"--anonymous-auth=true", "--read-only-port", "10255", "--authorization-mode=AlwaysAllow", "--make-iptables-util-chains=false", "--event-qps=1", "--streaming-connection-idle-timeout=0", "--tls-cipher-suites=TLS_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "--pod-max-pids=100", "--rotate-certificates", "--protect-kernel-defaults=false", "--seccomp-default"},
		want: map[string]string{
			"kubelet/anonymous-auth kubelet": "--anonymous-auth=true", "kubelet/read-only-port kubelet": "= --read-only-port", "kubelet/always-allow-authorization kubelet": "--authorization-mode=AlwaysAllow",
			"kubelet/unmanaged-iptables kubelet": "--make-iptables-util-chains=false", "kubelet/dropped-events kubelet": "--event-qps=1",
			"kubelet/endless-streaming-connections kubelet": "--streaming-connection-idle-timeout=0", "kubelet/weak-tls-ciphers kubelet": "--tls-cipher-suites=TLS_RSA",
			"kubelet/unchecked-kernel-settings kubelet": "--protect-kernel-defaults=false",
			"kubelet/unlimited-pids kubelet":            "", "kubelet/no-certificate-rotation kubelet": "", "kubelet/no-default-seccomp kubelet": "",
			"component/setting-given-twice kubelet": "spec",
		}},
	{name: "kubelet, in the file", program: "kubelet-n1",
		edits: [][3]string{{"kubelet.yaml", "readOnlyPort: 0", "readOnlyPort: 10255\neventRecordQPS: 2\nmakeIPTablesUtilChains: false\nstreamingConnectionIdleTimeout: 0s\nrotateCertificates: true\nseccompDefault: true\npodPidsLimit: 200\nenableProfilingHandler: false\nenableDebugFlagsHandler: false\ntlsCipherSuites: [TLS_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]"},
			{"kubelet.yaml", "anonymous: {enabled: false}", "anonymous: {enabled: true}"}, {"kubelet.yaml", "mode: Webhook", "mode: AlwaysAllow"}},
		want: map[string]string{
			"kubelet/anonymous-auth kubelet": file + "authentication.anonymous.enabled = true", "kubelet/read-only-port kubelet": file + "readOnlyPort = 10255",
			"kubelet/always-allow-authorization kubelet": file + "authorization.mode = AlwaysAllow", "kubelet/unmanaged-iptables kubelet": file + "makeIPTablesUtilChains = false",
			"kubelet/dropped-events kubelet": file + "eventRecordQPS = 2", "kubelet/endless-streaming-connections kubelet": file + "streamingConnectionIdleTimeout = 0s",
			"kubelet/weak-tls-ciphers kubelet": file + "tlsCipherSuites",
			"kubelet/unlimited-pids kubelet":   "", "kubelet/no-certificate-rotation kubelet": "", "kubelet/no-default-seccomp kubelet": "", "kubelet/profiling-handler kubelet": "",
		}},
	{name: "kubelet, mended by flag over the file", program: "kubelet-n1",
		edits: [][3]string{{"kubelet.yaml", "readOnlyPort: 0", "readOnlyPort: 10255\nrotateCertificates: false"}, {"kubelet.yaml", "anonymous: {enabled: false}", "anonymous: {enabled: true}"}, {"kubelet.yaml", "mode: Webhook", "mode: AlwaysAllow"}},
		flags: []string{"--anonymous-auth=false", "--read-only-port=0", "--authorization-mode=Webhook", "--rotate-certificates=true"},
		want: map[string]string{
			"kubelet/anonymous-auth kubelet": "", "kubelet/read-only-port kubelet": "", "kubelet/always-allow-authorization kubelet": "", "kubelet/no-certificate-rotation kubelet": "",
			"component/setting-given-twice kubelet": "spec",
		}},
	{name: "kube-proxy, in the file", program: "kube-proxy-n1",
		edits: [][3]string{{"kube-proxy.yaml", "metricsBindAddress: 127.0.0.1:10249", "metricsBindAddress: 0.0.0.0:10249\nenableProfiling: true"}},
		want:  map[string]string{"kube-proxy/public-metrics-address kube-proxy": file + "metricsBindAddress = 0.0.0.0:10249", "kube-proxy/profiling kube-proxy": file + "enableProfiling = true"}},
	{name: "kube-proxy, by flags that its file makes it ignore", program: "kube-proxy-n1", flags: []string{"--metrics-bind-address=0.0.0.0:10249", "--profiling=true"},
		want: map[string]string{"kube-proxy/public-metrics-address kube-proxy": "", "component/setting-given-twice kube-proxy": "spec"}},
	{name: "scheduler, by flag", program: "kube-scheduler", flags: []string{"--profiling=true", "--bind-address=0.0.0.0", "--tls-min-version=VersionTLS10"},
		want: map[string]string{"scheduler/profiling kube-scheduler": "--profiling=true", "scheduler/public-bind-address kube-scheduler": "--bind-address=0.0.0.0", "scheduler/old-tls-version kube-scheduler": "--tls-min-version=VersionTLS10"}},
	{name: "controller manager, by flag", program: "kube-controller-manager", flags: []string{"--profiling", "--bind-address=0.0.0.0", "--use-service-account-credentials=false", "--terminated-pod-gc-threshold=0", "--tls-min-version", "VersionTLS11"},
		want: map[string]string{"controller-manager/profiling kube-controller-manager": "--profiling", "controller-manager/public-bind-address kube-controller-manager": "--bind-address=0.0.0.0",
			"controller-manager/shared-credentials kube-controller-manager": "--use-service-account-credentials=false", "controller-manager/endless-terminated-pods kube-controller-manager": "--terminated-pod-gc-threshold=0",
			"controller-manager/old-tls-version kube-controller-manager": "--tls-min-version"}},
	{name: "etcd, by flag", program: "etcd", flags: []string{"--auto-tls=true", "--peer-auto-tls"},
		want: map[string]string{"etcd/self-signed-certificate etcd": "--auto-tls=true", "etcd/self-signed-peer-certificate etcd": "--peer-auto-tls"}},
	{name: "API server, made worse and mended by flag", program: "kube-apiserver", flags: []string{"--anonymous-auth=false", "--enable-admission-plugins=DenyServiceExternalIPs,AlwaysPullImages", "--service-account-extend-token-expiration=false", "--profiling=true", "--service-account-lookup=false", "--request-timeout=2h", "--tls-min-version=VersionTLS10", "--audit-log-maxage=3", "--audit-log-maxbackup=1", "--disable-admission-plugins=NamespaceLifecycle,ServiceAccount", "--kubelet-certificate-authority="},
		want: map[string]string{"apiserver/profiling kube-apiserver": "--profiling=true", "apiserver/no-service-account-lookup kube-apiserver": "--service-account-lookup=false",
			"apiserver/long-request-timeout kube-apiserver": "--request-timeout=2h", "apiserver/old-tls-version kube-apiserver": "--tls-min-version=VersionTLS10",
			"apiserver/short-audit-log-age kube-apiserver": "--audit-log-maxage=3", "apiserver/few-audit-log-backups kube-apiserver": "--audit-log-maxbackup=1",
			"apiserver/no-namespace-lifecycle kube-apiserver": "--disable-admission-plugins", "apiserver/no-service-account-admission kube-apiserver": "--disable-admission-plugins",
			"apiserver/unverified-kubelet-certificate kube-apiserver": "--kubelet-certificate-authority=",
			"apiserver/anonymous-auth kube-apiserver":                 "", "apiserver/service-external-ips kube-apiserver": "", "apiserver/no-always-pull-images kube-apiserver": "", "apiserver/extended-service-account-tokens kube-apiserver": ""}},
}

// problems compares what fails before and after a flip with what is wanted.
func (f *flip) problems(before, after map[string]string) []string {
	var out []string
	for control, place := range f.want {
		at, fails := after[control]
		was, failed := before[control]
		switch {
		case place == "" && fails:
			out = append(out, control+" still fails at "+at)
		case place != "" && !fails:
			out = append(out, control+" does not fail")
		case place != "" && !strings.Contains(at, place):
			out = append(out, control+" fails at "+at+", want "+place)
		case place != "" && failed && at == was:
			out = append(out, control+" failed there before: the case shows nothing")
		}
	}
	slices.Sort(out)
	return out
}

// maxStarts is how often programs may be started for the flips, with the start
// that brings each back to what it was.
const maxStarts = 15

// TestFlips changes settings of the programs of a real node, in flags, in files
// and in both, and demands that each verdict changes, and names the place that
// counts.
func TestFlips(t *testing.T) {
	m := openNode(t)
	settings, starts := 0, 0
	before := m.scan(t)
	changed := map[string]bool{}
	for _, f := range flips {
		if !changed[f.program] {
			changed[f.program] = true
			starts++
			t.Cleanup(func() { m.restart(t, f.program) })
		}
		t.Run(f.name, func(t *testing.T) {
			for _, e := range f.edits {
				m.edit(t, e[0], e[1], e[2])
			}
			m.restart(t, f.program, f.flags...)
			starts++
			settings += len(f.want)
			// A program that was just started may not be through its exec.
			var problems []string
			for range 20 {
				if problems = f.problems(before, m.scan(t)); len(problems) == 0 {
					return
				}
				time.Sleep(250 * time.Millisecond)
			}
			t.Error(strings.Join(problems, "\n"))
		})
	}
	if settings < 40 || starts > maxStarts {
		t.Errorf("%d settings flipped in %d starts, want 40 in at most %d", settings, starts, maxStarts)
	}
	t.Logf("%d settings flipped in %d starts", settings, starts)
}

// TestFileMode changes the mode and owner of a real file.
func TestFileMode(t *testing.T) {
	m := openNode(t)
	file := filepath.Join(m.dir, "n1", "kubelet.yaml")
	for _, tt := range []struct {
		mode  os.FileMode
		uid   int
		wants map[string]bool
	}{
		{0o600, 0, map[string]bool{"node/open-kubelet-configuration": false, "node/foreign-owned-kubelet-configuration": false}},
		{0o644, 65534, map[string]bool{"node/open-kubelet-configuration": true, "node/foreign-owned-kubelet-configuration": true}},
		{0o600, 0, map[string]bool{"node/open-kubelet-configuration": false}},
	} {
		if err := os.Chmod(file, tt.mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(file, tt.uid, 0); err != nil {
			t.Fatal(err)
		}
		got := m.scan(t)
		for control, want := range tt.wants {
			if _, fails := got[control+" kubelet.yaml"]; fails != want {
				t.Errorf("mode %o of %d: %s fails: %v, want %v", tt.mode, tt.uid, control, fails, want)
			}
		}
	}
}
