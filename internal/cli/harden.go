package cli

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/component"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/harden"
	"github.com/merlon-security/merlon/internal/sink"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const hardenExamples = `  # for a new cluster: what to give to kubeadm init --config
  merlon harden --write hardened/

  # for what runs on this machine, as far as CIS asks for it
  sudo merlon harden --node --framework cis-1.12

  # for static pods, as flags one on a line
  merlon harden /etc/kubernetes/manifests --form flags

  # with a key for encryption at rest, made here and only written
  merlon harden --write hardened/ --new-key`

// hardenFlags are the flags of harden beside those that it shares with scan.
type hardenFlags struct {
	form, write, pki, folder string
	newKey, overwrite        bool
	skip                     []string
}

// hardenShared are the flags of scan that harden has too.
var hardenShared = [...]string{"control", "controls", "framework", "frameworks", "k8s-version", "exclude", "config", "trust-tree", "node", "host-root", "cluster", "context", "kubeconfig"}

func newHarden(s Streams) *cobra.Command {
	f, own := &scanFlags{}, &hardenFlags{}
	all := pflag.NewFlagSet("scan", pflag.ContinueOnError)
	f.register(all)
	cmd := &cobra.Command{
		Use:   "harden [PATH...]",
		Short: "Writes hardened configuration for the components of a cluster or node",
		Long: `Takes the components of Kubernetes as they are configured, on this machine (--node),
in manifests (PATH, such as the folder of static pods) or in a cluster (--cluster),
and writes configuration that satisfies the controls: kubeadm's, or each component's
flags and file; audit policy, admission, authentication and encryption at rest.
Without any of them it begins with what kubeadm sets up by itself.

What is there stays, but for what a control fails on. Above each line stand the
controls that would fail without it. What no setting settles is told, not hidden.
The configuration is printed; nothing that runs is changed.

A key for encryption at rest is never printed. In its place stands a mark with
which no API server starts; --new-key makes a key, in the file alone.

Exit codes: 0 done, 2 wrong usage, 3 Merlon could not do it, or could not read all
of it.`,
		Example: hardenExamples,
		RunE: func(cmd *cobra.Command, paths []string) error {
			settled, err := settle(all, f, paths)
			if err != nil {
				return err
			}
			f.cluster.ownVersion = all.Changed("k8s-version")
			x := &hardener{scan: scan{Streams: s, flags: f, paths: paths, params: settled.params, notices: settled.notices}, own: own}
			return x.run(cmd.Context())
		},
	}
	for _, name := range hardenShared {
		cmd.Flags().AddFlag(all.Lookup(name))
	}
	for name, text := range map[string]string{
		"node": "take what runs on this machine", "cluster": "take what the cluster of the current context shows of its components",
		"context": "take the cluster of this `CONTEXT` of the kubeconfig", "k8s-version": "Kubernetes `VERSION` to write for, where a component does not tell its own",
	} {
		all.Lookup(name).Usage = text
	}
	fl := cmd.Flags()
	fl.StringVar(&own.form, "form", "", "how to write flags: kubeadm, or flags (default: as the components seem to be run)")
	fl.StringVar(&own.write, "write", "", "write files into `DIR` instead of printing them")
	fl.BoolVar(&own.overwrite, "overwrite", false, "with --write: replace files that are there already")
	fl.BoolVar(&own.newKey, "new-key", false, "with --write: make a key for encryption at rest")
	fl.StringVar(&own.pki, "pki", "", "`DIR` of keys and certificates on the nodes (default: where the API server's are, else /etc/kubernetes/pki)")
	fl.StringVar(&own.folder, "folder", harden.DefaultLayout().Folder, "`DIR` on the nodes where the written documents are going to lie")
	fl.StringArrayVar(&own.skip, "skip", nil, "leave out what the control or family `ID` wants (repeatable)")
	return cmd
}

// hardener is one run of the command.
type hardener struct {
	scan
	own *hardenFlags
}

