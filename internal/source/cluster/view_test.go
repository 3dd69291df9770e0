package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// thing is an object of a made-up cluster.
type thing struct {
	kind, name, uid, owner string // owner is a UID
	version                int
}

// world is a made-up cluster and the view of it.
type world struct {
	t      *testing.T
	feeds  map[string]*feed
	things map[string]thing // kind/name
	view   *view
	late   []*entry
	seen   *fact.Snapshot
	serial int
}

func newWorld(t *testing.T, keep bool) *world {
	w := &world{t: t, feeds: map[string]*feed{}, things: map[string]thing{}, seen: &fact.Snapshot{}}
	for _, r := range []resource{
		{group: "apps", version: "v1", kind: "Deployment", name: "deployments", namespaced: true},
		{group: "apps", version: "v1", kind: "ReplicaSet", name: "replicasets", namespaced: true},
		{version: "v1", kind: "Pod", name: "pods", namespaced: true, protobuf: true},
		{version: "v1", kind: "Node", name: "nodes"},
	} {
		w.feeds[r.kind] = newFeed(r, "")
	}
	w.view = newView(yamldoc.NewTypes(), keep, func(c fact.Change) error {
		w.seen = w.seen.Apply(c)
		return nil
	})
	w.view.later = func(e *entry) { w.late = append(w.late, e) }
	return w
}

// item is what the API server would tell of a thing: pods in protobuf, the rest
// in JSON.
func (w *world) item(x thing) item {
	f := w.feeds[x.kind]
	meta := metav1.ObjectMeta{Name: x.name, Namespace: "n", UID: types.UID(x.uid), ResourceVersion: fmt.Sprint(x.version)}
	owners := ""
	if o, ok := w.byUID(x.owner); ok || x.owner != "" {
		yes := true
		meta.OwnerReferences = []metav1.OwnerReference{{APIVersion: w.apiVersion(o), Kind: o.kind, Name: o.name, UID: types.UID(x.owner), Controller: &yes}}
		owners = fmt.Sprintf(`,"ownerReferences":[{"apiVersion":%q,"kind":%q,"name":%q,"uid":%q,"controller":true}]`, w.apiVersion(o), o.kind, o.name, x.owner)
	}
	if f.protobuf {
		raw, err := (&corev1.Pod{ObjectMeta: meta, Spec: corev1.PodSpec{HostPID: true}}).Marshal()
		if err != nil {
			w.t.Fatal(err)
		}
		id, err := yamldoc.Identify(raw)
		if err != nil {
			w.t.Fatal(err)
		}
		return item{id: id, raw: raw}
	}
	text := fmt.Sprintf(`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"namespace":"n","uid":%q,"resourceVersion":"%d"%s},"spec":{"template":{"spec":{}}}}`, f.apiVersion(), f.kind, x.name, x.uid, x.version, owners)
	root, err := (&yamldoc.JSONReader{}).Object([]byte(text))
	if err != nil {
		w.t.Fatal(err)
	}
	return f.decoded(root)
}

func (w *world) apiVersion(o thing) string {
	if f := w.feeds[o.kind]; f != nil {
		return f.apiVersion()
	}
	return "apps/v1"
}

func (w *world) byUID(uid string) (thing, bool) {
	for _, x := range w.things {
		if x.uid == uid {
			return x, true
		}
	}
	return thing{kind: "ReplicaSet", name: "gone"}, false
}

