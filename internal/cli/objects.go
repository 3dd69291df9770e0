package cli

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/merlon-security/merlon/internal/archive"
	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/reach"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/spf13/pflag"
)

// objectInput says where a command that looks at objects, and judges none, finds
// them: in files, in a running cluster, or in a snapshot.
type objectInput struct {
	exclude  []string
	cluster  clusterFlags
	snapshot string
	verify   string
}

func (in *objectInput) register(fl *pflag.FlagSet) {
	fl.StringArrayVar(&in.exclude, "exclude", nil, "`PATTERN` of files to leave out, in the form of .gitignore (repeatable)")
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
	return readObjects(ctx, s, paths, in.exclude)
}

// readOne reads one PATH, which may also be a snapshot: for commands that
// compare two inputs.
func (in *objectInput) readOne(ctx context.Context, s Streams, path string) (*fact.Snapshot, error) {
	if isSnapshot(path) {
		_, snapshot, err := readSnapshot(path, in.verify)
		return snapshot, err
	}
	return readObjects(ctx, s, []string{path}, in.exclude)
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
func lookedAt() []string { return append(reach.Kinds(), reach.DeclaringKinds()...) }

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
