package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// resource is one kind as the API server serves it.
type resource struct {
	group, version, kind, name string
	namespaced                 bool
	protobuf                   bool
	partial                    bool // only metadata is asked for
}

func (r *resource) apiVersion() string {
	if r.group == "" {
		return r.version
	}
	return r.group + "/" + r.version
}

// groupKind is the kind as controls name it.
func (r *resource) groupKind() string {
	if r.group == "" {
		return r.kind
	}
	return r.group + "/" + r.kind
}

// full is the resource as RBAC and kubectl name it.
func (r *resource) full() string {
	if r.group == "" {
		return r.name
	}
	return r.name + "." + r.group
}

// discovery asks which kinds are served. It keeps the last answers, which the
// API server confirms without sending them again.
type discovery struct {
	client *client
	types  *yamldoc.Types
	last   [2]struct {
		etag   string
		groups []apiGroup
	}
}

// apiGroup is APIGroupDiscovery of apidiscovery.k8s.io/v2, as far as it is read.
type apiGroup struct {
	Metadata struct{ Name string }
	Versions []struct {
		Version   string
		Freshness string // Current or Stale: the server behind it does not answer
		Resources []struct {
			Resource     string
			ResponseKind struct{ Kind string }
			Scope        string // Namespaced or Cluster
			Verbs        []string
		}
	}
}

// aggregated asks for all groups in one document.
const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

// ErrOldServer says that the API server is older than any that Merlon reads.
var ErrOldServer = errors.New("the API server does not tell all its kinds at once, as Kubernetes 1.30 and later do")

// groups returns every group that is served.
func (d *discovery) groups(ctx context.Context) ([]apiGroup, error) {
	var out []apiGroup
	for i, path := range [...]string{"/api", "/apis"} {
		last := &d.last[i]
		a, err := d.client.get(ctx, path, nil, aggregated, last.etag)
		switch {
		case codeOf(err) == http.StatusNotModified:
		case err != nil:
			return nil, fmt.Errorf("ask which kinds are served: %w", err)
		default:
			if !strings.Contains(a.header.Get("Content-Type"), "APIGroupDiscoveryList") {
				return nil, ErrOldServer
			}
			var list struct{ Items []apiGroup }
			if err := json.Unmarshal(a.body, &list); err != nil {
				return nil, fmt.Errorf("ask which kinds are served: %w", err)
			}
			last.groups, last.etag = list.Items, a.header.Get("ETag")
		}
		out = append(out, last.groups...)
	}
	return out, nil
}

// found is what discovery says of the kinds that are wanted.
type found struct {
	resources []resource
	stale     map[string]bool // groups whose server does not answer: what they serve is not known for certain
	unknown   []string        // kinds of such groups that may or may not be served
}

// find looks for the kinds that rights are about, in the order of reading:
// Namespaces first, then what carries no pods, then owners before what they own.
func (d *discovery) find(ctx context.Context, rights []source.Right) (found, error) {
	groups, err := d.groups(ctx)
	if err != nil {
		return found{}, err
	}
	out := found{stale: map[string]bool{}}
	byName := map[string]*apiGroup{}
	for i := range groups {
		g := &groups[i]
		byName[g.Metadata.Name] = g
		for _, v := range g.Versions {
			if v.Freshness == "Stale" {
				out.stale[g.Metadata.Name] = true
			}
		}
	}
	for _, right := range rights {
		if g := byName[right.Group]; g != nil {
			if r, ok := d.best(g, right.Kind); ok {
				out.resources = append(out.resources, r)
			} else if out.stale[right.Group] {
				out.unknown = append(out.unknown, right.Kind)
			}
		}
	}
	order := fact.WorkloadKinds()
	rank := func(r resource) int {
		if r.kind == "Namespace" && r.group == "" {
			return -2
		}
		return slices.Index(order, r.groupKind())
	}
	slices.SortStableFunc(out.resources, func(a, b resource) int { return rank(a) - rank(b) })
	return out, nil
}

// best chooses the version of a kind: the one that the API server prefers among
// those whose protobuf is known, else the one it prefers.
func (d *discovery) best(g *apiGroup, groupKind string) (resource, bool) {
	_, kind := fact.InGroup(groupKind)
	var best resource
	ok := false
	for _, v := range g.Versions {
		for _, x := range v.Resources {
			if x.ResponseKind.Kind != kind || !slices.Contains(x.Verbs, "list") {
				continue
			}
			r := resource{group: g.Metadata.Name, version: v.Version, kind: kind, name: x.Resource, namespaced: x.Scope == "Namespaced"}
			r.protobuf = d.types.BuiltIn(r.apiVersion(), kind)
			r.partial = groupKind == "Secret"
			if !ok || r.protobuf && !best.protobuf {
				best, ok = r, true
			}
		}
	}
	return best, ok
}
