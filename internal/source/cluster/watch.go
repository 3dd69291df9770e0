package cluster

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/merlon-security/merlon/internal/source"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// watcher keeps a view up to date: one goroutine a feed, one that asks for new
// kinds, and one that looks again at what waits for its owner.
type watcher struct {
	source    *Source
	view      *view
	discovery *discovery
	feeds     []*feed

	mu       sync.Mutex
	versions map[*feed]string // where each feed stands; "" when it must be listed
}

func (w *watcher) setVersion(f *feed, version string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.versions[f] = version
}

func (w *watcher) version(f *feed) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.versions[f]
}

// watch follows all feeds until ctx ends or emit fails, and returns only when
// every goroutine has.
func (w *watcher) watch(ctx context.Context) error {
	ctx, fail := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	again := make(chan *entry, 64)
	w.view.mu.Lock()
	w.view.later = func(e *entry) {
		time.AfterFunc(ownerComes, func() {
			select {
			case again <- e:
			case <-ctx.Done():
			}
		})
	}
	w.view.mu.Unlock()
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-again:
				if err := w.view.again(e); err != nil {
					fail(err)
				}
			}
		}
	})
	running := map[feedName]context.CancelFunc{}
	start := func(f *feed) {
		ctx, stop := context.WithCancel(ctx)
		running[f.id()] = stop
		wg.Go(func() {
			if err := w.follow(ctx, f); err != nil && ctx.Err() == nil {
				fail(err)
			}
		})
	}
	for _, f := range w.feeds {
		start(f)
	}
	w.rediscover(ctx, running, start, fail)
	wg.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return ctx.Err()
}

// feedName tells feeds apart.
type feedName struct {
	resource
	namespace string
}

func (f *feed) id() feedName { return feedName{f.resource, f.namespace} }

// rediscover asks from time to time which kinds are served, starts feeds for
// new ones and ends those of kinds that are gone.
func (w *watcher) rediscover(ctx context.Context, running map[feedName]context.CancelFunc, start func(*feed), fail func(error)) {
	every := w.source.Rediscover
	if every == 0 {
		every = rediscoverAfter
	}
	for pause(ctx, every) == nil {
		served, err := w.discovery.find(ctx, source.Rights(w.source.Kinds, w.source.SecretMetadata))
		if err != nil {
			continue // the feeds notice, too, and say so
		}
		if err := w.view.unserved(served.unknown); err != nil {
			fail(err)
		}
		now := map[feedName]bool{}
		for _, f := range w.source.feeds(served.resources) {
			now[f.id()] = true
			if running[f.id()] == nil {
				w.feeds = append(w.feeds, f)
				start(f)
			}
		}
		kept := w.feeds[:0:0]
		for _, f := range w.feeds {
			if now[f.id()] || served.stale[f.group] {
				kept = append(kept, f)
				continue
			}
			running[f.id()]()
			delete(running, f.id())
			if err := w.view.drop(f); err != nil {
				fail(err)
			}
		}
		w.feeds = kept
	}
}

// follow keeps one feed up to date: it lists where it must, then watches. It
// returns when ctx ends or emit fails.
func (w *watcher) follow(ctx context.Context, f *feed) error {
	l := w.source.client.lister(w.source.types)
	for try := 0; ctx.Err() == nil; {
		if w.version(f) == "" {
			if try > 0 {
				if err := pause(ctx, delay(try, nil)); err != nil {
					return err
				}
			}
			try++
			w.view.begin(f)
			if err := l.list(ctx, f, func(b batch) error { return w.take(f, b) }); err != nil {
				return err
			}
			continue
		}
		began := w.version(f)
		err := w.events(ctx, l, f)
		var emitted *emitError
		if errors.As(err, &emitted) {
			return emitted.err
		}
		switch code := codeOf(err); {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			if w.version(f) != began {
				try = 0
			}
			if err := pause(ctx, delay(min(try, 2), nil)/8); err != nil {
				return err
			}
		case code == http.StatusGone:
			w.setVersion(f, "") // too long ago: list again
		default:
			// The list that follows says whether this is serious.
			try++
			if code != http.StatusForbidden && code != http.StatusNotFound && code != http.StatusTooManyRequests {
				if err := w.view.trouble(f, gapOf(f, err)); err != nil {
					return err
				}
			}
			if err := pause(ctx, delay(try, err)); err != nil {
				return err
			}
			if code != http.StatusTooManyRequests {
				w.setVersion(f, "")
			}
		}
	}
	return ctx.Err()
}

