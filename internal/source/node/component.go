//go:build linux

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/component"
	"github.com/merlon-security/merlon/internal/fact"
)

// component reports one component: how it runs, what its files say, and the
// files, certificates and documents that it names.
func (s *Source) component(ctx context.Context, p *process) {
	name := s.instance(p)
	spec := map[string]any{
		"component": p.component, "system": "linux", "pid": p.pid, "executable": p.exe,
		"command": s.words(p.argv), "controlPlane": s.control,
	}
	if p.component == "k3s" {
		s.gap("not-read", p.exe, "k3s runs the components of Kubernetes inside itself: their settings are in /etc/rancher/k3s and are not read")
	}
	version, from := s.version(p)
	p.version = version
	if version != "" {
		spec["version"], spec["versionFrom"] = version, from
	}
	if s.Now.Unix() != 0 {
		spec["seen"] = s.Now.UTC().Format(time.DateOnly)
	}
	configuration, unread := s.configuration(p)
	if len(configuration) > 0 {
		spec["configuration"] = configuration
	}
	if len(unread) > 0 {
		spec["unread"] = unread
	}
	if p.component == "etcd" {
		var env []any
		for _, e := range p.environ("ETCD_") {
			value := e[1]
			if s.secret(e[0], value) {
				value = hidden
			}
			env = append(env, map[string]any{"name": e[0], "value": value})
		}
		spec["env"] = env
	}
	if addresses, err := p.listening(); err == nil {
		spec["listening"] = addresses
	} else {
		s.gap("unreadable", fmt.Sprintf("/proc/%d/fd", p.pid), "%s: what it listens on cannot be seen: %v", p.component, cause(err))
	}
	if p.component == "containerd" {
		if list := s.insecureRegistries(p, configuration); len(list) > 0 {
			spec["insecureRegistries"] = list
		}
	}
	file := fmt.Sprintf("/proc/%d", p.pid)
	spec["node"] = s.node
	root := fact.Of(map[string]any{"apiVersion": "merlon.dev/v1", "kind": "NodeComponent", "metadata": map[string]any{"name": name}, "spec": spec})
	s.object(root, file)
	o, _ := fact.NewObject(root, fact.Origin{})
	if running, ok := component.FromObject(&o); ok {
		s.namedFiles(p, running)
		s.probe(ctx, p, running)
	}
}

// instance names a component so that it is the same at the next scan: by what
// tells two of a kind apart, never by its number.
func (s *Source) instance(p *process) string {
	name := s.node + "." + p.component
	key := p.component
	if s.seen["component "+key] {
		for _, flag := range [...]string{"hostname-override", "name", "root-dir", "config", "config-file", "secure-port"} {
			if v := p.flags[flag]; v != "" && !s.seen["component "+key+" "+v] {
				s.seen["component "+key+" "+v] = true
				return name + "." + v
			}
		}
		n := 2
		for ; s.seen[fmt.Sprintf("component %s %d", key, n)]; n++ {
			continue
		}
		s.seen[fmt.Sprintf("component %s %d", key, n)] = true
		return fmt.Sprintf("%s.%d", name, n)
	}
	s.seen["component "+key] = true
	return name
}

// standard configuration files, read where no flag names another.
var standardConfig = map[string]string{
	"containerd": "/etc/containerd/config.toml", "crio": "/etc/crio/crio.conf", "dockerd": "/etc/docker/daemon.json",
}

// configuration reads the configuration files of a component in the order in
// which it reads them itself: drop-ins after the file.
func (s *Source) configuration(p *process) (files []any, unread []string) {
	flag := component.ConfigFlag(p.component)
	name := p.flags[flag]
	if p.component == "containerd" && name == "" {
		name = p.flags["c"]
	}
	named := name != ""
	if !named {
		name = standardConfig[p.component]
	}
	names := []string{}
	if name != "" {
		names = append(names, p.path(name))
	}
	if dir := p.flags["config-dir"]; p.component == "kubelet" && dir != "" {
		names = append(names, p.dropIns(dir, ".conf")...)
	}
	if p.component == "crio" {
		names = append(names, p.dropIns("/etc/crio/crio.conf.d", ".conf")...)
	}
	for _, n := range names {
		content, err := s.readConfig(p, n)
		if errors.Is(err, fs.ErrNotExist) && !named {
			continue
		}
		if err != nil {
			unread = append(unread, n)
			s.gap("unreadable", n, "%s: its configuration cannot be read, so that most of its settings are not known: %v", p.component, cause(err))
			continue
		}
		f := map[string]any{"path": n, "content": content}
		if st, err := p.root.stat(n); err == nil && s.newer(p, time.Unix(st.Mtim.Sec, st.Mtim.Nsec)) {
			f["newerThanProcess"] = true
		}
		files = append(files, f)
		role := "runtime-config"
		if p.component == "kubelet" {
			role = "kubelet-config"
		} else if slices.Contains([]string{"kube-proxy", "kube-scheduler", "etcd"}, p.component) {
			role = "component-config"
		}
		s.file(p.root, role, p.component, n)
	}
	return files, unread
}

// newer allows for the second that a start takes.
func (s *Source) newer(p *process, changed time.Time) bool {
	return !p.started.IsZero() && changed.After(p.started.Add(2*time.Second))
}

// path makes a path of a command line absolute, by the folder that the process
// works in.
func (p *process) path(name string) string {
	if path.IsAbs(name) {
		return path.Clean(name)
	}
	dir, err := readlink(p.dir, "cwd")
	if err != nil {
		return name
	}
	return path.Join(dir, name)
}

