// Command bench measures what Merlon costs on made-up clusters of 100, 1,000
// and 10,000 workloads (see the corpus package) beside two limits taken in the
// same run: reading the bytes, and decoding them with go.yaml.in/yaml/v3 to
// nodes in one process on one processor. CPU seconds and peak anonymous memory
// of child processes, medians of several runs, the commands taking turns so
// that a slow minute of the machine hits all of them.
//
// Other scanners found on PATH run on the same files. The last block holds each
// figure that was promised beside its bound; going over one is told, and no
// error, because a benchmark that fails on a busy machine is soon ignored.
//
//	go run ./test/bench -merlon bin/merlon [-n 3] [-quick] [-write DIR]
//
// With -engine it measures the incremental engine instead: one change to its
// findings. With -cluster it measures a scan of a running cluster instead, beside
// listing and decoding the same objects with client-go alone, and a watch of it.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// request is the command line.
type request struct {
	merlon   string
	small    string
	policies string
	write    string
	runs     int
	seed     uint64
	cluster  string
	engine   bool
	quick    bool
	noPeers  bool
	limit    time.Duration
}

func parse(args []string, stderr io.Writer) (*request, error) {
	q := &request{}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&q.merlon, "merlon", "bin/merlon", "the binary to measure")
	flags.StringVar(&q.small, "small", "examples/shop", "folder that stands for one small file")
	flags.StringVar(&q.policies, "policies", "", "folder of Kyverno policies, to measure kyverno too")
	flags.StringVar(&q.write, "write", "", "keep the made-up clusters in this folder")
	flags.IntVar(&q.runs, "n", 3, "runs, of which the median counts")
	flags.Uint64Var(&q.seed, "seed", 1, "seed of the made-up clusters")
	flags.StringVar(&q.cluster, "cluster", "", "measure a running cluster instead, which this `program` fills and lists (test/bench/fill); KUBECONFIG names it")
	flags.BoolVar(&q.engine, "engine", false, "measure the incremental engine instead, on snapshots of 10,000 and 100,000 pods")
	flags.BoolVar(&q.quick, "quick", false, "100 and 1,000 workloads only")
	flags.BoolVar(&q.noPeers, "no-peers", false, "leave other scanners out")
	flags.DurationVar(&q.limit, "limit", 3*time.Minute, "how long another scanner may take")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if q.runs < 1 {
		return nil, fmt.Errorf("-n %d: at least one run", q.runs)
	}
	for _, p := range []*string{&q.merlon, &q.small, &q.cluster} {
		if *p == "" {
			continue
		}
		abs, err := filepath.Abs(*p)
		if err != nil {
			return nil, fmt.Errorf("find %s: %w", *p, err)
		}
		if _, err := os.Stat(abs); err != nil {
			return nil, fmt.Errorf("find what to measure: %w", err)
		}
		*p = abs
	}
	return q, nil
}

// sizes are the numbers of workloads.
func (q *request) sizes() []int {
	if q.quick {
		return []int{100, 1000}
	}
	return []int{100, 1000, 10000}
}

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) == 3 && args[0] == limitCommand {
		return runLimit(args[1], args[2], stdout, stderr)
	}
	q, err := parse(args, stderr)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(stderr, "bench:", err)
		}
		return 2
	}
	if err := q.bench(stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 3
	}
	return 0
}

func (q *request) bench(stdout, stderr io.Writer) error {
	if q.engine {
		return q.measureEngine(stdout, stderr)
	}
	dir, err := os.MkdirTemp("", "merlon-bench-")
	if err != nil {
		return fmt.Errorf("make temporary folder: %w", err)
	}
	defer os.RemoveAll(dir)
	s := &session{request: q, dir: dir, progress: stderr}
	if q.cluster != "" {
		return s.measureCluster(stdout)
	}
	if err := s.make(stdout); err != nil {
		return err
	}
	if err := s.measure(); err != nil {
		return err
	}
	s.table(stdout)
	if err := s.peers(stdout); err != nil {
		return err
	}
	s.bounds(stdout)
	return nil
}
