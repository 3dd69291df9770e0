package harden

import (
	"strings"
	"testing"

	"github.com/merlon-security/merlon/controls"
	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/component"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/pelletier/go-toml/v2"
)

// TestSettingsSatisfy holds the settings of every control to their promise.
func TestSettingsSatisfy(t *testing.T) {
	all, err := control.Load(controls.FS, true)
	if err != nil {
		t.Fatal(err)
	}
	lib := control.NewLibrary()
	with := 0
	for _, c := range all {
		if len(c.Settings) > 0 {
			with++
		}
		for _, problem := range Prove(lib, c, assess.NewestMinor(), assess.WorldOf) {
			t.Error(problem)
		}
	}
	if with < 80 {
		t.Errorf("%d controls have settings", with)
	}
}

func input(t *testing.T, found ...Found) Input {
	t.Helper()
	all, err := control.Load(controls.FS, true)
	if err != nil {
		t.Fatal(err)
	}
	in := Input{Library: control.NewLibrary(), Minor: 36, Components: found, Layout: DefaultLayout(), World: assess.WorldOf(nil)}
	for _, c := range all {
		if e := c.Scope.Each; c.Hygiene() || e != control.EachComponent && e != control.EachObject {
			continue
		}
		compiled, err := c.Compile(in.Library, nil)
		if err != nil {
			t.Fatal(err)
		}
		in.Controls = append(in.Controls, compiled)
	}
	return in
}

func text(t *testing.T, in Input, form Form) (string, *Result) {
	t.Helper()
	r, err := Make(in)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range r.Files(form) {
		b.WriteString("==> " + f.Name + "\n" + f.Text)
	}
	return b.String(), r
}

func node(t *testing.T, spec map[string]any) Found {
	t.Helper()
	o, ok := fact.NewObject(fact.Of(map[string]any{"apiVersion": "merlon.dev/v1", "kind": "NodeComponent", "metadata": map[string]any{"name": "n1.x"}, "spec": spec}), fact.Origin{})
	p, is := component.FromObject(&o)
	if !ok || !is {
		t.Fatal("no component")
	}
	return Found{Process: p, Where: "/proc/1"}
}

// TestEveryVersionIsSettled hardens kubeadm's defaults of every minor that is
// about: nothing is left open, and twice gives the same.
func TestEveryVersionIsSettled(t *testing.T) {
	for minor := 30; minor <= assess.NewestMinor(); minor++ {
		in := input(t, Kubeadm(minor, "")...)
		in.Minor = minor
		first, r := text(t, in, FormKubeadm)
		for _, c := range r.Components {
			for _, o := range c.Open {
				t.Errorf("1.%d: %s: %s: %s", minor, c.Process.Name(), o.Control, o.Message)
			}
		}
		for _, d := range r.Documents {
			for _, o := range d.Open {
				t.Errorf("1.%d: %s: %s: %s", minor, d.Name, o.Control, o.Message)
			}
		}
		if again, _ := text(t, in, FormKubeadm); again != first {
			t.Errorf("1.%d: another output the second time", minor)
		}
	}
}

// TestNoControlIsForgotten holds that a control of components has settings, or a
// reason for having none.
func TestNoControlIsForgotten(t *testing.T) {
	reasons := map[string]string{
		"component/configuration-not-in-force": "a restart, not a setting",
		"component/end-of-life":                "an upgrade",
		"component/version-skew":               "an upgrade",
		"component/setting-given-twice":        "what harden writes gives each setting once",
		"component/critical-vulnerability":     "an update",
		"component/high-vulnerability":         "an update",
		"component/medium-vulnerability":       "an update",
		"component/low-vulnerability":          "an update",
		"kubelet/hostname-override":            "the node would go by another name",
		"runtime/network-socket":               "who speaks to that port is to be asked first",
		"runtime/unverified-registry":          "the registry needs a certificate",
	}
	all, err := control.Load(controls.FS, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range all {
		if c.Scope.Each != control.EachComponent {
			continue
		}
		if _, excused := reasons[c.ID]; excused == (len(c.Settings) > 0) {
			t.Errorf("%s: settings: %d, excused: %v", c.ID, len(c.Settings), excused)
		}
	}
}

func TestKubelet(t *testing.T) {
	out, r := text(t, input(t, node(t, map[string]any{
		"component": "kubelet", "version": "v1.36.0", "controlPlane": true,
		"command": []any{"kubelet", "--config=/c.yaml", "--config-dir=/c.d", "--anonymous-auth=true", "--read-only-port=10255", "--node-ip=10.0.0.2", "--feature-gates=A=true,B=false"},
		"configuration": []any{
			map[string]any{"path": "/c.yaml", "content": map[string]any{"kind": "KubeletConfiguration", "evictionHard": map[string]any{"memory.available": "100Mi"}, "featureGates": map[string]any{"B": true}}},
			map[string]any{"path": "/c.d/1.conf", "content": map[string]any{"evictionHard": map[string]any{"nodefs.available": "5%"}, "maxPods": 50}},
		},
	})), FormFlags)
	for _, want := range []string{
		"--config=/c.yaml\n", "--node-ip=10.0.0.2\n", "# --anonymous-auth is in the file now: authentication.anonymous.enabled",
		"    # kubelet/anonymous-auth\n    enabled: false\n", "  memory.available: 100Mi\n", "  nodefs.available: 5%\n", "maxPods: 50\n",
		"  A: true\n  B: false\n", "readOnlyPort: 0\n", "podPidsLimit: 4096\n", "seccompDefault: true\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	for _, no := range []string{"\n--anonymous-auth=", "\n--config-dir=", "10255\n"} {
		if strings.Contains(out, no) {
			t.Errorf("%q in\n%s", no, out)
		}
	}
	if open := r.Components[0].Open; len(open) > 0 {
		t.Error(open)
	}
}

// TestUnread leaves a component alone whose file nobody has read: it may say
// anything.
func TestUnread(t *testing.T) {
	out, r := text(t, input(t, node(t, map[string]any{"component": "kubelet", "command": []any{"kubelet", "--config=/c.yaml"}, "unread": []any{"/c.yaml"}})), FormFlags)
	if !r.Components[0].Unread || out != "" {
		t.Errorf("written: %s", out)
	}
}

// TestHostile holds that names and values from a machine stay within their line,
// comment or word.
func TestHostile(t *testing.T) {
	in := input(t, node(t, map[string]any{"component": "kube-scheduler", "command": []any{"kube-scheduler", "--x=a\n--y=b", "--profiling=yes\n# no"}}))
	in.Components[0].Where = "/proc/1\nrm -rf /"
	o, _ := fact.NewObject(fact.Of(map[string]any{
		"apiVersion": "merlon.dev/v1", "kind": "NodeFile", "metadata": map[string]any{"name": "f"},
		"spec": map[string]any{"role": "pki-key", "path": "/pki/a'; reboot; '.key", "mode": "4777"},
	}), fact.Origin{})
	in.Objects = append(in.Objects, &o)
	out, _ := text(t, in, FormFlags)
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "rm") || strings.HasPrefix(line, "--y") {
			t.Errorf("a line of its own: %s", line)
		}
	}
	if !strings.Contains(out, `chmod -- '0600' '/pki/a'\''; reboot; '\''.key'`) {
		t.Error(out)
	}
}