// emitError is an error of emit, which ends everything.
type emitError struct{ err error }

func (e *emitError) Error() string { return e.err.Error() }

// errEvent is an event that cannot be read.
var errEvent = errors.New("the API server's event cannot be read")

// events watches a feed from where it stands until the API server ends it.
func (w *watcher) events(ctx context.Context, l *lister, f *feed) error {
	renew := w.source.Renew
	if renew == 0 {
		renew = renewAfter + rand.N(renewAfter)
	}
	query := url.Values{
		"watch": {"1"}, "allowWatchBookmarks": {"true"}, "resourceVersion": {w.version(f)},
		"timeoutSeconds": {strconv.Itoa(max(1, int(renew/time.Second)))},
	}
	resp, err := l.client.open(ctx, f.path(), query, f.accept(true), "")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if err := w.view.seen(f); err != nil {
		return &emitError{err}
	}
	next := jsonEvents(resp.Body)
	if strings.HasPrefix(resp.Header.Get("Content-Type"), protobufType) {
		next = protobufEvents(resp.Body)
	}
	for {
		kind, object, err := next()
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
		if err := w.event(l, f, kind, object); err != nil {
			return err
		}
	}
}

// event takes in one event.
func (w *watcher) event(l *lister, f *feed, kind string, object []byte) error {
	if kind == "ERROR" {
		return &statusError{code: l.statusCode(object)}
	}
	it, err := l.item(f, object)
	if err != nil {
		return errEvent
	}
	switch kind {
	case "ADDED", "MODIFIED":
		err = w.view.upsert(f, it)
	case "DELETED":
		err = w.view.deleted(f, it.id)
	case "BOOKMARK":
	default:
		return errEvent
	}
	if err != nil {
		return &emitError{err}
	}
	w.setVersion(f, it.id.Version)
	return nil
}

// item reads the object of an event.
func (l *lister) item(f *feed, object []byte) (item, error) {
	if len(object) > 0 && object[0] == 'k' {
		raw, err := l.proto.Unwrap(object)
		if err != nil {
			return item{}, err
		}
		id, err := yamldoc.Identify(raw)
		return item{id: id, raw: raw}, err
	}
	root, err := l.json.Object(object)
	if err != nil {
		return item{}, err
	}
	return f.decoded(root), nil
}

// statusCode reads the code of a Status, in protobuf or JSON.
func (l *lister) statusCode(object []byte) int {
	code := 0
	if len(object) > 0 && object[0] == 'k' {
		code = yamldoc.StatusCode(object)
	} else if root, err := l.json.Object(object); err == nil {
		code = int(root.At("code").Int())
	}
	if code == 0 {
		return http.StatusInternalServerError
	}
	return code
}

// maxEvent is how large one event may be: an object in etcd has at most 1.5 MB.
const maxEvent = 64 << 20

// protobufEvents reads the frames of a watch in protobuf: a length, an event.
func protobufEvents(r io.Reader) func() (string, []byte, error) {
	in := bufio.NewReaderSize(r, 32<<10)
	return func() (string, []byte, error) {
		var head [4]byte
		if _, err := io.ReadFull(in, head[:]); err != nil {
			return "", nil, err
		}
		n := yamldoc.FrameLength(head)
		if n > maxEvent {
			return "", nil, errEvent
		}
		frame := make([]byte, n)
		if _, err := io.ReadFull(in, frame); err != nil {
			return "", nil, err
		}
		return yamldoc.Event(frame)
	}
}

// jsonEvents reads the events of a watch in JSON, one value after the other.
func jsonEvents(r io.Reader) func() (string, []byte, error) {
	in := json.NewDecoder(r)
	return func() (string, []byte, error) {
		var e struct {
			Type   string
			Object json.RawMessage
		}
		err := in.Decode(&e)
		return e.Type, e.Object, err
	}
}
