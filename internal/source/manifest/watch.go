package manifest

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

// watched is what a watching Source has told, and what it knows of files. A
// file that did not change is not read again.
type watched struct {
	notify *fsnotify.Watcher // nil: poll
	files  map[string]*file
	next   map[string]*file // of the pass under way
	folder map[string]bool  // that are watched; true when the pass met them
	told   *fact.Snapshot
	now    []fact.Change // what the pass met
}

// file is what was found in a file, and how it looked from outside.
type file struct {
	size    int64
	changed time.Time
	found   []fact.Change
}

// follow reads everything, and again whenever something changes, until ctx
// ends: each time it reports the differences and then Synced.
func (s *Source) follow(ctx context.Context, emit func(fact.Change) error) error {
	w := &watched{folder: map[string]bool{}, told: &fact.Snapshot{}}
	var err error
	if w.notify, err = fsnotify.NewWatcher(); err == nil {
		defer w.notify.Close()
	}
	s.watched = w
	defer func() { s.watched = nil }()
	for {
		if err := s.pass(ctx, emit); err != nil {
			return err
		}
		if err := w.wait(ctx); err != nil {
			return err
		}
	}
}

// pass reads what changed and reports the differences: what is new first, so
// that an object that moved to another file is never gone in between.
func (s *Source) pass(ctx context.Context, emit func(fact.Change) error) error {
	w := s.watched
	w.next, w.now = map[string]*file{}, nil
	for dir := range w.folder {
		w.folder[dir] = false
	}
	err := s.once(ctx, func(c fact.Change) error {
		w.now = append(w.now, c)
		return nil
	})
	if err != nil {
		return err
	}
	w.files = w.next
	for dir, met := range w.folder {
		if !met {
			delete(w.folder, dir)
			if w.notify != nil {
				w.notify.Remove(dir)
			}
		}
	}
	next := (&fact.Snapshot{}).Apply(w.now...)
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
func (w *watched) wait(ctx context.Context) error {
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
			delete(w.files, filepath.ToSlash(filepath.Clean(e.Name)))
		case <-w.notify.Errors: // events were lost: look at everything
			clear(w.files)
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

// met says that the pass goes into a folder, which is watched from before it is
// listed, so that nothing falls in between.
func (w *watched) met(dir string) {
	if w == nil {
		return
	}
	if _, known := w.folder[dir]; !known && w.notify != nil && w.notify.Add(dir) != nil {
		w.notify.Close() // too many folders for the operating system
		w.notify = nil
	}
	w.folder[dir] = true
}

// running reports whether everything was read once.
func (w *watched) running() bool { return w != nil && w.files != nil }

// file reads a file, or repeats what was found in it when it has not changed.
func (s *Source) file(ctx context.Context, f *os.File, name string, named bool) error {
	w := s.watched
	if w == nil {
		return s.read(ctx, f, name, named)
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&fs.ModeNamedPipe != 0 {
		return s.read(ctx, f, name, named)
	}
	key := filepath.ToSlash(filepath.Clean(name))
	if known := w.files[key]; known != nil && known.size == info.Size() && known.changed.Equal(info.ModTime()) {
		w.next[key] = known
		s.files++
		for _, c := range known.found {
			if err := s.emit(c); err != nil {
				return err
			}
		}
		return nil
	}
	from := len(w.now)
	err = s.read(ctx, f, name, named)
	w.next[key] = &file{info.Size(), info.ModTime(), slices.Clone(w.now[from:])}
	return err
}
