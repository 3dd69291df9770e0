package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// What was promised.
const (
	maxOfDecode          = 2.0
	maxOfDecodeDifferent = 4.0
	maxAnon              = 600.0
	maxGrowth            = 1.25 // CPU for ten times as much, divided by ten; noise included
	maxSmallCPU          = 0.15
	maxSmallAnon         = 60.0
	maxVersionCPU        = 0.04
	kubeScoreAt1000      = 0.86 // CPU seconds of the fastest other tool, as measured for the promise
)

// table prints everything that was measured.
func (s *session) table(stdout io.Writer) {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "corpus\tworkloads\tdocuments\tMB\tcommand\tCPU s\tof decode\tgrowth\tanon MB\tRSS MB\tfindings\t")
	for _, c := range s.sets {
		for _, name := range []string{readBytes, decodeNodes, scan, scanAll} {
			got := c.costs[name]
			growth, findings := "", ""
			if g, ok := s.growth(c, name); ok && name != readBytes {
				growth = fmt.Sprintf("%.2f", g)
			}
			if n, ok := c.findings[name]; ok {
				findings = fmt.Sprint(n)
			}
			fmt.Fprintf(w, "%s\t%d\t%d\t%.2f\t%s\t%.3f\t%s\t%s\t%.1f\t%.1f\t%s\t\n", c.Name(), c.Workloads, c.size.Documents, float64(c.size.Bytes)/1e6,
				name, got.cpu, fmt.Sprintf("%.2f", c.ratios[name]), growth, got.anon, got.peak, findings)
		}
	}
	for _, m := range []struct {
		name string
		cost cost
	}{{"scan", s.small}, {"scan --all", s.smallAll}} {
		fmt.Fprintf(w, "one small file\t\t\t\t%s\t%.3f\t\t\t%.1f\t%.1f\t\t\n", m.name, m.cost.cpu, m.cost.anon, m.cost.peak)
	}
	fmt.Fprintf(w, "no file\t\t\t\tversion\t%.3f\t\t\t%.1f\t%.1f\t\t\n", s.version.cpu, s.version.anon, s.version.peak)
	w.Flush()
	fmt.Fprint(stdout, "\ngrowth: CPU for N workloads, divided by ten times the CPU for N/10; 1 is linear, start-up makes it less\n\n")
}

func ratio(a, b float64) string {
	if b <= 0 {
		return ""
	}
	return fmt.Sprintf("%.2f", a/b)
}

// find returns the corpus of a kind and size; nil when it was left out.
func (s *session) find(different bool, workloads int) *set {
	for _, c := range s.sets {
		if c.Different == different && c.Workloads == workloads {
			return c
		}
	}
	return nil
}

// growth compares a corpus with the one a tenth of its size.
func (s *session) growth(c *set, name string) (float64, bool) {
	tenth := s.find(c.Different, c.Workloads/10)
	if tenth == nil || tenth.costs[name].cpu <= 0 {
		return 0, false
	}
	return c.costs[name].cpu / tenth.costs[name].cpu / 10, true
}

// bounds prints each promised figure beside its bound.
func (s *session) bounds(stdout io.Writer) {
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	line := func(what, unit string, got, bound float64) {
		state := "ok"
		if got > bound {
			state = "over"
		}
		fmt.Fprintf(w, "%s\t%.3g%s\tat most %.3g%s\t%s\n", what, got, unit, bound, unit, state)
	}
	for _, c := range s.sets {
		for _, name := range []string{scan, scanAll} {
			if g, ok := s.growth(c, name); ok {
				line(fmt.Sprintf("linear: %s, %s, %d to %d", name, c.Name(), c.Workloads/10, c.Workloads), "", g, maxGrowth)
			}
		}
	}
	if c := s.find(false, 1000); c != nil {
		line("scan at 1,000, CPU, kube-score's when it was promised", " s", c.costs[scan].cpu, kubeScoreAt1000)
		for _, o := range c.others {
			if o.cost.failed == "" {
				line("scan at 1,000, CPU, "+o.name+" now", " s", c.costs[scan].cpu, o.cost.cpu)
			}
		}
	}
	for _, different := range []bool{false, true} {
		bound := maxOfDecode
		if different {
			bound = maxOfDecodeDifferent
		}
		c := s.find(different, 10000)
		if c == nil {
			continue
		}
		for _, name := range []string{scan, scanAll} {
			line(fmt.Sprintf("%s at 10,000, %s, CPU of decode", name, c.Name()), " x", c.ratios[name], bound)
			line(fmt.Sprintf("%s at 10,000, %s, anonymous memory", name, c.Name()), " MB", c.costs[name].anon, maxAnon)
		}
	}
	line("one small file, CPU", " s", s.small.cpu, maxSmallCPU)
	line("one small file, anonymous memory", " MB", s.small.anon, maxSmallAnon)
	line("version, CPU", " s", s.version.cpu, maxVersionCPU)
	w.Flush()
}
