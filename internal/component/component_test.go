package component

import (
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/fact"
)

// spec is a container in few words: command and args are cut at blanks, env is
// NAME=value pairs. script, when there is one, is the last word of command.
type spec struct{ image, command, script, args, env string }

func (s spec) value() fact.Value {
	var b fact.Builder
	words := func(field string, list []string) {
		b.Begin(b.Key(field), fact.Pos{}, fact.List)
		for _, w := range list {
			b.String(fact.Key{}, fact.Pos{}, w)
		}
		b.End()
	}
	b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
	if s.image != "" {
		b.String(b.Key("image"), fact.Pos{}, s.image)
	}
	command := strings.Fields(s.command)
	if s.script != "" {
		command = append(command, s.script)
	}
	if len(command) > 0 {
		words("command", command)
	}
	if s.args != "" {
		words("args", strings.Fields(s.args))
	}
	if s.env != "" {
		b.Begin(b.Key("env"), fact.Pos{}, fact.List)
		for pair := range strings.FieldsSeq(s.env) {
			name, value, _ := strings.Cut(pair, "=")
			b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
			b.String(b.Key("name"), fact.Pos{}, name)
			b.String(b.Key("value"), fact.Pos{}, value)
			b.End()
		}
		b.End()
	}
	b.End()
	return b.Tree().Root()
}

func TestFromContainer(t *testing.T) {
	for _, tt := range []struct {
		name string
		spec spec
		want string // the component, "" for none
		flag string // a flag given, and its value
	}{
		{"plain", spec{command: "kube-apiserver --anonymous-auth=false"}, "kube-apiserver", "anonymous-auth=false"},
		{"path", spec{command: "/usr/local/bin/kube-proxy --config=/c"}, "kube-proxy", "config=/c"},
		{"flags in args", spec{command: "kube-scheduler", args: "--profiling=false"}, "kube-scheduler", "profiling=false"},
		{"program in args", spec{args: "kube-scheduler --profiling=false"}, "kube-scheduler", "profiling=false"},
		{"etcd with one dash", spec{command: "etcd -client-cert-auth -cert-file /c"}, "etcd", "cert-file=/c"},
		{"entry point of the image", spec{image: "registry.example/hetzner-cloud-controller-manager:v1.2", args: "--bind-address=127.0.0.1"}, "cloud-controller-manager", "bind-address=127.0.0.1"},
		{"a cloud's own program", spec{command: "/bin/aws-cloud-controller-manager --v=2"}, "cloud-controller-manager", "v=2"},
		{"go-runner", spec{command: "/go-runner", args: "--log-file=/l --redirect-stderr=true /usr/local/bin/kube-apiserver --secure-port=443"}, "kube-apiserver", "secure-port=443"},
		{"tini", spec{command: "tini -- etcd --name=a"}, "etcd", "name=a"},
		{"env and nice", spec{command: "env A=b nice -n 10 kubelet --v=1"}, "kubelet", "v=1"},
		{"hyperkube, short", spec{command: "/hyperkube apiserver --v=1"}, "kube-apiserver", "v=1"},
		{"hyperkube, long", spec{command: "hyperkube kube-controller-manager --v=1"}, "kube-controller-manager", "v=1"},
		{"hyperkube, kubelet", spec{command: "hyperkube kubelet --v=1"}, "kubelet", "v=1"},
		{"shell", spec{command: "/bin/sh -c", script: "mkfifo /tmp/p; (tee -a /l < /tmp/p & ) ; exec /usr/local/bin/kube-apiserver \\\n --profiling=false --x=\"a b\" > /tmp/p 2>&1"}, "kube-apiserver", "x=a b"},
		{"shell with a wrapper", spec{command: "bash -ec", script: "if true; then\nexec watch-termination --file=/x -- hyperkube kube-apiserver --v=2\nfi"}, "kube-apiserver", "v=2"},
		{"shell, quotes and comments", spec{command: "bash -c", script: "# kubelet --v=9\nA='b c' kubelet '--v=3' # no"}, "kubelet", "v=3"},

		{"copied, not run", spec{command: "cp /usr/bin/etcd /out/etcd"}, "", ""},
		{"named, not run", spec{command: "kubectl rollout restart ds/kube-proxy"}, "", ""},
		{"a tool of it", spec{command: "etcdctl snapshot save"}, "", ""},
		{"echoed in a shell", spec{command: "sh -c", script: "echo kubelet; which kube-proxy"}, "", ""},
		{"shell without -c", spec{command: "sh kubelet"}, "", ""},
		{"asked for its version", spec{command: "kubelet --version"}, "", ""},
		{"cleaning up", spec{command: "kube-proxy --cleanup"}, "", ""},
		{"not cleaning up", spec{command: "kube-proxy --cleanup=false"}, "kube-proxy", "cleanup=false"},
		{"flags from a variable", spec{command: "sh -c", script: "kube-apiserver $FLAGS"}, "", ""},
		{"flags from a variable of the pod", spec{command: "kubelet $(EXTRA)"}, "", ""},
		{"nothing to run", spec{image: "nginx"}, "", ""},
		{"image without flags", spec{image: "registry.k8s.io/etcd:3.5.0"}, "", ""},
		{"hyperkube alone", spec{command: "hyperkube"}, "", ""},
		{"unclosed quote", spec{command: "sh -c", script: "kubelet '--v=3"}, "kubelet", "v=3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, ok := FromContainer(tt.spec.value())
			if ok != (tt.want != "") {
				t.Fatalf("recognised %v, want %q", ok, tt.want)
			}
			if !ok {
				return
			}
			if p.Name() != tt.want {
				t.Fatalf("name %q, want %q", p.Name(), tt.want)
			}
			name, value, _ := strings.Cut(tt.flag, "=")
			if !p.FlagSet(name) || p.Flag(name) != value {
				t.Errorf("flag %s = %q (given %v), want %q", name, p.Flag(name), p.FlagSet(name), value)
			}
		})
	}
}

