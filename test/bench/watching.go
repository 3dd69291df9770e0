package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What was promised of a watch that has nothing to do.
const maxIdle = 1.0 // percent of a core

// watching is a merlon watch of the cluster, and what changes the cluster.
type watching struct {
	cmd    *exec.Cmd
	events chan told
	change *exec.Cmd
	asks   io.Writer
}

// told is a line of merlon watch, as far as it is read.
type told struct {
	Event    string
	Finding  struct{ Subject struct{ Kind, Name string } }
	Watching struct{ Objects int }
}

// measureWatch watches the cluster, first while nothing happens, then while one
// Deployment after the other changes.
func (s *session) measureWatch(env []string, stdout io.Writer) error {
	fmt.Fprintln(s.progress, "cluster: watch")
	w, err := s.startWatch(env)
	if err != nil {
		return err
	}
	defer w.stop()
	first, err := w.await(func(t told) bool { return t.Event == "watching" })
	if err != nil {
		return err
	}
	settle, idle, changes := 10*time.Second, 2*time.Minute, 500
	if s.quick {
		settle, idle, changes = time.Second, 10*time.Second, 50
	}
	time.Sleep(settle)
	before, began := w.cpu(), time.Now()
	time.Sleep(idle)
	share := 100 * (w.cpu() - before).Seconds() / time.Since(began).Seconds()
	var own, wall []time.Duration
	for i := range changes {
		name := fmt.Sprintf("app-%04d", i)
		before, began := w.cpu(), time.Now()
		if _, err := fmt.Fprintln(w.asks, i); err != nil {
			return fmt.Errorf("change the cluster: %w", err)
		}
		if _, err := w.await(func(t told) bool { return t.Finding.Subject.Kind == "Deployment" && t.Finding.Subject.Name == name }); err != nil {
			return err
		}
		wall = append(wall, time.Since(began))
		time.Sleep(50 * time.Millisecond) // what is left to do is part of it
		own = append(own, w.cpu()-before)
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
	at := func(all []time.Duration, percent int) float64 {
		return float64(slices.Sorted(slices.Values(all))[len(all)*percent/100]) / 1e6
	}
	fmt.Fprintf(stdout, "watch --cluster: %d objects, %.0f MB anonymous; %d changes one after the other, CPU from change to finding, p50 %.1f ms, p99 %.1f ms; by the clock, the API server and %d ms of gathering included, p50 %.0f ms, p99 %.0f ms\n",
		first.Watching.Objects, field(status, "RssAnon:"), changes, at(own, 50), at(own, 99), 30, at(wall, 50), at(wall, 99))
	fmt.Fprintf(stdout, "watch --cluster, one change to its finding, p99 of Merlon's own time: %.1f ms, at most %d ms: %s\n", at(own, 99), maxChange/time.Millisecond, verdict(at(own, 99) < float64(maxChange/time.Millisecond)))
	fmt.Fprintf(stdout, "watch --cluster, idle: %.2f %% of a core, at most %.0f %%: %s\n", share, maxIdle, verdict(share < maxIdle))
	return nil
}

func (s *session) startWatch(env []string) (*watching, error) {
	w := &watching{events: make(chan told, 1000)}
	w.cmd = exec.Command(s.merlon, "watch", "--cluster", "-o", "json", "--changes-only")
	w.change = exec.Command(s.cluster, "change")
	for _, c := range []*exec.Cmd{w.cmd, w.change} {
		c.Dir, c.Stderr = s.dir, s.progress
		c.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir()}, env...)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	if w.asks, err = w.change.StdinPipe(); err != nil {
		return nil, fmt.Errorf("change the cluster: %w", err)
	}
	if err := w.cmd.Start(); err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	go read(out, w.events)
	if err := w.change.Start(); err != nil {
		w.stop()
		return nil, fmt.Errorf("change the cluster: %w", err)
	}
	return w, nil
}

// read hands out the lines of a watch until it ends.
func read(out io.Reader, events chan<- told) {
	defer close(events)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var t told
		if json.Unmarshal(lines.Bytes(), &t) == nil {
			events <- t
		}
	}
}

// await takes events until one is wanted.
func (w *watching) await(wanted func(told) bool) (told, error) {
	patience := time.After(longest)
	for {
		select {
		case t, open := <-w.events:
			if !open {
				return t, errors.New("merlon watch ended")
			}
			if wanted(t) {
				return t, nil
			}
		case <-patience:
			return told{}, fmt.Errorf("merlon watch did not tell what was waited for within %s", longest)
		}
	}
}

// cpu is what the watch has used, to the nanosecond: the times of its threads.
func (w *watching) cpu() time.Duration {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", w.cmd.Process.Pid))
	total := time.Duration(0)
	for _, name := range files {
		text, _ := os.ReadFile(name)
		used, _, _ := strings.Cut(string(text), " ")
		n, _ := strconv.ParseInt(used, 10, 64)
		total += time.Duration(n)
	}
	return total
}

func (w *watching) stop() {
	for _, c := range []*exec.Cmd{w.cmd, w.change} {
		if c.Process != nil {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	}
}
