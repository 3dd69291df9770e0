package source

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/merlon-security/merlon/internal/fact"
)

// quiet is how long the folders must be quiet before they are read again: tools
// write a file in several steps. busy is how long they may go on without that.
const (
	quiet = 50 * time.Millisecond
	busy  = time.Second
)

// poll is how often everything is looked at where the operating system does not
// tell of changes.
const poll = 2 * time.Second

// Watcher reads files over and over, and knows what was found in those that did
// not change, and what was rendered from them. A nil one reads everything once.
// It is not safe for concurrent use.
type Watcher struct {
	notify  *fsnotify.Watcher // nil: poll
	folder  map[string]bool   // that are watched; true when the pass met them
	changed map[string]bool   // files of which the operating system told since the last pass
	started bool              // everything was read once
	files   map[string]*known // of the pass before
	renders map[string]*known
	next    struct{ files, renders map[string]*known } // of the pass under way
	told    *fact.Snapshot
}

// stamp is how a file or folder looks from outside. The zero stamp is one that is
// not there.
type stamp struct {
	size    int64
	changed time.Time
}

func stampOf(info fs.FileInfo) stamp { return stamp{info.Size(), info.ModTime()} }

func (s stamp) same(o stamp) bool { return s.size == o.size && s.changed.Equal(o.changed) }

// known is what was found in a file, or rendered from some, and how they looked.
type known struct {
	seen  map[string]stamp
	used  map[string]bool
	found []fact.Change
}

// Watch has read report all there is, and again whenever something in the folders
// that it met changes, until ctx ends: each time it reports the differences, and
// then Synced.
func Watch(ctx context.Context, read func(w *Watcher, emit func(fact.Change) error) error, emit func(fact.Change) error) error {
	w := &Watcher{folder: map[string]bool{}, changed: map[string]bool{}, told: &fact.Snapshot{}}
	var err error
	if w.notify, err = fsnotify.NewWatcher(); err == nil {
		defer func() { w.poll() }()
	}
	for {
		if err := w.pass(read, emit); err != nil {
			return err
		}
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
}

// pass reads what changed and reports the differences: what is new first, so
// that an object that moved to another file is never gone in between.
func (w *Watcher) pass(read func(*Watcher, func(fact.Change) error) error, emit func(fact.Change) error) error {
	w.next.files, w.next.renders = map[string]*known{}, map[string]*known{}
	for dir := range w.folder {
		w.folder[dir] = false
	}
	var now []fact.Change
	err := read(w, func(c fact.Change) error {
		now = append(now, c)
		return nil
	})
	if err != nil {
		return err
	}
	w.files, w.renders, w.started = w.next.files, w.next.renders, true
	clear(w.changed)
	for dir, met := range w.folder {
		if !met {
			delete(w.folder, dir)
			if w.notify != nil {
				w.notify.Remove(dir)
			}
		}
	}
	next := (&fact.Snapshot{}).Apply(now...)
	for _, c := range differences(w.told, next) {
		if err := emit(c); err != nil {
			return err
		}
	}
	w.told = next
	return emit(fact.Change{Op: fact.Synced})
}

func differences(a, b *fact.Snapshot) []fact.Change {
	var fresh, gone []fact.Change
	fact.Diff(a, b, func(before, after *fact.Object) {
		if after != nil {
			fresh = append(fresh, fact.Change{Op: fact.Upsert, Object: after})
		} else {
			gone = append(gone, fact.Change{Op: fact.Delete, Object: before})
		}
	})
	for _, g := range b.Gaps() {
		if !slices.Contains(a.Gaps(), g) {
			fresh = append(fresh, fact.Change{Op: fact.GapOpened, Gap: g})
		}
	}
	for _, g := range a.Gaps() {
		if !slices.Contains(b.Gaps(), g) {
			gone = append(gone, fact.Change{Op: fact.GapClosed, Gap: g})
		}
	}
	return append(fresh, gone...)
}

// wait returns when something may have changed, or with ctx's error.
func (w *Watcher) wait(ctx context.Context) error {
	if w.notify == nil {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(poll):
			return nil
		}
	}
	var still, atMost <-chan time.Time // until the first event there is nothing to wait for
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e := <-w.notify.Events:
			w.changed[clean(e.Name)] = true
		case <-w.notify.Errors: // events were lost: look at everything
			clear(w.files)
			clear(w.renders)
		case <-still:
			return nil
		case <-atMost:
			return nil
		}
		still = time.After(quiet)
		if atMost == nil {
			atMost = time.After(busy)
		}
	}
}

func clean(name string) string { return filepath.ToSlash(filepath.Clean(name)) }

// poll gives up being told by the operating system.
func (w *Watcher) poll() {
	if w.notify != nil {
		w.notify.Close()
		w.notify = nil
	}
}

// Met says that the pass looks into a folder, which is watched from before it is
// listed, so that nothing falls in between.
func (w *Watcher) Met(dir string) {
	if w == nil {
		return
	}
	dir = filepath.Clean(dir)
	if _, known := w.folder[dir]; !known && w.notify != nil && w.notify.Add(dir) != nil {
		w.poll() // too many folders for the operating system
	}
	w.folder[dir] = true
}

// running reports whether everything was read once.
func (w *Watcher) running() bool { return w != nil && w.started }

// Once has read report what a file holds, or repeats what it reported when the
// file has not changed since.
func (w *Watcher) Once(f *os.File, name string, emit func(fact.Change) error, read func(emit func(fact.Change) error) error) error {
	if w == nil {
		return read(emit)
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return read(emit)
	}
	key, now := clean(name), stampOf(info)
	if k := w.files[key]; k != nil && !w.changed[key] && k.seen[key].same(now) {
		w.next.files[key] = k
		return k.repeat(emit)
	}
	k := &known{seen: map[string]stamp{key: now}}
	w.next.files[key] = k
	return read(k.keep(emit))
}

// Rendered has render report what a chart or an overlay comes to, or repeats what
// it reported when nothing of what it read then has changed. what names it, with
// all that it depends on besides files.
func (w *Watcher) Rendered(what string, files *Files, emit func(fact.Change) error, render func(emit func(fact.Change) error) error) error {
	if w == nil {
		return render(emit)
	}
	what += "\x00" + files.tree.Path + "\x00" + files.tree.ignore.text
	if k := w.renders[what]; k != nil && w.unchanged(k, files.tree) {
		w.next.renders[what] = k
		files.Used = k.used
		return k.repeat(emit)
	}
	k := &known{}
	if err := render(k.keep(emit)); err != nil {
		return err
	}
	k.seen, k.used = files.seen, files.Used
	w.next.renders[what] = k
	return nil
}

func (w *Watcher) unchanged(k *known, t *Tree) bool {
	for name, before := range k.seen {
		if w.changed[clean(t.Place(name))] {
			return false
		}
		now := stamp{}
		if info, err := t.stat(name); err == nil {
			now = stampOf(info)
		}
		if !now.same(before) {
			return false
		}
	}
	return true
}

func (k *known) repeat(emit func(fact.Change) error) error {
	for _, c := range k.found {
		if err := emit(c); err != nil {
			return err
		}
	}
	return nil
}

func (k *known) keep(emit func(fact.Change) error) func(fact.Change) error {
	return func(c fact.Change) error {
		k.found = append(k.found, c)
		return emit(c)
	}
}
