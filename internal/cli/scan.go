package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/framework"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const scanExamples = `  # what is wrong with what we deploy
  merlon scan deploy/

  # a chart as it is deployed
  merlon scan chart/ --values prod.yaml --set image.tag=1.4.2

  # the output of another tool
  jsonnet app.jsonnet | merlon scan -

  # against one standard, as a file for code scanning and a table to read
  merlon scan deploy/ --framework nsa -o table -o sarif=merlon.sarif

  # a running cluster, one namespace of it
  merlon scan --cluster
  merlon scan --context production --namespace shop

  # what was saved yesterday, or elsewhere
  merlon scan --snapshot production.snapshot --verify key.pub

  # only what is new since the last release, failing from medium on
  merlon scan deploy/ --baseline last.json --fail-on medium

  # this machine, as a node of a cluster
  merlon scan --node --framework cis-1.12

  # whether etcd holds one Secret encrypted; only its prefix is read
  merlon scan --node --probe-etcd default/canary`

// scanFlags are the flags of scan; each can also be set in merlon.yaml, under
// scan, and in the environment.
type scanFlags struct {
	fileFlags
	outputs       []string
	frameworks    []string
	frameworkDirs []string
	controls      []string
	controlDirs   []string
	severity      string
	failOn        string
	all           bool
	waivers       []string
	baseline      string
	kubernetes    string
	config        string
	trustTree     bool
	noInline      bool
	snapshot      string
	verify        string
	cluster       clusterFlags
	node          bool
	hostRoot      string
	probe         string        // namespace/name of a Secret
	every         time.Duration // of watch
	advisories    string
}

func newScan(s Streams) *cobra.Command {
	f := &scanFlags{}
	cmd := &cobra.Command{
		Use:   "scan [PATH...]",
		Short: "Says what is wrong with manifests, a cluster or a node, why it matters, and where",
		Long: `Reads Kubernetes objects from files and folders (YAML, JSON, "-" for standard
input) or, with --cluster or --context, from a running cluster, holds them
against Merlon's controls and reports what is wrong. Helm charts and Kustomize
overlays are found and rendered, in a process that can reach nothing; each is
judged by itself. No kubeconfig is looked at unless a cluster is asked for; merlon
permissions prints the rights it takes.

With --node it reads the machine that it runs on: the components of Kubernetes
as they run, their flags and files, certificates, and the host; see
docs/guide/node.md. It only reads, and runs nothing of the machine.

What cannot be read is a gap, told in the report; the rest is still scanned.

