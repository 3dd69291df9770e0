package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/merlon-security/merlon/controls"
	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/merlon-security/merlon/test/live/lab"
)

// follower watches one namespace as Merlon would, and keeps what it was told.
type follower struct {
	kubeconfig, namespace string
	cancel                context.CancelFunc
	done                  chan error

	mu       sync.Mutex
	snapshot *fact.Snapshot
	synced   bool
	opened   []fact.Gap // every gap that was ever told
}

// shipped are the built-in controls that a cluster is held against.
func shipped(t testing.TB) []*control.Control {
	t.Helper()
	all, err := control.Load(controls.FS, true)
	if err != nil {
		t.Fatal(err)
	}
	living, _ := control.Living(all)
	return living
}

// clusterSource is the source as the command line makes it.
func clusterSource(t testing.TB, kubeconfig, namespace string, watch bool) source.Source {
	t.Helper()
	kinds, err := control.Kinds(control.NewLibrary(), shipped(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	kind, ok := config.Find(builtin.Sources(), "cluster")
	if !ok {
		t.Fatal("there is no source named cluster")
	}
	s, err := kind.New(func(v any) error {
		*v.(*source.ClusterInput) = source.ClusterInput{
			Kubeconfig: kubeconfig, Namespaces: []string{namespace}, Kinds: kinds, Watch: watch,
			Renew: 2 * time.Second, Rediscover: time.Second,
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// follow begins to watch and returns once everything has been told.
func follow(t *testing.T, kubeconfig, namespace string) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := &follower{kubeconfig: kubeconfig, namespace: namespace, cancel: cancel, done: make(chan error, 1), snapshot: &fact.Snapshot{}}
	src := clusterSource(t, kubeconfig, namespace, true)
	go func() { w.done <- src.Collect(ctx, w.take) }()
	t.Cleanup(func() {
		if err := w.stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("the watch ended with: %v", err)
		}
	})
	lab.Eventually(t, "the first lists", func() (bool, string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.synced, ""
	})
	return w
}

func (w *follower) take(c fact.Change) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch c.Op {
	case fact.Synced:
		w.synced = true
	case fact.GapOpened:
		w.opened = append(w.opened, c.Gap)
	}
	w.snapshot = w.snapshot.Apply(c)
	return nil
}

// stop ends the watch, once, and returns how it ended.
func (w *follower) stop() error {
	w.cancel()
	err := <-w.done
	w.done <- err
	return err
}

// gaps returns the open gaps.
func (w *follower) gaps() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return gapsOf(w.snapshot)
}

// had reports whether there ever was a gap of a kind about something.
func (w *follower) had(kind, about string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.opened, func(g fact.Gap) bool { return g.Kind == kind && strings.Contains(g.Subject, about) })
}

func gapsOf(s *fact.Snapshot) []string {
	var out []string
	for _, g := range s.Gaps() {
		out = append(out, g.Kind+" "+g.Subject+" "+g.Message)
	}
	slices.Sort(out)
	return out
}

// fresh is what a new scan sees.
func fresh(t testing.TB, kubeconfig, namespace string) (*fact.Snapshot, error) {
	t.Helper()
	s := &fact.Snapshot{}
	var changes []fact.Change
	err := clusterSource(t, kubeconfig, namespace, false).Collect(context.Background(), func(c fact.Change) error {
		changes = append(changes, c)
		return nil
	})
	return s.Apply(changes...), err
}

// converges waits until the watch and a fresh scan come to the same report.
func (w *follower) converges(t *testing.T, _ *lab.Lab) {
	t.Helper()
	lib, list := control.NewLibrary(), shipped(t)
	lab.Eventually(t, "the watch and a fresh scan say the same", func() (bool, string) {
		s, err := fresh(t, w.kubeconfig, w.namespace)
		if err != nil {
			return false, err.Error()
		}
		w.mu.Lock()
		mine := w.snapshot
		w.mu.Unlock()
		diff := cmp.Diff(told(t, lib, list, s, w.namespace), told(t, lib, list, mine, w.namespace))
		if diff != "" {
			time.Sleep(500 * time.Millisecond)
		}
		return diff == "", "(- fresh, + watched)\n" + diff
	})
}

// told is everything that Merlon says of a namespace: each object with its
// fields and pods, each gap, and the report of what lies in it.
func told(t testing.TB, lib *control.Library, list []*control.Control, s *fact.Snapshot, namespace string) []string {
	t.Helper()
	var out []string
	var own []fact.Change
	for _, o := range s.Objects() {
		if o.Namespace != namespace {
			continue // other tests' and the cluster's own
		}
		own = append(own, fact.Change{Op: fact.Upsert, Object: o})
		out = append(out, fmt.Sprintf("%s %s %x pods %d", o.GroupKind(), o.Name, o.Root.Hash(), o.Pods))
	}
	out = append(out, gapsOf(s)...)
	slices.Sort(out)
	// In the order of their names: a watch is told in another order than a scan.
	slices.SortFunc(own, func(a, b fact.Change) int {
		return strings.Compare(a.Object.GroupKind()+"/"+a.Object.Name, b.Object.GroupKind()+"/"+b.Object.Name)
	})
	a, err := assess.New(lib, list, assess.Options{Minor: assess.NewestMinor()}).Assess((&fact.Snapshot{}).Apply(own...))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(a.Report(nil, nil).Findings)
	if err != nil {
		t.Fatal(err)
	}
	var findings []finding.Finding
	if err := json.Unmarshal(text, &findings); err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		out = append(out, fmt.Sprintf("%s %s %s/%s %d %d", f.ID, f.Control, f.Subject.Kind, f.Subject.Name, f.Count, f.Pods))
	}
	return out
}