// list tells a feed's things as a list would.
func (w *world) list(kind string) {
	f := w.feeds[kind]
	w.view.begin(f)
	for _, k := range w.keys() {
		if x := w.things[k]; x.kind == kind {
			w.must(w.view.upsert(f, w.item(x)))
		}
	}
	w.must(w.view.end(f))
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) keys() []string {
	var out []string
	for k := range w.things {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// told is what the view has told.
func (w *world) told() []string {
	var out []string
	for _, o := range w.seen.Objects() {
		out = append(out, fmt.Sprintf("%s %s %s pods %d", o.Kind, o.Name, o.Root.At("metadata", "resourceVersion").Str(), o.Pods))
	}
	slices.Sort(out)
	return out
}

// scanned is what a new scan of the same cluster tells.
func (w *world) scanned() []string {
	fresh := newWorld(w.t, false)
	fresh.things = w.things
	for _, kind := range []string{"Node", "Deployment", "ReplicaSet", "Pod"} {
		fresh.list(kind)
	}
	w.must(fresh.view.release())
	return fresh.told()
}

// change does something to the cluster and tells the view, or leaves that to
// the next list.
func (w *world) change(r *rand.Rand, tell bool) {
	kind := []string{"Deployment", "ReplicaSet", "Pod", "Pod", "Node"}[r.IntN(5)]
	name := fmt.Sprint("x", r.IntN(6))
	k := kind + "/" + name
	x, there := w.things[k]
	switch {
	case there && r.IntN(3) == 0:
		delete(w.things, k)
		if tell {
			w.must(w.view.deleted(w.feeds[kind], w.item(x).id))
		}
		return
	case !there || r.IntN(8) == 0: // new, or made anew under the same name
		w.serial++
		x = thing{kind: kind, name: name, uid: fmt.Sprint("uid-", w.serial)}
		fallthrough
	case r.IntN(3) == 0:
		x.owner = ""
		above := map[string]string{"ReplicaSet": "Deployment", "Pod": "ReplicaSet"}[kind]
		if kind == "Pod" && r.IntN(5) == 0 {
			above = "Node" // a static pod's
		}
		if o, ok := w.things[above+"/"+fmt.Sprint("x", r.IntN(6))]; ok {
			x.owner = o.uid
		}
	}
	w.serial++
	x.version = w.serial
	w.things[k] = x
	if tell {
		w.must(w.view.upsert(w.feeds[kind], w.item(x)))
	}
}

// settle does what time does: what waited for its owner is looked at again.
func (w *world) settle() {
	for len(w.late) > 0 {
		e := w.late[0]
		w.late = w.late[1:]
		w.must(w.view.again(e))
	}
}

// TestWatchedEqualsScanned makes hundreds of changes, told one by one or by a
// later list, and demands that the view then says what a new scan says.
func TestWatchedEqualsScanned(t *testing.T) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld(t, true)
		for range 30 {
			w.change(r, false)
		}
		for _, kind := range []string{"Node", "Deployment", "ReplicaSet", "Pod"} {
			w.list(kind)
		}
		w.must(w.view.release())
		for i := range 800 {
			tell := r.IntN(4) > 0
			kindsMissed := !tell
			w.change(r, tell)
			if kindsMissed {
				for range r.IntN(8) { // a burst, whose parts are heard of in any order
					w.change(r, false)
				}
				kinds := []string{"Pod", "ReplicaSet", "Deployment", "Node"}
				r.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
				for _, kind := range kinds {
					w.list(kind)
				}
			}
			w.settle()
			if diff := cmp.Diff(w.scanned(), w.told()); diff != "" {
				t.Fatalf("seed %d, change %d (- scanned, + watched)\n%s", seed, i, diff)
			}
		}
		if len(w.view.below) > len(w.things) {
			t.Errorf("%d owners are kept for %d objects", len(w.view.below), len(w.things))
		}
	}
}

func TestGaps(t *testing.T) {
	w := newWorld(t, true)
	f := w.feeds["Pod"]
	gap := gapOf(f, &statusError{code: 403})
	w.must(w.view.trouble(f, gap))
	w.must(w.view.trouble(f, gap)) // once is enough
	if g := w.seen.Gaps(); len(g) != 1 || g[0].Kind != "forbidden" || g[0].Subject != "list pods" || g[0].Hides != "Pod" {
		t.Fatalf("%+v", g)
	}
	w.must(w.view.trouble(f, gapOf(f, &statusError{code: 503})))
	if g := w.seen.Gaps(); len(g) != 1 || g[0].Kind != "unavailable" {
		t.Fatalf("%+v", g)
	}
	w.list("Pod")
	if g := w.seen.Gaps(); len(g) != 0 {
		t.Fatalf("%+v", g)
	}
	// What cannot be decoded is a gap until it can, or is gone.
	bad := item{id: yamldoc.Identity{Namespace: "n", Name: "bad", UID: "u", Version: "1"}, raw: []byte{0xff}}
	w.must(w.view.upsert(f, bad))
	w.must(w.view.release())
	if g := w.seen.Gaps(); len(g) != 1 || g[0].Kind != "undecodable" || g[0].Subject != "Pod n/bad" {
		t.Fatalf("%+v", g)
	}
	w.must(w.view.deleted(f, bad.id))
	if g := w.seen.Gaps(); len(g) != 0 {
		t.Fatalf("%+v", g)
	}
}
