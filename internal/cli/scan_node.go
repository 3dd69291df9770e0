package cli

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/merlon-security/merlon/internal/vuln"
)

// sources returns what the scan reads: files, the machine, or both.
func (s *scan) sources() ([]source.Source, error) {
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
		err := add("manifest", func(v any) {
			*v.(*source.Input) = source.Input{Paths: s.paths, Exclude: s.flags.exclude, Stdin: s.In}
		})
		if err != nil {
			return nil, err
		}
	}
	if s.flags.node {
		err := add("node", func(v any) { *v.(*source.NodeInput) = source.NodeInput{Root: s.flags.hostRoot, Now: time.Now()} })
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// target names what is scanned, for the report.
func (s *scan) target() []string {
	if !s.flags.node {
		return s.paths
	}
	return append(slices.Clone(s.paths), "node")
}

// advisories returns those of Kubernetes itself: built in, or of a file.
func (s *scan) advisories() ([]*vuln.Advisory, error) {
	if s.flags.advisories == "" {
		return vuln.Kubernetes()
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
	return list, nil
}
