package packets

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
)

// Random policies over the labels of the pods of testdata/world. Blocks of
// addresses lie outside the network of the pods: that ipBlock is about those is
// what its documentation says, and whether it also meets pods depends on the
// plug-in.

type m = map[string]any

func pick[T any](r *rand.Rand, list ...T) T { return list[r.IntN(len(list))] }

func randomSelector(r *rand.Rand, labels [][2]string) m {
	l := pick(r, labels...)
	switch r.IntN(6) {
	case 0:
		return m{}
	case 1:
		return m{"matchExpressions": []any{m{"key": l[0], "operator": pick(r, "Exists", "DoesNotExist")}}}
	case 2:
		return m{"matchExpressions": []any{m{"key": l[0], "operator": pick(r, "In", "NotIn"), "values": []string{l[1], pick(r, labels...)[1]}}}}
	}
	return m{"matchLabels": m{l[0]: l[1]}}
}

var (
	podLabels       = [][2]string{{"app", "web"}, {"app", "api"}, {"app", "db"}, {"app", "cache"}, {"tier", "front"}, {"tier", "back"}}
	namespaceLabels = [][2]string{{"team", "a"}, {"team", "b"}, {"kubernetes.io/metadata.name", "tools"}, {"kubernetes.io/metadata.name", "shop"}}
)

func randomPeer(r *rand.Rand) m {
	switch r.IntN(5) {
	case 0:
		block := m{"cidr": pick(r, "10.199.0.0/24", "10.199.0.0/25", "10.199.0.128/25", "10.199.0.1/32")}
		if block["cidr"] == "10.199.0.0/24" && r.IntN(2) == 0 {
			block["except"] = []string{pick(r, "10.199.0.128/25", "10.199.0.1/32")}
		}
		return m{"ipBlock": block}
	case 1:
		return m{"namespaceSelector": randomSelector(r, namespaceLabels)}
	case 2:
		return m{"namespaceSelector": randomSelector(r, namespaceLabels), "podSelector": randomSelector(r, podLabels)}
	}
	return m{"podSelector": randomSelector(r, podLabels)}
}

func randomPort(r *rand.Rand) m {
	p := m{"protocol": pick(r, "TCP", "TCP", "UDP")}
	switch r.IntN(4) {
	case 0:
	case 1:
		p["port"] = pick(r, "main", "names")
	case 2:
		p["port"], p["endPort"] = pick(r, 5432, 8000), pick(r, 8000, 8080, 9053)
	default:
		p["port"] = pick(r, ports...).Number
	}
	return p
}

func randomRules(r *rand.Rand, peers string) []any {
	var out []any
	for range r.IntN(3) {
		rule := m{}
		for range r.IntN(3) {
			list, _ := rule[peers].([]any)
			rule[peers] = append(list, randomPeer(r))
		}
		for range r.IntN(3) {
			list, _ := rule["ports"].([]any)
			rule["ports"] = append(list, randomPort(r))
		}
		out = append(out, rule)
	}
	return out
}

// randomPolicies returns a handful of network policies.
func randomPolicies(r *rand.Rand) string {
	var items []any
	for i := range 3 + r.IntN(4) {
		spec := m{"podSelector": randomSelector(r, podLabels), "policyTypes": pick(r, []string{"Ingress"}, []string{"Egress"}, []string{"Ingress", "Egress"})}
		for _, t := range spec["policyTypes"].([]string) {
			side, peers := "ingress", "from"
			if t == "Egress" {
				side, peers = "egress", "to"
			}
			if rules := randomRules(r, peers); rules != nil {
				spec[side] = rules
			}
		}
		items = append(items, m{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
			"metadata": m{"name": fmt.Sprintf("random-%d", i), "namespace": pick(r, "shop", "data", "tools")}, "spec": spec})
	}
	text, err := json.Marshal(m{"apiVersion": "v1", "kind": "List", "items": items})
	if err != nil {
		panic(err)
	}
	return string(text)
}
