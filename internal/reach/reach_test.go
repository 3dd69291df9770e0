package reach

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/merlon-security/merlon/internal/fact"
)

// object makes an object of nested Go values.
func object(t *testing.T, v map[string]any) *fact.Object {
	t.Helper()
	b := &fact.Builder{}
	var put func(key fact.Key, v any)
	put = func(key fact.Key, v any) {
		switch x := v.(type) {
		case map[string]any:
			b.Begin(key, fact.Pos{}, fact.Map)
			names := make([]string, 0, len(x))
			for k := range x {
				names = append(names, k)
			}
			slices.Sort(names)
			for _, k := range names {
				put(b.Key(k), x[k])
			}
			b.End()
		case []any:
			b.Begin(key, fact.Pos{}, fact.List)
			for _, e := range x {
				put(fact.Key{}, e)
			}
			b.End()
		case string:
			b.String(key, fact.Pos{}, x)
		case int:
			b.Int(key, fact.Pos{}, int64(x))
		default:
			t.Fatalf("%T", v)
		}
	}
	put(fact.Key{}, v)
	o, ok := fact.NewObject(b.Tree().Root(), fact.Origin{})
	if !ok {
		t.Fatal("no object")
	}
	return &o
}

type m = map[string]any
type l = []any

func pod(t *testing.T, ns, name string, labels m) *fact.Object {
	return object(t, m{"apiVersion": "v1", "kind": "Pod", "metadata": m{"namespace": ns, "name": name, "labels": labels},
		"spec": m{"containers": l{m{"name": "c", "ports": l{m{"name": "web", "containerPort": 8080}}}}}})
}

func lines(n *Net) []string {
	var out []string
	for c := range n.Pairs(false) {
		out = append(out, fmt.Sprint(c.Src, " => ", c.Dst, " : ", c.Ports))
	}
	slices.Sort(out)
	return out
}

func TestNetworkPolicy(t *testing.T) {
	policy := object(t, m{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": m{"namespace": "n", "name": "p"},
		"spec": m{"podSelector": m{"matchLabels": m{"app": "db"}}, "policyTypes": l{"Ingress", "Egress"}, "ingress": l{
			m{"from": l{m{"podSelector": m{"matchLabels": m{"app": "web"}}}}, "ports": l{m{"port": "web"}, m{"port": 53, "endPort": 60, "protocol": "UDP"}}},
			m{"from": l{m{"ipBlock": m{"cidr": "10.0.0.0/8", "except": l{"10.1.0.0/16"}}}}},
		}}})
	n := New([]*fact.Object{pod(t, "n", "web", m{"app": "web"}), pod(t, "n", "db", m{"app": "db"}), pod(t, "o", "web", m{"app": "web"}), policy})
	want := []string{
		"0.0.0.0-255.255.255.255[External] => n/web[Pod] : All Connections",
		"0.0.0.0-255.255.255.255[External] => o/web[Pod] : All Connections",
		"10.0.0.0-10.0.255.255[External] => n/db[Pod] : All Connections",
		"10.2.0.0-10.255.255.255[External] => n/db[Pod] : All Connections",
		"n/web[Pod] => 0.0.0.0-255.255.255.255[External] : All Connections",
		"n/web[Pod] => n/db[Pod] : TCP 8080,UDP 53-60",
		"n/web[Pod] => o/web[Pod] : All Connections",
		"o/web[Pod] => 0.0.0.0-255.255.255.255[External] : All Connections",
		"o/web[Pod] => n/web[Pod] : All Connections",
	}
	if d := cmp.Diff(want, lines(n)); d != "" {
		t.Error(d)
	}
	if len(n.Gaps()) > 0 {
		t.Error(n.Gaps())
	}
}

