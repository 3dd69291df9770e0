//go:build linux

package node

import (
	"strings"
	"testing"
)

// TestDistributions tells each by its version, its labels or its files, and reads
// the places where it keeps things.
func TestDistributions(t *testing.T) {
	for _, tt := range []struct {
		name, version, labels string
		files                 []string
		facts                 []string
	}{
		{"", "v1.30.0", "example.com/eks.amazonaws.com/x=1", nil, nil},
		{"EKS", "v1.30.0", "a=b,eks.amazonaws.com/nodegroup=x", []string{"/etc/kubernetes/kubelet/config.json"}, []string{"NodeFile n1:kubelet-config:/etc/kubernetes/kubelet/config.json"}},
		{"AKS", "v1.30.0", "kubernetes.azure.com/cluster=x", []string{"/etc/default/kubelet"}, []string{"NodeFile n1:kubelet-service:/etc/default/kubelet"}},
		{"GKE", "v1.30.0", "cloud.google.com/gke-nodepool=x", []string{"/home/kubernetes/kubelet-config.yaml"}, []string{"NodeFile n1:kubelet-config:/home/kubernetes/kubelet-config.yaml"}},
		{"OpenShift", "v1.30.0", "node.openshift.io/os_id=rhcos", []string{"/var/lib/kubelet/kubeconfig"}, []string{"NodeFile n1:kubelet-kubeconfig:/var/lib/kubelet/kubeconfig"}},
		{"RKE2", "v1.30.0", "", []string{"/etc/rancher/rke2/rke2.yaml", "/var/lib/rancher/rke2/server/tls/service.key", "/var/lib/rancher/rke2/agent/pod-manifests/etcd.yaml"},
			[]string{"NodeFile n1:admin-kubeconfig:/etc/rancher/rke2/rke2.yaml", "NodeFile n1:pki-key:/var/lib/rancher/rke2/server/tls/service.key", "NodeFile n1:static-pod-manifest:/var/lib/rancher/rke2/agent/pod-manifests/etcd.yaml"}},
		{"k3s", "v1.30.0", "", []string{"/var/lib/rancher/k3s/server/cred/admin.kubeconfig"}, []string{"NodeFile n1:admin-kubeconfig:/var/lib/rancher/k3s/server/cred/admin.kubeconfig"}},
	} {
		r := newRoot(t)
		r.process(10, "", "/opt/"+tt.version+"/kubelet", "--node-labels="+tt.labels)
		for _, f := range tt.files {
			r.write(f, "{}\n")
		}
		objects, _ := r.scan()
		if got := objects["NodeHost n1"].At("spec", "distribution").Str(); got != tt.name {
			t.Errorf("%s: told as %q", tt.name, got)
		}
		for _, f := range tt.facts {
			if !objects[f].Present() {
				t.Errorf("%s: no %s", tt.name, f)
			}
		}
	}
	r := newRoot(t)
	r.process(10, "", "/usr/bin/k3s", "server")
	if _, gaps := r.scan(); !gapAt(gaps, "/usr/bin/k3s", "inside itself") {
		t.Errorf("no gap: %v", gaps)
	}
	r = newRoot(t)
	r.process(10, "", "/usr/bin/rke2", "server")
	if _, gaps := r.scan(); len(gaps) > 0 && strings.Contains(gaps[0].Message, "inside itself") {
		t.Errorf("RKE2 starts its components as processes: %v", gaps)
	}
}
