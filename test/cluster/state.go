package cluster

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stateFile marks a folder as a state folder; without it nothing is removed.
const stateFile = "lab.json"

// state is what another process needs to know to use or end the cluster.
type state struct {
	Tier        Tier
	API         string // URL
	Ports       ports
	Programs    string // folder
	Images      string // folder with the node's image archives; empty without nodes
	ProxyMode   string
	AuditPolicy string
	Args        map[string][]string
}

// ports are TCP ports on loopback (in the node tiers: of the first node's
// network namespace).
type ports struct{ API, Etcd, EtcdPeer, ControllerManager, Scheduler int }

// complete fills in the defaults and makes every path absolute.
func (cfg Config) complete() (Config, error) {
	if cfg.Tier == "" {
		cfg.Tier = ControlPlane
	}
	if !slices.Contains([]Tier{ControlPlane, OneNode, TwoNodes}, cfg.Tier) {
		return cfg, fmt.Errorf("read tier %q: want cp, node or 2node", cfg.Tier)
	}
	if cfg.ProxyMode == "" {
		cfg.ProxyMode = "iptables"
	}
	for name := range cfg.Args {
		if known := append(kubePrograms(), "containerd"); !slices.Contains(known, name) {
			return cfg, fmt.Errorf("read flags for %q: programs are %s", name, strings.Join(known, ", "))
		}
	}
	if cfg.Dir == "" {
		cfg.Dir = DefaultDir()
	}
	if cfg.Cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return cfg, fmt.Errorf("find cache folder: %w", err)
		}
		cfg.Cache = filepath.Join(base, "merlon", "cluster")
	}
	if cfg.Source == "" {
		source, err := findSource()
		if err != nil {
			return cfg, err
		}
		cfg.Source = source
	}
	if cfg.Kube == "" {
		cfg.Kube = filepath.Join(cfg.Source, "kube")
	}
	return cfg, absolute(&cfg.Dir, &cfg.Cache, &cfg.Source, &cfg.Kube, &cfg.AuditPolicy)
}

// absolute makes paths absolute; empty ones stay empty.
func absolute(paths ...*string) error {
	for _, p := range paths {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return fmt.Errorf("find folder %s: %w", *p, err)
		}
		*p = abs
	}
	return nil
}

// claim makes the state folder and writes the record Down goes by, before
// anything is started. The record is what makes the folder ours: a folder
// with other content is refused.
func claim(cfg Config, bin Binaries) (*Cluster, error) {
	entries, err := os.ReadDir(cfg.Dir)
	entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool {
		return strings.HasPrefix(e.Name(), stateFile+".") // of a crash while the record was written
	})
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, fmt.Errorf("read state folder: %w", err)
	case slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() == stateFile }):
		return nil, fmt.Errorf("claim %s: a cluster is there already (lab down --dir %s ends it)", cfg.Dir, cfg.Dir)
	case len(entries) > 0:
		return nil, fmt.Errorf("claim %s: the folder is not empty and not a cluster's", cfg.Dir)
	}
	p, err := choosePorts(cfg)
	if err != nil {
		return nil, err
	}
	s := state{Tier: cfg.Tier, Ports: p, API: "https://" + net.JoinHostPort(cfg.Tier.apiAddress(), strconv.Itoa(p.API)),
		Programs: bin.Programs, Images: bin.Images, ProxyMode: cfg.ProxyMode, AuditPolicy: cfg.AuditPolicy, Args: cfg.Args}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	if err := s.write(cfg.Dir); err != nil {
		return nil, err
	}
	for _, sub := range []string{"pki", "logs", "etcd"} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("make state folder: %w", err)
		}
	}
	return newCluster(cfg.Dir, s, cfg.Log), nil
}

func newCluster(dir string, s state, log io.Writer) *Cluster {
	return &Cluster{dir: dir, state: s, client: newClient(dir), children: map[string]*exec.Cmd{}, say: sayer(log)}
}

// sayer returns a func that writes progress lines with the time since now.
func sayer(log io.Writer) func(string, ...any) {
	if log == nil {
		log = io.Discard
	}
	begin := time.Now()
	return func(format string, args ...any) {
		fmt.Fprintf(log, "%6.2fs %s\n", time.Since(begin).Seconds(), fmt.Sprintf(format, args...))
	}
}

// write creates the record. Of two callers at once one gets an error: the
// record appears whole and only where there is none.
func (s state) write(dir string) error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("encode cluster state: %w", err)
	}
	return createExclusive(filepath.Join(dir, stateFile), b)
}

// createExclusive writes a file that must not exist yet; readers see all of it
// or nothing.
func createExclusive(path string, b []byte) error {
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(tmp)
	if err := os.Link(tmp, path); err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return nil
}

func readState(dir string) (state, error) {
	var s state
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return s, fmt.Errorf("open cluster: %w", err)
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("decode %s: %w", filepath.Join(dir, stateFile), err)
	}
	return s, nil
}

// removeState removes the state folder unless it is not one. What is mounted
// below it must be gone: removal would go through a bind mount into the
// machine's own files.
func removeState(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, stateFile)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	left, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("remove %s: still mounted: %v", dir, left)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read state folder: %w", err)
	}
	// The record goes last, so that a removal cut short can be repeated.
	for _, e := range entries {
		if e.Name() == stateFile {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return fmt.Errorf("remove state: %w", err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove state folder: %w", err)
	}
	return nil
}

// choosePorts returns the configured ports or free ones. In the node tiers
// the ports lie in a fresh network namespace and are free by nature.
func choosePorts(cfg Config) (ports, error) {
	var n [5]int
	for i := range n {
		if cfg.Port != 0 {
			n[i] = cfg.Port + i
		}
		if cfg.Tier != ControlPlane {
			n[i] = cmp.Or(n[i], defaultPort+i)
			continue
		}
		// Held until all are chosen, so that no two are the same.
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", n[i]))
		if err != nil {
			return ports{}, fmt.Errorf("reserve port %d (another cluster? choose other ports): %w", n[i], err)
		}
		defer l.Close()
		n[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports{API: n[0], Etcd: n[1], EtcdPeer: n[2], ControllerManager: n[3], Scheduler: n[4]}, nil
}
