package cluster

import (
	"bytes"

	"github.com/merlon-security/merlon/internal/fact"
)

// A pod is made by a ReplicaSet, which is made by a Deployment, which is what a
// person edits. What carries pods and is owned by something else that does is
// judged through its owner: it is not told, only its pods are counted. An owner
// that carries no pods, such as a Node or a Gateway, hides nothing.

// owner returns what hides an entry, or nil.
func (v *view) owner(e *entry) *entry {
	if !e.feed.workload {
		return nil
	}
	if o := v.byUID[e.id.Controller.UID]; o != nil && o.carries && !o.gone {
		return o
	}
	return nil
}

// join puts an entry below its owner, known or not.
func (v *view) join(e *entry) error {
	uid := e.id.Controller.UID
	if uid == "" || !e.feed.workload || v.below[uid][e] {
		return nil
	}
	if v.below[uid] == nil {
		v.below[uid] = map[*entry]bool{}
	}
	v.below[uid][e] = true
	return v.recount(v.byUID[uid])
}

// leave takes an entry from its owner.
func (v *view) leave(e *entry) error {
	uid := e.id.Controller.UID
	if !v.below[uid][e] {
		return nil
	}
	delete(v.below[uid], e)
	if len(v.below[uid]) == 0 {
		delete(v.below, uid)
	}
	return v.recount(v.byUID[uid])
}

// settle tells an entry or hides it. fresh says that what it holds is new.
func (v *view) settle(e *entry, fresh bool) error {
	carried := e.carries
	switch {
	case v.owner(e) != nil:
		if err := v.hide(e, fresh); err != nil {
			return err
		}
	case fresh && e.told == nil && !v.holding && v.expected(e):
		v.later(e) // its owner is on its way
		return nil
	case fresh || e.told == nil:
		if err := v.tell(e); err != nil {
			return err
		}
	}
	if e.carries == carried {
		return nil
	}
	for c := range v.below[e.id.UID] {
		if err := v.settle(c, false); err != nil {
			return err
		}
	}
	return v.recount(e) // pods that came before their owner count from now on
}

// hide takes an entry back that is judged through its owner, and so is all that
// it owns.
func (v *view) hide(e *entry, fresh bool) error {
	switch {
	case !v.keep:
		e.raw, e.root = nil, fact.Value{}
	case fresh:
		e.raw = bytes.Clone(e.raw) // not the whole page with it
	case e.told != nil:
		e.root = e.told.Root
	}
	e.carries = true
	return v.untell(e)
}

// expected reports whether an entry's owner is of a kind that is read, so that
// it is known or soon will be.
func (v *view) expected(e *entry) bool {
	c := e.id.Controller
	if c.UID == "" || v.byUID[c.UID] != nil {
		return false
	}
	for f := range v.feeds {
		if f.workload && f.kind == c.Kind && f.apiVersion() == c.APIVersion {
			return true
		}
	}
	return false
}

// again settles an entry whose owner had its time.
func (v *view) again(e *entry) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if e.gone || e.told != nil {
		return nil
	}
	return v.settle(e, false)
}

// recount tells the topmost owner's number of pods, if it changed.
func (v *view) recount(e *entry) error {
	if e == nil || v.holding {
		return nil
	}
	for o := v.owner(e); o != nil; o = v.owner(e) {
		e = o
	}
	if e.told == nil || e.told.Pods == v.pods(e) {
		return nil
	}
	o := *e.told
	o.Pods = v.pods(e)
	e.told = &o
	return v.emit(fact.Change{Op: fact.Upsert, Object: &o})
}

// pods counts the pods that are judged through an entry.
func (v *view) pods(e *entry) int {
	n := 0
	if !e.carries {
		return 0
	}
	for c := range v.below[e.id.UID] {
		if c.feed.groupKind() == "Pod" {
			n++
		} else {
			n += v.pods(c)
		}
	}
	return n
}
