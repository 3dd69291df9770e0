// Package cluster is the source that reads a running cluster through its API
// server: once, or for as long as its context lives.
//
// It only ever lists and watches, what it is asked for and nothing else, and
// says what it may not see. client-go does the transport; what comes is decoded
// straight into facts.
package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// Name is the source's name in facts and gaps.
const Name = "cluster"

// Source reads one cluster. Its zero value reads nothing.
type Source struct {
	source.ClusterInput

	client *client
	types  *yamldoc.Types
	info   source.ClusterInfo
}

// Kind describes the source.
func Kind() config.Kind[source.Source] {
	return config.Kind[source.Source]{
		Name: Name, Doc: "the objects of a running cluster, through its API server", Example: "merlon scan --cluster",
		New: func(decode func(any) error) (source.Source, error) {
			s := &Source{}
			return s, decode(&s.ClusterInput)
		},
	}
}

// The Source's defaults.
const (
	renewAfter      = 5 * time.Minute
	rediscoverAfter = time.Minute
	ownerComes      = 5 * time.Second // how long an owner may take to come, or its dependents to go
)

// Cluster says which cluster was read.
func (s *Source) Cluster() source.ClusterInfo { return s.info }

// Collect reads everything once and reports Synced; when it watches, it then
// reports changes until ctx ends. It returns an error when it cannot begin:
// what fails later is a gap.
func (s *Source) Collect(ctx context.Context, emit func(fact.Change) error) error {
	var err error
	if s.client, err = connect(s.ClusterInput); err != nil {
		return err
	}
	defer s.client.http.CloseIdleConnections()
	s.types = yamldoc.NewTypes()
	s.info = source.ClusterInfo{Server: s.client.base.String(), Context: s.client.context}
	if err := s.identify(ctx); err != nil {
		return err
	}
	d := &discovery{client: s.client, types: s.types}
	served, err := d.find(ctx, source.Rights(s.Kinds, s.SecretMetadata))
	if err != nil {
		return err
	}
	v := newView(s.types, s.Watch, emit)
	v.world = s.info.UID
	if err := s.standing(emit); err != nil {
		return err
	}
	w := &watcher{source: s, view: v, discovery: d, feeds: s.feeds(served.resources), versions: map[*feed]string{}}
	if err := v.unserved(served.unknown); err != nil {
		return err
	}
	if err := w.first(ctx); err != nil {
		return err
	}
	if s.KubeletConfig {
		if err := s.kubelets(ctx, emit); err != nil {
			return err
		}
	}
	if err := v.release(); err != nil || !s.Watch {
		return err
	}
	return w.watch(ctx)
}

