package reach

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/fact"
)

func snapshotOf(docs ...map[string]any) *fact.Snapshot {
	var changes []fact.Change
	for i, d := range docs {
		changes = append(changes, fact.Change{Op: fact.Upsert, Object: object(d, i)})
	}
	return (&fact.Snapshot{}).Apply(changes...)
}

func podDoc(ns, name string, labels map[string]any) map[string]any {
	return map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"name": name, "namespace": ns, "labels": labels},
		"spec": map[string]any{"containers": []any{map[string]any{"name": "c"}}}}
}

// TestManyPolicies holds 10,000 policies on one namespace, each with ports of
// its own, to one exact answer.
func TestManyPolicies(t *testing.T) {
	docs := []map[string]any{podDoc("shop", "web", map[string]any{"app": "web"}), podDoc("shop", "db", map[string]any{"app": "db"})}
	for i := range 10000 {
		docs = append(docs, policyDoc("shop", fmt.Sprintf("p%d", i), allowFrom("db", "web", 1+2*i)))
	}
	m := New(snapshotOf(docs...), Options{})
	got := m.Between(m.Workloads[0].Endpoints[0], m.Workloads[1].Endpoints[0])
	for _, port := range []uint16{1, 3, 9999, 19999} {
		if !got.Has(TCP, port) || got.Has(TCP, port+1) {
			t.Errorf("port %d: %t, and %t for the next", port, got.Has(TCP, port), got.Has(TCP, port+1))
		}
	}
	if back := m.Between(m.Workloads[1].Endpoints[0], m.Workloads[0].Endpoints[0]); !back.All() {
		t.Errorf("the way back is open, got %s", back)
	}
	if _, complete := m.Lint(); complete {
		t.Error("so many rules are not compared with each other, and that must be told")
	}
}

// TestHostileLabels holds labels of hostile size and form to a plain answer.
func TestHostileLabels(t *testing.T) {
	long := strings.Repeat("x\x00\"| ", 1<<16)
	docs := []map[string]any{
		podDoc("shop", "web", map[string]any{"app": long}),
		podDoc("shop", "db", map[string]any{"app": "db"}),
		policyDoc("shop", "p", map[string]any{"podSelector": map[string]any{"matchLabels": map[string]any{"app": "db"}},
			"ingress": []any{map[string]any{"from": []any{map[string]any{"podSelector": map[string]any{"matchLabels": map[string]any{"app": long}}}}}}}),
	}
	m := New(snapshotOf(docs...), Options{})
	if p := m.Between(m.Workloads[0].Endpoints[0], m.Workloads[1].Endpoints[0]); !p.All() {
		t.Errorf("the rule names this label: got %s", p)
	}
}