func TestFlag(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spec  spec
		minor int
		flag  string
		want  string
		given bool
	}{
		{"default", spec{command: "kube-apiserver"}, 36, "anonymous-auth", "true", false},
		{"no default", spec{command: "kube-apiserver"}, 36, "audit-log-path", "", false},
		{"default before", spec{command: "kube-apiserver"}, 19, "insecure-port", "8080", false},
		{"default since", spec{command: "kube-apiserver"}, 20, "insecure-port", "0", false},
		{"default of the newest", spec{command: "kube-apiserver"}, 0, "audit-log-maxage", "366", false},
		{"version of the image", spec{image: "registry.k8s.io/kube-apiserver:v1.35.4", command: "kube-apiserver"}, 36, "audit-log-maxage", "0", false},
		{"version of the image, with port and digest", spec{image: "r.example:5000/hyperkube:1.18@sha256:ab", command: "hyperkube apiserver"}, 36, "insecure-port", "8080", false},
		{"port is no tag", spec{image: "r.example:5000/kube-apiserver", command: "kube-apiserver"}, 36, "insecure-port", "0", false},
		{"etcd has versions of its own", spec{image: "registry.k8s.io/etcd:1.5.0", command: "etcd"}, 36, "auto-tls", "false", false},
		{"default of another component", spec{command: "kube-proxy"}, 36, "profiling", "false", false},
		{"bare boolean", spec{command: "kube-apiserver --profiling --v=2"}, 36, "profiling", "true", true},
		{"boolean takes no word", spec{command: "kube-apiserver --profiling false"}, 36, "profiling", "true", true},
		{"boolean in other words", spec{command: "kube-apiserver --profiling=F"}, 36, "profiling", "false", true},
		{"boolean in capitals", spec{command: "kubelet --anonymous-auth=False"}, 36, "anonymous-auth", "false", true},
		{"value in the next word", spec{command: "kubelet --read-only-port 0"}, 36, "read-only-port", "0", true},
		{"value that looks like a flag", spec{command: "kubelet --pod-max-pids -1 --v=2"}, 36, "pod-max-pids", "-1", true},
		{"underscores", spec{command: "kubelet --anonymous_auth=false"}, 36, "anonymous-auth", "false", true},
		{"last wins", spec{command: "kubelet --read-only-port=1 --read-only-port=0"}, 36, "read-only-port", "0", true},
		{"lists add up", spec{command: "kube-apiserver --enable-admission-plugins=A --enable-admission-plugins=B,C"}, 36, "enable-admission-plugins", "A,B,C", true},
		{"empty", spec{command: "kube-apiserver --authorization-mode="}, 36, "authorization-mode", "", true},
		{"value with =", spec{command: "kube-apiserver --feature-gates=A=true"}, 36, "feature-gates", "A=true", true},
		{"after --", spec{command: "kubelet -- --read-only-port=0"}, 36, "read-only-port", "10255", false},
		{"etcd environment", spec{command: "etcd", env: "ETCD_CERT_FILE=/c OTHER=x"}, 36, "cert-file", "/c", true},
		{"etcd environment, boolean", spec{command: "etcd", env: "ETCD_CLIENT_CERT_AUTH=TRUE"}, 36, "client-cert-auth", "true", true},
		{"flag over environment", spec{command: "etcd --cert-file=/f", env: "ETCD_CERT_FILE=/c"}, 36, "cert-file", "/f", true},
		{"environment is etcd's alone", spec{command: "kubelet", env: "ETCD_CERT_FILE=/c"}, 36, "cert-file", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, ok := FromContainer(tt.spec.value())
			if !ok {
				t.Fatal("not recognised")
			}
			p = p.At(tt.minor)
			if got := p.Flag(tt.flag); got != tt.want || p.FlagSet(tt.flag) != tt.given {
				t.Errorf("%s = %q (given %v), want %q (given %v)", tt.flag, got, p.FlagSet(tt.flag), tt.want, tt.given)
			}
		})
	}
}

