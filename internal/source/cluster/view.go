package cluster

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// view is what the source knows of the cluster and has told of it. It decides
// what is told: an object that is owned by another one is hidden behind it (see
// owners.go). Safe for concurrent use; nothing is emitted but under its lock, so
// that changes come one at a time.
type view struct {
	mu    sync.Mutex
	emit  func(fact.Change) error
	proto *yamldoc.ProtobufReader
	world string // UID of the cluster
	keep  bool   // messages of hidden objects, to show them should their owner go

	feeds map[*feed]*held
	byUID map[string]*entry
	below map[string]map[*entry]bool // by the UID of their controller, known or not
	// holding is on until the first lists are whole: objects that carry pods wait
	// for it, so that each is told once, with the number of its pods.
	holding bool
	waiting []*entry
	unknown map[string]fact.Gap // of kinds whose server does not answer
	later   func(*entry)        // looks at an entry again when its owner had time to come or to go
}

// held is what a feed has, and its open gap.
type held struct {
	entries map[string]*entry // namespace/name
	seen    map[string]bool   // during a list: what it has
	gap     fact.Gap          // zero for none
}

// entry is one object of the cluster.
type entry struct {
	feed    *feed
	id      yamldoc.Identity
	raw     []byte       // while hidden, if kept
	root    fact.Value   // the same for what came as JSON
	told    *fact.Object // as it was told; nil when it was not
	carries bool         // pods that are judged, through it or its owner
	gone    bool
	gap     fact.Gap // when it cannot be read
}

func newView(types *yamldoc.Types, keep bool, emit func(fact.Change) error) *view {
	v := &view{emit: emit, proto: types.NewProtobufReader(), keep: keep, feeds: map[*feed]*held{}, byUID: map[string]*entry{}, below: map[string]map[*entry]bool{}, holding: true}
	v.proto.Lean = true
	v.later = func(*entry) {}
	return v
}

func (v *view) of(f *feed) *held {
	h := v.feeds[f]
	if h == nil {
		h = &held{entries: map[string]*entry{}}
		v.feeds[f] = h
	}
	return h
}

func key(id yamldoc.Identity) string { return id.Namespace + "/" + id.Name }

// begin says that a list of the feed begins, or begins again.
func (v *view) begin(f *feed) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !f.dropped {
		v.of(f).seen = map[string]bool{}
	}
}

// end says that a list is whole: what it did not have is gone.
func (v *view) end(f *feed) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f.dropped {
		return nil
	}
	h := v.of(f)
	if err := v.sweep(h); err != nil {
		return err
	}
	return v.closed(h)
}

// sweep removes what the last list did not have.
func (v *view) sweep(h *held) error {
	var missing []string
	for k := range h.entries {
		if !h.seen[k] {
			missing = append(missing, k)
		}
	}
	h.seen = nil
	slices.Sort(missing)
	for _, k := range missing {
		if err := v.remove(h, h.entries[k]); err != nil {
			return err
		}
	}
	return nil
}

// forget removes everything of a feed that may no longer be seen. Its gap stays.
func (v *view) forget(f *feed) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f.dropped {
		return nil
	}
	h := v.of(f)
	h.seen = map[string]bool{}
	return v.sweep(h)
}

// upsert takes in objects as they are now.
func (v *view) upsert(f *feed, items ...item) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f.dropped {
		return nil
	}
	for _, it := range items {
		if err := v.one(f, it); err != nil {
			return err
		}
	}
	return nil
}

func (v *view) one(f *feed, it item) error {
	h := v.of(f)
	k := key(it.id)
	if h.seen != nil {
		h.seen[k] = true
	}
	old := h.entries[k]
	if old != nil && old.id.UID == it.id.UID && old.id.Version == it.id.Version {
		return nil
	}
	if old != nil && old.id.UID != it.id.UID { // made anew under the same name
		if err := v.remove(h, old); err != nil {
			return err
		}
		old = nil
	}
	e := old
	if e == nil {
		e = &entry{feed: f}
		h.entries[k] = e
		v.byUID[it.id.UID] = e
	} else if e.id.Controller != it.id.Controller {
		if err := v.leave(e); err != nil {
			return err
		}
	}
	e.id, e.raw, e.root = it.id, it.raw, it.root
	if err := v.join(e); err != nil {
		return err
	}
	return v.settle(e, true)
}

// remove takes an object out.
func (v *view) remove(h *held, e *entry) error {
	delete(h.entries, key(e.id))
	if v.byUID[e.id.UID] == e {
		delete(v.byUID, e.id.UID)
	}
	e.gone = true
	if err := v.leave(e); err != nil {
		return err
	}
	for c := range v.below[e.id.UID] {
		v.later(c)
	}
	return v.untell(e)
}

// deleted takes out an object that a watch reports as deleted.
func (v *view) deleted(f *feed, id yamldoc.Identity) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f.dropped {
		return nil
	}
	h := v.of(f)
	if e := h.entries[key(id)]; e != nil {
		return v.remove(h, e)
	}
	return nil
}

