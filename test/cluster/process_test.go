package cluster

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"
)

// sleeper starts a process that looks like a program of the cluster in dir.
func sleeper(t *testing.T, mark string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	cmd.Env = append(os.Environ(), mark)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

func TestOnlyTheClustersProcessesAreEnded(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	ours := sleeper(t, marker+"=etcd@"+dir)
	bystander := sleeper(t, marker+"=etcd@"+other)
	stranger := sleeper(t, "HELLO="+marker)

	found, err := processes(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[ours.Process.Pid] != "etcd" {
		t.Errorf("processes of %s: %v, want only %d", dir, found, ours.Process.Pid)
	}
	if err := killProcesses(context.Background(), dir); err != nil {
		t.Fatal(err)
	}
	if err := ours.Wait(); err == nil || err.Error() != "signal: killed" {
		t.Errorf("our process: %v", err)
	}
	for _, cmd := range []*exec.Cmd{bystander, stranger} {
		if readProc(cmd.Process.Pid, "cmdline") == nil {
			t.Errorf("process %v was ended too", cmd.Args)
		}
	}
}

func TestStopEndsAProgramThatThisProcessStarted(t *testing.T) {
	c := testCluster(t, ControlPlane)
	c.state.Programs = t.TempDir()
	script := "#!/bin/sh\nexec sleep 60\n"
	if err := os.WriteFile(c.state.Programs+"/etcd", []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.Start("etcd"); err != nil {
		t.Fatal(err)
	}
	// In the middle of an exec a process has no environment to be known by.
	all, err := processes(c.dir)
	for range 500 {
		if err != nil || len(all) == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
		all, err = processes(c.dir)
	}
	if err != nil || len(all) != 1 {
		t.Fatalf("processes: %v, %v", all, err)
	}
	if err := c.Down(context.Background()); err != nil {
		t.Fatal(err)
	}
	if all, err = processes(c.dir); err != nil || len(all) != 0 {
		t.Errorf("processes after the end: %v, %v", all, err)
	}
}