func TestWord(t *testing.T) {
	c := spec{command: "kube-apiserver --v=2", args: "--profiling=false"}.value()
	p, _ := FromContainer(c)
	if got := p.Word("profiling").Str(); got != "--profiling=false" {
		t.Errorf("word of a given flag: %q", got)
	}
	if got := p.Word("anonymous-auth"); !got.Same(c.Get(fact.K("args"))) {
		t.Errorf("word of a missing flag: %q, want the list of arguments", got.Text())
	}
	if got := (&Process{}).Word("x"); got.Present() {
		t.Error("a process without words has a word")
	}
}

// A table that holds a flag twice would answer by the order of its lines.
func TestSettings(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range settings {
		key := s.component + " " + s.flag
		if seen[key] {
			t.Errorf("%s twice", key)
		}
		seen[key] = true
		if s.since == 0 && s.before != "" || s.since != 0 && s.before == s.fallback {
			t.Errorf("%s: default changed at %d from %q to %q", key, s.since, s.before, s.fallback)
		}
		if s.kind == boolean && canonical(s.fallback) != s.fallback {
			t.Errorf("%s: default %q is no boolean", key, s.fallback)
		}
	}
}

func FuzzCommands(f *testing.F) {
	f.Add("a 'b c' \"d\\\"e\" > f 2>&1; g # h\n\\")
	f.Fuzz(func(t *testing.T, script string) {
		for _, simple := range commands(script) {
			if len(simple) == 0 {
				t.Error("an empty command")
			}
		}
	})
}

func BenchmarkOrdinaryContainer(b *testing.B) {
	c := spec{image: "nginx:1.27", command: "/bin/sh -c", script: "exec nginx -g 'daemon off;'"}.value()
	b.ReportAllocs()
	for b.Loop() {
		FromContainer(c)
	}
}
