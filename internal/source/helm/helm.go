// Package helm is the source that renders Helm charts, with Helm's own engine,
// and reports the objects that come out.
//
// A chart is foreign code. It is loaded and rendered in a child process (package
// sandbox); this side finds charts, answers what the child asks to read, and
// reads what it wrote as it reads any file.
package helm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/sandbox"
	"github.com/merlon-security/merlon/internal/secrets"
	"github.com/merlon-security/merlon/internal/source"
	"helm.sh/helm/v4/pkg/strvals"
)

// Name is the source's name in facts and gaps, and that of the child's job.
const Name = "helm"

// Source renders charts. The zero value finds none.
type Source struct {
	source.Input

	decoder source.Decoder
	emit    func(fact.Change) error
	values  []namedText
	files   int
	redact  *secrets.Detector
}

// Kind describes the source.
func Kind() config.Kind[source.Source] {
	return config.Kind[source.Source]{
		Name: Name, Doc: "Helm charts, rendered as `helm template` does: folders with Chart.yaml, packed charts", Example: "merlon scan chart/ --values prod.yaml",
		New: func(decode func(any) error) (source.Source, error) {
			s := &Source{}
			return s, decode(&s.Input)
		},
	}
}

// Files returns how many files the last Collect read for charts.
func (s *Source) Files() int { return s.files }

// Collect renders every chart of the survey that is no other's subchart, or,
// when the input names deployments, those.
func (s *Source) Collect(ctx context.Context, emit func(fact.Change) error) error {
	s.files = 0
	if err := s.settings(); err != nil {
		return err
	}
	return s.EachTree(ctx, emit, func(t *source.Tree, emit func(fact.Change) error) error {
		s.emit = emit
		return s.tree(ctx, t)
	})
}

// maxValues is how large a file of values may be.
const maxValues = 16 << 20

// settings reads what the user gave for charts. It must be right.
func (s *Source) settings() error {
	for _, set := range s.Rendering.Set {
		if _, err := strvals.Parse(set); err != nil {
			return fmt.Errorf("read --set: a part is no KEY=VALUE")
		}
	}
	s.values = s.values[:0]
	for _, name := range s.Rendering.Values {
		s.Watcher.Met(filepath.Dir(name))
		f, err := os.Open(name)
		if err != nil {
			return fmt.Errorf("read values: %w", err)
		}
		data, err := io.ReadAll(io.LimitReader(f, maxValues+1))
		f.Close()
		if err != nil {
			return fmt.Errorf("read values: %w", err)
		}
		if len(data) > maxValues {
			return fmt.Errorf("read values: %s is larger than %d MiB", name, maxValues>>20)
		}
		s.values = append(s.values, namedText{name, data})
	}
	return nil
}

// tree renders the charts of a tree. A chart below another's charts folder is a
// part of that one.
func (s *Source) tree(ctx context.Context, t *source.Tree) error {
	if len(s.Rendering.Deploys) > 0 {
		return s.deploys(ctx, t)
	}
	for _, item := range t.Of(source.Chart) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if t.Claimed(path.Join(item.Name, "Chart.yaml")) {
			continue
		}
		req := request{Root: item.Name, Archive: t.Root == nil, Values: s.values, Set: s.Rendering.Set, Release: s.Rendering.Release, Minor: s.Rendering.Minor}
		if err := s.chart(ctx, t, req, world(t, item.Name, s.Rendering)); err != nil {
			return err
		}
		claim(t, item.Name)
	}
	return nil
}

// world names a chart and the values that are not its own.
func world(t *source.Tree, root string, r source.Rendering) string {
	name := t.Place(root)
	if given := slices.Concat(r.Values, r.Set); len(r.Values) > 0 {
		name += " with " + strings.Join(r.Values, ", ")
	} else if len(given) > 0 {
		name += " with values of the command line"
	}
	return name
}

// claim keeps the files of a chart from being read as plain manifests: those
// that Helm itself gives a meaning. Others in its folder may be anything.
func claim(t *source.Tree, root string) {
	if t.Root == nil {
		return
	}
	for _, name := range []string{"Chart.yaml", "Chart.lock", "values.yaml", "values.schema.json", "requirements.yaml", "requirements.lock", "templates", "charts", "crds"} {
		t.Claim(path.Join(root, name))
	}
}

