//go:build linux

package node

import (
	"path"
	"slices"
	"strings"
)

// distribution is a way to run Kubernetes that puts things in places of its own.
type distribution struct {
	name  string
	label string   // begin of a label that it gives to its nodes, on the kubelet's command line
	build string   // what its versions end in
	marks []string // folders and files that only it makes
	files placed
	pods  string // folder of its static pods
	pki   string // folder of its certificates and keys
}

type placed = []struct{ role, path string }

// distributions are told by what they leave on a node. Sources: the documentation
// of k3s and RKE2 (cluster access, CIS self-assessment guides), of OpenShift's
// machine-config-operator, Amazon's EKS AMI and nodeadm, AKS AgentBaker, GKE's node
// configuration. None has been tried on a live node.
var distributions = []distribution{
	{name: "RKE2", build: "+rke2r", marks: []string{"/etc/rancher/rke2", "/var/lib/rancher/rke2"}, files: rancher("rke2"),
		pods: "/var/lib/rancher/rke2/agent/pod-manifests", pki: "/var/lib/rancher/rke2/server/tls"},
	{name: "k3s", build: "+k3s", marks: []string{"/etc/rancher/k3s", "/var/lib/rancher/k3s"}, files: rancher("k3s"),
		pods: "/var/lib/rancher/k3s/agent/pod-manifests", pki: "/var/lib/rancher/k3s/server/tls"},
	{name: "OpenShift", label: "node.openshift.io/", marks: []string{"/etc/machine-config-daemon", "/etc/kubernetes/static-pod-resources"}, files: placed{
		{"kubelet-config", "/etc/kubernetes/kubelet.conf"}, {"kubelet-kubeconfig", "/var/lib/kubelet/kubeconfig"}, {"kubelet-kubeconfig", "/etc/kubernetes/kubeconfig"},
	}},
	{name: "EKS", label: "eks.amazonaws.com/", build: "-eks-", marks: []string{"/etc/eks"}, files: placed{
		{"kubelet-config", "/etc/kubernetes/kubelet/config.json"}, {"kubelet-config", "/etc/kubernetes/kubelet/kubelet-config.json"}, {"kubelet-kubeconfig", "/var/lib/kubelet/kubeconfig"},
	}},
	{name: "AKS", label: "kubernetes.azure.com/", marks: []string{"/etc/kubernetes/azure.json", "/opt/azure/containers"}, files: placed{
		{"kubelet-config", "/etc/default/kubeletconfig.json"}, {"kubelet-service", "/etc/default/kubelet"}, {"kubelet-kubeconfig", "/var/lib/kubelet/kubeconfig"},
	}},
	{name: "GKE", label: "cloud.google.com/gke-", build: "-gke.", marks: []string{"/home/kubernetes/kubelet-config.yaml", "/home/kubernetes/bin"}, files: placed{
		{"kubelet-config", "/home/kubernetes/kubelet-config.yaml"}, {"kubelet-kubeconfig", "/var/lib/kubelet/kubeconfig"},
	}},
}

// rancher are the files of k3s, which RKE2 has in the same places.
func rancher(name string) placed {
	data := "/var/lib/rancher/" + name
	return placed{
		{"admin-kubeconfig", path.Join("/etc/rancher", name, name+".yaml")}, {"admin-kubeconfig", data + "/server/cred/admin.kubeconfig"},
		{"scheduler-kubeconfig", data + "/server/cred/scheduler.kubeconfig"}, {"controller-manager-kubeconfig", data + "/server/cred/controller.kubeconfig"},
		{"kubelet-kubeconfig", data + "/agent/kubelet.kubeconfig"}, {"proxy-kubeconfig", data + "/agent/kubeproxy.kubeconfig"},
		{"component-config", path.Join("/etc/rancher", name, "config.yaml")}, {"runtime-config", data + "/agent/etc/containerd/config.toml"},
		{"runtime-socket", "/run/k3s/containerd/containerd.sock"},
	}
}

// distribution reports the files of the distribution that a node is of, and
// returns its name; "" for one that kubeadm or nobody has set up.
func (s *Source) distribution(all []*process) string {
	i := slices.IndexFunc(distributions, func(d distribution) bool { return s.isOf(&d, all) })
	if i < 0 {
		return ""
	}
	d := &distributions[i]
	for _, f := range d.files {
		s.file(s.host, f.role, "", f.path)
		if strings.HasSuffix(f.role, "-kubeconfig") {
			s.kubeconfig(s.host, f.path)
		}
	}
	if d.pods != "" {
		s.manifests(s.host, d.pods)
		s.pki(d.pki, 0)
	}
	return d.name
}

func (s *Source) isOf(d *distribution, all []*process) bool {
	for _, p := range all {
		if d.build != "" && strings.Contains(p.version, d.build) || d.label != "" && slices.ContainsFunc(strings.Split(p.flags["node-labels"], ","), func(l string) bool {
			return strings.HasPrefix(l, d.label)
		}) {
			return true
		}
	}
	return slices.ContainsFunc(d.marks, func(m string) bool {
		_, err := s.host.stat(m)
		return err == nil
	})
}
