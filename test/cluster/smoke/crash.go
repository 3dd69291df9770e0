package smoke

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/merlon-security/merlon/test/cluster"
)

// Crash runs the command up, which starts the cluster that cfg describes, kills
// it with SIGKILL at several moments, ends what it left by the state folder
// alone, and returns an error that names whatever stayed behind.
func Crash(ctx context.Context, cfg cluster.Config, up []string) error {
	if _, err := cluster.Build(ctx, cfg); err != nil {
		return err
	}
	before := newTrace(cfg.Dir)
	for _, after := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond,
		time.Second, 2 * time.Second, 4 * time.Second, 6 * time.Second, 9 * time.Second} {
		if err := crashOnce(ctx, cfg, up, after); err != nil {
			return err
		}
		if err := compare(before, newTrace(cfg.Dir)); err != nil {
			return fmt.Errorf("end cluster killed after %s: %w", after, err)
		}
		if cfg.Log != nil {
			fmt.Fprintf(cfg.Log, "ok: killed after %s\n", after)
		}
	}
	return nil
}

func crashOnce(ctx context.Context, cfg cluster.Config, up []string, after time.Duration) error {
	cmd := exec.CommandContext(ctx, up[0], append(up[1:], "--dir", cfg.Dir)...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("run %s: %w", up[0], err)
	}
	kill := time.AfterFunc(after, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
	defer kill.Stop()
	err := cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Exited() {
		return errors.Join(fmt.Errorf("start cluster: %w", err), cluster.Down(ctx, cfg.Dir))
	}
	// Killed, or up before that: what it started runs in both cases.
	return cluster.Down(ctx, cfg.Dir)
}
