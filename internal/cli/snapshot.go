package cli

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/archive"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/sink"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/spf13/cobra"
)

func newSnapshot(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Keeps what a scan sees in a file, without secrets",
		Args:  subcommand, RunE: help,
	}
	cmd.AddCommand(newSnapshotSave(s), newSnapshotShow(s))
	return cmd
}

func newSnapshotSave(s Streams) *cobra.Command {
	f := &scanFlags{severity: "low", failOn: "high"}
	key := ""
	cmd := &cobra.Command{
		Use:   "save FILE [PATH...]",
		Short: "Writes a snapshot of manifests or a cluster",
		Long: `Reads manifests or, with --cluster or --context, a running cluster, and writes
what it saw into a file: objects and gaps, for merlon scan --snapshot to judge
there, later, or again.

The values of Secrets are not in it, nor is what looks like a secret elsewhere:
the kind that it looks like and its length stand in its place, by which controls
judge it as before. A damaged file is always refused. --sign lets the reader find
out that nobody changed it: an Ed25519 key, PKCS #8 in PEM, as made by
"openssl genpkey -algorithm ed25519".`,
		Example: `  merlon snapshot save shop.snapshot deploy/
  merlon snapshot save production.snapshot --context production --sign key.pem
  merlon scan --snapshot production.snapshot --verify key.pub`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("save needs the FILE to write")
			}
			file, paths := args[0], args[1:]
			if err := f.cluster.check("save", paths, false); err != nil {
				return err
			}
			private, err := privateKey(key)
			if err != nil {
				return failed(err)
			}
			f.cluster.also = lookedAt()
			sc := &scan{Streams: s, flags: f, paths: paths}
			return sc.save(cmd.Context(), file, private)
		},
	}
	cmd.Flags().StringArrayVar(&f.exclude, "exclude", nil, "`PATTERN` of files to leave out, in the form of .gitignore (repeatable)")
	cmd.Flags().StringVar(&key, "sign", "", "sign with the private key in `KEY`")
	f.cluster.register(cmd.Flags())
	return cmd
}

// save reads and writes. Of a cluster it reads what all controls need, and
// the commands that look at objects.
func (s *scan) save(ctx context.Context, file string, key ed25519.PrivateKey) error {
	if ctx == nil {
		ctx = context.Background()
	}
	tuneMemory(0)
	all, errs := loadHeads(nil)
	if len(errs) > 0 {
		return failed(errors.Join(errs...))
	}
	sources, err := s.sources(&chosen{run: all}, control.NewLibrary(), false)
	if err != nil {
		return failed(err)
	}
	snapshot, files, err := s.collect(ctx, sources)
	if err != nil {
		return failed(err)
	}
	about := archive.About{Merlon: version, Time: time.Now().UTC().Format(time.RFC3339), Files: files}
	if d, ok := sources[0].(source.Describer); ok {
		s.info = d.Cluster()
		about.Cluster = &archive.Cluster{UID: s.info.UID, Server: s.info.Server, Version: s.info.Version, Context: s.info.Context}
	}
	about.Target = s.targets()
	if err := writeWhole(file, func(w io.Writer) error { return archive.Write(w, about, snapshot, key) }); err != nil {
		return failed(err)
	}
	fmt.Fprintf(s.Out, "%s: %d objects, %d gaps\n", sink.Text(file), snapshot.Len(), len(snapshot.Gaps()))
	for _, g := range snapshot.Gaps() {
		if !harmless(g.Kind) {
			fmt.Fprintf(s.Err, "merlon: not all was read: %s\n", sink.Text(g.Subject+g.File+": "+g.Message))
			return &exitError{code: exitFailed}
		}
	}
	return nil
}

// writeWhole writes a file beside its place and moves it there when it is whole.
func writeWhole(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".merlon-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	out := bufio.NewWriter(f)
	err = errors.Join(write(out), out.Flush(), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	return err
}

func newSnapshotShow(s Streams) *cobra.Command {
	key, format := "", ""
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Says what a snapshot is of, and checks it",
		Long: `Reads a whole snapshot, which checks it, and says what it is of, how many objects
of which kind it holds, and what could not be seen when it was taken. With
--verify it must be signed by the key: an Ed25519 public key, SPKI in PEM.`,
		Example: `  merlon snapshot show production.snapshot
  merlon snapshot show production.snapshot --verify key.pub -o json`,
		Args: cobra.ArbitraryArgs,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("show needs one FILE")
			}
			if format != "table" && format != "json" {
				return usage("-o: show writes table or json, not %q", format)
			}
			about, snapshot, err := readSnapshot(args[0], key)
			if err != nil {
				return failed(err)
			}
			return orFailed(showSnapshot(s.Out, format, about, snapshot))
		},
	}
	cmd.Flags().StringVar(&key, "verify", "", "refuse what is not signed by the public key in `KEY`")
	cmd.Flags().StringVarP(&format, "output", "o", "table", "write as `FORMAT`: table, json")
	return cmd
}