Exit codes: 0 clean, 1 findings at or above --fail-on, 2 wrong usage, 3 Merlon
could not do it, or could not read all of it.`,
		Example: scanExamples,
		RunE: func(cmd *cobra.Command, paths []string) error {
			settled, err := settle(cmd.Flags(), f, paths)
			if err != nil {
				return err
			}
			if f.snapshot != "" || f.verify != "" {
				err = f.checkSnapshot(paths)
			} else {
				err = f.cluster.check("scan", paths, f.node)
			}
			if err != nil {
				return err
			}
			if namespace, name, _ := strings.Cut(f.probe, "/"); f.probe != "" && (!f.node || !plainName(namespace) || !plainName(name)) {
				return usage("--probe-etcd takes NAMESPACE/NAME of a Secret, and goes with --node")
			}
			f.cluster.ownVersion = cmd.Flags().Changed("k8s-version")
			return (&scan{Streams: s, flags: f, paths: paths, params: settled.params, notices: settled.notices}).run(cmd.Context())
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().StringVar(&f.probe, "probe-etcd", "", "with --node on a control plane: ask etcd how it holds the Secret `NAMESPACE/NAME`; nothing but the prefix is read")
	cmd.Flags().StringVar(&f.snapshot, "snapshot", "", "scan what merlon snapshot save has written into `FILE`")
	cmd.Flags().StringVar(&f.verify, "verify", "", "refuse a snapshot that is not signed by the public key in `KEY`")
	return cmd
}

// checkSnapshot refuses flags that contradict each other.
func (f *scanFlags) checkSnapshot(paths []string) error {
	switch {
	case f.snapshot == "":
		return usage("--verify is about a snapshot: add --snapshot FILE")
	case len(paths) > 0 || f.cluster.wanted() || f.node:
		return usage("scan reads a snapshot, or PATHs, a cluster or a node")
	case f.cluster.kubeconfig != "" || len(f.cluster.namespaces) > 0 || len(f.cluster.with) > 0:
		return usage("--kubeconfig, --namespace and --with are about a cluster, not a snapshot of one")
	}
	return nil
}

// register declares the flags.
func (f *scanFlags) register(fl *pflag.FlagSet) {
	fl.StringArrayVarP(&f.outputs, "output", "o", []string{"table"}, "write a report as `FORMAT`, or FORMAT=FILE: "+sinkNames()+" (repeatable)")
	fl.StringArrayVar(&f.frameworks, "framework", nil, "only what the standard `NAME` asks for; see merlon frameworks list (repeatable)")
	fl.StringArrayVar(&f.frameworkDirs, "frameworks", nil, "`DIR` with your own frameworks (repeatable)")
	fl.StringArrayVar(&f.controls, "control", nil, "only the control or family `ID` (repeatable)")
	fl.StringArrayVar(&f.controlDirs, "controls", nil, "`DIR` with your own controls (repeatable)")
	fl.StringVar(&f.severity, "severity", "low", "report findings from this `SEVERITY` on: low, medium, high, critical")
	fl.StringVar(&f.failOn, "fail-on", "high", "exit with 1 for findings from this `SEVERITY` on: low, medium, high, critical, none")
	fl.BoolVar(&f.all, "all", false, "also the controls of good order: probes, resources, labels … (family hygiene)")
	fl.StringArrayVar(&f.waivers, "waivers", nil, "`FILE` of waivers (repeatable)")
	fl.StringVar(&f.baseline, "baseline", "", "JSON report `FILE` of an earlier scan: what it has is known, not open")
	fl.StringVar(&f.kubernetes, "k8s-version", fmt.Sprintf("1.%d", assess.NewestMinor()), "Kubernetes `VERSION` to judge for")
	f.fileFlags.register(fl)
	fl.StringVar(&f.config, "config", "", "configuration `FILE` (default: merlon.yaml of the working folder, unless it lies in what is scanned)")
	fl.BoolVar(&f.trustTree, "trust-tree", false, "apply merlon.yaml also when it lies in what is scanned")
	fl.BoolVar(&f.node, "node", false, "scan this machine as a node of a cluster")
	fl.StringVar(&f.hostRoot, "host-root", "", "with --node: `DIR` where the machine's root is mounted, for a scan from a pod")
	fl.StringVar(&f.advisories, "advisories", "", "judge versions of Kubernetes by the advisories in `FILE` (OSV, JSON) instead of those built in")
	fl.BoolVar(&f.noInline, "no-inline-waivers", false, "ignore waivers written in manifests, as comments or annotations")
	f.cluster.register(fl)
}

// scan is one run of the command.
type scan struct {
	Streams
	flags   *scanFlags
	paths   []string
	params  map[string]map[string]any
	notices []string
	info    source.ClusterInfo // of the cluster that was read
	taken   string             // when the snapshot was that was read
}

// chosen is what a scan judges with.
type chosen struct {
	run, left  []*control.Control
	frameworks []*framework.Framework
	severity   finding.Severity
	failOn     finding.Severity
	minor      int
	aliases    map[string]string // ids of controls by their former ids
	waivers    []finding.Waiver
	baseline   *finding.Report
}

func (s *scan) run(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	tuneMemory(0)
	c, err := s.choose()
	if err != nil {
		return err
	}
	outs, err := s.open()
	if err != nil {
		return err
	}
	lib := control.NewLibrary()
	sources, err := s.sources(c, lib, false)
	if err != nil {
		return failed(err)
	}
	advisories, err := s.advisories()
	if err != nil {
		return failed(err)
	}
	snapshot, files, err := s.collect(ctx, sources)
	if err != nil {
		return failed(err)
	}
	for _, src := range sources {
		if err := s.described(c, lib, src, snapshot); err != nil {
			return failed(err)
		}
	}
	s.filed(c)
	engine := assess.New(lib, c.run, assess.Options{Minor: c.minor, Params: s.params, Cluster: s.info.UID, Live: s.info.Server != "", Advisories: advisories})
	a, err := engine.Assess(snapshot)
	if err != nil {
		return failed(err)
	}
	r := a.Report(c.frameworks, c.left)
	r.Merlon, r.Target, r.Cluster, r.Summary.Files = version, s.targets(), s.reportCluster(), files
	r.Notices = append(append(r.Notices, engine.NotApplicable(snapshot)...), unverified(snapshot)...)
	s.finish(r, c, snapshot)
	if err := s.patches(ctx, c, snapshot, r); err != nil {
		return failed(err)
	}
	if err := publish(ctx, r, outs); err != nil {
		return failed(err)
	}
	return verdictOf(r, c.failOn)
}

// finish applies what the user decided about findings. Waivers come before the
// severity asked for, so that none looks unused because its finding is not shown.
func (s *scan) finish(r *finding.Report, c *chosen, snapshot *fact.Snapshot) {
	r.Notices = append(r.Notices, s.notices...)
	waivers := c.waivers
	if !s.flags.noInline {
		inline, notices := inlineWaivers(snapshot)
		waivers = append(slices.Clone(waivers), inline...)
		r.Notices = append(r.Notices, notices...)
	}
	waivers, notices := c.concerned(waivers)
	r.Notices = append(r.Notices, notices...)
	r.Waive(waivers, time.Now().UTC().Format(time.DateOnly))
	r.Findings = slices.DeleteFunc(r.Findings, func(f finding.Finding) bool { return f.Severity < c.severity })
	if c.baseline != nil {
		r.Known(c.baseline)
	}
	r.Summarise()
}

// concerned returns the waivers that this scan can use, by the present ids of
// their controls. One whose control is left out of the scan waits for another
// scan; one whose control is unknown is told.
func (c *chosen) concerned(waivers []finding.Waiver) (out []finding.Waiver, notices []string) {
	for _, w := range waivers {
		if now, ok := c.aliases[w.Control]; ok {
			w.Control = now
		}
		named := func(list []*control.Control) bool {
			return slices.ContainsFunc(list, func(x *control.Control) bool { return w.Names(x.ID) })
		}
		switch {
		case w.Control == "" && len(c.left) == 0, w.Control != "" && named(c.run):
			out = append(out, w)
		case w.Control == "":
			w.Quiet = true
			out = append(out, w)
		case !named(c.left):
			notices = append(notices, fmt.Sprintf("%s: waiver: no control is named %s", w.Place(), nameOf(w.Control)))
		}
	}
	return out, notices
}

// nameOf shows what stands in the place of a control's id, if it may be one:
// whatever else it is comes from a manifest, and may be secret.
func nameOf(id string) string {
	if family, name, ok := strings.Cut(id, "/"); ok && strings.Trim(family+name, "abcdefghijklmnopqrstuvwxyz0123456789-*?") == "" {
		return id
	}
	return fmt.Sprintf("so: %d characters, which are no id", len(id))
}

// verdictOf turns a report into an exit code.
func verdictOf(r *finding.Report, failOn finding.Severity) error {
	if failOn != finding.None && r.Worst() >= failOn {
		return &exitError{code: exitFindings}
	}
	for _, g := range r.Gaps {
		if !harmless(g.Kind) {
			return &exitError{code: exitFailed}
		}
	}
	return nil
}

// harmless reports whether a gap leaves nothing unread: the object was judged,
// though not all of it is what its author meant; or whether it is there by
// design, as what Merlon does not ask a cluster for.
func harmless(kind string) bool {
	switch kind {
	case "duplicate-key", "unknown-field", "wrong-type", "not-asked", "metadata-only":
		return true
	}
	return false
}

// choose reads everything that the flags name.
func (s *scan) choose() (*chosen, error) {
	c := &chosen{}
	f := s.flags
	var err error
	if c.severity, err = finding.ParseSeverity(f.severity); err != nil {
		return nil, usage("--severity: %v", err)
	}
	if c.failOn, err = finding.ParseSeverity(f.failOn); err != nil {
		return nil, usage("--fail-on: %v", err)
	}
	if c.minor, err = minorOf(f.kubernetes); err != nil {
		return nil, err
	}
	all, errs := loadHeads(f.controlDirs)
	if len(errs) > 0 {
		return nil, failed(errors.Join(errs...))
	}
	if c.frameworks, err = loadFrameworks(f.frameworkDirs); err != nil {
		return nil, failed(err)
	}
	s.notices = append(s.notices, answered(c.frameworks, all)...)
	if err := s.narrow(c, all); err != nil {
		return nil, err
	}
	for _, name := range f.waivers {
		w, err := readWaivers(name)
		if err != nil {
			return nil, failed(err)
		}
		c.waivers = append(c.waivers, w...)
	}
	if f.baseline != "" {
		if c.baseline, err = readReport("baseline", f.baseline); err != nil {
			return nil, failed(err)
		}
	}
	return c, nil
}

// narrow splits controls into those that run and those left out by choice.
func (s *scan) narrow(c *chosen, all []*control.Control) error {
	f := s.flags
	c.aliases = aliasesOf(all)
	if err := s.settings(c, all); err != nil {
		return err
	}
	picked, err := pick(all, f.controls)
	if err != nil {
		return err.(*exitError).in("--control: ")
	}
	if len(f.frameworks) > 0 {
		var kept []*framework.Framework
		for _, name := range f.frameworks {
			i := slices.IndexFunc(c.frameworks, func(x *framework.Framework) bool { return x.Name == name })
			if i < 0 {
				var known []string
				for _, x := range c.frameworks {
					known = append(known, x.Name)
				}
				return unknown("framework", name, known, "merlon frameworks list").(*exitError).in("--framework: ")
			}
			if !slices.Contains(kept, c.frameworks[i]) {
				kept = append(kept, c.frameworks[i])
			}
		}
		c.frameworks = kept
	}
	for _, x := range all {
		if f.wanted(x, picked, c.frameworks) {
			c.run = append(c.run, x)
		} else {
			c.left = append(c.left, x)
		}
	}
	return nil
}

// settings brings the settings of single controls to their present ids.
func (s *scan) settings(c *chosen, all []*control.Control) error {
	params := map[string]map[string]any{}
	for _, id := range slices.Sorted(maps.Keys(s.params)) {
		now := id
		if renamed, ok := c.aliases[id]; ok {
			now = renamed
		}
		i := slices.IndexFunc(all, func(x *control.Control) bool { return x.ID == now })
		if i < 0 {
			return unknown("control", id, idsOf(all), "merlon controls list --all").(*exitError).in(configName + ": controls: ")
		}
		full, err := whole(all[i])
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(s.params[id])) {
			if _, ok := full.Params[name]; !ok {
				return unknown("setting", name, slices.Sorted(maps.Keys(full.Params)), "merlon explain "+now).(*exitError).in(configName + ": controls: " + id + ": ")
			}
		}
		params[now] = s.params[id]
	}
	s.params = params
	return nil
}

func (f *scanFlags) wanted(x *control.Control, picked []*control.Control, frameworks []*framework.Framework) bool {
	if len(f.controls) > 0 {
		return slices.Contains(picked, x)
	}
	if len(f.frameworks) > 0 {
		return slices.ContainsFunc(frameworks, func(fw *framework.Framework) bool { return fw.AnsweredBy(x.ID, x.Frameworks()) })
	}
	return !x.Rights() && (f.all || !x.Hygiene())
}

func minorOf(v string) (int, error) {
	major, minor, ok := strings.Cut(strings.TrimPrefix(v, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	n, err := strconv.Atoi(minor)
	if !ok || err != nil || major != "1" || n < 0 {
		return 0, usage("--k8s-version: %q is not a version such as 1.%d", v, assess.NewestMinor())
	}
	if n > assess.NewestMinor() {
		return 0, usage("--k8s-version: 1.%d is newer than 1.%d, the newest that this Merlon knows", n, assess.NewestMinor())
	}
	return n, nil
}

// under reports whether a file lies in one of the scanned paths, by its own
// place or, where it is a link, by that of its target.
func under(file string, paths []string) bool {
	dir, base := filepath.Split(file)
	places := []string{filepath.Join(resolved(dir), base), resolved(file)}
	for _, p := range paths {
		if p == "-" {
			continue
		}
		root := resolved(p)
		for _, place := range places {
			if rel, err := filepath.Rel(root, place); err != nil || filepath.IsLocal(rel) {
				return true
			}
		}
	}
	return false
}

// resolved is the absolute path of a file with every link followed, as far as it
// exists.
func resolved(name string) string {
	abs, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	if target, err := filepath.EvalSymlinks(abs); err == nil {
		return target
	}
	return abs
}