// chart renders one chart with one set of values.
func (s *Source) chart(ctx context.Context, t *source.Tree, req request, world string) error {
	what, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("describe chart %s: %w", req.Root, err)
	}
	var gaps []fact.Gap
	tell := func(c fact.Change) error {
		if c.Op == fact.GapOpened {
			gaps = append(gaps, c.Gap)
		}
		return s.emit(c)
	}
	files := source.NewFiles(t)
	err = s.Watcher.Rendered(Name+"\x00"+world+"\x00"+string(what), files, tell, func(emit func(fact.Change) error) error {
		return s.render(ctx, t, req, world, files, emit)
	})
	s.files += len(files.Used)
	if err == nil && s.Rendering.Charts != nil {
		s.offer(t, req, world, gaps)
	}
	return err
}

// render has a child render a chart, and reports what it answers.
func (s *Source) render(ctx context.Context, t *source.Tree, req request, world string, files *source.Files, emit func(fact.Change) error) error {
	var out rendered
	if err := s.Rendering.Runner.Run(ctx, Name, req, files, &out); err != nil {
		return s.failed(err, world, placeOf(t, req, "Chart.yaml"), emit)
	}
	return s.report(ctx, t, req, world, &out, emit)
}

// report tells what a child has rendered.
func (s *Source) report(ctx context.Context, t *source.Tree, req request, world string, out *rendered, emit func(fact.Change) error) error {
	s.decoder.Emit = emit
	place := func(name string) string { return placeOf(t, req, name) }
	for _, p := range out.Problems {
		g := fact.Gap{Kind: p.Kind, Source: Name, World: world, File: place(p.File), Pos: fact.Pos{Line: uint32(p.Line)}, Message: s.clean(p.Message)}
		if req.Archive {
			g.Pos = fact.Pos{}
		}
		if err := emit(fact.Change{Op: fact.GapOpened, Gap: g}); err != nil {
			return err
		}
	}
	for i := range out.Texts {
		x := &out.Texts[i]
		if !req.Archive && t.Excluded(path.Join(req.Root, x.File)) {
			continue
		}
		origin := fact.Origin{Source: Name, File: place(x.File), World: world, Root: rootOf(req)}
		if _, _, err := s.decoder.Decode(ctx, strings.NewReader(x.Text), origin, x.trace(origin)); err != nil {
			return err
		}
	}
	return nil
}

// placeOf is the path of a file of a chart as a person would write it.
func placeOf(t *source.Tree, req request, name string) string {
	if req.Archive || name == "" {
		return t.Place(req.Root)
	}
	return t.Place(path.Join(req.Root, name))
}

// rootOf is the name under which findings of a chart are known over time: its
// place in what is scanned, whatever that is called on this machine.
func rootOf(req request) string {
	if req.Archive {
		return path.Base(req.Root)
	}
	return req.Root
}

// trace turns what the child knows of a text's lines into places.
func (x *text) trace(origin fact.Origin) source.Trace {
	lines := map[uint32]fact.Written{}
	for _, l := range x.Lines {
		lines[l.Line] = fact.Written{File: origin.File, Pos: fact.Pos{Line: l.Template}, Root: origin.Root, Values: l.Values}
	}
	r := &fact.Rendering{Lines: lines}
	return func(o *fact.Object) { o.Rendering = r }
}

// failed tells a chart that could not be rendered.
func (s *Source) failed(err error, world, file string, emit func(fact.Change) error) error {
	g := fact.Gap{Source: Name, World: world, File: file}
	var failure *sandbox.Failure
	var refusal *sandbox.Refusal
	switch {
	case errors.As(err, &failure) && failure.Kind == sandbox.NotStarted:
		g.Kind, g.Message = "not-rendered", "a Helm chart: "+failure.Message+"; render it with 'helm template' and scan the output"
	case errors.As(err, &failure):
		g.Kind, g.Message = "render-failed", "the chart was not rendered: "+failure.Message
	case errors.As(err, &refusal):
		g.Kind, g.Message = "render-failed", "the chart was not rendered: "+s.clean(refusal.Message)
	default:
		return err
	}
	return emit(fact.Change{Op: fact.GapOpened, Gap: g})
}

// maxMessage is how much is shown of what a chart says.
const maxMessage = 400

// clean makes what a chart says fit to be shown: it may quote values.
func (s *Source) clean(message string) string {
	if s.redact == nil {
		s.redact = secrets.New()
	}
	message = strings.Join(strings.Fields(message), " ")
	if r := []rune(message); len(r) > maxMessage {
		message = string(r[:maxMessage]) + "…"
	}
	return s.redact.RedactText(message)
}
