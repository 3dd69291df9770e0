package component

import (
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// running reads a NodeComponent of a few words: its command line and the content
// of its configuration files, in the order in which they are read.
func running(t *testing.T, component, command string, files ...string) *Process {
	t.Helper()
	text := "apiVersion: merlon.dev/v1\nkind: NodeComponent\nmetadata: {name: n}\nspec:\n  component: " + component + "\n  version: v1.36.3\n  command: ['" + strings.Join(strings.Fields(command), "', '") + "']\n"
	for i, f := range files {
		if f == "UNREAD" {
			text += "  unread: [/x]\n"
			continue
		}
		if i == 0 {
			text += "  configuration:\n"
		}
		text += "  - {path: /file" + string(rune('0'+i)) + ", content: " + f + "}\n"
	}
	doc, err := yamldoc.NewReader(strings.NewReader(text), "test", yamldoc.Limits{}).Next()
	if err != nil {
		t.Fatal(err)
	}
	o, _ := fact.NewObject(doc.Root, fact.Origin{})
	p, ok := FromObject(&o)
	if !ok {
		t.Fatalf("no component: %s", text)
	}
	return p
}

func TestEffective(t *testing.T) {
	for _, tt := range []struct {
		name, component, command string
		files                    []string
		flag, want, place        string
		given, unknown           bool
	}{
		{"default of the flag", "kubelet", "kubelet", nil, "anonymous-auth", "true", "default of 1.36", false, false},
		{"default of the file", "kubelet", "kubelet --config=/file0", []string{"{}"}, "anonymous-auth", "false", "default of 1.36", false, false},
		{"default that both share", "kubelet", "kubelet --config=/file0", []string{"{}"}, "event-qps", "50", "default of 1.36", false, false},
		{"file", "kubelet", "kubelet --config=/file0", []string{"{readOnlyPort: 5}"}, "read-only-port", "5", "/file0", true, false},
		{"null in a file is unset", "kubelet", "kubelet --config=/file0", []string{"{readOnlyPort: null}"}, "read-only-port", "0", "default of 1.36", false, false},
		{"the last drop-in", "kubelet", "kubelet --config=/file0", []string{"{readOnlyPort: 5}", "{readOnlyPort: 6}", "{port: 1}"}, "read-only-port", "6", "/file1", true, false},
		{"flag over drop-ins", "kubelet", "kubelet --config=/file0 --read-only-port 7", []string{"{readOnlyPort: 5}", "{readOnlyPort: 6}"}, "read-only-port", "7", "command line", true, false},
		{"flag over a file not read", "kubelet", "kubelet --config=/x --read-only-port=7", []string{"UNREAD"}, "read-only-port", "7", "command line", true, false},
		{"file not read", "kubelet", "kubelet --config=/x", []string{"UNREAD"}, "anonymous-auth", "true", "default of 1.36", false, true},
		{"a flag that no file has", "kubelet", "kubelet --config=/x", []string{"UNREAD"}, "root-dir", "", "default of 1.36", false, false},
		{"list in a file", "kubelet", "kubelet --config=/file0", []string{"{tlsCipherSuites: [A, B]}"}, "tls-cipher-suites", "A,B", "/file0", true, false},
		{"gates one by one", "kubelet", "kubelet --config=/file0 --feature-gates=B=false,C=true", []string{"{featureGates: {A: true, B: true}}"}, "feature-gates", "A=true,B=false,C=true", "command line", true, false},
		{"kube-proxy ignores flags", "kube-proxy", "kube-proxy --config=/file0 --metrics-bind-address=0.0.0.0", []string{"{metricsBindAddress: 127.0.0.1}"}, "metrics-bind-address", "127.0.0.1", "/file0", true, false},
		{"and also where its file says nothing", "kube-proxy", "kube-proxy --config=/file0 --metrics-bind-address=0.0.0.0", []string{"{}"}, "metrics-bind-address", "127.0.0.1:10249", "default of 1.36", false, false},
		{"but not this one", "kube-proxy", "kube-proxy --config=/file0 --hostname-override=a", []string{"{hostnameOverride: b}"}, "hostname-override", "a", "command line", true, false},
		{"scheduler's file", "kube-scheduler", "kube-scheduler --config=/file0 --profiling=false", []string{"{enableProfiling: true}"}, "profiling", "true", "/file0", true, false},
		{"scheduler's flag beside the file", "kube-scheduler", "kube-scheduler --config=/file0 --bind-address=1.2.3.4", []string{"{}"}, "bind-address", "1.2.3.4", "command line", true, false},
		{"etcd's file alone", "etcd", "etcd --config-file=/file0 --client-cert-auth=true", []string{"{client-transport-security: {client-cert-auth: false}}"}, "client-cert-auth", "false", "/file0", true, false},
		{"etcd's file without it", "etcd", "etcd --config-file=/file0 --client-cert-auth=true", []string{"{}"}, "client-cert-auth", "false", "default", false, false},
		{"no file, no doubt", "kube-apiserver", "kube-apiserver", nil, "profiling", "true", "default of 1.36", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := running(t, tt.component, tt.command, tt.files...)
			if got := p.Flag(tt.flag); got != tt.want || p.FlagSet(tt.flag) != tt.given || p.Known(tt.flag) == tt.unknown || p.Place(tt.flag) != tt.place {
				t.Errorf("%s is %q by %q, given %v, known %v; want %q by %q, %v, %v", tt.flag, got, p.Place(tt.flag), p.FlagSet(tt.flag), p.Known(tt.flag), tt.want, tt.place, tt.given, !tt.unknown)
			}
		})
	}
}

func TestConflicts(t *testing.T) {
	p := running(t, "kubelet", "kubelet --config=/file0 --read-only-port=0 --anonymous-auth=true --event-qps=5", "{readOnlyPort: 1, authentication: {anonymous: {enabled: false}}, eventRecordQPS: 5}")
	got := ""
	for _, c := range p.Conflicts() {
		got += c.Flag + " " + c.Winner + " " + c.At + " over " + c.Loser + " " + c.Other + "; "
	}
	want := "anonymous-auth true command line over false /file0; read-only-port 0 command line over 1 /file0; "
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestRecognise(t *testing.T) {
	for command, want := range map[string]string{
		"/usr/bin/kubelet --v=2": "kubelet", "containerd --config /c": "containerd", "/usr/bin/dockerd -H x": "dockerd", "crio": "crio",
		"hyperkube kube-apiserver": "kube-apiserver", "vim kubelet": "", "kubectl get": "", "aws-cloud-controller-manager": "cloud-controller-manager",
	} {
		if got := Recognise(strings.Fields(command)); got != want {
			t.Errorf("%s is %q, want %q", command, got, want)
		}
	}
	if got := Recognise(nil); got != "" {
		t.Errorf("nothing is %q", got)
	}
}
