// Package cluster runs a real Kubernetes cluster on this machine for tests and
// takes it down again without a trace.
//
// A cluster is a state folder: keys, logs, etcd's data and the record that
// lets any later process open it or take it down. The control plane listens on
// loopback and needs no root; several run side by side, each with a folder and
// ports of its own. The tiers with nodes need root and Debian packages (see
// Missing) and exist once per machine, since they own fixed names: network
// namespaces, a link, cgroups and a folder below /run.
//
// This module depends on the standard library only, so that the product's
// tests can import it; the cluster's programs are built from the module in
// the kube folder.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Tier says how much of a cluster is wanted.
type Tier string

// The tiers. Each has all that the one before has.
const (
	ControlPlane Tier = "cp"    // etcd, API server, controller manager, scheduler
	OneNode      Tier = "node"  // and a node that runs pods
	TwoNodes     Tier = "2node" // and a second one in another network namespace
)

// readyTimeout bounds each wait of Up. A start takes seconds; a machine that
// compiles at the same time may take ten times as long.
const readyTimeout = 3 * time.Minute

// Config says what cluster to start. The zero value is a control plane on
// free ports in the default state folder.
type Config struct {
	Tier Tier   // default ControlPlane
	Dir  string // state folder, default DefaultDir(); made by Up, removed by Down
	Port int    // of the API server, the next four are used too; 0 takes free ones

	Source string // this module's folder; found from the working folder when empty
	Kube   string // folder of the module to build the programs from, default Source/kube
	Cache  string // default: merlon/cluster below the user's cache folder

	ProxyMode   string              // of kube-proxy: iptables (default) or nftables
	AuditPolicy string              // file with a policy instead of config/audit-policy.yaml
	Args        map[string][]string // more flags by program: etcd, kube-apiserver, kubelet ...

	Log io.Writer // progress, one line per step; nil for none
}

// Cluster is a started cluster. It is not safe for concurrent use. There is no
// useful zero value: Up and Open return one.
type Cluster struct {
	dir      string
	state    state
	client   *http.Client
	children map[string]*exec.Cmd // started by this process and not yet waited for
	say      func(format string, args ...any)
}

// DefaultDir is the state folder when none is named: one per user.
func DefaultDir() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("merlon-lab-%d", os.Getuid()))
}

// Up builds the programs where the cache lacks them, starts a cluster and
// returns when it can be used: the default service account exists and every
// node is Ready. On an error nothing stays behind; the error quotes the last
// lines of the logs.
func Up(ctx context.Context, cfg Config) (*Cluster, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	if missing := Missing(cfg.Tier, cfg.ProxyMode); len(missing) > 0 {
		return nil, &MissingError{Tier: cfg.Tier, What: missing}
	}
	bin, err := Build(ctx, cfg)
	if err != nil {
		return nil, err
	}
	c, err := claim(cfg, bin)
	if err != nil {
		return nil, err
	}
	if err := c.bringUp(ctx); err != nil {
		if ctx.Err() == nil { // else the user had enough, and nothing is wrong
			err = fmt.Errorf("%w%s", err, c.logTails())
		}
		err = fmt.Errorf("start cluster: %w", err)
		return nil, errors.Join(err, c.Down(context.WithoutCancel(ctx)))
	}
	c.say("cluster usable at %s", c.state.API)
	return c, nil
}

// Open returns the cluster whose state folder is dir, for instance one that
// another process started.
func Open(dir string) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find state folder: %w", err)
	}
	s, err := readState(dir)
	if err != nil {
		return nil, err
	}
	return newCluster(dir, s, nil), nil
}

// Dir is the state folder. Below it: logs (audit.log among them), pki,
// kubeconfig.
func (c *Cluster) Dir() string { return c.dir }

// Server is the API server's URL.
func (c *Cluster) Server() string { return c.state.API }

// Programs is the folder that holds kubectl and the cluster's programs.
func (c *Cluster) Programs() string { return c.state.Programs }

// Kubeconfig is the file with the cluster administrator's credentials.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir, "kubeconfig") }

// AuditLog is the file the API server writes one JSON event per line to.
func (c *Cluster) AuditLog() string { return filepath.Join(c.logs(), "audit.log") }

// Environ is the current environment with KUBECONFIG, MERLON_LAB_DIR (the
// state folder) and a PATH that begins with Programs.
func (c *Cluster) Environ() []string {
	return append(os.Environ(), "KUBECONFIG="+c.Kubeconfig(), "MERLON_LAB_DIR="+c.dir,
		"PATH="+c.state.Programs+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// Kubectl returns a kubectl command against the cluster, as administrator.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.state.Programs, "kubectl"), args...)
	cmd.Env = c.Environ()
	return cmd
}

func (c *Cluster) pki() string  { return filepath.Join(c.dir, "pki") }
func (c *Cluster) logs() string { return filepath.Join(c.dir, "logs") }

// bringUp starts everything in an order that lets the slow parts overlap:
// containerd unpacks images while the API server starts.
func (c *Cluster) bringUp(ctx context.Context) error {
	if err := c.prepareHost(ctx); err != nil {
		return err
	}
	if err := c.writeConfig(); err != nil {
		return err
	}
	first := []string{"etcd", "kube-apiserver"}
	for _, n := range c.state.Tier.nodes() {
		first = append(first, "containerd-"+n.Name)
	}
	if err := c.startAll(first...); err != nil {
		return err
	}
	for _, n := range c.state.Tier.nodes() {
		if err := c.importImages(ctx, n); err != nil {
			return err
		}
	}
	// The controller manager and the scheduler give up when the API server
	// stays away, so they wait for it.
	if err := c.WaitReady(ctx); err != nil {
		return err
	}
	c.say("API server ready")
	second := []string{"kube-controller-manager", "kube-scheduler"}
	for _, n := range c.state.Tier.nodes() {
		// kube-proxy first: the Service chains should exist before pods do.
		second = append(second, "kube-proxy-"+n.Name, "kubelet-"+n.Name)
	}
	if err := c.startAll(second...); err != nil {
		return err
	}
	for _, n := range c.state.Tier.nodes() {
		if err := c.waitNode(ctx, n); err != nil {
			return err
		}
		c.say("node %s Ready", n.Name)
	}
	return c.waitServiceAccount(ctx)
}

func (c *Cluster) startAll(names ...string) error {
	for _, name := range names {
		if err := c.Start(name); err != nil {
			return err
		}
	}
	return nil
}

// writeConfig writes keys, certificates, kubeconfigs and the programs' files.
func (c *Cluster) writeConfig() error {
	if err := c.writePKI(time.Now()); err != nil {
		return err
	}
	if err := c.writeControlPlane(); err != nil {
		return err
	}
	for _, n := range c.state.Tier.nodes() {
		if err := c.writeNode(n); err != nil {
			return err
		}
	}
	c.say("keys and configuration written")
	return nil
}

// Down ends the cluster and removes all it left on the machine, the state
// folder included. It works on what a crash left too, and may be repeated
// after an error.
func (c *Cluster) Down(ctx context.Context) error {
	c.client.CloseIdleConnections()
	err := Down(ctx, c.dir)
	if err == nil {
		c.reap()
	}
	return err
}

// Down is Cluster.Down for a folder that may hold only part of a cluster, or
// none: then it does nothing.
func Down(ctx context.Context, dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("find state folder: %w", err)
	}
	if err := killProcesses(ctx, dir); err != nil {
		return err
	}
	if err := restoreHost(ctx, dir); err != nil {
		return err
	}
	return removeState(dir)
}
