package cli

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/merlon-security/merlon/internal/vuln"
)

// sources returns what the scan reads: a snapshot; or files, or a cluster; the
// machine, or both.
func (s *scan) sources(c *chosen, lib *control.Library, watch bool) ([]source.Source, error) {
	if s.flags.snapshot != "" {
		src, err := s.fromSnapshot()
		return []source.Source{src}, err
	}
	var out []source.Source
	add := func(name string, fill func(any)) error {
		kind, _ := config.Find(builtin.Sources(), name)
		src, err := kind.New(func(v any) error {
			fill(v)
			return nil
		})
		out = append(out, src)
		return err
	}
	if len(s.paths) > 0 {
		out = append(out, s.flags.source(s.Streams, s.paths, c.minor, watch))
	}
	if s.flags.cluster.wanted() {
		src, err := s.flags.cluster.source(lib, c.run, s.params, watch)
		if err != nil {
			return nil, err
		}
		out = append(out, src)
	}
	if s.flags.node {
		err := add("node", func(v any) {
			*v.(*source.NodeInput) = source.NodeInput{Root: s.flags.hostRoot, ProbeSecret: s.flags.probe, Now: time.Now(), Watch: watch, Every: s.flags.every, Clock: time.Now}
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// unverified says of nodes of distributions that nobody has tried Merlon on.
func unverified(snapshot *fact.Snapshot) (notices []string) {
	for _, o := range snapshot.Objects() {
		if name := o.Root.At("spec", "distribution").Str(); name != "" && o.GroupKind() == "merlon.dev/NodeHost" {
			notices = append(notices, fmt.Sprintf("node %s is of %s: the places that its documentation names were looked at, but the result was not verified on a live one", o.Name, name))
		}
	}
	return notices
}

// advisories returns those of Kubernetes itself: of a file, or built in, which are
// read when first asked for.
func (s *scan) advisories() (func() []*vuln.Advisory, error) {
	if s.flags.advisories == "" {
		return sync.OnceValue(builtInAdvisories), nil
	}
	f, err := os.Open(s.flags.advisories)
	if err != nil {
		return nil, fmt.Errorf("read advisories: %w", err)
	}
	defer f.Close()
	list, err := vuln.ParseAll(f)
	if err != nil {
		return nil, fmt.Errorf("read advisories %s: %w", s.flags.advisories, err)
	}
	return func() []*vuln.Advisory { return list }, nil
}

// builtInAdvisories cannot fail: a test reads them.
func builtInAdvisories() []*vuln.Advisory {
	list, err := vuln.Kubernetes()
	if err != nil {
		panic(err)
	}
	return list
}
