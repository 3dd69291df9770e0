package remedy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// document applies proposals, which concern one document, to a state, and
// returns those that were applied. The others are excluded, with the reason.
func (m *maker) document(s *state, proposals []*amended) []*amended {
	kept := m.compatible(proposals)
	if m.edit(s, kept) == nil {
		return kept
	}
	// One of them is the cause: add them one by one.
	var good []*amended
	for _, p := range kept {
		if err := m.edit(s.copy(), append(slices.Clone(good), p)); err != nil {
			m.excluded[p.finding.ID] = "the file could not be edited: " + err.Error()
			continue
		}
		good = append(good, p)
	}
	if m.edit(s, good) != nil {
		return nil
	}
	return good
}

// edit applies amendments of one document, all or none.
func (m *maker) edit(s *state, list []*amended) error {
	trial := s.copy()
	if err := trial.edit(list, m.types); err != nil {
		return err
	}
	*s = *trial
	return nil
}

// compatible excludes proposals that contradict one before them, which is at
// least as severe.
func (m *maker) compatible(proposals []*amended) []*amended {
	var kept []*amended
	for _, p := range proposals {
		i := slices.IndexFunc(kept, func(k *amended) bool { return k.object == p.object && contradict(k.Edits, p.Edits) })
		if i >= 0 {
			m.excluded[p.finding.ID] = "it contradicts the fix of " + kept[i].finding.Control
			continue
		}
		kept = append(kept, p)
	}
	return kept
}

// contradict reports whether two lists of edits cannot both hold.
func contradict(a, b []fact.Edit) bool {
	for i := range a {
		for j := range b {
			if e, f := &a[i], &b[j]; !e.Same(f) && clash(e, f) {
				return true
			}
		}
	}
	return false
}

func clash(e, f *fact.Edit) bool {
	if len(e.Path) > len(f.Path) {
		e, f = f, e
	}
	if !slices.Equal(e.Path, f.Path[:len(e.Path)]) {
		return false
	}
	same := len(e.Path) == len(f.Path)
	switch e.Op { // what happens to the outer place
	case fact.AddToList:
		return f.Op != fact.AddToList && same
	case fact.Remove:
		return f.Op != fact.Remove
	}
	return true
}

func (s *state) copy() *state {
	c := *s
	c.files = make(map[string][]byte, len(s.files))
	for k, v := range s.files {
		c.files[k] = v
	}
	c.objects = slices.Clone(s.objects)
	return &c
}

// edit applies amendments of one document; after an error the state is of no use.
func (s *state) edit(list []*amended, types *yamldoc.Types) error {
	if len(list) == 0 {
		return errors.New("nothing to do")
	}
	p := s.places[list[0].object]
	if p.file == "" {
		return s.editObject(list)
	}
	var edits []fact.Edit
	for _, a := range list {
		var prefix []fact.Step
		if item := s.places[a.object].item; item >= 0 {
			prefix = []fact.Step{fact.Field("items"), fact.Element(item)}
		}
		for _, e := range a.Edits {
			e.Path = slices.Concat(prefix, e.Path)
			edits = append(edits, e)
		}
	}
	before := s.files[p.file]
	after, err := yamldoc.Edit(before, p.doc, fact.Compose(edits))
	if err != nil {
		return err
	}
	root, err := checked(types, before, after, p.doc)
	if err != nil {
		return err
	}
	s.files[p.file] = after
	roots := items(root)
	for i, q := range s.places {
		if q.file == p.file && q.doc == p.doc {
			if err := s.replace(i, roots[max(q.item, 0)]); err != nil {
				return err
			}
		}
	}
	return nil
}

// checked returns the edited document, or an error where the API server would
// take less of it than before.
func checked(types *yamldoc.Types, before, after []byte, doc int) (fact.Value, error) {
	var roots [2]fact.Value
	var problems [2]int
	for i, data := range [][]byte{before, after} {
		docs := documents(data)
		j := slices.IndexFunc(docs, func(d yamldoc.Document) bool { return d.Index == doc })
		if j < 0 {
			return fact.Value{}, errors.New("the document is not there")
		}
		roots[i], problems[i] = docs[j].Root, len(types.Check(docs[j].Root))
	}
	if problems[1] > problems[0] {
		return fact.Value{}, errors.New("the API server would not take the result")
	}
	return roots[1], nil
}

func (s *state) replace(i int, root fact.Value) error {
	o, ok := fact.NewObject(root, s.objects[i].Origin)
	if !ok || o.Ref() != s.objects[i].Ref() {
		return fmt.Errorf("object %d is another one after the edit", i)
	}
	o.Waivers = s.objects[i].Waivers
	s.objects[i] = &o
	return nil
}

// editObject applies amendments to an object that stands in no file.
func (s *state) editObject(list []*amended) error {
	i := list[0].object
	root := s.objects[i].Root
	var edits []fact.Edit
	for _, a := range list {
		edits = append(edits, a.Edits...)
	}
	for _, e := range fact.Compose(edits) {
		var err error
		if root, err = e.Apply(root); err != nil {
			return err
		}
	}
	return s.replace(i, root)
}