func (p *process) dropIns(dir, ending string) []string {
	names, err := p.root.list(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, n := range names {
		if strings.HasSuffix(n, ending) {
			out = append(out, path.Join(dir, n))
		}
	}
	return out
}

func (s *Source) readConfig(p *process, name string) (any, error) {
	text, err := p.root.read(name, maxConfig)
	if err != nil {
		return nil, err
	}
	docs, err := s.parse(text, name, p.component == "containerd" || p.component == "crio")
	if err != nil {
		return nil, err
	}
	if len(docs) == 0 {
		return map[string]any{}, nil
	}
	return docs[0], nil
}

// named says what role a file has that a flag of a component names.
var named = []struct {
	component, flag, role string
}{
	{"kubelet", "kubeconfig", "kubelet-kubeconfig"}, {"kubelet", "client-ca-file", "client-ca"},
	{"kubelet", "tls-cert-file", "pki-certificate"}, {"kubelet", "tls-private-key-file", "pki-key"},
	{"kube-proxy", "kubeconfig", "proxy-kubeconfig"},
	{"kube-scheduler", "kubeconfig", "scheduler-kubeconfig"}, {"kube-scheduler", "tls-cert-file", "pki-certificate"}, {"kube-scheduler", "tls-private-key-file", "pki-key"},
	{"kube-controller-manager", "kubeconfig", "controller-manager-kubeconfig"}, {"kube-controller-manager", "cluster-signing-key-file", "pki-key"},
	{"kube-controller-manager", "service-account-private-key-file", "pki-key"}, {"kube-controller-manager", "cluster-signing-cert-file", "pki-certificate"},
	{"kube-controller-manager", "tls-cert-file", "pki-certificate"}, {"kube-controller-manager", "tls-private-key-file", "pki-key"},
	{"kube-apiserver", "client-ca-file", "pki-certificate"}, {"kube-apiserver", "tls-cert-file", "pki-certificate"}, {"kube-apiserver", "tls-private-key-file", "pki-key"},
	{"kube-apiserver", "etcd-certfile", "pki-certificate"}, {"kube-apiserver", "etcd-keyfile", "pki-key"}, {"kube-apiserver", "etcd-cafile", "pki-certificate"},
	{"kube-apiserver", "kubelet-client-certificate", "pki-certificate"}, {"kube-apiserver", "kubelet-client-key", "pki-key"},
	{"kube-apiserver", "service-account-signing-key-file", "pki-key"}, {"kube-apiserver", "proxy-client-cert-file", "pki-certificate"},
	{"kube-apiserver", "proxy-client-key-file", "pki-key"}, {"kube-apiserver", "requestheader-client-ca-file", "pki-certificate"},
	{"kube-apiserver", "kubelet-certificate-authority", "pki-certificate"},
	{"kube-apiserver", "encryption-provider-config", "encryption-config"}, {"kube-apiserver", "audit-policy-file", "audit-policy"},
	{"kube-apiserver", "audit-log-path", "audit-log"}, {"kube-apiserver", "authentication-config", "authentication-config"},
	{"kube-apiserver", "authorization-config", "authorization-config"}, {"kube-apiserver", "admission-control-config-file", "admission-config"},
	{"kube-apiserver", "token-auth-file", "static-tokens"},
	{"etcd", "cert-file", "pki-certificate"}, {"etcd", "key-file", "pki-key"}, {"etcd", "trusted-ca-file", "pki-certificate"},
	{"etcd", "peer-cert-file", "pki-certificate"}, {"etcd", "peer-key-file", "pki-key"}, {"etcd", "peer-trusted-ca-file", "pki-certificate"},
	{"etcd", "data-dir", "etcd-data"},
}

// namedFiles reports the files that a component's settings name, and those among
// them that are objects of Kubernetes themselves.
func (s *Source) namedFiles(p *process, running *component.Process) {
	for _, n := range named {
		value := running.Flag(n.flag)
		if n.component != p.component || value == "" || value == "-" {
			continue
		}
		for one := range strings.SplitSeq(value, ",") {
			s.namedFile(p, n.role, p.path(one))
		}
	}
	if p.component == "kubelet" {
		if dir := running.Flag("pod-manifest-path"); dir != "" {
			s.manifests(p.root, p.path(dir))
		}
		if socket, ok := strings.CutPrefix(running.Flag("container-runtime-endpoint"), "unix://"); ok {
			s.file(p.root, "runtime-socket", "", socket)
		}
	}
}

func (s *Source) namedFile(p *process, role, name string) {
	s.file(p.root, role, p.component, name)
	switch role {
	case "pki-key":
		s.file(p.root, "pki", "", name)
	case "pki-certificate", "client-ca":
		s.file(p.root, "pki", "", name)
		s.certificates(p.root, name)
	case "encryption-config", "audit-policy", "authentication-config", "authorization-config":
		s.document(p, name)
	case "admission-config":
		for _, d := range s.document(p, name) {
			for plugin := range d.Get(fact.K("plugins")).Children() {
				if other := plugin.Get(fact.K("path")).Str(); other != "" {
					if !path.IsAbs(other) {
						other = path.Join(path.Dir(name), other)
					}
					s.document(p, other)
				}
			}
		}
	default:
		if strings.HasSuffix(role, "-kubeconfig") {
			s.kubeconfig(p.root, name)
		}
	}
}

// document reports a configuration file that is an object of Kubernetes.
func (s *Source) document(p *process, name string) []fact.Value {
	text, err := p.root.read(name, maxConfig)
	if err == nil {
		var docs []fact.Value
		if docs, err = s.parse(text, name, false); err == nil {
			for _, d := range docs {
				s.object(d, name)
			}
			return docs
		}
	}
	s.gap("unreadable", name, "%s: names this file, and it cannot be read: %v", p.component, cause(err))
	return nil
}
