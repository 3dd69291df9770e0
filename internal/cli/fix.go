package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/remedy"
	"github.com/merlon-security/merlon/internal/sink"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const fixExamples = `  # what would be changed, as a patch
  merlon fix deploy/

  # change the files, but nothing that asks for a test first
  merlon fix deploy/ --write --safe

  # one control
  merlon fix deploy/ --control workload/privileged-container --write

  # values that mend what a chart renders, and the chart with them
  merlon fix chart/ -o values > hardened.yaml
  merlon scan chart/ --values hardened.yaml

  # a filter
  merlon fix - < deploy.yaml > fixed.yaml`

// fixFlags are the flags of fix beside those that it shares with scan.
type fixFlags struct {
	write  bool
	safe   bool
	output string
}

// shared are the flags of scan that fix has too.
var shared = [...]string{"control", "controls", "severity", "all", "waivers", "baseline", "k8s-version", "exclude", "values", "set", "release", "config", "trust-tree", "no-inline-waivers"}

func newFix(s Streams) *cobra.Command {
	f, own := &scanFlags{}, &fixFlags{}
	all := pflag.NewFlagSet("scan", pflag.ContinueOnError)
	f.register(all)
	cmd := &cobra.Command{
		Use:   "fix PATH...",
		Short: "Mends what is wrong with Kubernetes manifests, in the files themselves",
		Long: `Mends the findings whose control has a patch, in the user's own files: comments,
order, spacing and every byte that is not meant stay. Each fix is proven first by
judging the result: its finding is gone, and none has come. What only a person
can know is asked, not invented.

Shows a diff; with --write changes the files. Standard input, "-", is printed
fixed. For charts it shows the values that mend what they render, where rendering
with them proves it; else, and for overlays, what each object should be.

Exit codes: 0 nothing is left to fix, 1 something is, or is not written yet, 2
wrong usage, 3 Merlon could not do it, or could not read all of it.`,
		Example: fixExamples,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usage("fix needs a PATH: a file, a folder, or - for standard input")
			case slices.Contains(args, "-") && len(args) > 1:
				return usage("fix: - goes alone: what is fixed goes to standard output")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, paths []string) error {
			settled, err := settle(all, f, paths)
			if err != nil {
				return err
			}
			x := &fixer{scan: scan{Streams: s, flags: f, paths: paths, params: settled.params, notices: settled.notices}, own: own}
			return x.run(cmd.Context())
		},
	}
	for _, name := range shared {
		cmd.Flags().AddFlag(all.Lookup(name))
	}
	all.Lookup("severity").Usage = "fix findings from this `SEVERITY` on: low, medium, high, critical"
	cmd.Flags().BoolVar(&own.write, "write", false, "change the files")
	cmd.Flags().BoolVar(&own.safe, "safe", false, "leave out what asks for a test before it goes out")
	cmd.Flags().StringVarP(&own.output, "output", "o", "diff", "how to show it: diff, json, or values: those that mend charts, alone")
	return cmd
}

// fixer is one run of the command.
type fixer struct {
	scan
	own   *fixFlags
	files map[string][]byte
	read  *files
}

func (x *fixer) run(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	if x.own.output != "diff" && x.own.output != "json" && x.own.output != "values" {
		return usage("-o: unknown format %q: diff, json or values", x.own.output)
	}
	if x.stdin() && x.own.write {
		return usage("--write: standard input has no file to write; what is fixed is printed")
	}
	c, err := x.choose()
	if err != nil {
		return err
	}
	x.files = map[string][]byte{}
	if err := x.readStdin(); err != nil {
		return failed(err)
	}
	sources, err := x.sources(c, control.NewLibrary(), false)
	if err != nil {
		return failed(err)
	}
	for _, src := range sources {
		if f, ok := src.(*files); ok {
			x.read, f.keep = f, true
			defer f.close()
		}
	}
	snapshot, _, err := x.collect(ctx, sources)
	if err != nil {
		return failed(err)
	}
	report, err := x.wanted(c, snapshot)
	if err != nil {
		return failed(err)
	}
	x.readFiles(snapshot)
	plan, err := x.plan(ctx, c, snapshot, report)
	if err != nil {
		return failed(err)
	}
	if err := x.show(plan, report); err != nil {
		return failed(err)
	}
	if x.own.write {
		if err := x.writeAll(plan); err != nil {
			return failed(err)
		}
	}
	return x.verdict(plan, report)
}

func (x *fixer) stdin() bool { return x.paths[0] == "-" }

// maxFixed is how large a file may be.
const maxFixed = 256 << 20

func (x *fixer) readStdin() error {
	if !x.stdin() {
		return nil
	}
	data, err := io.ReadAll(io.LimitReader(x.In, maxFixed+1))
	if err == nil && len(data) > maxFixed {
		err = errors.New("larger than 256 MiB")
	}
	if err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	x.files["stdin"], x.In = data, bytes.NewReader(data)
	return nil
}