// Administrators' rules come first, by priority; what they pass on the network
// policies decide, and where there is none the baseline.
func TestTiers(t *testing.T) {
	rule := func(action string, port int) m {
		return m{"name": action, "action": action, "from": l{m{"namespaces": m{}}}, "ports": l{m{"portNumber": m{"protocol": "TCP", "port": port}}}}
	}
	anp := func(name string, priority int, rules ...any) *fact.Object {
		return object(t, m{"apiVersion": "policy.networking.k8s.io/v1alpha1", "kind": "AdminNetworkPolicy", "metadata": m{"name": name},
			"spec": m{"priority": priority, "subject": m{"namespaces": m{}}, "ingress": l(rules)}})
	}
	base := object(t, m{"apiVersion": "policy.networking.k8s.io/v1alpha1", "kind": "BaselineAdminNetworkPolicy", "metadata": m{"name": "default"},
		"spec": m{"subject": m{"namespaces": m{}}, "ingress": l{m{"action": "Deny", "from": l{m{"namespaces": m{}}}}}}})
	np := object(t, m{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": m{"namespace": "n", "name": "p"},
		"spec": m{"podSelector": m{"matchLabels": m{"app": "b"}}, "ingress": l{m{"ports": l{m{"port": 3}}}}}})
	n := New([]*fact.Object{pod(t, "n", "a", m{"app": "a"}), pod(t, "n", "b", m{"app": "b"}),
		anp("late", 5, rule("Deny", 1), rule("Deny", 2)), anp("early", 1, rule("Allow", 1), rule("Pass", 3)), base, np})
	got := slices.DeleteFunc(lines(n), func(s string) bool { return strings.Contains(s, "External") })
	want := []string{"n/a[Pod] => n/b[Pod] : TCP 1,3", "n/b[Pod] => n/a[Pod] : TCP 1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// What is wrong in a policy is told, and the rest of it holds.
func TestBadPolicies(t *testing.T) {
	n := New([]*fact.Object{pod(t, "n", "a", m{}), object(t, m{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": m{"namespace": "n", "name": "p"},
		"spec": m{"podSelector": m{}, "policyTypes": l{"Ingress", "Sideways"}, "ingress": l{m{"from": l{m{"ipBlock": m{"cidr": "10.0.0.0/64"}}, m{}},
			"ports": l{m{"port": 70000}, m{"port": 9, "endPort": 8}, m{"protocol": "ICMP"}}}}}})})
	if len(n.Gaps()) != 6 {
		t.Errorf("%d gaps: %v", len(n.Gaps()), n.Gaps())
	}
	if got := lines(n); !slices.Equal(got, []string{"n/a[Pod] => 0.0.0.0-255.255.255.255[External] : All Connections"}) {
		t.Error(got)
	}
}

// Sets of ports and of addresses are held against the same in single steps.
func TestSets(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	random := func() Ports {
		var p Ports
		for range r.IntN(4) {
			from := uint16(1 + r.IntN(60))
			p = p.Union(PortsOf(Protocol(r.IntN(3)), from, from+uint16(r.IntN(9))))
		}
		return p
	}
	for range 3000 {
		a, b := random(), random()
		union, both, minus := a.Union(b), a.Intersect(b), a.Minus(b)
		for proto := range protocols {
			for port := uint16(1); port < 80; port++ {
				x, y := a.Has(proto, port), b.Has(proto, port)
				if union.Has(proto, port) != (x || y) || both.Has(proto, port) != (x && y) || minus.Has(proto, port) != (x && !y) {
					t.Fatalf("%v and %v at %v %d", a, b, proto, port)
				}
			}
		}
		if a.Contains(b) != minusEmpty(b, a) || !a.Equal(a.Union(both)) {
			t.Fatalf("%v and %v", a, b)
		}
	}
	b, err := newBlock("10.0.0.0/29", []string{"10.0.0.2/31"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		if b.has(a) != (i < 8 && i != 2 && i != 3) {
			t.Errorf("%v", a)
		}
	}
	if b, _ := newBlock("2001:db8::/32", nil); !b.has(netip.MustParseAddr("2001:db8:ffff::1")) || b.has(netip.MustParseAddr("2001:db9::")) {
		t.Error("IPv6")
	}
}

func minusEmpty(a, b Ports) bool { return a.Minus(b).Empty() }