func (x *hardener) run(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	if err := x.check(); err != nil {
		return err
	}
	c, err := x.choose()
	if err != nil {
		return err
	}
	lib := control.NewLibrary()
	in, gaps, err := x.input(ctx, c, lib)
	if err != nil {
		return err
	}
	r, err := harden.Make(*in)
	if err != nil {
		return failed(err)
	}
	files := r.Files(x.form(r))
	if x.own.write != "" {
		err = writeNew(x.own.write, files, x.own.overwrite)
	} else {
		err = printFiles(x.Out, files)
	}
	if err != nil {
		return failed(err)
	}
	x.tell(r, gaps, len(files))
	for _, g := range gaps {
		if !harmless(g.Kind) {
			return &exitError{code: exitFailed}
		}
	}
	return nil
}

func (x *hardener) check() error {
	f, own := x.flags, x.own
	switch {
	case own.form != "" && own.form != string(harden.FormKubeadm) && own.form != string(harden.FormFlags):
		return usage("--form: %q is neither kubeadm nor flags", own.form)
	case own.write == "" && (own.newKey || own.overwrite):
		return usage("--new-key and --overwrite are about files: add --write DIR")
	case f.cluster.wanted() && (len(x.paths) > 0 || f.node):
		return usage("harden takes PATHs, a node or a cluster, not several")
	case !f.cluster.wanted() && f.cluster.kubeconfig != "":
		return usage("--kubeconfig is about a cluster: add --cluster or --context NAME")
	}
	for name, dir := range map[string]string{"--pki": own.pki, "--folder": own.folder} {
		if dir != "" && !path.IsAbs(dir) {
			return usage("%s: %q is no absolute path", name, dir)
		}
	}
	return nil
}

// input reads what is to be hardened.
func (x *hardener) input(ctx context.Context, c *chosen, lib *control.Library) (*harden.Input, []fact.Gap, error) {
	in := &harden.Input{Library: lib, Layout: harden.DefaultLayout(), World: assess.WorldOf(nil)}
	var gaps []fact.Gap
	if len(x.paths) > 0 || x.flags.node || x.flags.cluster.wanted() {
		sources, err := x.sources(c, lib, false)
		if err != nil {
			return nil, nil, failed(err)
		}
		snapshot, _, err := x.collect(ctx, sources)
		if err != nil {
			return nil, nil, failed(err)
		}
		for _, src := range sources {
			x.identified(c, src)
		}
		gaps = snapshot.Gaps()
		found(in, snapshot)
		in.World = assess.WorldOf(snapshot.Objects())
		if len(in.Components) == 0 {
			return nil, nil, failed(errors.New("no component of Kubernetes is configured there: what a managed service hides cannot be hardened from here"))
		}
	}
	in.Minor = c.minor
	in.Layout.PKI, in.Layout.Folder = x.own.pki, x.own.folder
	if len(in.Components) == 0 {
		in.Components = harden.Kubeadm(c.minor, in.Layout.PKI)
	}
	if x.own.newKey {
		key := make([]byte, 32)
		rand.Read(key) // never fails
		in.Layout.Key = base64.StdEncoding.EncodeToString(key)
	}
	return in, gaps, x.compile(in, c, lib)
}

// compile makes the controls ready that harden goes by.
func (x *hardener) compile(in *harden.Input, c *chosen, lib *control.Library) error {
	left, err := pick(c.run, x.own.skip)
	if err != nil {
		return err.(*exitError).in("--skip: ")
	}
	skipped := map[string]bool{}
	for _, l := range left {
		skipped[l.ID] = true
	}
	for _, head := range c.run {
		if each := head.Scope.Each; skipped[head.ID] || each != control.EachComponent && each != control.EachObject {
			continue
		}
		compiled, err := head.Compile(lib, x.params[head.ID])
		if err != nil {
			return failed(err)
		}
		in.Controls = append(in.Controls, compiled)
	}
	return nil
}

