package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// command is something to measure.
type command struct {
	name string
	args []string
	env  []string // beside PATH and HOME
	dir  string
	ok   []int // exit codes that mean it did its work; 0 when empty
}

// cost is what a process took.
type cost struct {
	cpu    float64 // seconds, user and system, its children included
	anon   float64 // MB of anonymous memory at the worst moment seen
	peak   float64 // MB resident at the worst moment, file pages included
	failed string  // why there is no cost
}

// errUnfit says that a command did not do its work.
var errUnfit = errors.New("did not do its work")

// measure runs a command once.
func (c *command) measure(ctx context.Context) (cost, error) {
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir = c.dir
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}, c.env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return cost{}, fmt.Errorf("start %s: %w", c.name, err)
	}
	done := make(chan struct{})
	seen := make(chan cost)
	go func() { seen <- watch(cmd.Process.Pid, done) }()
	err := cmd.Wait()
	close(done)
	out := <-seen
	use := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	out.cpu = time.Duration(use.Utime.Nano() + use.Stime.Nano()).Seconds()
	if ctx.Err() != nil {
		return out, fmt.Errorf("%s: %w", c.name, ctx.Err())
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return out, fmt.Errorf("run %s: %w", c.name, err)
	}
	if code := cmd.ProcessState.ExitCode(); code != 0 && !slices.Contains(c.ok, code) {
		return out, fmt.Errorf("%s: %w: exit code %d: %s", c.name, errUnfit, code, firstLine(stderr.String()))
	}
	return out, nil
}

// watch polls a process's memory until done. Short processes are looked at more
// often; ru_maxrss is of no use here, for it starts from the parent's.
func watch(pid int, done <-chan struct{}) cost {
	var out cost
	wait := time.Millisecond
	for started := time.Now(); ; {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err == nil {
			out.anon = max(out.anon, field(status, "RssAnon:"))
			out.peak = max(out.peak, field(status, "VmHWM:"))
		}
		if time.Since(started) > 300*time.Millisecond {
			wait = 20 * time.Millisecond
		}
		select {
		case <-done:
			return out
		case <-time.After(wait):
		}
	}
}

// field reads a line of /proc/PID/status, in MB.
func field(status []byte, name string) float64 {
	_, rest, _ := bytes.Cut(status, []byte("\n"+name))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	kb, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(string(line)), " kB"), 64)
	return kb / 1024
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// against is the median of a command's CPU as a multiple of another's, round by
// round: a minute in which the machine is slow cancels out.
func against(costs, others []cost) float64 {
	all := make([]float64, len(costs))
	for i := range all {
		all[i] = costs[i].cpu / max(others[i].cpu, 1e-6)
	}
	return middle(all)
}

func middle(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// median takes the middle of each figure for itself.
func median(costs []cost) cost {
	middle := func(of func(cost) float64) float64 {
		all := make([]float64, len(costs))
		for i, c := range costs {
			all[i] = of(c)
		}
		return middle(all)
	}
	if len(costs) == 0 {
		return cost{}
	}
	return cost{
		cpu:  middle(func(c cost) float64 { return c.cpu }),
		anon: middle(func(c cost) float64 { return c.anon }),
		peak: middle(func(c cost) float64 { return c.peak }),
	}
}
