package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"text/tabwriter"
)

// peer is another scanner and how it is asked to scan a folder. The exit codes
// are those by which it says that it found something.
type peer struct {
	name string
	args func(s *session, dir string) ([]string, error)
	ok   []int
}

// other is what a peer took on one corpus.
type other struct {
	name string
	cost cost
}

func peers() []peer {
	fixed := func(args ...string) func(*session, string) ([]string, error) {
		return func(_ *session, dir string) ([]string, error) { return append(args, dir), nil }
	}
	return []peer{
		{"kube-linter", fixed("lint", "--format", "json"), []int{1}},
		{"kube-score", func(_ *session, dir string) ([]string, error) {
			files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
			return append([]string{"score", "-o", "json"}, files...), err
		}, []int{1}},
		{"polaris", fixed("audit", "--format", "json", "--audit-path"), nil},
		{"kubescape", fixed("scan", "framework", "nsa", "--keep-local", "--format", "json", "--output", "/dev/null"), []int{1}},
		{"trivy", fixed("config", "--skip-check-update", "--quiet", "--format", "json"), nil},
		{"kyverno", func(s *session, dir string) ([]string, error) {
			if s.policies == "" {
				return nil, errors.New("needs -policies")
			}
			return []string{"apply", s.policies, "--resource", dir}, nil
		}, []int{1}},
	}
}

// peers runs the other scanners that are installed, once on each corpus. One
// that cannot finish a corpus in time is not asked for a larger one.
func (s *session) peers(stdout io.Writer) error {
	if s.noPeers {
		return nil
	}
	found := false
	for _, p := range peers() {
		path, err := exec.LookPath(p.name)
		if err != nil {
			continue
		}
		found = true
		for i, c := range s.sets {
			o := s.peer(p, path, c)
			c.others = append(c.others, o)
			if o.cost.failed != "" && i+1 < len(s.sets) && s.sets[i+1].Workloads > c.Workloads {
				break
			}
		}
	}
	if !found {
		_, err := fmt.Fprintln(stdout, "peers on PATH: none")
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "peer\tcorpus\tworkloads\tCPU s\tanon MB\tof decode\t")
	for _, c := range s.sets {
		for _, o := range c.others {
			if o.cost.failed != "" {
				fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", o.name, c.Name(), c.Workloads, o.cost.failed)
				continue
			}
			fmt.Fprintf(w, "%s\t%s\t%d\t%.2f\t%.0f\t%s\t\n", o.name, c.Name(), c.Workloads, o.cost.cpu, o.cost.anon, ratio(o.cost.cpu, c.costs[decodeNodes].cpu))
		}
	}
	return w.Flush()
}

func (s *session) peer(p peer, path string, c *set) other {
	args, err := p.args(s, c.dir)
	if err != nil {
		return other{p.name, cost{failed: err.Error()}}
	}
	fmt.Fprintf(s.progress, "%s %d: %s\n", c.Name(), c.Workloads, p.name)
	ctx, cancel := context.WithTimeout(context.Background(), s.limit)
	defer cancel()
	cmd := command{name: p.name, args: append([]string{path}, args...), dir: s.dir, ok: p.ok}
	got, err := cmd.measure(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		got.failed = fmt.Sprintf("not finished in %s (%.0f CPU s, %.0f MB)", s.limit, got.cpu, got.anon)
	case err != nil:
		got.failed = err.Error()
	}
	return other{p.name, got}
}
