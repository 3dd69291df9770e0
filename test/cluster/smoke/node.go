package smoke

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/merlon-security/merlon/test/cluster"
)

func nodeChecks() []check {
	return []check{
		{"pods become ready", podsReady},
		{"logs", logs},
		{"exec", execute},
		{"Service from a pod", serviceFromPod},
		{"Service and pod from the machine", serviceFromMachine},
		{"API server from a pod, with its token", apiFromPod},
	}
}

func podsReady(ctx context.Context, c *cluster.Cluster) error {
	manifest, err := manifests.ReadFile("web.yaml")
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	apply := c.Kubectl(ctx, "apply", "-f", "-")
	apply.Stdin = bytes.NewReader(manifest)
	if _, err := output(apply); err != nil {
		return err
	}
	if _, err := output(c.Kubectl(ctx, "-n", "smoke", "rollout", "status", "daemonset/web", "--timeout=3m")); err != nil {
		return err
	}
	_, err = output(c.Kubectl(ctx, "-n", "smoke", "wait", "--for=condition=Ready", "pod/client", "--timeout=3m"))
	return err
}

func logs(ctx context.Context, c *cluster.Cluster) error {
	out, err := output(c.Kubectl(ctx, "-n", "smoke", "logs", "client"))
	if err != nil {
		return err
	}
	if out != "client started\n" {
		return fmt.Errorf("read logs: got %q", out)
	}
	return nil
}

func execute(ctx context.Context, c *cluster.Cluster) error {
	out, err := inClient(ctx, c, "id", "-u")
	if err != nil {
		return err
	}
	if out != "0\n" {
		return fmt.Errorf("run id in pod: got %q", out)
	}
	return nil
}

func inClient(ctx context.Context, c *cluster.Cluster, argv ...string) (string, error) {
	return output(c.Kubectl(ctx, append([]string{"-n", "smoke", "exec", "client", "--"}, argv...)...))
}

func serviceFromPod(ctx context.Context, c *cluster.Cluster) error {
	return eventually(ctx, func() error { // kube-proxy may lag behind
		// The pod knows the Service from its environment: there is no DNS.
		out, err := inClient(ctx, c, "sh", "-c", "netprobe get http://$WEB_SERVICE_HOST:$WEB_SERVICE_PORT")
		if err == nil && !strings.HasPrefix(out, "200 OK web-") {
			return fmt.Errorf("ask Service: got %q", out)
		}
		return err
	})
}

func serviceFromMachine(ctx context.Context, c *cluster.Cluster) error {
	address, err := output(c.Kubectl(ctx, "-n", "smoke", "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}"))
	if err != nil {
		return err
	}
	if err := get(ctx, "http://"+address); err != nil {
		return err
	}
	address, err = output(c.Kubectl(ctx, "-n", "smoke", "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].status.podIP}"))
	if err != nil {
		return err
	}
	return get(ctx, "http://"+address+":8080")
}

func get(ctx context.Context, url string) error {
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("get %s: %w", url, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read answer of %s: %w", url, err)
	}
	if !strings.HasPrefix(string(b), "web-") {
		return fmt.Errorf("get %s: got %q", url, b)
	}
	return nil
}

func apiFromPod(ctx context.Context, c *cluster.Cluster) error {
	out, err := inClient(ctx, c, "sh", "-c", "netprobe get https://$KUBERNETES_SERVICE_HOST/api/v1/namespaces/smoke/pods")
	if err != nil {
		return err
	}
	if !strings.Contains(out, "system:serviceaccount:smoke:default") {
		return fmt.Errorf("ask API server from pod: want it to know the pod's account, got %q", out)
	}
	return nil
}

// otherNode needs routes between the nodes.
func otherNode(ctx context.Context, c *cluster.Cluster) error {
	out, err := output(c.Kubectl(ctx, "-n", "smoke", "get", "pods", "-l", "app=web",
		"-o", `jsonpath={range .items[*]}{.spec.nodeName} {.status.podIP}{"\n"}{end}`))
	if err != nil {
		return err
	}
	pods := strings.Fields(out)
	if len(pods) != 4 || pods[0] == pods[2] {
		return errors.New("list web pods: want one on each node, got " + out)
	}
	for _, ip := range []string{pods[1], pods[3]} {
		if _, err := inClient(ctx, c, "netprobe", "dial", ip+":8080"); err != nil {
			return err
		}
	}
	return nil
}
