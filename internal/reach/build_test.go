package reach

import (
	"maps"
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
)

// object builds an object from plain maps and lists.
func object(doc map[string]any, number int) *fact.Object {
	b := &fact.Builder{Positions: true}
	line := uint32(1)
	put(b, fact.Key{}, doc, &line)
	o, ok := fact.NewObject(b.Tree().Root(), fact.Origin{Source: "test", File: "test.yaml", Doc: number})
	if !ok {
		panic("no object")
	}
	return &o
}

func put(b *fact.Builder, key fact.Key, v any, line *uint32) {
	at := fact.Pos{Line: *line, Column: 1}
	*line++
	switch v := v.(type) {
	case map[string]any:
		b.Begin(key, at, fact.Map)
		for _, k := range sortedKeys(v) {
			put(b, fact.K(k), v[k], line)
		}
		b.End()
	case []any:
		b.Begin(key, at, fact.List)
		for _, e := range v {
			put(b, fact.Key{}, e, line)
		}
		b.End()
	case string:
		b.String(key, at, v)
	case int:
		b.Int(key, at, int64(v))
	case bool:
		b.Bool(key, at, v)
	default:
		b.Null(key, at)
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func anyMap(m map[string]string) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func anyList(list []string) []any {
	out := []any{}
	for _, v := range list {
		out = append(out, v)
	}
	return out
}

func (c *bruteCluster) snapshot() *fact.Snapshot {
	var changes []fact.Change
	add := func(doc map[string]any) {
		changes = append(changes, fact.Change{Op: fact.Upsert, Object: object(doc, len(changes))})
	}
	for _, ns := range sortedKeys(c.namespaces) {
		add(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": ns, "labels": anyMap(c.namespaces[ns])}})
	}
	for _, p := range c.pods {
		add(p.document())
	}
	for i := range c.policies {
		add(c.policies[i].document())
	}
	return (&fact.Snapshot{}).Apply(changes...)
}

func (p *brutePod) document() map[string]any {
	var ports []any
	for _, x := range p.ports {
		e := map[string]any{"containerPort": x.number, "protocol": x.proto}
		if x.name != "" {
			e["name"] = x.name
		}
		ports = append(ports, e)
	}
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": p.name, "namespace": p.ns, "labels": anyMap(p.labels)},
		"spec": map[string]any{"hostNetwork": p.host, "containers": []any{map[string]any{"name": "c", "ports": ports}}}}
}

func (s *bruteSelector) document() map[string]any {
	out := map[string]any{}
	if len(s.labels) > 0 {
		out["matchLabels"] = anyMap(s.labels)
	}
	var exprs []any
	for _, e := range s.exprs {
		x := map[string]any{"key": e.key, "operator": e.op}
		if e.values != nil {
			x["values"] = anyList(e.values)
		}
		exprs = append(exprs, x)
	}
	if exprs != nil {
		out["matchExpressions"] = exprs
	}
	return out
}

func (p *brutePolicy) document() map[string]any {
	spec := map[string]any{}
	group := "networking.k8s.io/v1"
	meta := map[string]any{"name": p.name}
	if p.kind == "NetworkPolicy" {
		meta["namespace"] = p.ns
		spec["podSelector"] = p.subPod.document()
		if p.types != nil {
			spec["policyTypes"] = anyList(p.types)
		}
	} else {
		group = "policy.networking.k8s.io/v1alpha1"
		if p.kind == "ClusterNetworkPolicy" {
			group = "policy.networking.k8s.io/v1alpha2"
			spec["tier"] = p.tier
		}
		if p.kind != "BaselineAdminNetworkPolicy" {
			spec["priority"] = p.priority
		}
		spec["subject"] = adminPeer(p.subNS, p.subPod)
	}
	if p.ingress != nil {
		spec["ingress"] = p.ruleDocuments(p.ingress, "from")
	}
	if p.egress != nil {
		spec["egress"] = p.ruleDocuments(p.egress, "to")
	}
	return map[string]any{"apiVersion": group, "kind": p.kind, "metadata": meta, "spec": spec}
}

func adminPeer(ns, pod *bruteSelector) map[string]any {
	if pod == nil {
		return map[string]any{"namespaces": ns.document()}
	}
	return map[string]any{"pods": map[string]any{"namespaceSelector": ns.document(), "podSelector": pod.document()}}
}

func (p *brutePolicy) ruleDocuments(rules []bruteRule, side string) []any {
	out := []any{}
	for _, r := range rules {
		doc := map[string]any{}
		if p.kind != "NetworkPolicy" {
			doc["action"] = r.action
			if p.kind == "ClusterNetworkPolicy" && r.action == "Allow" {
				doc["action"] = "Accept"
			}
		}
		var peers, ports []any
		for _, x := range r.peers {
			peers = append(peers, p.peerDocument(&x))
		}
		for _, x := range r.ports {
			ports = append(ports, p.portDocument(&x))
		}
		if peers != nil {
			doc[side] = peers
		}
		field := "ports"
		if p.kind == "ClusterNetworkPolicy" {
			field = "protocols"
		}
		if ports != nil {
			doc[field] = ports
		}
		out = append(out, doc)
	}
	return out
}

func (p *brutePolicy) peerDocument(x *brutePeer) map[string]any {
	switch {
	case x.cidr != "" && p.kind != "NetworkPolicy":
		return map[string]any{"networks": []any{x.cidr}}
	case x.cidr != "":
		block := map[string]any{"cidr": x.cidr}
		if x.except != nil {
			block["except"] = anyList(x.except)
		}
		return map[string]any{"ipBlock": block}
	case p.kind != "NetworkPolicy":
		return adminPeer(x.ns, x.pod)
	}
	out := map[string]any{}
	if x.ns != nil {
		out["namespaceSelector"] = x.ns.document()
	}
	if x.pod != nil {
		out["podSelector"] = x.pod.document()
	}
	return out
}

func (p *brutePolicy) portDocument(x *brutePortRule) map[string]any {
	switch p.kind {
	case "NetworkPolicy":
		out := map[string]any{"protocol": x.proto}
		switch {
		case x.name != "":
			out["port"] = x.name
		case !x.everything:
			out["port"] = x.port
			if x.end > 0 {
				out["endPort"] = x.end
			}
		}
		return out
	case "ClusterNetworkPolicy":
		if x.name != "" {
			return map[string]any{"destinationNamedPort": x.name}
		}
		port := map[string]any{"number": x.port}
		if x.end > 0 {
			port = map[string]any{"range": map[string]any{"start": x.port, "end": x.end}}
		}
		field := map[string]string{"TCP": "tcp", "UDP": "udp", "SCTP": "sctp"}[x.proto]
		return map[string]any{field: map[string]any{"destinationPort": port}}
	}
	switch {
	case x.name != "":
		return map[string]any{"namedPort": x.name}
	case x.end > 0:
		return map[string]any{"portRange": map[string]any{"protocol": x.proto, "start": x.port, "end": x.end}}
	}
	return map[string]any{"portNumber": map[string]any{"protocol": x.proto, "port": x.port}}
}