// identify asks for the API server's version and the cluster's identity, which
// is the UID of kube-system: found by listing, since that is the right Merlon
// has.
func (s *Source) identify(ctx context.Context) error {
	a, err := s.client.get(ctx, "/version", nil, "application/json", "")
	if err != nil {
		return fmt.Errorf("reach %s: %w", s.info.Server, err)
	}
	var v struct{ GitVersion string }
	if err := json.Unmarshal(a.body, &v); err != nil {
		return fmt.Errorf("reach %s: it does not answer like an API server", s.info.Server)
	}
	s.info.Version, s.info.Date = v.GitVersion, a.header.Get("Date")
	query := url.Values{"fieldSelector": {"metadata.name=kube-system"}, "limit": {"1"}}
	a, err = s.client.get(ctx, "/api/v1/namespaces", query, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", "")
	if codeOf(err) == http.StatusForbidden {
		return nil // a gap tells, as for every list that is refused
	}
	if err != nil {
		return fmt.Errorf("reach %s: %w", s.info.Server, err)
	}
	var r yamldoc.JSONReader
	_, err = r.List(a.body, func(ns fact.Value) error {
		s.info.UID = yamldoc.IdentityOf(ns).UID
		return nil
	})
	return err
}

// feeds makes of each resource one feed, or one for each namespace asked for.
func (s *Source) feeds(resources []resource) []*feed {
	var out []*feed
	for _, r := range resources {
		if len(s.Namespaces) == 0 || !r.namespaced {
			out = append(out, newFeed(r, ""))
			continue
		}
		for _, ns := range s.Namespaces {
			out = append(out, newFeed(r, ns))
		}
	}
	return out
}

// standing reports what Merlon does not ask for.
func (s *Source) standing(emit func(fact.Change) error) error {
	for _, kind := range s.Kinds {
		if kind != "Secret" {
			continue
		}
		gap := fact.Gap{Kind: "not-asked", Source: Name, Subject: "list secrets", Hides: "Secret",
			Message: "Secrets were not read: who may list them reads every value, so Merlon asks for no right on them. What it knows of them comes from references; --with secret-metadata reads their names and labels"}
		if s.SecretMetadata {
			gap.Kind, gap.Subject, gap.Message = "metadata-only", "secrets", "of Secrets only names and labels were read, not what they hold"
		}
		if err := emit(fact.Change{Op: fact.GapOpened, Gap: gap}); err != nil {
			return err
		}
	}
	return nil
}

// gapOf is the gap of a feed that cannot be read.
func gapOf(f *feed, err error) fact.Gap {
	g := fact.Gap{Kind: "unavailable", Source: Name, Subject: "list " + f.where(), Hides: f.groupKind()}
	switch code := codeOf(err); {
	case code == http.StatusForbidden:
		g.Kind = "forbidden"
		g.Message = fmt.Sprintf("the API server refuses to list %s: grant the verbs list and watch on it (merlon permissions prints them)", f.where())
	case code == http.StatusUnauthorized:
		g.Kind = "unauthorized"
		g.Message = fmt.Sprintf("%s cannot be listed: the API server does not accept Merlon's credentials, or no longer", f.where())
	case code != 0:
		g.Message = fmt.Sprintf("%s cannot be listed: %v", f.where(), plainError(err))
	default:
		g.Message = fmt.Sprintf("%s cannot be listed: the API server cannot be reached, or breaks off", f.where())
	}
	return g
}

func plainError(err error) error {
	var s *statusError
	if errors.As(err, &s) {
		return s
	}
	return err
}

// parallel is how many lists are asked for at once.
const parallel = 4

// first lists every feed. Several are asked for at once, and taken in in their
// order, so that the same cluster gives the same facts in the same order.
func (w *watcher) first(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	queues := make([]chan batch, len(w.feeds))
	for i := range queues {
		queues[i] = make(chan batch, 1)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range min(parallel, len(w.feeds)) {
		wg.Go(func() {
			l := w.source.client.lister(w.source.types)
			for i := int(next.Add(1)) - 1; i < len(w.feeds); i = int(next.Add(1)) - 1 {
				err := l.list(ctx, w.feeds[i], func(b batch) error {
					select {
					case queues[i] <- b:
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				})
				if err != nil && ctx.Err() != nil {
					return
				}
			}
		})
	}
	for i, f := range w.feeds {
		w.view.begin(f)
		for done := false; !done; {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case b := <-queues[i]:
				if err := w.take(f, b); err != nil {
					return err
				}
				done = b.last
			}
		}
	}
	return nil
}

// take takes in a batch of a list.
func (w *watcher) take(f *feed, b batch) error {
	if b.restart {
		w.view.begin(f)
		return nil
	}
	if err := w.view.upsert(f, b.items...); err != nil || !b.last {
		return err
	}
	if b.err == nil {
		w.setVersion(f, b.version)
		return w.view.end(f)
	}
	return w.failed(f, b.err)
}

// failed says that a feed cannot be read. What it had stays, but for what
// Merlon may no longer see.
func (w *watcher) failed(f *feed, err error) error {
	w.setVersion(f, "")
	switch codeOf(err) {
	case http.StatusNotFound, http.StatusMethodNotAllowed: // not served any more: nothing is hidden
		return errors.Join(w.view.forget(f), w.view.end(f))
	case http.StatusForbidden:
		if err := w.view.forget(f); err != nil {
			return err
		}
	}
	return w.view.trouble(f, gapOf(f, err))
}

func newFeed(r resource, namespace string) *feed {
	f := &feed{resource: r, namespace: namespace}
	for _, k := range fact.WorkloadKinds() {
		f.workload = f.workload || k == f.groupKind()
	}
	return f
}

// agentOf shortens what Merlon calls itself to what HTTP allows.
func agentOf(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, name)
}
