package cluster

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
)

// Addresses. The Service and pod ranges hold in every tier; the others exist
// in the node tiers only.
const (
	defaultPort     = 16443
	serviceCIDR     = "10.96.0.0/16"
	firstServiceIP  = "10.96.0.1" // the Service "kubernetes"
	clusterDNSIP    = "10.96.0.10"
	podCIDR         = "10.244.0.0/16"
	hostAddress     = "10.199.0.1" // the machine, seen from nodes and pods
	firstNodeIP     = "10.199.0.11"
	secondNodeIP    = "10.199.0.12"
	loopbackAddress = "127.0.0.1"
)

// configs are the programs' configuration files; those that end in .tmpl are
// filled in per node.
//
//go:embed config
var configs embed.FS

// apiAddress is where the machine reaches the API server.
func (t Tier) apiAddress() string {
	if len(t.nodes()) > 0 {
		return firstNodeIP
	}
	return loopbackAddress
}

// MachineAddress is where the API server and pods reach this machine: a webhook
// under test listens there.
func (c *Cluster) MachineAddress() string {
	if len(c.state.Tier.nodes()) > 0 {
		return hostAddress
	}
	return loopbackAddress
}

func (c *Cluster) auditPolicyFile() string { return filepath.Join(c.dir, "audit-policy.yaml") }

// writeControlPlane writes what the control plane reads besides its keys.
func (c *Cluster) writeControlPlane() error {
	var policy []byte
	var err error
	if c.state.AuditPolicy != "" {
		policy, err = os.ReadFile(c.state.AuditPolicy)
	} else {
		policy, err = configs.ReadFile("config/audit-policy.yaml")
	}
	if err != nil {
		return fmt.Errorf("read audit policy: %w", err)
	}
	if err := os.WriteFile(c.auditPolicyFile(), policy, 0o600); err != nil {
		return fmt.Errorf("write audit policy: %w", err)
	}
	return nil
}

func (c *Cluster) pkiFile(name string) string { return filepath.Join(c.pki(), name) }

func (c *Cluster) etcdURL() string {
	return "https://" + loopbackAddress + ":" + strconv.Itoa(c.state.Ports.Etcd)
}

func (c *Cluster) etcdArgs() []string {
	client := c.etcdURL()
	peer := "http://" + loopbackAddress + ":" + strconv.Itoa(c.state.Ports.EtcdPeer)
	return []string{"etcd", "--name=lab", "--data-dir=" + filepath.Join(c.dir, "etcd"),
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=lab=" + peer,
		"--cert-file=" + c.pkiFile("etcd-server.crt"), "--key-file=" + c.pkiFile("etcd-server.key"),
		"--client-cert-auth", "--trusted-ca-file=" + c.pkiFile("etcd-ca.crt"),
		// The data is thrown away: a power cut may have it.
		"--unsafe-no-fsync", "--log-level=warn", "--snapshot-count=10000", "--quota-backend-bytes=4294967296",
	}
}