// TestGaps holds that what is wrong is told with its place, and the rest
// answered.
func TestGaps(t *testing.T) {
	rule := func(from map[string]any) map[string]any {
		return map[string]any{"podSelector": map[string]any{}, "ingress": []any{map[string]any{"from": []any{from}}}}
	}
	block := func(cidr string, except ...any) map[string]any {
		return map[string]any{"ipBlock": map[string]any{"cidr": cidr, "except": except}}
	}
	port := func(p map[string]any) map[string]any {
		return map[string]any{"podSelector": map[string]any{}, "ingress": []any{map[string]any{"ports": []any{p}}}}
	}
	for _, c := range []struct {
		name, kind string
		spec       map[string]any
	}{
		{"no prefix", "invalid-cidr", rule(block("10.0.0.1"))},
		{"prefix too long", "invalid-cidr", rule(block("10.0.0.0/33"))},
		{"exception outside", "invalid-cidr", rule(block("10.0.0.0/8", "11.0.0.0/16"))},
		{"exception that is all", "invalid-cidr", rule(block("10.0.0.0/8", "10.0.0.0/8"))},
		{"exception of the other family", "invalid-cidr", rule(block("10.0.0.0/8", "::/0"))},
		{"peer of nothing", "invalid-policy", rule(map[string]any{})},
		{"operator", "invalid-selector", rule(map[string]any{"podSelector": map[string]any{"matchExpressions": []any{map[string]any{"key": "a", "operator": "Is"}}}})},
		{"port 0", "invalid-port", port(map[string]any{"port": 0})},
		{"port too high", "invalid-port", port(map[string]any{"port": 70000})},
		{"range upside down", "invalid-port", port(map[string]any{"port": 10, "endPort": 5})},
		{"range of a name", "invalid-port", port(map[string]any{"port": "http", "endPort": 5})},
		{"protocol", "invalid-port", port(map[string]any{"port": 1, "protocol": "ICMP"})},
		{"policy type", "invalid-policy", map[string]any{"podSelector": map[string]any{}, "policyTypes": []any{"Both"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := New(snapshotOf(podDoc("shop", "web", nil), podDoc("other", "api", nil), policyDoc("shop", "p", c.spec)), Options{})
			found := false
			for _, g := range m.Gaps() {
				found = found || g.Kind == c.kind && g.Pos.Line > 0 && g.File == "test.yaml"
			}
			if !found {
				t.Errorf("no gap %s with a place in %v", c.kind, m.Gaps())
			}
			web, api := m.Workloads[0].Endpoints[0], m.Workloads[1].Endpoints[0]
			if p := m.Between(web, api); !p.All() {
				t.Errorf("the rest is answered: got %s", p)
			}
			if len(m.Taints(web)) == 0 || len(m.Taints(api)) != 0 {
				t.Errorf("tainted: web %d, api %d", len(m.Taints(web)), len(m.Taints(api)))
			}
		})
	}
}

// TestForeign holds that a policy that is not evaluated taints what it is about
// and nothing else.
func TestForeign(t *testing.T) {
	m := New(snapshotOf(podDoc("shop", "web", nil), podDoc("other", "api", nil),
		map[string]any{"apiVersion": "cilium.io/v2", "kind": "CiliumNetworkPolicy", "metadata": map[string]any{"name": "x", "namespace": "shop"}}), Options{})
	if len(m.Taints(0)) != 1 || len(m.Taints(1)) != 0 || len(m.Gaps()) != 1 {
		t.Errorf("taints %v, %v; gaps %v", m.Taints(0), m.Taints(1), m.Gaps())
	}
}

// FuzzRanges holds the arithmetic of ranges: a hole is gone, and what is left
// and the hole are the whole.
func FuzzRanges(f *testing.F) {
	f.Add("10.0.0.0/8", "10.1.0.0/16")
	f.Add("0.0.0.0/0", "255.255.255.255/32")
	f.Add("::/0", "ffff::/16")
	f.Fuzz(func(t *testing.T, a, b string) {
		whole, err1 := parseCIDR(a)
		hole, err2 := parseCIDR(b)
		if err1 != nil || err2 != nil {
			return
		}
		rest := without([]Range{whole}, hole)
		for _, r := range rest {
			for _, x := range []Range{{r.First, r.First}, {r.Last, r.Last}} {
				if !whole.Has(x.First) || hole.Has(x.First) {
					t.Fatalf("%s without %s has %s", a, b, x.First)
				}
			}
		}
		left := []Range{whole}
		for _, r := range append(rest, hole) {
			left = without(left, r)
		}
		if len(left) > 0 {
			t.Fatalf("%s: %v is in no part (%s)", a, left, b)
		}
		cuts := cut([]Range{whole, hole})
		for i, c := range cuts {
			if c.Last.Less(c.First) || i > 0 && !cuts[i-1].Last.Less(c.First) {
				t.Fatalf("cuts of %s and %s are not in order: %v", a, b, cuts)
			}
			for _, r := range []Range{whole, hole} {
				if r.Has(c.First) != r.Has(c.Last) {
					t.Fatalf("%s splits %s", r, c)
				}
			}
		}
	})
}

// FuzzPorts holds the arithmetic of ports against sets of single ports.
func FuzzPorts(f *testing.F) {
	f.Add(uint16(1), uint16(10), uint16(5), uint16(20))
	f.Add(uint16(0), uint16(65535), uint16(65535), uint16(65535))
	f.Fuzz(func(t *testing.T, a, b, c, d uint16) {
		p, q := PortsOf(TCP, a, b), PortsOf(TCP, c, d).Or(PortsOf(UDP, a, d))
		for _, port := range []uint16{1, a, b, c, d, a + 1, b + 1, c - 1, d - 1, 65535} {
			if port == 0 {
				continue
			}
			for proto := range protocols {
				x, y := p.Has(proto, port), q.Has(proto, port)
				if p.Or(q).Has(proto, port) != (x || y) || p.And(q).Has(proto, port) != (x && y) || p.Minus(q).Has(proto, port) != (x && !y) {
					t.Fatalf("%s and %s at %s %d", p, q, proto, port)
				}
			}
		}
		if p.Minus(q).Or(p.And(q)) != p {
			t.Fatalf("%s: parts are not the whole (%s)", p, q)
		}
	})
}

// TestRangeText holds that a range that is a prefix is written as one.
func TestRangeText(t *testing.T) {
	for _, s := range []string{"0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/32", "128.0.0.0/1", "::/0", "2001:db8::/33", "::1/128"} {
		r, err := parseCIDR(s)
		if err != nil || r.String() != s {
			t.Errorf("%s: %s, %v", s, r, err)
		}
	}
	for _, x := range [][2]string{{"10.0.0.0", "10.0.0.2"}, {"0.0.0.1", "255.255.255.255"}, {"::1", "::2"}, {"10.0.0.1", "10.0.0.2"}} {
		r := Range{netip.MustParseAddr(x[0]), netip.MustParseAddr(x[1])}
		if want := x[0] + "-" + x[1]; r.String() != want {
			t.Errorf("%s, want %s", r, want)
		}
	}
}

// TestRefused holds that a policy which the API server refuses for the type of a
// value taints what it is about, whether it comes at once or as a change.
func TestRefused(t *testing.T) {
	docs := []map[string]any{podDoc("shop", "web", nil), podDoc("other", "api", nil), policyDoc("shop", "p", map[string]any{"podSelector": map[string]any{}})}
	whole := snapshotOf(docs...)
	refused := fact.Change{Op: fact.GapOpened, Gap: fact.Gap{Kind: "wrong-type", File: "test.yaml", Pos: fact.Pos{Line: 3}, Message: "spec.ingress: expected list, found map"}}
	elsewhere := fact.Change{Op: fact.GapOpened, Gap: fact.Gap{Kind: "wrong-type", File: "other.yaml", Pos: fact.Pos{Line: 3}}}
	for name, m := range map[string]*Model{"new": New(whole.Apply(refused), Options{}), "change": New(whole, Options{}).Apply(refused)} {
		if len(m.Taints(0)) != 1 || len(m.Taints(1)) != 0 || len(m.Gaps()) != 1 || m.Gaps()[0].Kind != "refused-policy" {
			t.Errorf("%s: taints %v, %v; gaps %v", name, m.Taints(0), m.Taints(1), m.Gaps())
		}
	}
	if m := New(whole.Apply(elsewhere), Options{}); len(m.Gaps()) != 0 {
		t.Errorf("another file: %v", m.Gaps())
	}
}

// TestSamePriority holds that two policies of one priority, of which either may
// decide, are told, and taint what both are about.
func TestSamePriority(t *testing.T) {
	admin := func(name string, priority int, ns string) map[string]any {
		in := map[string]any{"namespaces": map[string]any{"matchLabels": map[string]any{"kubernetes.io/metadata.name": ns}}}
		return map[string]any{"apiVersion": adminGroup + "/v1alpha1", "kind": "AdminNetworkPolicy", "metadata": map[string]any{"name": name},
			"spec": map[string]any{"priority": priority, "subject": in, "ingress": []any{map[string]any{"action": "Deny", "from": []any{in}}}}}
	}
	pods := []map[string]any{podDoc("shop", "web", nil), podDoc("other", "api", nil)}
	for _, c := range []struct {
		name string
		add  map[string]any
		kind string
	}{
		{"same", admin("b", 5, "shop"), "same-priority"}, {"another", admin("b", 6, "shop"), ""}, {"other pods", admin("b", 5, "other"), ""}, {"too high", admin("b", 1001, "other"), "invalid-policy"},
	} {
		s := snapshotOf(append(pods[:2:2], admin("a", 5, "shop"))...)
		change := fact.Change{Op: fact.Upsert, Object: object(c.add, 9)}
		for how, m := range map[string]*Model{"new": New(s.Apply(change), Options{}), "change": New(s, Options{}).Apply(change)} {
			var kinds []string
			for _, g := range m.Gaps() {
				if g.Kind != "unknown-namespace" {
					kinds = append(kinds, g.Kind)
				}
			}
			if got := strings.Join(kinds, " "); got != c.kind {
				t.Errorf("%s, %s: %q", c.name, how, got)
			}
			if want := map[string]int{"same-priority": 2}[c.kind]; len(m.Taints(0)) != want {
				t.Errorf("%s, %s: web has taints %v", c.name, how, m.Taints(0))
			}
		}
	}
}

// TestNotEnforced holds that a plug-in which ignores policies taints what they
// are about, unless another is there that does not.
func TestNotEnforced(t *testing.T) {
	daemon := func(name string) map[string]any {
		return map[string]any{"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": map[string]any{"name": name, "namespace": "kube-system"},
			"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"hostNetwork": true, "containers": []any{map[string]any{"name": "c"}}}}}}
	}
	docs := []map[string]any{podDoc("shop", "web", nil), podDoc("other", "api", nil), policyDoc("shop", "p", map[string]any{"podSelector": map[string]any{}}), daemon("kube-flannel-ds")}
	at := func(m *Model, name string) int {
		return m.Workloads[slices.IndexFunc(m.Workloads, func(w *Workload) bool { return w.Name == name })].Endpoints[0]
	}
	m := New(snapshotOf(docs...), Options{})
	if len(m.Gaps()) != 1 || m.Gaps()[0].Kind != "not-enforced" || len(m.Taints(at(m, "web"))) != 1 || len(m.Taints(at(m, "api"))) != 0 {
		t.Errorf("gaps %v; taints %v, %v", m.Gaps(), m.Taints(at(m, "web")), m.Taints(at(m, "api")))
	}
	if m := New(snapshotOf(append(docs, daemon("kube-network-policies"))...), Options{}); len(m.Gaps()) != 0 || len(m.Taints(at(m, "web"))) != 0 {
		t.Errorf("one enforces: gaps %v", m.Gaps())
	}
}
