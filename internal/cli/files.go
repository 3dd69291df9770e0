package cli

import (
	"context"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/sandbox"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/spf13/pflag"
)

// fileFlags say which files are read, and how charts among them are rendered.
type fileFlags struct {
	exclude []string
	values  []string
	set     []string
	release string
}

func (f *fileFlags) register(fl *pflag.FlagSet) {
	fl.StringArrayVar(&f.exclude, "exclude", nil, "`PATTERN` of files to leave out, in the form of .gitignore (repeatable)")
	fl.StringArrayVar(&f.values, "values", nil, "`FILE` of values for every Helm chart that is found, later ones over earlier (repeatable)")
	fl.StringArrayVar(&f.set, "set", nil, "value for every Helm chart that is found, as `KEY=VALUE`, over the files (repeatable)")
	fl.StringVar(&f.release, "release", "", "`NAME` of the release that charts are rendered for (default release-name, as helm template has it)")
}

// source returns the source of some paths. minor is the version of Kubernetes
// that charts are told, 0 for the newest.
func (f *fileFlags) source(s Streams, paths []string, minor int, watch bool) source.Source {
	if minor == 0 {
		minor = assess.NewestMinor()
	}
	return &files{watch: watch, in: source.Input{Paths: paths, Exclude: f.exclude, Stdin: s.In, Rendering: source.Rendering{
		Runner: &sandbox.Runner{Self: s.Self}, Values: f.values, Set: f.set, Release: f.release, Minor: minor,
	}}}
}

// files is every source of files as one. They look at one survey of the paths:
// those of charts and overlays come first and claim their files; once all is read,
// what GitOps objects deploy from the tree is rendered, too.
type files struct {
	in    source.Input
	watch bool
	read  int

	keep   bool // the survey stays open, for the charts found, until close
	survey *source.Survey
	charts []source.Revisable
}

// close closes what keep has kept open.
func (f *files) close() {
	if f.survey != nil {
		f.survey.Close()
	}
}

// Files returns how many files were read last.
func (f *files) Files() int { return f.read }

// Collect reads everything once or, when it watches, goes on until ctx ends.
func (f *files) Collect(ctx context.Context, emit func(fact.Change) error) error {
	if f.watch {
		return source.Watch(ctx, func(w *source.Watcher, emit func(fact.Change) error) error { return f.once(ctx, w, emit) }, emit)
	}
	if err := f.once(ctx, nil, emit); err != nil {
		return err
	}
	return emit(fact.Change{Op: fact.Synced})
}

func (f *files) once(ctx context.Context, w *source.Watcher, emit func(fact.Change) error) error {
	survey, err := w.Survey(ctx, f.in.Paths, f.in.Exclude)
	if err != nil {
		return err
	}
	in := f.in
	if f.keep {
		f.survey = survey
		in.Rendering.Charts = func(c source.Revisable) { f.charts = append(f.charts, c) }
	} else {
		defer survey.Close()
	}
	f.read = 0
	var deployers []*fact.Object
	take := func(c fact.Change) error {
		switch {
		case c.Op == fact.Synced:
			return nil // the others are not
		case c.Op == fact.Upsert && source.Deployer(c.Object):
			deployers = append(deployers, c.Object)
		}
		return emit(c)
	}
	in.Survey, in.Watcher = survey, w
	if err := f.from(ctx, in, builtin.Files(), take); err != nil {
		return err
	}
	if in.Rendering.Deploys = source.Deploys(survey, deployers); len(in.Rendering.Deploys) > 0 {
		return f.from(ctx, in, builtin.Renderers(), take)
	}
	return nil
}

// from reads what some sources have.
func (f *files) from(ctx context.Context, in source.Input, kinds []config.Kind[source.Source], emit func(fact.Change) error) error {
	for _, kind := range kinds {
		src, err := kind.New(func(v any) error {
			*v.(*source.Input) = in
			return nil
		})
		if err != nil {
			return err
		}
		if err := src.Collect(ctx, emit); err != nil {
			return err
		}
		if c, ok := src.(source.Counter); ok {
			f.read += c.Files()
		}
	}
	return nil
}