func (c *Cluster) apiServerArgs() []string {
	bind := loopbackAddress
	if len(c.state.Tier.nodes()) > 0 {
		bind = "0.0.0.0" // of the first node's network namespace
	}
	f := c.pkiFile
	return []string{"kube-apiserver",
		"--bind-address=" + bind, "--secure-port=" + strconv.Itoa(c.state.Ports.API),
		// An endpoint of the Service "kubernetes" must not be loopback; without
		// nodes nobody dials it.
		"--advertise-address=" + firstNodeIP, "--service-cluster-ip-range=" + serviceCIDR,
		"--etcd-servers=" + c.etcdURL(), "--etcd-cafile=" + f("etcd-ca.crt"),
		"--etcd-certfile=" + f("etcd-client.crt"), "--etcd-keyfile=" + f("etcd-client.key"),
		"--client-ca-file=" + f("ca.crt"), "--tls-cert-file=" + f("apiserver.crt"), "--tls-private-key-file=" + f("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + f("sa.pub"), "--service-account-signing-key-file=" + f("sa.key"),
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true",
		"--kubelet-client-certificate=" + f("apiserver-kubelet-client.crt"), "--kubelet-client-key=" + f("apiserver-kubelet-client.key"),
		"--kubelet-certificate-authority=" + f("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + f("front-proxy-ca.crt"), "--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--enable-aggregator-routing=true",
		"--proxy-client-cert-file=" + f("front-proxy-client.crt"), "--proxy-client-key-file=" + f("front-proxy-client.key"),
		"--encryption-provider-config=" + f("encryption.yaml"),
		"--audit-policy-file=" + c.auditPolicyFile(), "--audit-log-path=" + c.AuditLog(), "--audit-log-maxsize=200",
		"--profiling=false",
		// apiserver_storage_objects soon says what is there, for tests that read it.
		"--etcd-count-metric-poll-period=10s",
	}
}

func (c *Cluster) controllerManagerArgs() []string {
	f := c.pkiFile
	kubeconfig := f("controller-manager.kubeconfig")
	return []string{"kube-controller-manager", "--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=" + loopbackAddress, "--secure-port=" + strconv.Itoa(c.state.Ports.ControllerManager),
		"--tls-cert-file=" + f("controller-manager-server.crt"), "--tls-private-key-file=" + f("controller-manager-server.key"),
		"--use-service-account-credentials=true", "--service-account-private-key-file=" + f("sa.key"), "--root-ca-file=" + f("ca.crt"),
		"--cluster-signing-cert-file=" + f("ca.crt"), "--cluster-signing-key-file=" + f("ca.key"),
		"--service-cluster-ip-range=" + serviceCIDR, "--cluster-cidr=" + podCIDR, "--allocate-node-cidrs=false",
		// It makes this folder at start, by default below /usr.
		"--flex-volume-plugin-dir=" + filepath.Join(c.dir, "volumeplugins"),
		// The default of 20 requests a second makes the start 4 s longer.
		"--kube-api-qps=500", "--kube-api-burst=1000", "--leader-elect=false", "--profiling=false",
	}
}

func (c *Cluster) schedulerArgs() []string {
	f := c.pkiFile
	kubeconfig := f("scheduler.kubeconfig")
	return []string{"kube-scheduler", "--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=" + loopbackAddress, "--secure-port=" + strconv.Itoa(c.state.Ports.Scheduler),
		"--tls-cert-file=" + f("scheduler-server.crt"), "--tls-private-key-file=" + f("scheduler-server.key"),
		"--kube-api-qps=1000", "--kube-api-burst=2000", "--leader-elect=false", "--profiling=false",
	}
}

// WaitReady returns when the API server says that it is ready, or with an
// error when it or etcd ended.
func (c *Cluster) WaitReady(ctx context.Context) error {
	return poll(ctx, "API server", func(ctx context.Context) (bool, error) {
		if err := c.checkRunning("etcd", "kube-apiserver"); err != nil {
			return false, err
		}
		_, err := c.Do(ctx, http.MethodGet, "/readyz", nil)
		return err == nil, err
	})
}

// waitServiceAccount waits for the controller manager's first visible deed:
// before the default service account exists no pod can be created.
func (c *Cluster) waitServiceAccount(ctx context.Context) error {
	return poll(ctx, "default service account", func(ctx context.Context) (bool, error) {
		if err := c.checkRunning("kube-apiserver", "kube-controller-manager", "kube-scheduler"); err != nil {
			return false, err
		}
		_, err := c.Do(ctx, http.MethodGet, "/api/v1/namespaces/default/serviceaccounts/default", nil)
		return err == nil, err
	})
}

// waitNode waits until the node reports that it is Ready.
func (c *Cluster) waitNode(ctx context.Context, n node) error {
	return poll(ctx, "node "+n.Name, func(ctx context.Context) (bool, error) {
		if err := c.checkRunning("kubelet-"+n.Name, "containerd-"+n.Name); err != nil {
			return false, err
		}
		b, err := c.Do(ctx, http.MethodGet, "/api/v1/nodes/"+n.Name, nil)
		if err != nil {
			return false, err
		}
		var got struct {
			Status struct {
				Conditions []struct{ Type, Status, Message string }
			}
		}
		if err := json.Unmarshal(b, &got); err != nil {
			return false, fmt.Errorf("decode node: %w", err)
		}
		for _, cond := range got.Status.Conditions {
			if cond.Type == "Ready" {
				return cond.Status == "True", errors.New(cond.Message)
			}
		}
		return false, errors.New("no Ready condition yet")
	})
}
