package cluster

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// pageSize is how many objects one answer holds.
const pageSize = 500

// feed is one resource, of all namespaces or of one.
type feed struct {
	resource
	namespace string
	workload  bool // the kind carries pods
	dropped   bool // no longer served; guarded by the view's lock
}

// path is where the API server serves the feed.
func (f *feed) path() string {
	root := "/api/" + f.version
	if f.group != "" {
		root = "/apis/" + f.group + "/" + f.version
	}
	if f.namespace != "" {
		root += "/namespaces/" + url.PathEscape(f.namespace)
	}
	return root + "/" + f.name
}

// where names the feed for people, as kubectl would.
func (f *feed) where() string {
	if f.namespace != "" {
		return f.full() + " in namespace " + f.namespace
	}
	return f.full()
}

const protobufType = "application/vnd.kubernetes.protobuf"

// accept says in which form the feed is wanted.
func (f *feed) accept(watch bool) string {
	switch {
	case f.partial && watch:
		return "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
	case f.partial:
		return "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
	case f.protobuf && watch:
		return protobufType + ";stream=watch"
	case f.protobuf:
		return protobufType
	}
	return "application/json"
}

// item is one object as it came: who it is, and its message or, where it came
// as JSON, itself.
type item struct {
	id   yamldoc.Identity
	raw  []byte
	root fact.Value
}

// batch is a part of a list. restart says that the list begins again; the last
// batch has the version that a watch goes on from, or an error.
type batch struct {
	items   []item
	restart bool
	last    bool
	version string
	err     error
}

// lister lists feeds. It keeps buffers and is not safe for concurrent use.
type lister struct {
	client *client
	proto  *yamldoc.ProtobufReader
	json   yamldoc.JSONReader
}

func (c *client) lister(types *yamldoc.Types) *lister {
	return &lister{client: c, proto: types.NewProtobufReader()}
}

// list hands the objects of a feed to emit, page by page, and last how it went.
// A list whose next page the API server has forgotten begins again, and in the
// end asks for everything at once, which cannot be forgotten.
func (l *lister) list(ctx context.Context, f *feed, emit func(batch) error) error {
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	forgotten := 0
	for {
		items, meta, err := l.page(ctx, f, query)
		if codeOf(err) == http.StatusGone && forgotten < 3 {
			if forgotten++; forgotten == 3 {
				query.Del("limit")
			}
			query.Del("continue")
			if err := emit(batch{restart: true}); err != nil {
				return err
			}
			continue
		}
		done := err != nil || meta.Continue == ""
		if err := emit(batch{items: items, last: done, version: meta.Version, err: err}); err != nil || done {
			return err
		}
		query.Set("continue", meta.Continue)
	}
}

func (l *lister) page(ctx context.Context, f *feed, query url.Values) ([]item, yamldoc.ListMeta, error) {
	a, err := l.client.get(ctx, f.path(), query, f.accept(false), "")
	if err != nil {
		return nil, yamldoc.ListMeta{}, err
	}
	var items []item
	var meta yamldoc.ListMeta
	if strings.HasPrefix(a.header.Get("Content-Type"), protobufType) {
		meta, err = l.proto.Items(a.body, func(raw []byte) error {
			id, err := yamldoc.Identify(raw)
			items = append(items, item{id: id, raw: raw})
			return err
		})
	} else {
		meta, err = l.json.List(a.body, func(root fact.Value) error {
			items = append(items, f.decoded(root))
			return nil
		})
	}
	if err != nil {
		return nil, meta, fmt.Errorf("read the list: %w", err)
	}
	return items, meta, nil
}

// decoded completes an object that came as JSON.
func (f *feed) decoded(root fact.Value) item {
	if f.partial {
		root = yamldoc.MetadataOnly(root, f.apiVersion(), f.kind)
	} else {
		root = yamldoc.Typed(root, f.apiVersion(), f.kind)
	}
	return item{id: yamldoc.IdentityOf(root), root: root}
}
