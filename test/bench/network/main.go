// Command network measures what merlon net costs on made-up clusters of 100,
// 1,000 and 10,000 workloads with policies in half of the namespaces: CPU
// seconds and peak memory of the grouped list, of a comparison of two states
// that differ in one policy, and of the list of all pairs. Each figure stands
// beside its bound; going over one is told, and no error.
//
//	go run ./test/bench/network -merlon bin/merlon [-n 3]
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

func main() {
	merlon := flag.String("merlon", "bin/merlon", "the binary to measure")
	runs := flag.Int("n", 3, "runs, of which the median counts")
	flag.Parse()
	if err := measure(os.Stdout, *merlon, max(*runs, 1)); err != nil {
		fmt.Fprintln(os.Stderr, "network:", err)
		os.Exit(3)
	}
}

// stage is one command and what it may cost.
type stage struct {
	name  string
	args  []string
	cpu   float64 // seconds; 0: no bound
	megas int64
}

func measure(w io.Writer, merlon string, runs int) error {
	dir, err := os.MkdirTemp("", "merlon-network-*")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	defer os.RemoveAll(dir)
	fmt.Fprintf(w, "%-24s %8s %8s  %s\n", "command", "CPU s", "MB", "bound")
	for _, n := range []int{100, 1000, 10000} {
		before, after := filepath.Join(dir, fmt.Sprintf("%d.yaml", n)), filepath.Join(dir, fmt.Sprintf("%d-after.yaml", n))
		text := cluster(n)
		changed := strings.Replace(text, "port: 8080}]\n", "port: 9090}]\n", 1)
		for name, t := range map[string]string{before: text, after: changed} {
			if err := os.WriteFile(name, []byte(t), 0o600); err != nil {
				return fmt.Errorf("write a cluster: %w", err)
			}
		}
		stages := []stage{
			{fmt.Sprintf("list %d", n), []string{"net", "list", before}, 5, 500},
			{fmt.Sprintf("diff %d", n), []string{"net", "diff", before, after}, 5, 500},
		}
		if n == 1000 {
			// netpol-analyzer took 54 CPU seconds and 1.1 GB for this list.
			stages = append(stages, stage{"list --pairs 1000", []string{"net", "list", "--pairs", before}, 54.0 / 50, 1100})
		}
		for _, s := range stages {
			if err := s.run(w, merlon, runs); err != nil {
				return err
			}
		}
	}
	return nil
}

// run prints the medians of some runs.
func (s *stage) run(w io.Writer, merlon string, runs int) error {
	var cpu []float64
	var mem []int64
	for range runs {
		cmd := exec.Command(merlon, s.args...)
		err := cmd.Run()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() > 1 || cmd.ProcessState.ExitCode() < 0 {
			return fmt.Errorf("run %s: %w", s.name, err)
		}
		cpu = append(cpu, (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds())
		mem = append(mem, cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss>>10)
	}
	slices.Sort(cpu)
	slices.Sort(mem)
	c, m := cpu[len(cpu)/2], mem[len(mem)/2]
	verdict := "within"
	if c > s.cpu || m > s.megas {
		verdict = "OVER"
	}
	_, err := fmt.Fprintf(w, "%-24s %8.2f %8d  %.1f s, %d MB: %s\n", s.name, c, m, s.cpu, s.megas, verdict)
	return err
}

// cluster is n workloads, twenty in a namespace; every second namespace denies
// by default and allows each workload one source, one destination and one range
// of addresses.
func cluster(n int) string {
	var b strings.Builder
	for i := range n {
		ns, app := fmt.Sprintf("team-%d", i/20), fmt.Sprintf("app-%d", i%20)
		limited := (i/20)%2 == 0
		if i%20 == 0 {
			fmt.Fprintf(&b, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: %s}\n", ns)
			if limited {
				fmt.Fprintf(&b, "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: default-deny, namespace: %s}\nspec: {podSelector: {}, policyTypes: [Ingress, Egress]}\n", ns)
			}
		}
		fmt.Fprintf(&b, `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  replicas: 3
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      containers:
        - {name: app, image: app, ports: [{containerPort: 8080}]}
`, ns, app)
		if limited {
			fmt.Fprintf(&b, `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-%[2]s, namespace: %[1]s}
spec:
  podSelector: {matchLabels: {app: %[2]s}}
  policyTypes: [Ingress, Egress]
  ingress:
    - from: [{podSelector: {matchLabels: {app: app-%[3]d}}}]
      ports: [{port: 8080}]
  egress:
    - to: [{podSelector: {matchLabels: {app: app-%[4]d}}}]
    - to: [{ipBlock: {cidr: 10.0.0.0/8}}]
      ports: [{port: 443}]
`, ns, app, (i+1)%20, (i+19)%20)
		}
	}
	return b.String()
}
