package remedy

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// notes collects what the engine tells while it runs.
type notes struct {
	sync.Mutex
	all []note
}

type note struct {
	finding finding.Finding
	object  *fact.Object
	control.Amendment
	err error
}

func (m *maker) amend(f *finding.Finding, o *fact.Object, a control.Amendment, err error) {
	m.notes.Lock()
	defer m.notes.Unlock()
	m.notes.all = append(m.notes.all, note{*f, o, a, err})
}

// begin finds the objects of the snapshot in their files.
func (m *maker) begin() (*state, error) {
	s := &state{files: maps.Clone(m.Files), objects: slices.Clone(m.Snapshot.Objects())}
	type found struct {
		object *fact.Object
		item   int
		taken  bool
	}
	read := map[string]map[int][]found{}
	for name, data := range m.Files {
		docs := map[int][]found{}
		for _, d := range documents(data) {
			for i, root := range items(d.Root) {
				if o, ok := fact.NewObject(root, fact.Origin{}); ok {
					docs[d.Index] = append(docs[d.Index], found{object: &o, item: i})
				}
			}
			if len(docs[d.Index]) == 1 && !isList(d.Root) {
				docs[d.Index][0].item = -1
			}
		}
		read[name] = docs
	}
	s.places = make([]place, len(s.objects))
	for i, o := range s.objects {
		if o.Origin.World != "" {
			continue
		}
		for j := range read[o.Origin.File][o.Origin.Doc] {
			if c := &read[o.Origin.File][o.Origin.Doc][j]; !c.taken && fact.Equal(c.object.Root, o.Root) {
				c.taken = true
				s.places[i] = place{o.Origin.File, o.Origin.Doc, c.item}
				break
			}
		}
	}
	return s, m.assess(s)
}

func documents(data []byte) []yamldoc.Document {
	var out []yamldoc.Document
	r := yamldoc.NewReader(bytes.NewReader(data), "", yamldoc.Limits{})
	for {
		d, err := r.Next()
		var broken *yamldoc.Error
		switch {
		case err == nil:
			out = append(out, d)
		case !errors.As(err, &broken):
			return out
		}
	}
}

func isList(root fact.Value) bool {
	return strings.HasSuffix(root.At("kind").Str(), "List") && root.At("items").Kind() == fact.List
}

// items returns the objects of a document: itself, or those of a list, each as a
// document of its own.
func items(root fact.Value) []fact.Value {
	if !isList(root) {
		return []fact.Value{root}
	}
	var out []fact.Value
	b := &fact.Builder{Positions: true}
	for c := range root.At("items").Children() {
		b.Copy(fact.Key{}, c)
		out = append(out, b.Tree().Root())
	}
	return out
}

// assess judges a state.
func (m *maker) assess(s *state) error {
	changes := make([]fact.Change, 0, len(s.objects))
	index := make(map[*fact.Object]int, len(s.objects))
	for i, o := range s.objects {
		changes = append(changes, fact.Change{Op: fact.Upsert, Object: o})
		index[o] = i
	}
	m.notes.all = nil
	a, err := m.engine.Assess((&fact.Snapshot{}).Apply(changes...))
	if err != nil {
		return fmt.Errorf("assess: %w", err)
	}
	s.findings = a.Report(nil, nil).Findings
	s.amended = nil
	for _, n := range m.notes.all {
		i, known := index[n.object]
		if !known {
			i = -1
		}
		s.amended = append(s.amended, amended{n.finding, i, n.Amendment, n.err})
	}
	slices.SortStableFunc(s.amended, func(a, b amended) int {
		return cmp.Or(cmp.Compare(b.finding.Severity, a.finding.Severity), cmp.Compare(a.object, b.object),
			cmp.Compare(a.finding.Control, b.finding.Control), cmp.Compare(a.finding.ID, b.finding.ID), cmp.Compare(a.finding.Location.Line, b.finding.Location.Line))
	})
	return nil
}

// round applies the fixes that a state asks for, and reports whether there were
// any.
func (m *maker) round(r *result) bool {
	now := countOf(r.findings)
	type target struct {
		file   string
		object int // where there is no file
	}
	proposals := map[target][]*amended{}
	var order []target
	for i := range r.amended {
		a := &r.amended[i]
		f := &a.finding
		if !m.wanted(f, now) || m.excluded[f.ID] != "" {
			continue
		}
		if l := m.leave(a); l != nil {
			if r.left[f.ID] == nil {
				r.left[f.ID] = l
			}
			continue
		}
		t := target{object: a.object}
		if p := r.places[a.object]; p.file != "" {
			t = target{file: p.file}
		}
		if proposals[t] == nil {
			order = append(order, t)
		}
		proposals[t] = append(proposals[t], a)
	}
	changed := false
	for _, t := range order {
		made := m.apply(&r.state, proposals[t])
		for _, a := range made {
			r.note(a)
		}
		changed = changed || len(made) > 0
	}
	return changed
}

// leave says why an amendment is not applied; nil when it is.
func (m *maker) leave(a *amended) *Left {
	l := &Left{Finding: a.finding, Kind: Withheld}
	switch {
	case a.err != nil:
		l.Why = []string{a.err.Error()}
	case len(a.Asks) > 0:
		l.Kind, l.Why = Question, a.Asks
	case len(a.Edits) == 0:
		l.Why = []string{"the patch has nothing to change here"}
	case a.object < 0:
		l.Why = []string{"the subject stands in no file"}
	case m.Safe && len(a.Tests) > 0:
		l.Why = a.Tests
	default:
		return nil
	}
	return l
}

// note keeps what was done for a finding.
func (r *result) note(a *amended) {
	id := a.finding.ID
	f := r.fixes[id]
	if f == nil {
		f = &Fix{Finding: a.finding, File: a.finding.Location.File, Tests: a.Tests}
		r.fixes[id] = f
	}
	for _, w := range a.finding.Worlds {
		if !slices.Contains(f.Finding.Worlds, w) {
			f.Finding.Worlds = append(slices.Clone(f.Finding.Worlds), w)
		}
	}
	for _, e := range a.Edits {
		r.edits[id] = append(r.edits[id], located{a.object, e})
		f.Changes = append(f.Changes, Change{Op: e.Op.String(), Path: fact.PathText(e.Path), Value: plain(e.Value)})
	}
	if !slices.Contains(r.on[id], a.object) {
		r.on[id] = append(r.on[id], a.object)
	}
}

// plain turns a value into what encoding/json writes.
func plain(v fact.Value) any {
	switch v.Kind() {
	case fact.Absent, fact.Null:
		return nil
	case fact.Bool:
		return v.Bool()
	case fact.Int:
		return v.Int()
	case fact.Float:
		return v.Float()
	case fact.String:
		return v.Str()
	case fact.List:
		out := []any{}
		for c := range v.Children() {
			out = append(out, plain(c))
		}
		return out
	}
	out := map[string]any{}
	for c := range v.Children() {
		out[c.Key().String()] = plain(c)
	}
	return out
}

func written(o *fact.Object) []byte { return yamldoc.YAML(o.Root) }
