package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/framework"
)

// question is what one engine is compiled for.
type question struct {
	controls []*control.Control
	params   map[string]map[string]any // by control
	minor    int
}

func (q *question) key() string {
	var b strings.Builder
	for _, c := range q.controls {
		b.WriteString(c.ID + " ")
	}
	params, err := json.Marshal(q.params)
	if err != nil {
		params = fmt.Append(nil, q.params)
	}
	fmt.Fprintf(&b, "%d %s", q.minor, params)
	return b.String()
}

// unit is one verdict of one control on one subject.
type unit struct {
	control   string
	object    *fact.Object // nil for namespaces that are only named, and for the input as a whole
	container string
	ctype     string
	verdict   finding.Verdict
}

// judgement is an engine's answer on one input.
type judgement struct {
	hits  []hit
	units []unit
}

// judge answers a question on an input. It is an interface so that a test can
// put in an engine that errs.
type judge interface {
	judge(q *question, in *input) (*judgement, error)
}

// compiled is one engine, kept for the next case that asks the same.
type compiled struct {
	engine *assess.Engine
	units  []unit
}

// engines is Merlon's engine. It keeps what it compiled. It is not safe for
// concurrent use.
type engines struct {
	lib  *control.Library
	kept map[string]*compiled
}

func newEngines() *engines {
	return &engines{lib: control.NewLibrary(), kept: map[string]*compiled{}}
}

func (e *engines) judge(q *question, in *input) (*judgement, error) {
	key := q.key()
	c := e.kept[key]
	if c == nil {
		c = &compiled{}
		c.engine = assess.New(e.lib, q.controls, assess.Options{Minor: q.minor, Params: q.params, Workers: 1, Observe: c.observe})
		e.kept[key] = c
	}
	c.units = nil
	a, err := c.engine.Assess(in.snapshot)
	if err != nil {
		return nil, err
	}
	return &judgement{hits: hitsOf(a.Report(nil, nil).Findings, in), units: c.units}, nil
}

func (c *compiled) observe(k *control.Control, s control.Subject, v finding.Verdict) {
	u := unit{control: k.ID, object: s.Object, verdict: v}
	if s.Container != nil {
		u.container, u.ctype = s.Container.Value.Get(fact.K("name")).Str(), string(s.Container.Type)
	}
	c.units = append(c.units, u)
}

// catalogue is what Merlon ships: controls and frameworks.
type catalogue struct {
	controls   map[string]*control.Control
	frameworks map[string]*framework.Framework
	newest     int
}

// loadCatalogue reads controls and frameworks. An error may be about single
// ones; the others are there.
func loadCatalogue(controls, frameworks fs.FS) (*catalogue, error) {
	cat := &catalogue{controls: map[string]*control.Control{}, frameworks: map[string]*framework.Framework{}, newest: assess.NewestMinor()}
	list, err := control.Load(controls, true)
	for _, c := range list {
		cat.controls[c.ID] = c
		for _, alias := range c.Aliases {
			if cat.controls[alias] == nil {
				cat.controls[alias] = c
			}
		}
	}
	fws, ferr := framework.Load(frameworks)
	for _, f := range fws {
		cat.frameworks[f.Name] = f
	}
	return cat, errors.Join(err, ferr)
}

// runner runs cases.
type runner struct {
	data      data
	catalogue *catalogue
	judge     judge
	table     *table // of the oracle at work
}

// setting is what a case says besides its objects.
type setting struct {
	minor  *int // Kubernetes 1.minor; nil: the newest
	values map[string]any
}

// answer is what the rows of one check say about an input.
type answer struct {
	id     string
	mapped bool
	notes  []string // why there is no full answer
	hits   []hit
	units  []unit
	rows   []*row
}

// ask judges an input by what a check maps to. A check that no row names, or
// that names no control, is not mapped.
func (r *runner) ask(in *input, id string, s setting) (*answer, error) {
	a := &answer{id: id}
	rows := r.table.rows(id)
	if len(rows) == 0 {
		a.notes = append(a.notes, "no map names the check "+id)
	}
	for _, row := range rows {
		if !row.options.holds(s) {
			continue
		}
		if len(row.controls) == 0 {
			a.notes = append(a.notes, "not answered: "+row.note)
			continue
		}
		if err := r.askRow(in, row, s, a); err != nil {
			return nil, err
		}
	}
	return a, nil
}

func (r *runner) askRow(in *input, row *row, s setting, a *answer) error {
	q := &question{minor: row.minor(s, r.catalogue.newest), params: map[string]map[string]any{}}
	for _, id := range row.controls {
		c := r.catalogue.controls[id]
		if c == nil {
			a.notes = append(a.notes, row.place()+": there is no control "+id)
			continue
		}
		q.controls = append(q.controls, c)
		if p := row.options.paramsFor(c, s); len(p) > 0 {
			q.params[c.ID] = p
		}
	}
	if len(q.controls) == 0 {
		return nil
	}
	a.mapped = true
	a.rows = append(a.rows, row)
	j, err := r.judge.judge(q, in)
	if err != nil {
		return err
	}
	hits, units := row.options.apply(in, j)
	a.hits, a.units = append(a.hits, hits...), append(a.units, units...)
	return nil
}

func (row *row) minor(s setting, newest int) int {
	switch {
	case row.options.minor > 0:
		return row.options.minor
	case s.minor != nil:
		return *s.minor
	}
	return newest
}

// holds reports whether a row is for cases with these settings.
func (o *options) holds(s setting) bool {
	on := func(name string) bool { v, ok := s.values[name]; return ok && v != false }
	return !slices.ContainsFunc(o.when, func(n string) bool { return !on(n) }) && !slices.ContainsFunc(o.unless, on)
}

// paramsFor returns the settings of a row that a control has, those that a case
// gives itself included.
func (o *options) paramsFor(c *control.Control, s setting) map[string]any {
	out := map[string]any{}
	for name, v := range o.params {
		if _, ok := c.Params[name]; ok {
			out[name] = v
		}
	}
	for _, t := range o.config {
		name := t.param
		if _, ok := c.Params[name]; !ok {
			continue
		}
		source, first := strings.CutSuffix(t.key, "[0]")
		v, ok := s.values[source]
		if list, isList := v.([]any); first && isList {
			if ok = len(list) > 0; ok {
				v = list[0]
			}
		}
		if ok {
			out[name] = v
		}
	}
	return out
}

// verdict is the worst that was found: fail, unknown, pass.
func (a *answer) verdict() finding.Verdict {
	worst := finding.Pass
	for _, h := range a.hits {
		switch h.verdict {
		case finding.Fail:
			return finding.Fail
		case finding.Unknown:
			worst = finding.Unknown
		}
	}
	return worst
}

// failed returns the hits that are failures.
func (a *answer) failed() []hit {
	var out []hit
	for _, h := range a.hits {
		if h.verdict == finding.Fail {
			out = append(out, h)
		}
	}
	return out
}

// count returns how many failures there are, counted as the rows say.
func (a *answer) count() int {
	how := "findings"
	for _, r := range a.rows {
		if r.options.count != "" {
			how = r.options.count
		}
	}
	type place struct {
		object *fact.Object
		name   string
		more   string
	}
	seen := map[place]bool{}
	for _, h := range a.failed() {
		p := place{object: h.object, name: h.kind + "/" + h.namespace + "/" + h.name}
		switch how {
		case "findings":
			p.more = h.container + "\x00" + h.path + h.via
		case "containers":
			p.more = h.container
		}
		seen[p] = true
	}
	return len(seen)
}