func TestContainerd(t *testing.T) {
	out, _ := text(t, input(t, node(t, map[string]any{
		"component": "containerd", "command": []any{"containerd"},
		"configuration": []any{map[string]any{"path": "/etc/containerd/config.toml", "content": map[string]any{
			"version": 2, "grpc": map[string]any{"tcp_address": "0.0.0.0:9", "address": "/run/c.sock"},
			"plugins": map[string]any{"io.containerd.grpc.v1.cri": map[string]any{"disable_apparmor": true, "list": []any{"a", "b"}, "stream_server_address": "0.0.0.0"}},
		}}},
	})), FormKubeadm)
	want := `version = 2

[grpc]
address = "/run/c.sock"

[plugins]

[plugins."io.containerd.grpc.v1.cri"]
list = ["a", "b"]
# runtime/open-stream-server
stream_server_address = "127.0.0.1"
`
	if !strings.Contains(out, want) {
		t.Errorf("got\n%s", out)
	}
	var back map[string]any
	if err := toml.Unmarshal([]byte(out[strings.Index(out, "\n")+1:]), &back); err != nil {
		t.Errorf("no TOML: %v", err)
	}
}

// TestAuthenticationInUse settles anonymous requests in a file in use that leaves
// them to the default of a flag, and lets a flag be.
func TestAuthenticationInUse(t *testing.T) {
	for flag, want := range map[string]bool{"--v=2": true, "--anonymous-auth=false": false} {
		spec := map[string]any{"component": "kube-apiserver", "version": "v1.36.0", "command": []any{"kube-apiserver", "--authentication-config=/etc/authn.yaml", flag}}
		api, _ := fact.NewObject(fact.Of(map[string]any{"apiVersion": "merlon.dev/v1", "kind": "NodeComponent", "metadata": map[string]any{"name": "n1.kube-apiserver"}, "spec": spec}), fact.Origin{})
		in := input(t, node(t, spec))
		authn, ok := fact.NewObject(fact.Of(map[string]any{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": []any{}}), fact.Origin{File: "/etc/authn.yaml"})
		if !ok {
			t.Fatal("no object")
		}
		in.Objects = append(in.Objects, &authn)
		in.World = assess.WorldOf([]*fact.Object{&api, &authn})
		out, _ := text(t, in, FormFlags)
		if strings.Contains(out, "- path: /livez") != want || strings.Contains(out, "--authentication-config=/etc/kubernetes/hardening/authentication.yaml") != want {
			t.Errorf("with %s:\n%s", flag, out)
		}
	}
}

// TestDocumentInUse mends the audit policy that an API server uses, and leaves
// one that satisfies the controls.
func TestDocumentInUse(t *testing.T) {
	api := node(t, map[string]any{"component": "kube-apiserver", "version": "v1.36.0", "command": []any{"kube-apiserver", "--audit-policy-file=/etc/audit.yaml", "--audit-log-path=/a.log"}})
	for _, tt := range []struct {
		rules []any
		want  string
	}{
		{[]any{map[string]any{"level": "Metadata"}}, "--audit-policy-file=/etc/audit.yaml\n"},
		{[]any{map[string]any{"level": "RequestResponse"}}, "--audit-policy-file=/etc/kubernetes/hardening/audit-policy.yaml\n"},
	} {
		in := input(t, api)
		o, _ := fact.NewObject(fact.Of(map[string]any{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": tt.rules}), fact.Origin{File: "/etc/audit.yaml"})
		in.Objects = []*fact.Object{&o}
		if out, _ := text(t, in, FormFlags); !strings.Contains(out, tt.want) {
			t.Errorf("no %q in\n%s", tt.want, out)
		}
	}
}