func orFailed(err error) error {
	if err != nil {
		return failed(err)
	}
	return nil
}

func showSnapshot(w io.Writer, format string, about archive.About, s *fact.Snapshot) error {
	kinds := map[string]int{}
	for _, o := range s.Objects() {
		kinds[o.GroupKind()]++
	}
	if format == "json" {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			archive.About
			Kinds map[string]int `json:"kinds"`
		}{about, kinds})
	}
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "taken    %s by merlon %s\nof       %s\n", sink.Text(about.Time), sink.Text(about.Merlon), sink.Text(strings.Join(about.Target, ", ")))
	if c := about.Cluster; c != nil {
		fmt.Fprintf(out, "cluster  %s, %s, Kubernetes %s\n", sink.Text(c.UID), sink.Text(c.Server), sink.Text(c.Version))
	}
	fmt.Fprintf(out, "objects  %d\n", about.Objects)
	for _, k := range slices.Sorted(mapKeys(kinds)) {
		fmt.Fprintf(out, "  %6d %s\n", kinds[k], sink.Text(k))
	}
	fmt.Fprintf(out, "gaps     %d\n", about.Gaps)
	for _, g := range s.Gaps() {
		fmt.Fprintf(out, "  %s  %s\n", g.Kind, sink.Text(strings.TrimSpace(g.Subject+g.File)+": "+g.Message))
	}
	return out.Flush()
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// readSnapshot reads a snapshot's file; key names the file of who signed it.
func readSnapshot(name, key string) (archive.About, *fact.Snapshot, error) {
	public, err := publicKey(key)
	if err != nil {
		return archive.About{}, nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return archive.About{}, nil, fmt.Errorf("read snapshot: %w", err)
	}
	defer f.Close()
	about, s, err := archive.Read(bufio.NewReader(f), public)
	if err != nil {
		return archive.About{}, nil, fmt.Errorf("%s: %w", name, err)
	}
	return about, s, nil
}

func privateKey(name string) (ed25519.PrivateKey, error) {
	return keyOf[ed25519.PrivateKey]("--sign", name, "PRIVATE KEY", x509.ParsePKCS8PrivateKey)
}

func publicKey(name string) (ed25519.PublicKey, error) {
	return keyOf[ed25519.PublicKey]("--verify", name, "PUBLIC KEY", x509.ParsePKIXPublicKey)
}

// keyOf reads a key of a kind from a PEM file; nil for no name. No error quotes
// what stands in the file.
func keyOf[K any](flag, name, label string, parse func([]byte) (any, error)) (K, error) {
	var none K
	if name == "" {
		return none, nil
	}
	data, err := readLimited(name, 1<<20)
	if err != nil {
		return none, fmt.Errorf("%s: %w", flag, err)
	}
	block, _ := pem.Decode(data)
	if block == nil || block.Type != label {
		return none, fmt.Errorf("%s %s: holds no %s in PEM", flag, name, label)
	}
	key, err := parse(block.Bytes)
	if k, ok := key.(K); ok && err == nil {
		return k, nil
	}
	return none, fmt.Errorf("%s %s: not an Ed25519 key", flag, name)
}

// kept is the source of a snapshot's file.
type kept struct {
	about    archive.About
	snapshot *fact.Snapshot
}

// Collect reports what the snapshot holds.
func (k *kept) Collect(ctx context.Context, emit func(fact.Change) error) error {
	for _, o := range k.snapshot.Objects() {
		if err := emit(fact.Change{Op: fact.Upsert, Object: o}); err != nil {
			return err
		}
	}
	for _, g := range k.snapshot.Gaps() {
		if err := emit(fact.Change{Op: fact.GapOpened, Gap: g}); err != nil {
			return err
		}
	}
	return errors.Join(ctx.Err(), emit(fact.Change{Op: fact.Synced}))
}

// Files returns how many files were read when the snapshot was taken.
func (k *kept) Files() int { return k.about.Files }

// keptCluster is the source of a snapshot of a cluster.
type keptCluster struct{ kept }

// Cluster says which cluster it was.
func (k *keptCluster) Cluster() source.ClusterInfo {
	c := k.about.Cluster
	return source.ClusterInfo{UID: c.UID, Server: c.Server, Version: c.Version, Context: c.Context}
}

// fromSnapshot makes the source of --snapshot.
func (s *scan) fromSnapshot() (source.Source, error) {
	about, snapshot, err := readSnapshot(s.flags.snapshot, s.flags.verify)
	if err != nil {
		return nil, err
	}
	s.taken = about.Time
	k := kept{about, snapshot}
	s.paths = about.Target
	if about.Cluster != nil {
		return &keptCluster{k}, nil
	}
	return &k, nil
}