// readFiles reads the files that objects come from. One that cannot be read any
// more leaves its objects without a file.
func (x *fixer) readFiles(snapshot *fact.Snapshot) {
	if x.stdin() {
		return
	}
	for _, o := range snapshot.Objects() {
		name := o.Origin.File
		if _, known := x.files[name]; known || o.Origin.World != "" || name == "" {
			continue
		}
		if data, err := readLimited(filepath.FromSlash(name), maxFixed); err == nil {
			x.files[name] = data
		}
	}
}

// wanted scans, and returns the report with waivers applied: what is open in it
// is to be fixed.
func (x *fixer) wanted(c *chosen, snapshot *fact.Snapshot) (*finding.Report, error) {
	a, err := assess.New(control.NewLibrary(), c.run, assess.Options{Minor: c.minor, Params: x.params, Apart: true}).Assess(snapshot)
	if err != nil {
		return nil, err
	}
	r := a.Report(nil, nil)
	x.finish(r, c, snapshot)
	return r, nil
}

func (x *fixer) plan(ctx context.Context, c *chosen, snapshot *fact.Snapshot, r *finding.Report) (*remedy.Plan, error) {
	open := map[string]bool{}
	for i := range r.Findings {
		if f := &r.Findings[i]; f.Open() && f.Verdict == finding.Fail {
			open[f.ID] = true
		}
	}
	every := slices.Concat(c.run, c.left)
	return remedy.Make(remedy.Input{
		Snapshot: snapshot, Files: x.files, Charts: x.charts(ctx), Safe: x.own.safe,
		Wanted: func(f *finding.Finding) bool { return open[f.ID] },
		Engine: func(amend remedy.Amend) *assess.Engine {
			return assess.New(control.NewLibrary(), every, assess.Options{Minor: c.minor, Params: x.params, Apart: true, Amend: amend})
		},
	})
}

// verdict is the exit code.
func (x *fixer) verdict(plan *remedy.Plan, r *finding.Report) error {
	if len(plan.Left)+len(plan.Values) > 0 || len(plan.Files) > 0 && !x.own.write && !x.stdin() {
		return &exitError{code: exitFindings}
	}
	return verdictOf(&finding.Report{Gaps: r.Gaps}, finding.None)
}

// show writes what the plan comes to.
func (x *fixer) show(plan *remedy.Plan, r *finding.Report) error {
	switch {
	case x.own.output == "json":
		return sink.JSON(x.Out, x.document(plan, r), "  ")
	case x.own.output == "values":
		if err := writeValues(x.Out, plan); err != nil {
			return err
		}
		x.summary(x.Err, plan, r)
		return nil
	case x.stdin():
		if _, err := x.Out.Write(fixedOf(plan, "stdin", x.files["stdin"])); err != nil {
			return err
		}
		x.summary(x.Err, plan, r)
		return nil
	}
	for i := range plan.Files {
		f := &plan.Files[i]
		if err := writeUnified(x.Out, f.Name, f.Before, f.After, colorful(x.Out)); err != nil {
			return err
		}
	}
	x.summary(x.Out, plan, r)
	return nil
}

func fixedOf(plan *remedy.Plan, name string, otherwise []byte) []byte {
	for i := range plan.Files {
		if plan.Files[i].Name == name {
			return plan.Files[i].After
		}
	}
	return otherwise
}

// fixDocument is the JSON form of a plan.
type fixDocument struct {
	Schema  string        `json:"schema"`
	Written bool          `json:"written"`
	Files   []fixedFile   `json:"files"`
	Fixes   []remedy.Fix  `json:"fixes"`
	Values  []chartValues `json:"values,omitempty"`
	Left    []leftFinding `json:"left"`
	Gaps    []finding.Gap `json:"gaps"`
	Notices []string      `json:"notices,omitempty"`
}

type fixedFile struct {
	Name string `json:"name"`
	Diff string `json:"diff"`
}

type leftFinding struct {
	remedy.Left
	Diff string `json:"diff,omitempty"`
}

func (x *fixer) document(plan *remedy.Plan, r *finding.Report) fixDocument {
	d := fixDocument{Schema: "merlon.fix/v1", Written: x.own.write, Files: []fixedFile{}, Fixes: plan.Fixes, Values: valuesOf(plan), Left: []leftFinding{}, Gaps: r.Gaps, Notices: r.Notices}
	if d.Fixes == nil {
		d.Fixes = []remedy.Fix{}
	}
	for i := range plan.Files {
		f := &plan.Files[i]
		d.Files = append(d.Files, fixedFile{f.Name, diffText(f.Name, f.Before, f.After)})
	}
	for _, l := range plan.Left {
		out := leftFinding{Left: l}
		if l.Before != nil {
			out.Diff = diffText(objectName(&l.Finding), l.Before, l.After)
		}
		d.Left = append(d.Left, out)
	}
	return d
}

