//go:build linux

package node

import (
	"bytes"
	"debug/buildinfo"
	"os"
	"path"
	"regexp"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"golang.org/x/sys/unix"
)

// version tells the exact version of a component and what says so. Nothing is
// executed. In turn: what the linker was told, the module that the binary was
// built from, the image of the static pod that runs it, the package of its name,
// a version in the binary's path.
func (s *Source) version(p *process) (version, from string) {
	if v := binaryVersion(p); v != "" {
		return v, p.exe
	}
	if v, file := s.manifestVersion(p); v != "" {
		return v, file
	}
	if v := s.packageVersion(p.component); v != "" {
		return v, "/var/lib/dpkg/status"
	}
	if v := inPath.FindString(p.exe); v != "" {
		return v, p.exe
	}
	return "", ""
}

var (
	inPath   = regexp.MustCompile(`\bv?[0-9]+\.[0-9]+\.[0-9]+\b`)
	inLinker = regexp.MustCompile(`k8s\.io/component-base/version\.gitVersion=(v[0-9][^\s'"]*)`)
)

// modules name the module whose version is that of a component.
var modules = map[string][]string{
	"kubelet": {"k8s.io/kubernetes"}, "kube-proxy": {"k8s.io/kubernetes"}, "kube-apiserver": {"k8s.io/kubernetes"},
	"kube-controller-manager": {"k8s.io/kubernetes"}, "kube-scheduler": {"k8s.io/kubernetes"},
	"etcd":       {"go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/api/v3"},
	"containerd": {"github.com/containerd/containerd/v2", "github.com/containerd/containerd"}, "crio": {"github.com/cri-o/cri-o"},
}

// binaryVersion reads what Go writes into its binaries.
func binaryVersion(p *process) string {
	fd, err := unix.Openat(p.dir.fd, "exe", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	f := os.NewFile(uintptr(fd), "exe")
	defer f.Close()
	info, err := buildinfo.Read(f)
	if err != nil {
		return ""
	}
	for _, set := range info.Settings {
		if m := inLinker.FindStringSubmatch(set.Value); set.Key == "-ldflags" && m != nil {
			return m[1]
		}
	}
	for _, module := range modules[p.component] {
		if info.Main.Path == module && released(info.Main.Version) {
			return info.Main.Version
		}
		for _, d := range info.Deps {
			if d.Path == module && released(d.Version) {
				return d.Version
			}
		}
	}
	return ""
}

func released(v string) bool {
	return strings.HasPrefix(v, "v") && !strings.HasPrefix(v, "v0.0.0")
}

// manifestVersion reads the tag of the image in the component's static pod.
func (s *Source) manifestVersion(p *process) (version, file string) {
	const dir = "/etc/kubernetes/manifests"
	file = path.Join(dir, p.component+".yaml")
	text, err := s.host.read(file, maxConfig)
	if err != nil {
		return "", ""
	}
	docs, err := s.parse(text, file, false)
	if err != nil {
		return "", ""
	}
	for _, d := range docs {
		for c := range d.At("spec", "containers").Children() {
			image := c.Get(fact.K("image")).Str()
			if i := strings.LastIndexByte(image, ':'); strings.Contains(image, p.component) && i > strings.LastIndexByte(image, '/') {
				tag, _, _ := strings.Cut(image[i+1:], "@")
				if inPath.MatchString(tag) {
					return tag, file
				}
			}
		}
	}
	return "", ""
}

// packageVersion reads the version of a Debian package without epoch and
// revision.
func (s *Source) packageVersion(name string) string {
	text, err := s.host.read("/var/lib/dpkg/status", 64<<20)
	if err != nil {
		return ""
	}
	_, rest, ok := bytes.Cut(text, []byte("\nPackage: "+name+"\n"))
	if !ok {
		return ""
	}
	stanza, _, _ := bytes.Cut(rest, []byte("\n\n"))
	for line := range strings.Lines(string(stanza)) {
		if v, ok := strings.CutPrefix(line, "Version: "); ok {
			return inPath.FindString(v)
		}
	}
	return ""
}

// insecureRegistries returns the registries that containerd does not check: by
// its configuration, old form, and by the folders of hosts.toml, new form.
func (s *Source) insecureRegistries(p *process, configuration []any) []string {
	var out []string
	folders := []string{"/etc/containerd/certs.d"}
	for _, c := range configuration {
		content, _ := c.(map[string]any)["content"].(fact.Value)
		for plugin := range content.Get(fact.K("plugins")).Children() {
			registry := plugin.Get(fact.K("registry"))
			if dir := registry.Get(fact.K("config_path")).Str(); dir != "" {
				folders = strings.Split(dir, ":")
			}
			for host := range registry.Get(fact.K("configs")).Children() {
				if host.At("tls", "insecure_skip_verify").Bool() {
					out = append(out, host.Key().String())
				}
			}
			for mirror := range registry.Get(fact.K("mirrors")).Children() {
				for e := range mirror.Get(fact.K("endpoint")).Children() {
					if strings.HasPrefix(e.Str(), "http://") {
						out = append(out, e.Str())
					}
				}
			}
		}
	}
	for _, dir := range folders {
		hosts, err := p.root.list(dir)
		if err != nil {
			continue
		}
		for _, host := range hosts {
			text, err := p.root.read(path.Join(dir, host, "hosts.toml"), maxConfig)
			if err == nil && (bytes.Contains(text, []byte("skip_verify = true")) || bytes.Contains(text, []byte(`"http://`))) {
				out = append(out, host)
			}
		}
	}
	return out
}
