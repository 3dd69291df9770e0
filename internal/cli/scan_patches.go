package cli

import (
	"context"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// maxPatched is up to how many findings a report for people gets the changes that
// mend them: to prove those takes as long as some scans more.
const maxPatched = 2000

// patches adds to a report what merlon fix would change in the files, where a
// page of it is made that people open.
func (s *scan) patches(ctx context.Context, c *chosen, snapshot *fact.Snapshot, r *finding.Report) error {
	page := func(o string) bool { format, _, _ := strings.Cut(o, "="); return format == "html" }
	switch {
	case !slices.ContainsFunc(s.flags.outputs, page), len(r.Findings) > maxPatched:
		return nil
	case len(s.paths) == 0, slices.Contains(s.paths, "-"), s.flags.cluster.wanted(), s.flags.node:
		return nil // there is more than files, or none
	}
	loose := *r // what charts and overlays make stands in no file
	loose.Findings = slices.DeleteFunc(slices.Clone(r.Findings), func(f finding.Finding) bool { return len(f.Worlds) > 0 })
	if len(loose.Findings) == 0 {
		return nil
	}
	x := &fixer{scan: *s, own: &fixFlags{}, files: map[string][]byte{}, read: &files{}}
	x.readFiles(snapshot)
	plan, err := x.plan(ctx, c, snapshot, &loose)
	if err != nil {
		return err
	}
	for i := range plan.Files {
		f := &plan.Files[i]
		r.Patches = append(r.Patches, finding.Patch{File: f.Name, Diff: diffText(f.Name, f.Before, f.After)})
	}
	return nil
}
