package fact

import "slices"

// Snapshot is all state at one moment. It is immutable and safe for concurrent
// use; Apply gives the next one. The zero Snapshot is empty.
type Snapshot struct {
	objects []*Object
	gaps    []Gap
}

// Objects returns all objects in the order in which they were reported. The
// caller does not change the slice.
func (s *Snapshot) Objects() []*Object { return s.objects }

// Gaps returns what could not be seen, in the order in which it was met.
func (s *Snapshot) Gaps() []Gap { return s.gaps }

// Apply returns the snapshot after some changes. Files may hold two objects of
// one name, so an Upsert replaces an object only where the origin is the same.
func (s *Snapshot) Apply(changes ...Change) *Snapshot {
	next := &Snapshot{objects: slices.Clip(s.objects), gaps: slices.Clip(s.gaps)}
	type place struct {
		ref    Ref
		origin Origin
	}
	at := make(map[place]int, len(s.objects))
	for i, o := range s.objects {
		at[place{o.Ref(), o.Origin}] = i
	}
	deleted := map[int]bool{}
	copied := false
	for _, c := range changes {
		switch c.Op {
		case Upsert, Delete:
			key := place{c.Object.Ref(), c.Object.Origin}
			i, known := at[key]
			if known && !copied {
				next.objects, copied = slices.Clone(next.objects), true
			}
			switch {
			case c.Op == Delete && known:
				deleted[i] = true
			case known:
				next.objects[i] = c.Object
				delete(deleted, i)
			case c.Op == Upsert:
				at[key] = len(next.objects)
				next.objects = append(next.objects, c.Object)
			}
		case GapOpened:
			next.gaps = append(next.gaps, c.Gap)
		case GapClosed:
			next.gaps = slices.DeleteFunc(slices.Clone(next.gaps), func(g Gap) bool { return g == c.Gap })
		}
	}
	if len(deleted) > 0 {
		kept := make([]*Object, 0, len(next.objects)-len(deleted))
		for i, o := range next.objects {
			if !deleted[i] {
				kept = append(kept, o)
			}
		}
		next.objects = kept
	}
	return next
}
