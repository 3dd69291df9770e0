package cli

import (
	"context"

	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
)

// readObjects reads files and folders as a scan does, for commands that look at
// objects and judge none.
func readObjects(ctx context.Context, s Streams, paths, exclude []string) (*fact.Snapshot, error) {
	kind, _ := config.Find(builtin.Sources(), "manifest")
	src, err := kind.New(func(v any) error {
		*v.(*source.Input) = source.Input{Paths: paths, Exclude: exclude, Stdin: s.In}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return snapshotOf(ctx, s, src)
}

// snapshotOf reads everything that a source has.
func snapshotOf(ctx context.Context, s Streams, src source.Source) (*fact.Snapshot, error) {
	progress := newProgress(s.Err)
	defer progress.stop()
	var changes []fact.Change
	err := src.Collect(ctx, func(c fact.Change) error {
		changes = append(changes, c)
		progress.objects(len(changes))
		return nil
	})
	if err != nil {
		return nil, err
	}
	return (&fact.Snapshot{}).Apply(changes...), nil
}
