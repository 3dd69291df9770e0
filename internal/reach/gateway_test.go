package reach

import (
	"fmt"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/fact"
)

// TestGatewayRoutes holds by which routes traffic comes in: what the Gateway API
// says of listeners, of namespaces and of grants.
func TestGatewayRoutes(t *testing.T) {
	type doc = map[string]any
	named := func(kind, ns, name string, spec doc) doc {
		group := gatewayGroup + "/v1"
		if kind == "Namespace" || kind == "Service" || kind == "Pod" {
			group = "v1"
		}
		meta := doc{"name": name}
		if ns != "" {
			meta["namespace"] = ns
		}
		return doc{"apiVersion": group, "kind": kind, "metadata": meta, "spec": spec}
	}
	listener := func(more doc) doc {
		l := doc{"name": "web", "port": 80, "protocol": "HTTP"}
		for k, v := range more {
			l[k] = v
		}
		return l
	}
	from := func(namespaces doc) doc { return doc{"allowedRoutes": doc{"namespaces": namespaces}} }
	grant := func(fromNS, fromKind string, to doc) doc {
		to["group"], to["kind"] = "", "Service"
		return named("ReferenceGrant", "shop", "grant", doc{"from": []any{doc{"group": gatewayGroup, "kind": fromKind, "namespace": fromNS}}, "to": []any{to}})
	}
	selector := func(value string) doc {
		return from(doc{"from": "Selector", "selector": doc{"matchLabels": doc{"team": value}}})
	}
	for _, c := range []struct {
		name     string
		kind     string // of the route
		routeNS  string
		parent   doc
		hosts    []any
		listener doc // nil: no Gateway in the input
		grant    doc
		hidden   bool // which grants there are is not seen
		in       bool
	}{
		{name: "same namespace", listener: listener(nil), in: true},
		{name: "gateway not seen", in: true},
		{name: "gateway of another namespace", parent: doc{"namespace": "edge"}, listener: listener(nil)},
		{name: "open to all", parent: doc{"namespace": "edge"}, listener: listener(from(doc{"from": "All"})), in: true},
		{name: "open to labels", parent: doc{"namespace": "edge"}, listener: listener(selector("shop")), in: true},
		{name: "open to other labels", parent: doc{"namespace": "edge"}, listener: listener(selector("other"))},
		{name: "open to none", listener: listener(from(doc{"from": "None"}))},
		{name: "listener by name", parent: doc{"sectionName": "web"}, listener: listener(nil), in: true},
		{name: "no such listener", parent: doc{"sectionName": "webs"}, listener: listener(nil)},
		{name: "listener by port", parent: doc{"port": 80}, listener: listener(nil), in: true},
		{name: "no such port", parent: doc{"port": 81}, listener: listener(nil)},
		{name: "other kind by protocol", kind: "TCPRoute", listener: listener(nil)},
		{name: "kind by protocol", kind: "TCPRoute", listener: listener(doc{"protocol": "TCP"}), in: true},
		{name: "protocol of one's own", kind: "TCPRoute", listener: listener(doc{"protocol": "example.com/x"}), in: true},
		{name: "kinds named", listener: listener(doc{"allowedRoutes": doc{"kinds": []any{doc{"kind": "GRPCRoute"}}}})},
		{name: "kind named", listener: listener(doc{"allowedRoutes": doc{"kinds": []any{doc{"kind": "HTTPRoute"}}}}), in: true},
		{name: "host of the listener", hosts: []any{"A.example.com"}, listener: listener(doc{"hostname": "*.example.com"}), in: true},
		{name: "other host", hosts: []any{"example.com", "example.org"}, listener: listener(doc{"hostname": "*.example.com"})},
		{name: "wide host of the route", hosts: []any{"*.com"}, listener: listener(doc{"hostname": "a.example.com"}), in: true},
		{name: "two wide hosts", hosts: []any{"*.example.com"}, listener: listener(doc{"hostname": "*.a.example.com"}), in: true},
		{name: "two strange wide hosts", hosts: []any{"*.b.example.com"}, listener: listener(doc{"hostname": "*.a.example.com"})},
		{name: "no parent", parent: doc{"kind": "none"}},
		{name: "mesh", parent: doc{"kind": "Service", "group": ""}},
		{name: "backend elsewhere", routeNS: "edge", listener: listener(nil)},
		{name: "backend elsewhere, grants not seen", routeNS: "edge", listener: listener(nil), hidden: true, in: true},
		{name: "backend elsewhere, granted", routeNS: "edge", listener: listener(nil), grant: grant("edge", "HTTPRoute", doc{}), in: true},
		{name: "backend elsewhere, granted by name", routeNS: "edge", listener: listener(nil), grant: grant("edge", "HTTPRoute", doc{"name": "web"}), in: true},
		{name: "another backend granted", routeNS: "edge", listener: listener(nil), grant: grant("edge", "HTTPRoute", doc{"name": "db"})},
		{name: "another kind granted", routeNS: "edge", listener: listener(nil), grant: grant("edge", "TLSRoute", doc{})},
		{name: "another namespace granted", routeNS: "edge", listener: listener(nil), grant: grant("shop", "HTTPRoute", doc{})},
	} {
		ns, kind := c.routeNS, c.kind
		if ns == "" {
			ns = "shop"
		}
		if kind == "" {
			kind = "HTTPRoute"
		}
		parent := doc{"name": "front"}
		for k, v := range c.parent {
			parent[k] = v
		}
		spec := doc{"parentRefs": []any{parent}, "rules": []any{doc{"backendRefs": []any{doc{"name": "web", "namespace": "shop", "port": 80}}}}}
		if parent["kind"] == "none" {
			delete(spec, "parentRefs")
		}
		if c.hosts != nil {
			spec["hostnames"] = c.hosts
		}
		pod := named("Pod", "shop", "web", doc{"containers": []any{doc{"name": "web", "image": "web"}}})
		pod["metadata"].(doc)["labels"] = doc{"app": "web"}
		shop := named("Namespace", "", "shop", doc{})
		shop["metadata"].(doc)["labels"] = doc{"team": "shop"}
		docs := []doc{shop, named("Namespace", "", "edge", doc{}), pod,
			named("Service", "shop", "web", doc{"selector": doc{"app": "web"}, "ports": []any{doc{"port": 80, "targetPort": 8080}}}),
			named(kind, ns, "route", spec)}
		if c.listener != nil {
			of, _ := parent["namespace"].(string)
			if of == "" {
				of = ns
			}
			docs = append(docs, named("Gateway", of, "front", doc{"gatewayClassName": "x", "listeners": []any{c.listener}}))
		}
		if c.grant != nil {
			docs = append(docs, c.grant)
		}
		snapshot := snapshotOf(docs...)
		if c.hidden {
			snapshot = snapshot.Apply(fact.Change{Op: fact.GapOpened, Gap: fact.Gap{Kind: "forbidden", Subject: "list referencegrants", Hides: kindGrant}})
		}
		var got []string
		for _, e := range New(snapshot, Options{}).Entries() {
			got = append(got, fmt.Sprint(e.Workload, " ", e.Ports, " ", e.Gateways))
		}
		if in := strings.Join(got, "; "); (in != "") != c.in || c.in && !strings.Contains(in, "TCP 8080 [gateway ") {
			t.Errorf("%s: %q, want in: %t", c.name, in, c.in)
		}
	}
}
