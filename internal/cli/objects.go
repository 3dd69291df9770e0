package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/spf13/pflag"
)

// objectFlags say what commands read that look at objects and judge none: files
// as a scan reads them, and of these one world.
type objectFlags struct {
	fileFlags
	world string
}

func (f *objectFlags) register(fl *pflag.FlagSet) {
	f.fileFlags.register(fl)
	fl.StringVar(&f.world, "world", "", "of several charts, overlays and loose files, which do not exist together, the one of this `NAME`")
}

// objects reads files and folders as a scan does.
func (f *objectFlags) objects(ctx context.Context, s Streams, paths []string) (*fact.Snapshot, error) {
	if ctx == nil {
		ctx = context.Background()
	}
	snapshot, err := snapshotOf(ctx, s, f.source(s, paths, 0, false))
	if err != nil {
		return nil, failed(err)
	}
	return f.choose(snapshot)
}

// looseFiles is the name of the world that has none.
const looseFiles = "loose files"

// choose returns the world that was asked for, or the only one, with all gaps.
func (f *objectFlags) choose(s *fact.Snapshot) (*fact.Snapshot, error) {
	names, parts := s.Worlds()
	var known []string
	var found []*fact.Snapshot
	for i, part := range parts {
		if !slices.ContainsFunc(part.Objects(), (*fact.Object).Deployed) {
			continue
		}
		name := names[i]
		if name == "" {
			name = looseFiles
		}
		known = append(known, name)
		if f.world == "" || f.world == name || strings.HasSuffix(name, "/"+f.world) {
			found = append(found, part)
		}
	}
	switch {
	case len(parts) == 1 && f.world == "" || len(known) == 0:
		return s, nil
	case len(found) == 0:
		return nil, unknown("world", f.world, known, "merlon scan, whose findings name their worlds").(*exitError).in("--world: ")
	case len(found) > 1:
		return nil, usage("the input holds several worlds, which do not exist together: %s. Name one with --world", strings.Join(known, ", "))
	}
	var gaps []fact.Change
	for _, g := range s.Gaps() {
		gaps = append(gaps, fact.Change{Op: fact.GapOpened, Gap: g})
	}
	return found[0].Apply(gaps...), nil
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
