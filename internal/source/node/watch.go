//go:build linux

package node

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/fact"
)

// watch reads the machine again and again and reports what differs from the time
// before, until ctx ends. The kernel tells nobody when a process starts with
// other flags, so there is no other way than to look.
func (s *Source) watch(ctx context.Context, emit func(fact.Change) error) error {
	told := &told{objects: map[string]*fact.Object{}, gaps: map[fact.Gap]bool{}}
	for {
		if s.Clock != nil {
			s.Now = s.Clock()
		}
		var now []fact.Change
		err := s.once(ctx, func(c fact.Change) error {
			now = append(now, c)
			return nil
		})
		if err != nil {
			return err
		}
		for _, c := range told.differences(now) {
			if err := emit(c); err != nil {
				return err
			}
		}
		if err := emit(fact.Change{Op: fact.Synced}); err != nil {
			return err
		}
		t := time.NewTimer(cmp.Or(s.Every, 30*time.Second))
		select {
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		case <-t.C:
		}
	}
}

// told is what was told of the machine.
type told struct {
	objects map[string]*fact.Object
	gaps    map[fact.Gap]bool
	docs    int
}

// identity names an object so that it is the same at the next look: a process by
// what it is, not by its number.
func identity(o *fact.Object) string {
	file := o.Origin.File
	if strings.HasPrefix(file, "/proc/") {
		file = ""
	}
	return o.GroupKind() + "\x00" + o.Namespace + "\x00" + o.Name + "\x00" + file
}

// differences says how to come from what was told to what is there now.
func (t *told) differences(now []fact.Change) []fact.Change {
	var out []fact.Change
	objects, gaps := map[string]*fact.Object{}, map[fact.Gap]bool{}
	for _, c := range now {
		switch c.Op {
		case fact.GapOpened:
			if gaps[c.Gap] = true; !t.gaps[c.Gap] {
				out = append(out, c)
			}
		case fact.Upsert:
			key := identity(c.Object)
			if objects[key] != nil {
				continue
			}
			objects[key] = c.Object
			out = append(out, t.object(key, c.Object)...)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(t.objects)) {
		if objects[key] == nil {
			out = append(out, fact.Change{Op: fact.Delete, Object: t.objects[key]})
		}
	}
	for g := range t.gaps {
		if !gaps[g] {
			out = append(out, fact.Change{Op: fact.GapClosed, Gap: g})
		}
	}
	t.objects, t.gaps = objects, gaps
	return out
}

// object takes the place of what was told under its key. The number of its
// document stays, so that it is the same object to everybody.
func (t *told) object(key string, o *fact.Object) []fact.Change {
	before := t.objects[key]
	if before == nil {
		o.Origin.Doc = t.docs
		t.docs++
		return []fact.Change{{Op: fact.Upsert, Object: o}}
	}
	o.Origin.Doc = before.Origin.Doc
	switch {
	case o.Origin != before.Origin: // started anew
		return []fact.Change{{Op: fact.Delete, Object: before}, {Op: fact.Upsert, Object: o}}
	case !fact.Equal(o.Root, before.Root):
		return []fact.Change{{Op: fact.Upsert, Object: o}}
	}
	return nil
}
