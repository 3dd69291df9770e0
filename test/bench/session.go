package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/merlon-security/merlon/test/bench/corpus"
)

// What is measured on every corpus, in the order of the table.
const (
	readBytes   = "read"
	decodeNodes = "decode"
	scan        = "scan"
	scanAll     = "scan --all"
)

// longest bounds one run of Merlon or a limit: beyond it something hangs.
const longest = 10 * time.Minute

// session is one run of the benchmark.
type session struct {
	*request
	dir      string
	progress io.Writer
	sets     []*set
	small    cost // scan of one small file
	smallAll cost
	version  cost
}

// set is one corpus and what was measured on it.
type set struct {
	corpus.Corpus
	size     corpus.Size
	dir      string
	costs    map[string]cost
	ratios   map[string]float64 // CPU as a multiple of decode's of the same round
	findings map[string]int
	others   []other
}

// make writes the corpora.
func (s *session) make(stdout io.Writer) error {
	root := s.write
	if root == "" {
		root = filepath.Join(s.dir, "corpus")
	}
	for _, different := range []bool{false, true} {
		for _, n := range s.sizes() {
			c := &set{Corpus: corpus.Corpus{Workloads: n, Different: different, Seed: s.seed}, costs: map[string]cost{}, ratios: map[string]float64{}, findings: map[string]int{}}
			var err error
			if c.dir, err = filepath.Abs(filepath.Join(root, fmt.Sprintf("%s-%d", c.Name(), n))); err != nil {
				return fmt.Errorf("find folder: %w", err)
			}
			if c.size, err = c.Write(c.dir); err != nil {
				return err
			}
			s.sets = append(s.sets, c)
		}
	}
	fmt.Fprintf(stdout, "seed %d, %d runs each, median; Merlon: %s\n\n", s.seed, s.runs, s.merlon)
	return nil
}

// commands are what runs on a corpus.
func (s *session) commands(c *set, self string) []command {
	return []command{
		{name: readBytes, args: []string{self, limitCommand, "read", c.dir}, env: []string{"GOMAXPROCS=1"}, dir: s.dir},
		{name: decodeNodes, args: []string{self, limitCommand, "decode", c.dir}, env: []string{"GOMAXPROCS=1"}, dir: s.dir},
		{name: scan, args: s.scan(c.dir), dir: s.dir},
		{name: scanAll, args: s.scan(c.dir, "--all"), dir: s.dir},
	}
}

// scan is Merlon's command line. Its report goes into a file: writing it is
// part of the work.
func (s *session) scan(dir string, more ...string) []string {
	return append([]string{s.merlon, "scan", dir, "-o", "json=" + s.reportFile(), "--fail-on", "none"}, more...)
}

func (s *session) reportFile() string { return filepath.Join(s.dir, "report.json") }

// measure runs everything, round by round.
func (s *session) measure() error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this binary: %w", err)
	}
	for _, c := range s.sets {
		costs := map[string][]cost{}
		for round := range s.runs {
			for _, cmd := range s.commands(c, self) {
				fmt.Fprintf(s.progress, "%s %d: %s, run %d\n", c.Name(), c.Workloads, cmd.name, round+1)
				got, err := s.once(&cmd)
				if err != nil {
					return err
				}
				costs[cmd.name] = append(costs[cmd.name], got)
				if cmd.name == scan || cmd.name == scanAll {
					if c.findings[cmd.name], err = s.findings(c); err != nil {
						return err
					}
				}
			}
		}
		for name, all := range costs {
			c.costs[name], c.ratios[name] = median(all), against(all, costs[decodeNodes])
		}
	}
	return s.measureSmall()
}

// measureSmall runs what takes almost nothing, and therefore more often.
func (s *session) measureSmall() error {
	var plain, all, version []cost
	for range max(11, s.runs) {
		for _, m := range []struct {
			cmd  command
			into *[]cost
		}{
			{command{name: "scan of a small file", args: s.scan(s.request.small), dir: s.dir}, &plain},
			{command{name: "scan --all of a small file", args: s.scan(s.request.small, "--all"), dir: s.dir}, &all},
			{command{name: "version", args: []string{s.merlon, "version"}, dir: s.dir}, &version},
		} {
			got, err := s.once(&m.cmd)
			if err != nil {
				return err
			}
			*m.into = append(*m.into, got)
		}
	}
	s.small, s.smallAll, s.version = median(plain), median(all), median(version)
	return nil
}

func (s *session) once(c *command) (cost, error) {
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	return c.measure(ctx)
}

// findings reads the number of findings from the last report, and holds it
// against what was to be scanned: a scanner that skips half is fast.
func (s *session) findings(c *set) (int, error) {
	data, err := os.ReadFile(s.reportFile())
	if err != nil {
		return 0, fmt.Errorf("read report: %w", err)
	}
	var r struct {
		Summary struct{ Objects, Findings, Gaps int }
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return 0, fmt.Errorf("read report: %w", err)
	}
	if r.Summary.Objects != c.size.Documents || r.Summary.Gaps > 0 {
		return 0, fmt.Errorf("merlon saw %d objects of %d, with %d gaps", r.Summary.Objects, c.size.Documents, r.Summary.Gaps)
	}
	return r.Summary.Findings, nil
}
