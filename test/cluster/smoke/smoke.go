// Package smoke tries a test cluster from start to end: it starts one, uses
// what tests will use, ends it and compares the machine with before.
package smoke

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/merlon-security/merlon/test/cluster"
)

// manifests are the objects that the checks create.
//
//go:embed *.json *.yaml
var manifests embed.FS

// check is one thing that must hold in a running cluster.
type check struct {
	name string
	run  func(ctx context.Context, c *cluster.Cluster) error
}

// Run starts the cluster, makes every check of its tier, ends it and returns
// an error that names whatever stayed behind. It prints the time each step
// took; cfg.Dir must be set.
func Run(ctx context.Context, cfg cluster.Config) (err error) {
	log := cfg.Log
	if log == nil {
		log = io.Discard
	}
	if _, err := cluster.Build(ctx, cfg); err != nil {
		return err
	}
	before := newTrace(cfg.Dir)
	begin := time.Now()
	c, err := cluster.Up(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(log, "up: %.1fs\n", time.Since(begin).Seconds())
	err = try(ctx, c, cfg.Tier, log)
	begin = time.Now()
	if end := c.Down(context.WithoutCancel(ctx)); end != nil {
		return errors.Join(err, end)
	}
	fmt.Fprintf(log, "down: %.1fs\n", time.Since(begin).Seconds())
	err = errors.Join(err, compare(before, newTrace(cfg.Dir)))
	if again := cluster.Down(ctx, cfg.Dir); again != nil {
		err = errors.Join(err, fmt.Errorf("end cluster a second time: %w", again))
	}
	return err
}

func try(ctx context.Context, c *cluster.Cluster, tier cluster.Tier, log io.Writer) error {
	checks := []check{
		{"namespace and its default service account", namespace},
		{"pod is bound to a node", podBound},
		{"user without rights is refused", stranger},
		{"audit log tells who did what", auditLog},
		{"API server restarts", restart},
	}
	switch tier {
	case cluster.OneNode:
		checks = append(checks, nodeChecks()...)
	case cluster.TwoNodes:
		checks = append(checks, append(nodeChecks(), check{"pod reaches a pod on the other node", otherNode})...)
	}
	for _, ch := range checks {
		begin := time.Now()
		if err := ch.run(ctx, c); err != nil {
			return fmt.Errorf("check %q: %w", ch.name, err)
		}
		fmt.Fprintf(log, "ok: %s: %.1fs\n", ch.name, time.Since(begin).Seconds())
	}
	return nil
}

// eventually calls f until it returns nil, for at most two minutes.
func eventually(ctx context.Context, f func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		err := f()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func post(ctx context.Context, c *cluster.Cluster, path, manifest string) error {
	b, err := manifests.ReadFile(manifest)
	if err != nil {
		return fmt.Errorf("read manifest: %w", err)
	}
	if _, err := c.Do(ctx, http.MethodPost, path, b); err != nil {
		return fmt.Errorf("create %s: %w", manifest, err)
	}
	return nil
}

func namespace(ctx context.Context, c *cluster.Cluster) error {
	if err := post(ctx, c, "/api/v1/namespaces", "namespace.json"); err != nil {
		return err
	}
	return eventually(ctx, func() error {
		_, err := c.Do(ctx, http.MethodGet, "/api/v1/namespaces/smoke/serviceaccounts/default", nil)
		return err
	})
}

// podBound works without a kubelet: the node is only an object, and the pod
// tolerates that it never becomes ready. Both are removed again.
func podBound(ctx context.Context, c *cluster.Cluster) error {
	if err := post(ctx, c, "/api/v1/nodes", "paper-node.json"); err != nil {
		return err
	}
	if err := post(ctx, c, "/api/v1/namespaces/smoke/pods", "paper-pod.json"); err != nil {
		return err
	}
	err := eventually(ctx, func() error {
		b, err := c.Do(ctx, http.MethodGet, "/api/v1/namespaces/smoke/pods/paper", nil)
		if err != nil {
			return err
		}
		var pod struct{ Spec struct{ NodeName string } }
		if err := json.Unmarshal(b, &pod); err != nil {
			return fmt.Errorf("decode pod: %w", err)
		}
		if pod.Spec.NodeName != "paper" {
			return fmt.Errorf("bind pod: it is on node %q", pod.Spec.NodeName)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, path := range []string{"/api/v1/namespaces/smoke/pods/paper?gracePeriodSeconds=0", "/api/v1/nodes/paper"} {
		if _, err := c.Do(ctx, http.MethodDelete, path, nil); err != nil {
			return err
		}
	}
	return nil
}

func stranger(ctx context.Context, c *cluster.Cluster) error {
	b, err := c.KubeconfigFor("stranger", "strangers")
	if err != nil {
		return err
	}
	file := c.Dir() + "/stranger.kubeconfig"
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	out, err := c.Kubectl(ctx, "--kubeconfig", file, "get", "pods").CombinedOutput()
	if err == nil || !strings.Contains(string(out), `User "stranger" cannot list resource "pods"`) {
		return fmt.Errorf("list pods as stranger: want a refusal, got %v: %s", err, out)
	}
	return nil
}

func auditLog(ctx context.Context, c *cluster.Cluster) error {
	return eventually(ctx, func() error {
		b, err := os.ReadFile(c.AuditLog())
		if err != nil {
			return fmt.Errorf("read audit log: %w", err)
		}
		for line := range bytes.Lines(b) {
			var event struct {
				Verb      string
				User      struct{ Username string }
				ObjectRef struct{ Resource, Name string }
			}
			if err := json.Unmarshal(line, &event); err != nil {
				continue // the last line may be half written
			}
			if event.Verb == "create" && event.User.Username == "lab-admin" && event.ObjectRef.Resource == "namespaces" && event.ObjectRef.Name == "smoke" {
				return nil
			}
		}
		return errors.New("find our own request: not in the audit log")
	})
}

// restart does what tests of bad weather do, in the hard way.
func restart(ctx context.Context, c *cluster.Cluster) error {
	if err := c.Stop(ctx, "kube-apiserver", true); err != nil {
		return err
	}
	if _, err := c.Do(ctx, http.MethodGet, "/readyz", nil); !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("ask stopped API server: want connection refused, got %w", err)
	}
	if err := c.Start("kube-apiserver"); err != nil {
		return err
	}
	if err := c.WaitReady(ctx); err != nil {
		return err
	}
	_, err := c.Do(ctx, http.MethodGet, "/api/v1/namespaces/smoke", nil)
	return err
}

// output runs a command; its error quotes what it printed.
func output(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("run %s: %w: %s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out), nil
}