// tell decodes an entry and reports it. What cannot be decoded is a gap.
func (v *view) tell(e *entry) error {
	o, err := v.decode(e)
	if err != nil {
		return errors.Join(v.untell(e), v.unreadable(e, fact.Gap{
			Kind: "undecodable", Source: Name, Subject: strings.TrimPrefix(e.feed.kind+" "+key(e.id), "/"),
			Message: fmt.Sprintf("the API server's answer cannot be read: %v", err),
		}))
	}
	if err := v.unreadable(e, fact.Gap{}); err != nil {
		return err
	}
	e.carries = len(fact.PodTemplates(o)) > 0
	o.Pods = v.pods(e)
	if e.carries && v.holding {
		if e.told == nil {
			v.waiting = append(v.waiting, e)
		}
		e.told = o
		return nil
	}
	e.told = o
	return v.emit(fact.Change{Op: fact.Upsert, Object: o})
}

// unreadable opens the gap of an object that cannot be read, or closes it.
func (v *view) unreadable(e *entry, gap fact.Gap) error {
	before := e.gap
	if before == gap {
		return nil
	}
	e.gap = gap
	var err error
	if before != (fact.Gap{}) {
		err = v.emit(fact.Change{Op: fact.GapClosed, Gap: before})
	}
	if err == nil && gap != (fact.Gap{}) {
		err = v.emit(fact.Change{Op: fact.GapOpened, Gap: gap})
	}
	return err
}

func (v *view) untell(e *entry) error {
	if e.gone {
		if err := v.unreadable(e, fact.Gap{}); err != nil {
			return err
		}
	}
	o := e.told
	if e.told = nil; o == nil || v.holding && e.carries {
		return nil
	}
	return v.emit(fact.Change{Op: fact.Delete, Object: o})
}

// release reports what waited for the first lists to be whole.
func (v *view) release() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.holding = false
	waiting := v.waiting
	v.waiting = nil
	for _, e := range waiting {
		if e.told == nil {
			continue
		}
		o := *e.told
		o.Pods = v.pods(e)
		e.told = &o
		if err := v.emit(fact.Change{Op: fact.Upsert, Object: &o}); err != nil {
			return err
		}
	}
	return v.emit(fact.Change{Op: fact.Synced})
}

// decode makes the fact of an entry. Its message is not needed after that.
func (v *view) decode(e *entry) (*fact.Object, error) {
	root, f := e.root, e.feed
	if !root.Present() {
		var err error
		if root, err = v.proto.Object(e.raw, f.apiVersion(), f.kind); err != nil {
			return nil, err
		}
	}
	e.raw, e.root = nil, fact.Value{}
	o, ok := fact.NewObject(root, fact.Origin{Source: Name, World: v.world})
	if !ok {
		return nil, fmt.Errorf("it has no kind")
	}
	o.Partial, o.Alias = f.partial, staticPod(&o)
	return &o, nil
}

// staticPod returns the name of a static pod without its node: the kubelet
// makes the pod that the API server shows, and puts the node's name behind.
func staticPod(o *fact.Object) string {
	if o.Kind != "Pod" || o.Group != "" || !o.Root.At("metadata", "annotations", "kubernetes.io/config.mirror").Present() {
		return ""
	}
	name, ok := strings.CutSuffix(o.Name, "-"+o.Root.At("spec", "nodeName").Str())
	if !ok {
		return ""
	}
	return name
}

// trouble says that a feed cannot be seen, or not at the moment. A gap that is
// open already is replaced where it says something else.
func (v *view) trouble(f *feed, gap fact.Gap) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f.dropped {
		return nil
	}
	h := v.of(f)
	h.seen = nil
	if h.gap == gap {
		return nil
	}
	if err := v.closed(h); err != nil {
		return err
	}
	h.gap = gap
	return v.emit(fact.Change{Op: fact.GapOpened, Gap: gap})
}

func (v *view) closed(h *held) error {
	gap := h.gap
	if gap == (fact.Gap{}) {
		return nil
	}
	h.gap = fact.Gap{}
	return v.emit(fact.Change{Op: fact.GapClosed, Gap: gap})
}

// seen closes the gap of a feed that can be seen again.
func (v *view) seen(f *feed) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if f.dropped {
		return nil
	}
	return v.closed(v.of(f))
}

// unserved says of which kinds it is not known whether they are served.
func (v *view) unserved(kinds []string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := map[string]fact.Gap{}
	for _, k := range kinds {
		group, _ := fact.InGroup(k)
		now[k] = fact.Gap{Kind: "unavailable", Source: Name, Subject: "discover " + k, Hides: k,
			Message: "the server of the API group " + group + " does not answer: whether there are objects of this kind is not known"}
		if _, open := v.unknown[k]; open {
			continue
		}
		if err := v.emit(fact.Change{Op: fact.GapOpened, Gap: now[k]}); err != nil {
			return err
		}
	}
	for _, k := range slices.Sorted(maps.Keys(v.unknown)) {
		if _, still := now[k]; !still {
			if err := v.emit(fact.Change{Op: fact.GapClosed, Gap: v.unknown[k]}); err != nil {
				return err
			}
		}
	}
	v.unknown = now
	return nil
}

// drop forgets a feed whose kind is no longer served, with its gap. What its
// goroutine still has to say, that its request was broken off for one, comes
// too late to be heard.
func (v *view) drop(f *feed) error {
	v.begin(f)
	err := v.end(f)
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.feeds, f)
	f.dropped = true
	return err
}
