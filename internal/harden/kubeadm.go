package harden

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"github.com/merlon-security/merlon/internal/component"
	"github.com/merlon-security/merlon/internal/fact"
)

// kubeadmFlags are the flags that kubeadm 1.36 gives to what it runs, where they
// are not of one cluster alone; $PKI stands for the folder of keys and
// certificates. Sources: cmd/kubeadm/app/phases/controlplane/manifests.go and
// phases/etcd/local.go.
var kubeadmFlags = map[string]string{
	"kube-apiserver": `--advertise-address=$IP --allow-privileged=true --authorization-mode=Node,RBAC --client-ca-file=$PKI/ca.crt
		--enable-admission-plugins=NodeRestriction --enable-bootstrap-token-auth=true --etcd-cafile=$PKI/etcd/ca.crt
		--etcd-certfile=$PKI/apiserver-etcd-client.crt --etcd-keyfile=$PKI/apiserver-etcd-client.key --etcd-servers=https://127.0.0.1:2379
		--kubelet-client-certificate=$PKI/apiserver-kubelet-client.crt --kubelet-client-key=$PKI/apiserver-kubelet-client.key
		--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname --proxy-client-cert-file=$PKI/front-proxy-client.crt
		--proxy-client-key-file=$PKI/front-proxy-client.key --requestheader-allowed-names=front-proxy-client
		--requestheader-client-ca-file=$PKI/front-proxy-ca.crt --requestheader-extra-headers-prefix=X-Remote-Extra-
		--requestheader-group-headers=X-Remote-Group --requestheader-username-headers=X-Remote-User --secure-port=6443
		--service-account-issuer=https://kubernetes.default.svc.cluster.local --service-account-key-file=$PKI/sa.pub
		--service-account-signing-key-file=$PKI/sa.key --service-cluster-ip-range=10.96.0.0/12 --tls-cert-file=$PKI/apiserver.crt
		--tls-private-key-file=$PKI/apiserver.key`,
	"kube-controller-manager": `--authentication-kubeconfig=/etc/kubernetes/controller-manager.conf --authorization-kubeconfig=/etc/kubernetes/controller-manager.conf
		--bind-address=127.0.0.1 --client-ca-file=$PKI/ca.crt --cluster-name=kubernetes --cluster-signing-cert-file=$PKI/ca.crt
		--cluster-signing-key-file=$PKI/ca.key --controllers=*,bootstrapsigner,tokencleaner --kubeconfig=/etc/kubernetes/controller-manager.conf
		--leader-elect=true --requestheader-client-ca-file=$PKI/front-proxy-ca.crt --root-ca-file=$PKI/ca.crt
		--service-account-private-key-file=$PKI/sa.key --use-service-account-credentials=true`,
	"kube-scheduler": `--authentication-kubeconfig=/etc/kubernetes/scheduler.conf --authorization-kubeconfig=/etc/kubernetes/scheduler.conf
		--bind-address=127.0.0.1 --kubeconfig=/etc/kubernetes/scheduler.conf --leader-elect=true`,
	"etcd": `--advertise-client-urls=https://$IP:2379 --cert-file=$PKI/etcd/server.crt --client-cert-auth=true --data-dir=/var/lib/etcd
		--initial-advertise-peer-urls=https://$IP:2380 --initial-cluster=$NODE=https://$IP:2380 --key-file=$PKI/etcd/server.key
		--listen-client-urls=https://127.0.0.1:2379,https://$IP:2379 --listen-metrics-urls=http://127.0.0.1:2381
		--listen-peer-urls=https://$IP:2380 --name=$NODE --peer-cert-file=$PKI/etcd/peer.crt --peer-client-cert-auth=true
		--peer-key-file=$PKI/etcd/peer.key --peer-trusted-ca-file=$PKI/etcd/ca.crt --snapshot-count=10000 --trusted-ca-file=$PKI/etcd/ca.crt`,
	"kubelet":    `--config=/var/lib/kubelet/config.yaml --kubeconfig=/etc/kubernetes/kubelet.conf --bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf`,
	"kube-proxy": `--config=/var/lib/kube-proxy/config.conf`,
}

// kubeadmFiles are the configuration files that kubeadm writes, as far as they
// are the same everywhere. Source: cmd/kubeadm/app/componentconfigs.
func kubeadmFiles(pki string) map[string]map[string]any {
	return map[string]map[string]any{
		"kubelet": {
			"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
			"authentication": map[string]any{
				"anonymous": map[string]any{"enabled": false}, "webhook": map[string]any{"enabled": true},
				"x509": map[string]any{"clientCAFile": path.Join(pki, "ca.crt")},
			},
			"authorization": map[string]any{"mode": "Webhook"}, "cgroupDriver": "systemd", "rotateCertificates": true,
			"staticPodPath": "/etc/kubernetes/manifests",
		},
		"kube-proxy": {
			"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
			"clientConnection": map[string]any{"kubeconfig": "/var/lib/kube-proxy/kubeconfig.conf"},
		},
	}
}

// kubeadmOrder is the order in which the components are told.
var kubeadmOrder = [...]string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "etcd", "kubelet", "kube-proxy"}

// Kubeadm returns the components of a cluster as kubeadm sets it up if it is told
// nothing: what there is to harden where nothing runs yet.
func Kubeadm(minor int, pki string) []Found {
	pki = cmp.Or(pki, defaultPKI)
	var out []Found
	for _, name := range kubeadmOrder {
		if f, ok := kubeadm(name, minor, pki); ok {
			out = append(out, f)
		}
	}
	return out
}

func kubeadm(name string, minor int, pki string) (Found, bool) {
	flags, ok := kubeadmFlags[name]
	if !ok {
		return Found{}, false
	}
	command := []any{name}
	for _, w := range strings.Fields(flags) {
		command = append(command, strings.ReplaceAll(w, "$PKI", pki))
	}
	spec := map[string]any{"component": name, "command": command, "controlPlane": true, "system": "linux"}
	if name != "etcd" {
		spec["version"] = fmt.Sprintf("v1.%d.0", minor)
	}
	if file, ok := kubeadmFiles(pki)[name]; ok {
		at := "/var/lib/kubelet/config.yaml"
		if name == "kube-proxy" {
			at = "/var/lib/kube-proxy/config.conf"
		}
		spec["configuration"] = []any{map[string]any{"path": at, "content": file}}
	}
	o, _ := fact.NewObject(fact.Of(map[string]any{"apiVersion": "merlon.dev/v1", "kind": "NodeComponent", "metadata": map[string]any{"name": name}, "spec": spec}), fact.Origin{Source: "kubeadm"})
	p, ok := component.FromObject(&o)
	return Found{Process: p, Where: "kubeadm's defaults"}, ok
}
