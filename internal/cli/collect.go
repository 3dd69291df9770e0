package cli

import (
	"context"
	"math"
	"os"
	"runtime/debug"

	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/sandbox"
	"github.com/merlon-security/merlon/internal/source"
)

// collecting is what several sources report.
type collecting struct {
	changes  []fact.Change
	held     int // bytes of objects
	files    int
	progress *progress
}

// collect has every source of files look at one survey of the paths. Sources of
// charts and overlays come first and claim their files; once all is read, what
// GitOps objects deploy from the tree is rendered, too.
func (s *scan) collect(ctx context.Context, minor int) (*fact.Snapshot, int, error) {
	survey, err := source.NewSurvey(ctx, s.paths, s.flags.exclude)
	if err != nil {
		return nil, 0, err
	}
	defer survey.Close()
	c := &collecting{progress: newProgress(s.Err)}
	defer c.progress.stop()
	in := source.Input{Paths: s.paths, Exclude: s.flags.exclude, Stdin: s.In, Survey: survey, Rendering: source.Rendering{
		Runner: &sandbox.Runner{Self: s.Self}, Values: s.flags.values, Set: s.flags.set, Release: s.flags.release, Minor: minor,
	}}
	if err := c.from(ctx, in, builtin.Sources()); err != nil {
		return nil, 0, err
	}
	if in.Rendering.Deploys = source.Deploys(survey, c.changes); len(in.Rendering.Deploys) > 0 {
		if err := c.from(ctx, in, builtin.Renderers()); err != nil {
			return nil, 0, err
		}
	}
	return (&fact.Snapshot{}).Apply(c.changes...), c.files, nil
}

// from adds what some sources report.
func (c *collecting) from(ctx context.Context, in source.Input, kinds []config.Kind[source.Source]) error {
	for _, kind := range kinds {
		src, err := kind.New(func(v any) error {
			*v.(*source.Input) = in
			return nil
		})
		if err != nil {
			return err
		}
		if err := src.Collect(ctx, c.take); err != nil {
			return err
		}
		if counter, ok := src.(source.Counter); ok {
			c.files += counter.Files()
		}
	}
	return nil
}

func (c *collecting) take(change fact.Change) error {
	c.changes = append(c.changes, change)
	if change.Op == fact.Upsert {
		before := c.held
		c.held += change.Object.Bytes()
		if before < manyBytes && c.held >= manyBytes {
			tuneMemory(c.held)
		}
	}
	c.progress.objects(len(c.changes))
	return nil
}

// manyBytes is how much of objects a scan holds before it is a large one.
const manyBytes = 150 << 20

// tuneMemory lets a scan of usual size spend memory instead of time on the
// garbage collector, up to a limit that it stays under; a large one, which could
// not stay under it, collects at Go's usual pace. A user's GOGC stands.
func tuneMemory(held int) {
	if os.Getenv("GOGC") != "" {
		return
	}
	if held < manyBytes {
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(480 << 20)
		return
	}
	debug.SetGCPercent(100)
	debug.SetMemoryLimit(math.MaxInt64)
}
