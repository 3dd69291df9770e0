package yamldoc

import "github.com/merlon-security/merlon/internal/fact"

// Keys that stand twice in one map of JSON or protobuf. Both are written into
// the tree as they are read, when it is not yet known whether a key comes again;
// so they are only noticed there, and the rare tree that has some is copied.

// duplicates looks for keys that stand twice in the map whose keys lie on the
// stack from an index on.
func (s *jsonScanner) duplicates(from int) {
	keys := s.keys[from:]
	if len(keys) <= manyKeys {
		for i := 1; i < len(keys); i++ {
			for j := range i {
				if keys[i] == keys[j] {
					s.duplicate(from + i)
					break
				}
			}
		}
		return
	}
	if s.seen == nil {
		s.seen = make(map[fact.Key]struct{})
	}
	clear(s.seen)
	for i, k := range keys {
		if _, ok := s.seen[k]; ok {
			s.duplicate(from + i)
		}
		s.seen[k] = struct{}{}
	}
}

func (s *jsonScanner) duplicate(i int) {
	s.doubled = true
	if len(s.problems) == maxProblems {
		return
	}
	s.problems = append(s.problems, Problem{
		Kind: DuplicateKey, Pos: s.places[i], Path: s.keys[i].String(),
		Message: "the key stands twice in one map; this one replaces the one before",
	})
}

// withoutDuplicates copies a value, of entries with the same key only the last.
func withoutDuplicates(b *fact.Builder, key fact.Key, v fact.Value) {
	if k := v.Kind(); k != fact.Map && k != fact.List {
		b.Copy(key, v)
		return
	}
	last := make(map[fact.Key]fact.Value)
	if v.Kind() == fact.Map {
		for c := range v.Children() {
			last[c.Key()] = c
		}
	}
	b.Begin(key, v.Pos(), v.Kind())
	for c := range v.Children() {
		if v.Kind() == fact.List || last[c.Key()].Same(c) {
			withoutDuplicates(b, c.Key(), c)
		}
	}
	b.End()
}
