package cli

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/spf13/pflag"
)

// clusterFlags say which cluster to read, and how much of it.
type clusterFlags struct {
	on         bool
	kubeconfig string
	context    string
	namespaces []string
	with       []string
	ownVersion bool     // --k8s-version was given
	also       []string // kinds to read beside those that the controls need
}

// What --with takes.
const (
	secretMetadata = "secret-metadata"
	kubeletConfig  = "kubelet-config"
)

func (f *clusterFlags) register(fl *pflag.FlagSet) {
	f.registerWhich(fl, "scan")
	f.registerNamespaces(fl)
	fl.StringArrayVar(&f.with, "with", nil, "read more of the cluster: "+secretMetadata+", names and labels of Secrets; "+kubeletConfig+", what each kubelet runs with (see merlon permissions; repeatable)")
}

// registerWhich declares the flags that say which cluster; what is done with it
// is told by a verb.
func (f *clusterFlags) registerWhich(fl *pflag.FlagSet, verb string) {
	fl.BoolVar(&f.on, "cluster", false, verb+" the cluster of the current context, or the one that Merlon runs in")
	fl.StringVar(&f.context, "context", "", verb+" the cluster of this `CONTEXT` of the kubeconfig")
	fl.StringVar(&f.kubeconfig, "kubeconfig", "", "`FILE` to find the cluster in (default: $KUBECONFIG, ~/.kube/config)")
}

func (f *clusterFlags) registerNamespaces(fl *pflag.FlagSet) {
	fl.StringArrayVar(&f.namespaces, "namespace", nil, "of what lies in namespaces, only the `NAME` (repeatable)")
}

func (f *clusterFlags) wanted() bool { return f.on || f.context != "" }

// check refuses flags that contradict each other.
func (f *clusterFlags) check(command string, paths []string, node bool) error {
	switch {
	case f.wanted() && len(paths) > 0:
		return usage("%s reads either PATHs or a cluster (--cluster, --context), not both", command)
	case !f.wanted() && (f.kubeconfig != "" || len(f.namespaces) > 0 || len(f.with) > 0):
		return usage("--kubeconfig, --namespace and --with are about a cluster: add --cluster or --context NAME")
	case !f.wanted() && !node && len(paths) == 0 && command == "scan":
		return usage("scan needs a PATH: a file, a folder, or - for standard input; or --cluster; or --node")
	case !f.wanted() && !node && len(paths) == 0:
		return usage("%s needs a PATH: a file or a folder; or --cluster", command)
	}
	return checkWith(f.with)
}

func checkWith(with []string) error {
	for _, w := range with {
		if w != secretMetadata && w != kubeletConfig {
			return usage("--with: %q is neither %s nor %s", w, secretMetadata, kubeletConfig)
		}
	}
	return nil
}

// source makes the source of the cluster, which reads what the controls need.
func (f *clusterFlags) source(lib *control.Library, controls []*control.Control, settings control.Settings, watch bool) (source.Source, error) {
	kinds, err := control.Kinds(lib, controls, settings)
	if err != nil {
		return nil, err
	}
	return f.reader(append(kinds, f.also...), watch)
}

// reader makes the source of the cluster, which reads some kinds.
func (f *clusterFlags) reader(kinds []string, watch bool) (source.Source, error) {
	slices.Sort(kinds)
	kinds = slices.Compact(kinds)
	kind, _ := config.Find(builtin.Sources(), "cluster")
	return kind.New(func(v any) error {
		*v.(*source.ClusterInput) = source.ClusterInput{
			Kubeconfig: f.kubeconfig, Context: f.context, Namespaces: f.namespaces, Kinds: kinds,
			SecretMetadata: slices.Contains(f.with, secretMetadata), KubeletConfig: slices.Contains(f.with, kubeletConfig), Watch: watch, Agent: "merlon/" + version,
		}
		return nil
	})
}

// described settles what only the cluster tells: its identity, the version to
// judge for, and the controls that cannot be judged for what was not seen.
func (s *scan) described(c *chosen, lib *control.Library, src source.Source, snapshot *fact.Snapshot) error {
	if !s.identified(c, src) {
		return nil
	}
	run, blind, err := control.Blind(lib, c.run, s.params, snapshot.Gaps())
	if err != nil {
		return err
	}
	c.run, c.left = run, append(c.left, blind...)
	if len(blind) > 0 {
		s.notices = append(s.notices, blinded(blind))
	}
	return nil
}

func blinded(blind []*control.Control) string {
	return fmt.Sprintf("%d controls were not run, because objects they look at were not seen: %s", len(blind), strings.Join(idsOf(blind), ", "))
}

// filed leaves out the controls that are about what runs, where no cluster was
// read and none of them was asked for by name.
func (s *scan) filed(c *chosen) {
	if s.info.Server == "" && len(s.flags.controls) == 0 {
		filed, running := control.Filed(c.run)
		c.run, c.left = filed, append(c.left, running...)
	}
}

// identified settles what a cluster says of itself, and leaves out the controls
// that are about how something was written. It reports false when the source is
// no cluster.
func (s *scan) identified(c *chosen, src source.Source) bool {
	d, ok := src.(source.Describer)
	if !ok {
		return false
	}
	s.info = d.Cluster()
	if !s.flags.cluster.ownVersion {
		minor, err := minorOf(s.info.Version)
		switch {
		case err == nil:
			c.minor = minor
		default:
			s.notices = append(s.notices, fmt.Sprintf("the API server's version %s is not one that this Merlon knows: judged for 1.%d", s.info.Version, assess.NewestMinor()))
		}
	}
	if n := skew(s.info.Date, time.Now()); n != "" { // a snapshot has no date
		s.notices = append(s.notices, n)
	}
	living, written := control.Living(c.run)
	c.run, c.left = living, append(c.left, written...)
	return true
}

// maxSkew is how far two clocks may be apart unnoticed.
const maxSkew = 2 * time.Minute

// skew tells that the API server's clock and this machine's are apart: waivers
// end by this one, tokens and certificates by the other.
func skew(date string, now time.Time) string {
	there, err := http.ParseTime(date)
	if err != nil || there.Sub(now).Abs() <= maxSkew {
		return ""
	}
	return fmt.Sprintf("the clocks of the API server and of this machine are %s apart: waivers end by this machine's, the report's time is this machine's", there.Sub(now).Abs().Round(time.Minute))
}

// targets says what is scanned.
func (s *scan) targets() []string {
	out := slices.Clone(s.paths)
	if f := &s.flags.cluster; f.wanted() {
		out = append(out, strings.TrimSpace("cluster "+cmp.Or(s.info.Context, f.context)))
	}
	if s.flags.node {
		out = append(out, "node")
	}
	return out
}

// reportCluster is what the report says of the cluster; nil for files.
func (s *scan) reportCluster() *finding.Cluster {
	if s.info.Server == "" {
		return nil
	}
	taken := s.taken
	if taken == "" {
		taken = time.Now().UTC().Format(time.RFC3339)
	}
	return &finding.Cluster{UID: s.info.UID, Server: s.info.Server, Version: s.info.Version, Context: s.info.Context, Time: taken}
}
