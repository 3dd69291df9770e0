package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
)

// What was promised of a cluster of 10,000 pods, 2,000 owners and 5,000 other
// objects.
const (
	maxOfListing   = 2.0
	maxClusterAnon = 400.0
)

// measureCluster fills the cluster of KUBECONFIG and measures a scan of it
// beside client-go's lists, taking turns, and then a watch.
func (s *session) measureCluster(stdout io.Writer) error {
	kubeconfig := os.Getenv("KUBECONFIG")
	if kubeconfig == "" || os.Getenv("MERLON_LAB_DIR") == "" {
		return errors.New("no test cluster: make bench starts one (lab run)")
	}
	env := []string{"KUBECONFIG=" + kubeconfig, "MERLON_LAB_DIR=" + os.Getenv("MERLON_LAB_DIR")}
	fmt.Fprintln(s.progress, "cluster: fill")
	fill := command{name: "fill", args: []string{s.cluster, "make"}, env: env, dir: s.dir}
	if _, err := fill.measure(context.Background()); err != nil { // as long as it takes: it is not measured
		return err
	}
	scanned := []string{s.merlon, "scan", "--cluster", "-o", "json=" + s.reportFile(), "--fail-on", "none"}
	commands := []command{
		{name: "list with client-go", args: []string{s.cluster, "list"}, env: env, dir: s.dir},
		{name: "scan --cluster", args: scanned, env: env, dir: s.dir},
		{name: "scan --cluster --all", args: append(scanned[:len(scanned):len(scanned)], "--all"), env: env, dir: s.dir},
	}
	costs := make([][]cost, len(commands))
	for round := range s.runs {
		for i := range commands {
			fmt.Fprintf(s.progress, "cluster: %s, run %d\n", commands[i].name, round+1)
			got, err := s.once(&commands[i])
			if err != nil {
				return err
			}
			costs[i] = append(costs[i], got)
		}
	}
	if err := s.wholeCluster(stdout); err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "cluster\tCPU s\tof listing\tanon MB\tRSS MB\t")
	for i, c := range commands {
		m := median(costs[i])
		fmt.Fprintf(w, "%s\t%.3f\t%.2f\t%.1f\t%.1f\t\n", c.name, m.cpu, against(costs[i], costs[0]), m.anon, m.peak)
	}
	w.Flush()
	of, anon := against(costs[1], costs[0]), median(costs[1]).anon
	fmt.Fprintf(stdout, "scan --cluster, CPU of listing: %.2f x, at most %.0f x: %s\n", of, maxOfListing, verdict(of <= maxOfListing))
	fmt.Fprintf(stdout, "scan --cluster, anonymous memory: %.0f MB, at most %.0f MB: %s\n", anon, maxClusterAnon, verdict(anon < maxClusterAnon))
	return s.measureWatch(env, stdout)
}

func verdict(ok bool) string {
	if ok {
		return "ok"
	}
	return "over"
}

// wholeCluster reads the last report and holds it against what was made: a scan
// that sees half is fast.
func (s *session) wholeCluster(stdout io.Writer) error {
	data, err := os.ReadFile(s.reportFile())
	if err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	var r struct {
		Summary  struct{ Objects, Findings, Gaps int }
		Findings []struct {
			Subject struct{ Kind, Namespace, Name string }
			Pods    int
		}
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	pods := map[string]int{}
	for _, f := range r.Findings {
		pods[f.Subject.Kind+f.Subject.Namespace+f.Subject.Name] = f.Pods
	}
	total := 0
	for _, n := range pods {
		total += n
	}
	fmt.Fprintf(stdout, "%d objects judged, %d findings, %d pods behind their owners, %d gap\n", r.Summary.Objects, r.Summary.Findings, total, r.Summary.Gaps)
	if r.Summary.Objects < 7000 || total < 10000 || r.Summary.Gaps != 1 {
		return errors.New("the scan did not see the whole cluster")
	}
	return nil
}
