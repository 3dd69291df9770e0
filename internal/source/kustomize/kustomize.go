// Package kustomize is the source that builds Kustomize overlays, with
// Kustomize's own library, and reports the objects that come out.
//
// An overlay is foreign code. It is built in a child process (package sandbox);
// this side finds overlays, refuses what would be fetched or run, answers what
// the child asks to read, and finds again in the files where what came out was
// written.
package kustomize

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/sandbox"
	"github.com/merlon-security/merlon/internal/secrets"
	"github.com/merlon-security/merlon/internal/source"
)

// Name is the source's name in facts and gaps, and that of the child's job.
const Name = "kustomize"

// Source builds overlays. The zero value finds none.
type Source struct {
	source.Input

	decoder source.Decoder
	emit    func(fact.Change) error
	files   int
	redact  *secrets.Detector
}

// Kind describes the source.
func Kind() config.Kind[source.Source] {
	return config.Kind[source.Source]{
		Name: Name, Doc: "Kustomize overlays, built as `kustomize build` does: folders with a kustomization.yaml that no other overlay uses", Example: "merlon scan deploy/",
		New: func(decode func(any) error) (source.Source, error) {
			s := &Source{}
			return s, decode(&s.Input)
		},
	}
}

// Files returns how many files the last Collect read for overlays.
func (s *Source) Files() int { return s.files }

// Collect builds every overlay of the survey that no other uses, or, when the
// input names deployments, those.
func (s *Source) Collect(ctx context.Context, emit func(fact.Change) error) error {
	s.files = 0
	return s.EachTree(ctx, emit, func(t *source.Tree, emit func(fact.Change) error) error {
		s.emit = emit
		return s.tree(ctx, t)
	})
}

func (s *Source) tree(ctx context.Context, t *source.Tree) error {
	overlays := t.Of(source.Overlay)
	if t.Root == nil || len(overlays) == 0 && len(s.Rendering.Deploys) == 0 {
		return nil
	}
	g := newGraph(t, overlays)
	roots := g.roots()
	for _, d := range s.Rendering.Deploys {
		// What an application deploys is built anyway, unless it is a base of others.
		if d.Tree == t && g.nodes[d.Path] != nil && !slices.Contains(roots, d.Path) {
			if err := s.overlay(ctx, t, g, d.Path, d.World); err != nil {
				return err
			}
		}
	}
	if len(s.Rendering.Deploys) > 0 {
		return nil
	}
	for _, root := range roots {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.overlay(ctx, t, g, root, t.Place(root)); err != nil {
			return err
		}
	}
	return nil
}

// overlay builds one overlay.
func (s *Source) overlay(ctx context.Context, t *source.Tree, g *graph, root, world string) error {
	reached := g.reach(root)
	refused := false
	for _, n := range reached {
		t.Claim(n.file)
		for _, r := range n.refused {
			refused = true
			gap := fact.Gap{Kind: "refused", Source: Name, World: world, File: t.Place(n.file), Pos: r.pos, Message: "the overlay " + t.Place(root) + " was not built: " + r.why}
			if err := s.emit(fact.Change{Op: fact.GapOpened, Gap: gap}); err != nil {
				return err
			}
		}
	}
	if refused {
		claimPatches(t, reached)
		return nil
	}
	files := source.NewFiles(t)
	err := s.Watcher.Rendered(Name+"\x00"+world+"\x00"+root, files, s.emit, func(emit func(fact.Change) error) error {
		return s.build(ctx, t, g, root, world, files, emit)
	})
	s.files += len(files.Used)
	claimPatches(t, reached)
	for name := range files.Used {
		t.Claim(name)
	}
	return err
}

// build has a child build an overlay, and reports what it answers.
func (s *Source) build(ctx context.Context, t *source.Tree, g *graph, root, world string, files *source.Files, emit func(fact.Change) error) error {
	s.decoder.Emit = emit
	var out built
	req := request{Root: root, File: path.Base(g.nodes[root].file)}
	if err := s.Rendering.Runner.Run(ctx, Name, req, files, &out); err != nil {
		clear(files.Used) // they may be more than its own: they are read as they stand
		return s.failed(err, world, t.Place(g.nodes[root].file), emit)
	}
	tr := &tracer{tree: t, root: root, origins: out.Origins, used: files, docs: map[string][]fact.Value{}}
	tr.patches = tr.patchFiles(g.reach(root))
	origin := fact.Origin{Source: Name, File: t.Place(g.nodes[root].file), World: world, Root: root}
	_, _, err := s.decoder.Decode(ctx, strings.NewReader(out.Text), origin, tr.trace)
	return err
}

// claimPatches keeps patches, which look like objects and are none, from being
// read as such where their overlay could not be built.
func claimPatches(t *source.Tree, reached []*node) {
	for _, n := range reached {
		for _, p := range n.patches {
			t.Claim(p)
		}
	}
}

// failed tells an overlay that could not be built.
func (s *Source) failed(err error, world, file string, emit func(fact.Change) error) error {
	g := fact.Gap{Source: Name, World: world, File: file}
	var failure *sandbox.Failure
	var refusal *sandbox.Refusal
	switch {
	case errors.As(err, &failure) && failure.Kind == sandbox.NotStarted:
		g.Kind, g.Message = "not-rendered", "a Kustomize overlay: "+failure.Message+"; build it with 'kustomize build' and scan the output"
	case errors.As(err, &failure):
		g.Kind, g.Message = "render-failed", "the overlay was not built: "+failure.Message
	case errors.As(err, &refusal):
		g.Kind, g.Message = "render-failed", "the overlay was not built: "+s.clean(refusal.Message)
		if strings.Contains(refusal.Message, "external plugins disabled") || strings.Contains(refusal.Message, "enable-helm") {
			g.Kind, g.Message = "refused", "the overlay was not built: it runs a plugin, and Merlon runs none"
		}
	default:
		return err
	}
	return emit(fact.Change{Op: fact.GapOpened, Gap: g})
}

// maxMessage is how much is shown of what Kustomize says.
const maxMessage = 400

// clean makes what Kustomize says fit to be shown: it may quote values.
func (s *Source) clean(message string) string {
	if s.redact == nil {
		s.redact = secrets.New()
	}
	if strings.Contains(message, "literal") || strings.Contains(message, "env source") {
		return "a generator has a literal or a line of environment that is no KEY=VALUE"
	}
	message = strings.Join(strings.Fields(message), " ")
	if r := []rune(message); len(r) > maxMessage {
		message = string(r[:maxMessage]) + "…"
	}
	return s.redact.RedactText(message)
}
