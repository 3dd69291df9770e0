package cli

import (
	"cmp"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/archive"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
	"github.com/merlon-security/merlon/internal/reach"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/spf13/pflag"
)

// objectInput says where a command that looks at objects, and judges none, finds
// them: in files, in a running cluster, or in a snapshot.
type objectInput struct {
	fileFlags
	world    string // of several, the one looked at
	cluster  clusterFlags
	snapshot string
	verify   string
}

func (in *objectInput) register(fl *pflag.FlagSet) {
	in.fileFlags.register(fl)
	fl.StringVar(&in.world, "world", "", "of several charts, overlays and loose files, which do not exist together, the one of this `NAME`")
	fl.StringVar(&in.snapshot, "snapshot", "", "read what merlon snapshot save has written into `FILE`")
	fl.StringVar(&in.verify, "verify", "", "refuse a snapshot that is not signed by the public key in `KEY`")
	in.cluster.registerWhich(fl, "read")
}

// registerNamespaces adds --namespace, for commands that have no other use of it.
func (in *objectInput) registerNamespaces(fl *pflag.FlagSet) { in.cluster.registerNamespaces(fl) }

// living reports whether the flags name an input beside what PATHs name.
func (in *objectInput) living() bool { return in.snapshot != "" || in.cluster.wanted() }

// check refuses flags that contradict each other; what tells how a command
// takes files: "a PATH".
func (in *objectInput) check(command, what string, paths []string) error {
	switch {
	case len(paths) == 0 && !in.living():
		return usage("%s needs %s: a file, a folder, or - for standard input; or --cluster, --context NAME or --snapshot FILE", command, what)
	case len(paths) > 0 && in.living():
		return usage("%s reads files, a cluster (--cluster, --context) or a snapshot (--snapshot), one of them", command)
	}
	return in.agree(false)
}

// agree refuses flags that contradict each other, or are about an input that is
// not there; kept says that a PATH is a snapshot.
func (in *objectInput) agree(kept bool) error {
	c := &in.cluster
	switch {
	case in.snapshot != "" && c.wanted():
		return usage("a cluster (--cluster, --context) or a snapshot (--snapshot) is read, not both")
	case !c.wanted() && (c.kubeconfig != "" || len(c.namespaces) > 0):
		return usage("--kubeconfig and --namespace are about a cluster: add --cluster or --context NAME")
	case in.snapshot == "" && !kept && in.verify != "":
		return usage("--verify is about a snapshot: add --snapshot FILE")
	}
	return nil
}

// read reads what the flags name, or files. Of a cluster it asks for some kinds
// only.
func (in *objectInput) read(ctx context.Context, s Streams, paths, kinds []string) (*fact.Snapshot, error) {
	switch {
	case in.snapshot != "":
		_, snapshot, err := readSnapshot(in.snapshot, in.verify)
		return snapshot, err
	case in.cluster.wanted():
		src, err := in.cluster.reader(kinds, false)
		if err != nil {
			return nil, err
		}
		return snapshotOf(ctx, s, src)
	}
	return in.files(ctx, s, paths)
}

// readOne reads one PATH, which may also be a snapshot: for commands that
// compare two inputs.
func (in *objectInput) readOne(ctx context.Context, s Streams, path string) (*fact.Snapshot, error) {
	if isSnapshot(path) {
		_, snapshot, err := readSnapshot(path, in.verify)
		return snapshot, err
	}
	return in.files(ctx, s, []string{path})
}

// isSnapshot reports whether a file begins like a snapshot.
func isSnapshot(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, 64)
	n, err := io.ReadFull(f, head)
	return (err == nil || errors.Is(err, io.ErrUnexpectedEOF)) && archive.Begins(head[:n])
}

// lookedAt are the kinds that commands look at without judging them, so that
// merlon permissions grants them and snapshots hold them.
func lookedAt() []string {
	return slices.Concat(reach.Kinds(), reach.DeclaringKinds(), rbac.Kinds())
}

// files reads files and folders as a scan does.
func (in *objectInput) files(ctx context.Context, s Streams, paths []string) (*fact.Snapshot, error) {
	snapshot, err := snapshotOf(ctx, s, in.source(s, paths, 0, false))
	if err != nil {
		return nil, err
	}
	return in.choose(snapshot)
}

// choose returns the world that was asked for, or the only one, with the gaps
// that concern it. One that could not be rendered has nothing but gaps.
func (in *objectInput) choose(s *fact.Snapshot) (*fact.Snapshot, error) {
	worlds := worldsOf(s)
	var known, found []string
	for _, name := range slices.Sorted(mapKeys(worlds)) {
		if in.world == "" && worlds[name].Len() == 0 {
			continue // its gaps are told
		}
		known = append(known, name)
		if in.world == "" || in.world == name || strings.HasSuffix(name, "/"+in.world) {
			found = append(found, name)
		}
	}
	switch {
	case len(known) == 0:
		return s, nil
	case len(found) == 0:
		return nil, unknown("world", in.world, known, "merlon scan, whose findings name their worlds").(*exitError).in("--world: ")
	case len(found) > 1:
		return nil, usage("the input holds several worlds, which do not exist together: %s. Name one with --world", strings.Join(known, ", "))
	}
	var gaps []fact.Change
	for _, g := range s.Gaps() {
		c := fact.Change{Op: fact.GapOpened, Gap: g}
		if in.world != "" && g.World != "" && g.World != found[0] {
			c.Op = fact.GapClosed // where the world is all there is
		}
		gaps = append(gaps, c)
	}
	return worlds[found[0]].Apply(gaps...), nil
}

// worldsOf returns what each world of a snapshot holds, without gaps, by the name
// that users give it. One without an object that is deployed is none, unless it
// is a chart or an overlay that could not be rendered.
func worldsOf(s *fact.Snapshot) map[string]*fact.Snapshot {
	out := map[string]*fact.Snapshot{}
	for _, g := range s.Gaps() {
		if g.World != "" && g.World != fact.LooseFiles {
			out[g.World] = &fact.Snapshot{}
		}
	}
	names, parts := s.Worlds()
	for i, part := range parts {
		if slices.ContainsFunc(part.Objects(), (*fact.Object).Deployed) {
			out[cmp.Or(names[i], fact.LooseFiles)] = part
		}
	}
	return out
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
