package cli

import (
	"context"
	"math"
	"os"
	"runtime/debug"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
)

// collect reads everything that some sources have, and returns how many files
// that was.
func (s *scan) collect(ctx context.Context, sources []source.Source) (*fact.Snapshot, int, error) {
	progress := newProgress(s.Err)
	defer progress.stop()
	var changes []fact.Change
	held := 0
	take := func(c fact.Change) error {
		changes = append(changes, c)
		if c.Op == fact.Upsert {
			before := held
			held += c.Object.Bytes()
			if before < manyBytes && held >= manyBytes {
				tuneMemory(held)
			}
		}
		progress.objects(len(changes))
		return nil
	}
	files := 0
	for _, src := range sources {
		if err := src.Collect(ctx, take); err != nil {
			return nil, 0, err
		}
		if c, ok := src.(source.Counter); ok {
			files += c.Files()
		}
	}
	if held < fewBytes && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(800) // it is over before it collects
	}
	return (&fact.Snapshot{}).Apply(changes...), files, nil
}

// manyBytes is how much of objects a scan holds before it is a large one.
const manyBytes = 150 << 20

// fewBytes is below which a scan is a small one.
const fewBytes = 4 << 20

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
