package remedy

import (
	"errors"
	"fmt"
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// apply applies proposals, which concern one file or one object without a file,
// to a state, and returns those that were applied. The others are excluded, with
// the reason.
func (m *maker) apply(s *state, proposals []*amended) []*amended {
	kept := m.compatible(proposals)
	if m.edit(s, kept) == nil {
		return kept
	}
	// One of them is the cause: go document by document, and there one by one.
	var done []*amended
	for len(kept) > 0 {
		doc := s.places[kept[0].object].doc
		same := func(a *amended) bool { return s.places[a.object].doc == doc }
		group := slices.DeleteFunc(slices.Clone(kept), func(a *amended) bool { return !same(a) })
		kept = slices.DeleteFunc(kept, same)
		if m.edit(s, group) == nil {
			done = append(done, group...)
			continue
		}
		done = append(done, m.oneByOne(s, group)...)
	}
	return done
}

// oneByOne applies what can be applied of proposals of one document.
func (m *maker) oneByOne(s *state, group []*amended) []*amended {
	var good []*amended
	for _, p := range group {
		if err := m.edit(s.copy(), append(slices.Clone(good), p)); err != nil {
			m.excluded[p.finding.ID] = "the file could not be edited: " + err.Error()
			continue
		}
		good = append(good, p)
	}
	if len(good) == 0 || m.edit(s, good) != nil {
		return nil
	}
	return good
}

// edit applies amendments of one file, all or none.
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

// edit applies amendments of one file; after an error the state is of no use.
func (s *state) edit(list []*amended, types *yamldoc.Types) error {
	if len(list) == 0 {
		return errors.New("nothing to do")
	}
	p := s.places[list[0].object]
	if p.file == "" {
		return s.editObject(list)
	}
	edits := map[int][]fact.Edit{}
	for _, a := range list {
		at := s.places[a.object]
		var prefix []fact.Step
		if at.item >= 0 {
			prefix = []fact.Step{fact.Field("items"), fact.Element(at.item)}
		}
		for _, e := range a.Edits {
			e.Path = slices.Concat(prefix, e.Path)
			edits[at.doc] = append(edits[at.doc], e)
		}
	}
	for doc := range edits {
		edits[doc] = fact.Compose(edits[doc])
	}
	after, err := yamldoc.EditAll(s.files[p.file], edits)
	if err != nil {
		return err
	}
	roots, err := checked(types, s.files[p.file], after, edits)
	if err != nil {
		return err
	}
	s.files[p.file] = after
	for i, q := range s.places {
		if root, edited := roots[q.doc]; q.file == p.file && edited {
			if err := s.replace(i, root[max(q.item, 0)]); err != nil {
				return err
			}
		}
	}
	return nil
}

// checked returns the objects of the edited documents, or an error where the API
// server would take less of one than before.
func checked(types *yamldoc.Types, before, after []byte, edited map[int][]fact.Edit) (map[int][]fact.Value, error) {
	problems := map[int]int{}
	for _, d := range documents(before) {
		if edited[d.Index] != nil {
			problems[d.Index] = len(types.Check(d.Root))
		}
	}
	roots := map[int][]fact.Value{}
	for _, d := range documents(after) {
		if edited[d.Index] == nil {
			continue
		}
		if len(types.Check(d.Root)) > problems[d.Index] {
			return nil, errors.New("the API server would not take the result")
		}
		roots[d.Index] = items(d.Root)
	}
	return roots, nil
}

func (s *state) replace(i int, root fact.Value) error {
	o, ok := s.objects[i].Edited(root)
	if !ok || o.Ref() != s.objects[i].Ref() {
		return fmt.Errorf("object %d is another one after the edit", i)
	}
	s.objects[i] = o
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