// found lists the components of a snapshot, each once: what runs counts before
// the manifest that it was started from.
func found(in *harden.Input, snapshot *fact.Snapshot) {
	running := map[string]bool{}
	add := func(o *fact.Object, p *component.Process) {
		where := o.Origin.File
		if where == "" {
			where = strings.Trim(o.Namespace+"/"+o.Name, "/")
		}
		in.Components = append(in.Components, harden.Found{Process: p, Where: where})
	}
	for _, o := range snapshot.Objects() {
		if p, ok := component.FromObject(o); ok {
			running[p.Name()] = true
			add(o, p)
		}
	}
	for _, o := range snapshot.Objects() {
		if o.GroupKind() == component.NodeKind {
			continue
		}
		in.Objects = append(in.Objects, o)
		for _, p := range harden.Processes(o) {
			if !running[p.Name()] {
				add(o, p)
			}
		}
	}
}

// form is how flags are written: as asked for, else for kubeadm where what runs
// has its keys where kubeadm puts them, or nothing runs yet.
func (x *hardener) form(r *harden.Result) harden.Form {
	switch {
	case x.own.form != "":
		return harden.Form(x.own.form)
	case r.OfKubeadm():
		return harden.FormKubeadm
	}
	return harden.FormFlags
}

// printFiles writes files one after the other, each with its name. None holds a
// secret: a key is only made where it is written to a file.
func printFiles(w io.Writer, files []harden.File) error {
	for i, f := range files {
		if f.Secret {
			return fmt.Errorf("%s holds a key, which is never printed", f.Name)
		}
		sep := "\n"
		if i == 0 {
			sep = ""
		}
		if _, err := fmt.Fprintf(w, "%s# ==> %s <==\n%s", sep, f.Name, f.Text); err != nil {
			return err
		}
	}
	return nil
}

// writeNew writes files into a folder, readable for their owner alone. None is
// written where one is there already, unless it may be replaced.
func writeNew(dir string, files []harden.File, overwrite bool) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	var there []string
	for _, f := range files {
		if _, err := root.Lstat(f.Name); !errors.Is(err, fs.ErrNotExist) {
			there = append(there, filepath.Join(dir, f.Name))
		}
	}
	if len(there) > 0 && !overwrite {
		return fmt.Errorf("already there, nothing is written: %s (--overwrite replaces them)", strings.Join(there, ", "))
	}
	for _, f := range files {
		if err := writeOne(root, f, overwrite); err != nil {
			return fmt.Errorf("write %s: %w", filepath.Join(dir, f.Name), cause(err))
		}
	}
	return nil
}

// writeOne writes beside the file and renames, so that no half of it is ever
// there, and none that others may read.
func writeOne(root *os.Root, f harden.File, overwrite bool) error {
	name := f.Name
	if overwrite {
		name = ".merlon-" + rand.Text()
	}
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, f.Text)
	if err = errors.Join(err, file.Close()); err == nil && overwrite {
		err = root.Rename(name, f.Name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(name))
	}
	return nil
}

// tell says in words what was done, what is open and what is needed.
func (x *hardener) tell(r *harden.Result, gaps []fact.Gap, files int) {
	say := func(format string, args ...any) { fmt.Fprintf(x.Err, format+"\n", args...) }
	for _, c := range r.Components {
		name := sink.Text(c.Process.Name() + " (" + c.Where + ")")
		if c.Unread {
			say("%s: left alone: its configuration file was not read", name)
			continue
		}
		say("%s: %s, %s open", name, plural(c.Changes(), "setting")+" changed", plural(len(c.Open), "control"))
		for _, o := range c.Open {
			say("  %s: %s", o.Control, sink.Text(o.Message))
		}
		if c.Plan.Component == "crio" {
			say("  not all was looked at: of CRI-O's own settings the address of its streaming server alone is judged, and written")
		}
	}
	for _, d := range r.Documents {
		for _, o := range d.Open {
			say("%s: %s: %s", d.Name, o.Control, sink.Text(o.Message))
		}
	}
	if len(r.Needs) > 0 {
		say("these files must exist: %s", sink.Text(strings.Join(r.Needs, ", ")))
	}
	for _, g := range gaps {
		say("not all was read: %s: %s: %s", sink.Text(g.File), g.Kind, sink.Text(g.Message))
	}
	for _, n := range x.notices {
		say("%s", sink.Text(n))
	}
	if x.own.write != "" {
		say("%s written to %s", plural(files, "file"), sink.Text(x.own.write))
	}
}
