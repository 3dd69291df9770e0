package control

import (
	"github.com/merlon-security/merlon/internal/control/expr"
	"github.com/merlon-security/merlon/internal/fact"
)

// Component answers for one component of Kubernetes: what is in force and where
// it comes from.
type Component interface {
	Name() string
	Version() string
	Flag(name string) string
	FlagSet(name string) bool
	// Known reports whether Flag is sure: false where a file that was not read
	// may say otherwise.
	Known(name string) bool
	// Places are all that say something of the flag, the one that counts first:
	// words of the command line, fields of files, or the list that misses it.
	Places(name string) []fact.Value
	Place(name string) string
	// Setting is a field of the configuration file, absent where there is none.
	Setting(path []string) fact.Value
	Conflicts() []Conflict
	Advisories() []Advisory
}

// Conflict is a setting that is given twice with different values.
type Conflict struct{ Flag, Value, Place, OtherValue, OtherPlace string }

// Advisory is a published vulnerability in whose range the component lies.
type Advisory struct {
	ID, Summary, Severity, Fixed string
	Score                        float64
	Applies                      bool
	Evidence                     string // why it does not apply
}

// componentFunction makes a function of the component that is judged.
func componentFunction(name string, n int, call func(c Component, f *expr.Frame, args []expr.Value) expr.Value) expr.Func {
	return expr.Func{Name: name, Min: n, Max: n, Whole: true, Call: func(f *expr.Frame, args []expr.Value) expr.Value {
		c := f.World.(*view).judge.subject.Component
		if c == nil {
			return bad(name)
		}
		return call(c, f, args)
	}}
}

// noted records every place that speaks of a flag. The evaluation's last read is
// the finding's place, so the one that counts comes last.
func noted(c Component, f *expr.Frame, name string) {
	places := c.Places(name)
	for i := len(places) - 1; i >= 0; i-- {
		f.Note(places[i])
	}
}

func componentFunctions() []expr.Func {
	return []expr.Func{
		componentFunction("flag", 1, func(c Component, f *expr.Frame, args []expr.Value) expr.Value {
			noted(c, f, args[0].Str())
			return expr.StringOf(c.Flag(args[0].Str()))
		}),
		componentFunction("flagSet", 1, func(c Component, f *expr.Frame, args []expr.Value) expr.Value {
			noted(c, f, args[0].Str())
			return expr.BoolOf(c.FlagSet(args[0].Str()))
		}),
		componentFunction("known", 1, func(c Component, _ *expr.Frame, args []expr.Value) expr.Value {
			return expr.BoolOf(c.Known(args[0].Str()))
		}),
		componentFunction("origin", 1, func(c Component, _ *expr.Frame, args []expr.Value) expr.Value {
			return expr.StringOf(c.Place(args[0].Str()))
		}),
		componentFunction("setting", 1, componentSetting),
		componentFunction("conflicts", 0, func(c Component, _ *expr.Frame, _ []expr.Value) expr.Value {
			out := []any{}
			for _, x := range c.Conflicts() {
				out = append(out, map[string]any{"id": x.Flag, "flag": x.Flag, "value": x.Value, "place": x.Place, "otherValue": x.OtherValue, "otherPlace": x.OtherPlace})
			}
			return expr.FromGo(out)
		}),
		componentFunction("advisories", 0, func(c Component, _ *expr.Frame, _ []expr.Value) expr.Value {
			out := []any{}
			for _, a := range c.Advisories() {
				out = append(out, map[string]any{"id": a.ID, "summary": a.Summary, "severity": a.Severity, "score": a.Score, "fixed": a.Fixed, "applies": a.Applies, "evidence": a.Evidence})
			}
			return expr.FromGo(out)
		}),
		componentFunction("version", 0, func(c Component, _ *expr.Frame, _ []expr.Value) expr.Value {
			return expr.StringOf(c.Version())
		}),
	}
}

// componentSetting returns a field of the configuration file, by the list of
// keys that lead to it, as an optional.
func componentSetting(c Component, f *expr.Frame, args []expr.Value) expr.Value {
	if args[0].Kind() != expr.List {
		return bad("setting")
	}
	var path []string
	for _, step := range args[0].Elems() {
		path = append(path, step.Str())
	}
	v := c.Setting(path)
	if !v.Present() {
		return expr.None()
	}
	f.Note(v)
	return expr.Some(expr.FromFact(v))
}