func diffText(name string, before, after []byte) string {
	var b strings.Builder
	if err := writeUnified(&b, name, before, after, false); err != nil {
		return ""
	}
	return b.String()
}

func objectName(f *finding.Finding) string {
	parts := []string{f.Subject.Kind, f.Subject.Namespace, f.Subject.Name}
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "/")
}

// summary tells in words what was done and what is left. Its lines are comments
// to the tools that apply diffs.
func (x *fixer) summary(w io.Writer, plan *remedy.Plan, r *finding.Report) {
	say := func(format string, args ...any) { fmt.Fprintf(w, "# "+format+"\n", args...) }
	state := ""
	if len(plan.Files) > 0 && !x.own.write && !x.stdin() {
		state = "; nothing is written yet (--write)"
	}
	say("%s fixed in %s%s", plural(len(plan.Fixes), "finding"), plural(len(plan.Files), "file"), state)
	tellValues(say, plan)
	x.tests(say, plan)
	x.left(w, say, plan)
	for _, g := range r.Gaps {
		at := g.Location
		at.Column = 0
		say("not all was read: %s: %s: %s", sink.Place(at), g.Kind, sink.Text(g.Message))
	}
	for _, n := range r.Notices {
		say("%s", sink.Text(n))
	}
}

// tests tells what should be tried before it goes out.
func (x *fixer) tests(say func(string, ...any), plan *remedy.Plan) {
	fixes := slices.Clone(plan.Fixes)
	for _, v := range plan.Values {
		fixes = append(fixes, v.Fixes...)
	}
	tests := map[string]bool{}
	for i := range fixes {
		f := &fixes[i]
		for _, t := range f.Tests {
			line := fmt.Sprintf("%s: %s: %s", sink.Text(f.Finding.Subject.Kind+" "+f.Finding.Subject.Name), f.Finding.Control, sink.Text(t))
			if len(tests) == 0 {
				say("to be tested before it goes out:")
			}
			if !tests[line] {
				tests[line] = true
				say("  %s", line)
			}
		}
	}
}

// left tells what is not fixed: questions one by one, what has no patch by
// control.
func (x *fixer) left(w io.Writer, say func(string, ...any), plan *remedy.Plan) {
	without := map[string]int{}
	var order []string
	for i := range plan.Left {
		l := &plan.Left[i]
		f := &l.Finding
		if l.Kind == remedy.NoPatch {
			if without[f.Control]++; without[f.Control] == 1 {
				order = append(order, f.Control)
			}
			continue
		}
		place := ""
		if f.Location.File != "" {
			place = " at " + sink.Place(f.Location)
		}
		say("%s: %s %s%s (%s)", l.Kind, f.Severity, f.Control, place, sink.Text(objectName(f)))
		if l.Kind == remedy.Generated && i+1 < len(plan.Left) && bytes.Equal(plan.Left[i+1].Before, l.Before) {
			continue // the next one is of the same object
		}
		for _, why := range l.Why {
			say("  %s", sink.Text(why))
		}
		if l.Kind == remedy.Generated {
			if err := writeUnified(w, objectName(f), l.Before, l.After, colorful(w)); err != nil {
				return
			}
		}
	}
	if len(order) > 0 {
		say("no patch, a person decides what to write (merlon explain CONTROL):")
	}
	for _, c := range order {
		say("  %s: %s", c, plural(without[c], "finding"))
	}
}

// writeAll changes the files. One that cannot be changed does not keep the
// others from it.
func (x *fixer) writeAll(plan *remedy.Plan) error {
	var errs []error
	done := map[string][]byte{} // by their real names: a file may be met by two
	for i := range plan.Files {
		f := &plan.Files[i]
		name := resolved(filepath.FromSlash(f.Name))
		if after, twice := done[name]; twice && bytes.Equal(after, f.After) {
			continue
		}
		done[name] = f.After
		if err := replaceFile(x.treeOf(f.Name), name, f.Before, f.After); err != nil {
			errs = append(errs, fmt.Errorf("write %s: %w", f.Name, cause(err)))
		}
	}
	return errors.Join(errs...)
}

// cause strips what an error of the os package repeats: the operation and the
// path.
func cause(err error) error {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// treeOf returns the folder that a file was reached through, which writing must
// not leave.
func (x *fixer) treeOf(name string) string {
	for _, p := range x.paths {
		info, err := os.Stat(p)
		if err != nil || !info.IsDir() {
			continue
		}
		if rel, err := filepath.Rel(p, filepath.FromSlash(name)); err == nil && filepath.IsLocal(rel) {
			return p
		}
	}
	return filepath.Dir(filepath.FromSlash(name))
}
