//go:build linux

package node

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/merlon-security/merlon/internal/component"
	"github.com/merlon-security/merlon/internal/fact"
	"golang.org/x/sys/unix"
)

// file reports mode and owner of a file, once for each role.
func (s *Source) file(t *tree, role, owner, name string) {
	key := role + " " + name
	if s.seen[key] {
		return
	}
	s.seen[key] = true
	st, err := t.stat(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return
	}
	if err != nil {
		s.gap("unreadable", name, "its mode and owner cannot be seen: %v", cause(err))
		return
	}
	spec := map[string]any{
		"role": role, "path": name, "mode": fmt.Sprintf("%04o", st.Mode&0o7777), "kind": kindOf(st.Mode),
		"owner": nameFor(s.names.users, st.Uid), "group": nameFor(s.names.groups, st.Gid), "uid": int64(st.Uid), "gid": int64(st.Gid),
	}
	if owner != "" {
		spec["component"] = owner
	}
	s.fact("NodeFile", s.node+":"+role+":"+name, name, spec)
}

func kindOf(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFSOCK:
		return "socket"
	}
	return "other"
}

// manifests reports the static pods of a folder: each file's mode and owner, and
// the pod itself.
func (s *Source) manifests(t *tree, dir string) {
	if s.seen["manifests "+dir] {
		return
	}
	s.seen["manifests "+dir] = true
	names, err := t.list(dir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.gap("unreadable", dir, "the static pods cannot be listed: %v", cause(err))
		}
		return
	}
	for _, n := range names {
		name := path.Join(dir, n)
		if strings.HasPrefix(n, ".") {
			continue // the kubelet leaves them out, too
		}
		text, err := t.read(name, maxConfig)
		if err != nil {
			s.gap("unreadable", name, "the static pod cannot be read: %v", cause(err))
			continue
		}
		docs, err := s.parse(text, name, false)
		if err != nil {
			s.gap("invalid-yaml", name, "the static pod cannot be read: %v", err)
		}
		owner := ""
		for _, d := range docs {
			s.object(d, name)
			owner = podComponent(d)
		}
		s.file(t, "static-pod-manifest", owner, name)
	}
}

// podComponent returns the component that a pod runs, "" for none.
func podComponent(root fact.Value) string {
	o, ok := fact.NewObject(root, fact.Origin{})
	if !ok {
		return ""
	}
	for _, pod := range fact.PodTemplates(&o) {
		for _, c := range pod.Containers() {
			if p, ok := component.FromContainer(c.Value); ok {
				return p.Name()
			}
		}
	}
	return ""
}

// fixedFiles reports what lies at the same place on most nodes, whether or not a
// process names it. Source: kubeadm's layout, and the packages' systemd units.
func (s *Source) fixedFiles() {
	for _, f := range []struct{ role, path string }{
		{"admin-kubeconfig", "/etc/kubernetes/admin.conf"}, {"admin-kubeconfig", "/etc/kubernetes/super-admin.conf"},
		{"scheduler-kubeconfig", "/etc/kubernetes/scheduler.conf"}, {"controller-manager-kubeconfig", "/etc/kubernetes/controller-manager.conf"},
		{"kubelet-kubeconfig", "/etc/kubernetes/kubelet.conf"}, {"kubelet-config", "/var/lib/kubelet/config.yaml"},
		{"kubelet-service", "/etc/systemd/system/kubelet.service"}, {"kubelet-service", "/lib/systemd/system/kubelet.service"}, {"kubelet-service", "/usr/lib/systemd/system/kubelet.service"},
		{"proxy-kubeconfig", "/var/lib/kube-proxy/kubeconfig.conf"},
		{"runtime-socket", "/run/containerd/containerd.sock"}, {"runtime-socket", "/run/crio/crio.sock"}, {"runtime-socket", "/run/docker.sock"},
		{"runtime-config", "/etc/containerd/config.toml"}, {"runtime-config", "/etc/crio/crio.conf"}, {"runtime-config", "/etc/docker/daemon.json"},
	} {
		s.file(s.host, f.role, "", f.path)
		if strings.HasSuffix(f.role, "-kubeconfig") {
			s.kubeconfig(s.host, f.path)
		}
	}
	for _, dir := range [...]string{"/etc/systemd/system/kubelet.service.d", "/usr/lib/systemd/system/kubelet.service.d"} {
		names, err := s.host.list(dir)
		if err != nil {
			continue
		}
		for _, n := range names {
			s.file(s.host, "kubelet-service", "", path.Join(dir, n))
		}
	}
	s.manifests(s.host, "/etc/kubernetes/manifests")
	s.pki("/etc/kubernetes/pki", 0)
}

// pki reports the folder of certificates and keys, two levels deep as kubeadm
// makes it.
func (s *Source) pki(dir string, depth int) {
	names, err := s.host.list(dir)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) && depth == 0 {
			s.gap("unreadable", dir, "cannot be listed: %v", cause(err))
		}
		return
	}
	s.file(s.host, "pki", "", dir)
	for _, n := range names {
		name := path.Join(dir, n)
		switch {
		case strings.HasSuffix(n, ".key"):
			s.file(s.host, "pki", "", name)
			s.file(s.host, "pki-key", "", name)
		case strings.HasSuffix(n, ".crt"), strings.HasSuffix(n, ".pem"):
			s.file(s.host, "pki", "", name)
			s.file(s.host, "pki-certificate", "", name)
			s.certificates(s.host, name)
		case depth < 2:
			if st, err := s.host.stat(name); err == nil && kindOf(st.Mode) == "directory" {
				s.pki(name, depth+1)
			}
		}
	}
}
