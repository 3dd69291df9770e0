package cluster

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"text/template"
)

// runDir holds what must not have a long path (sockets) or must not outlive
// a reboot (what was changed on the machine).
const runDir = "/run/" + prefix

// nodeFiles are the values that the files in config are filled in with.
type nodeFiles struct {
	Node       node
	Dir        string // of the node below the state folder
	Run        string // of the node below runDir
	PKI        string
	Cgroup     string
	Runc       string
	CNIPlugins string
	PauseImage string
	PodCIDR    string
	DNS        string
	ProxyMode  string
}

func (c *Cluster) nodeDir(n node) string { return filepath.Join(c.dir, n.Name) }

func containerdSocket(n node) string { return filepath.Join(runDir, n.Name, "containerd.sock") }

// ContainerdSocket is the address of a node's container runtime, for ctr and
// for CRI clients. Its containers are in the namespace k8s.io.
func (c *Cluster) ContainerdSocket(node string) string {
	return filepath.Join(runDir, node, "containerd.sock")
}

func (c *Cluster) nodePrograms(n node) []program {
	dir := c.nodeDir(n)
	return []program{
		{name: "containerd-" + n.Name, node: n.Name, extra: "containerd",
			argv: []string{"containerd", "--config=" + filepath.Join(dir, "containerd.toml")}},
		{name: "kube-proxy-" + n.Name, node: n.Name, extra: "kube-proxy",
			argv: []string{filepath.Join(c.state.Programs, "kube-proxy"), "--config=" + filepath.Join(dir, "kube-proxy.yaml")}},
		{name: "kubelet-" + n.Name, node: n.Name, extra: "kubelet",
			argv: []string{filepath.Join(c.state.Programs, "kubelet"), "--config=" + filepath.Join(dir, "kubelet.yaml"),
				"--kubeconfig=" + c.pkiFile("kubelet-"+n.Name+".kubeconfig"), "--root-dir=" + filepath.Join(dir, "kubelet"), "--cert-dir=" + filepath.Join(dir, "kubelet", "pki"),
				"--hostname-override=" + n.Name, "--node-ip=" + n.IP, "--v=2"}},
	}
}

// writeNode writes the configuration of a node's programs.
func (c *Cluster) writeNode(n node) error {
	plugins, err := cniPlugins()
	if err != nil {
		return err
	}
	runc, err := exec.LookPath("runc")
	if err != nil {
		return fmt.Errorf("find runc: %w", err)
	}
	v := nodeFiles{Node: n, Dir: c.nodeDir(n), Run: filepath.Join(runDir, n.Name), PKI: c.pki(), Cgroup: cgroupName(n.Name),
		Runc: runc, CNIPlugins: plugins, PauseImage: PauseImage, PodCIDR: podCIDR, DNS: clusterDNSIP, ProxyMode: c.state.ProxyMode}
	for _, dir := range []string{v.Run, filepath.Join(v.Dir, "cni"), filepath.Join(v.Dir, "manifests"), filepath.Join(v.Dir, "podlogs")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make node folder: %w", err)
		}
	}
	t, err := template.ParseFS(configs, "config/*.tmpl")
	if err != nil {
		return fmt.Errorf("read configuration templates: %w", err)
	}
	for name, out := range map[string]string{
		"containerd.toml.tmpl": "containerd.toml",
		"cni.conflist.tmpl":    "cni/10-bridge.conflist",
		"kubelet.yaml.tmpl":    "kubelet.yaml",
		"kube-proxy.yaml.tmpl": "kube-proxy.yaml",
	} {
		if err := fill(t, name, filepath.Join(v.Dir, out), v); err != nil {
			return err
		}
	}
	return nil
}

func fill(t *template.Template, name, out string, v nodeFiles) error {
	f, err := os.Create(out)
	if err != nil {
		return fmt.Errorf("create %s: %w", out, err)
	}
	if err := t.ExecuteTemplate(f, name, v); err != nil {
		f.Close()
		return fmt.Errorf("fill in %s: %w", name, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write %s: %w", out, err)
	}
	return nil
}

// importImages waits for the node's containerd and gives it the images.
func (c *Cluster) importImages(ctx context.Context, n node) error {
	err := poll(ctx, "containerd of "+n.Name, func(ctx context.Context) (bool, error) {
		if err := c.checkRunning("containerd-" + n.Name); err != nil {
			return false, err
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", containerdSocket(n))
		if err != nil {
			return false, err
		}
		return true, conn.Close()
	})
	if err != nil {
		return err
	}
	archives, err := filepath.Glob(filepath.Join(c.state.Images, "*.tar"))
	if err != nil {
		return fmt.Errorf("list images: %w", err)
	}
	for _, archive := range archives {
		if err := c.ImportImage(ctx, n.Name, archive); err != nil {
			return err
		}
	}
	c.say("containerd of %s has its images", n.Name)
	return nil
}

// ImportImage gives a node an image from an archive (docker or OCI layout).
// Pods that use it need imagePullPolicy IfNotPresent, the default for every
// tag but "latest".
func (c *Cluster) ImportImage(ctx context.Context, node, archive string) error {
	_, err := runCommand(ctx, "ctr", "--address", c.ContainerdSocket(node), "--namespace", "k8s.io", "images", "import", archive)
	return err
}
