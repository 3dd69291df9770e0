package reach

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// same compares two models over everything that they answer.
func same(t *testing.T, what string, a, b *Model) {
	t.Helper()
	if len(a.Workloads) != len(b.Workloads) {
		t.Fatalf("%s: %d workloads and %d", what, len(a.Workloads), len(b.Workloads))
	}
	for i, x := range a.Workloads {
		ae, be := x.Endpoints[0], b.Workloads[i].Endpoints[0]
		for k, y := range a.Workloads {
			if p, q := a.Between(ae, y.Endpoints[0]), b.Between(be, b.Workloads[k].Endpoints[0]); p != q {
				t.Fatalf("%s: %s → %s: %s and %s", what, x, y, p, q)
			}
		}
		for _, addr := range samples() {
			if p, q := a.To(ae, addr), b.To(be, addr); p != q {
				t.Fatalf("%s: %s → %s: %s and %s", what, x, addr, p, q)
			}
			if p, q := a.From(addr, ae), b.From(addr, be); p != q {
				t.Fatalf("%s: %s → %s: %s and %s", what, addr, x, p, q)
			}
		}
	}
	if fmt.Sprint(a.Gaps()) != fmt.Sprint(b.Gaps()) {
		t.Fatalf("%s: gaps differ:\n%v\n%v", what, a.Gaps(), b.Gaps())
	}
}

// TestClasses holds that the list by classes says what the pairs say.
func TestClasses(t *testing.T) {
	for seed := range uint64(300) {
		r := random{rand.New(rand.NewPCG(seed, 13))}
		m := New(r.cluster().snapshot(), Options{})
		classes := m.Classes()
		got := map[[2]int]Ports{}
		check := m.Connections(classes)
		for _, b := range fold(m.columns(first(classes), nil)) { // what many classes are told by
			check = append(check, Connection{b.columns, b.rows, b.key})
		}
		for _, c := range check {
			for _, f := range c.From {
				for _, to := range c.To {
					for _, a := range classes[f].Endpoints {
						for _, b := range classes[to].Endpoints {
							got[[2]int{a, b}] = got[[2]int{a, b}].Or(c.Ports)
						}
					}
				}
			}
		}
		for a := range m.Endpoints {
			for b := range m.Endpoints {
				if want := m.Between(a, b); a != b && got[[2]int{a, b}] != want {
					t.Fatalf("seed %d: %d → %d: %s, want %s", seed, a, b, got[[2]int{a, b}], want)
				}
			}
		}
	}
}

// TestExplain holds that the reasons of a decision add up to it.
func TestExplain(t *testing.T) {
	for seed := range uint64(300) {
		r := random{rand.New(rand.NewPCG(seed, 17))}
		m := New(r.cluster().snapshot(), Options{})
		var ends []End
		for i, e := range m.Endpoints {
			if !e.HostNetwork { // its address is not known, and what may be denied is denied
				ends = append(ends, PodEnd(i))
			}
		}
		for _, a := range samples() {
			ends = append(ends, OutsideEnd(a))
		}
		for _, src := range ends {
			for _, dst := range ends {
				if src.Endpoint < 0 && dst.Endpoint < 0 {
					continue
				}
				var sides [directions]Ports
				for _, x := range m.Explain(src, dst, AllPorts()) {
					if x.Verdict != Denied && x.Verdict != Passed && x.Verdict != Isolated {
						sides[x.Direction] = sides[x.Direction].Or(x.Ports)
					}
				}
				if got, want := sides[Egress].And(sides[Ingress]), m.Ports(src, dst); got != want {
					t.Fatalf("seed %d: %v → %v: explained %s, is %s", seed, src, dst, got, want)
				}
			}
		}
	}
}

// TestDiff holds that the difference of two models says what comparing every
// pair of their workloads says.
func TestDiff(t *testing.T) {
	for seed := range uint64(300) {
		r := random{rand.New(rand.NewPCG(seed, 19))}
		one := r.cluster()
		two := &bruteCluster{namespaces: one.namespaces, pods: one.pods, policies: r.cluster().policies}
		if r.IntN(2) == 0 && len(two.pods) > 1 {
			two.pods = two.pods[1:]
		}
		a, b := Pair(one.snapshot(), two.snapshot(), Options{})
		got := map[[2]string][2]Ports{}
		for _, c := range Diff(a, b).Changes {
			for _, from := range c.From {
				for _, to := range c.To {
					got[[2]string{from, to}] = [2]Ports{c.Before, c.After}
				}
			}
		}
		names := map[string][2]*Workload{}
		for side, m := range []*Model{a, b} {
			for _, w := range m.Workloads {
				x := names[w.String()]
				x[side] = w
				names[w.String()] = x
			}
		}
		for from, x := range names {
			for to, y := range names {
				var p [2]Ports
				for side, m := range []*Model{a, b} {
					if x[side] != nil && y[side] != nil {
						p[side] = m.Between(x[side].Endpoints[0], y[side].Endpoints[0])
					}
				}
				if from == to || p[0] == p[1] {
					continue
				}
				if key := [2]string{from, to}; got[key] != p {
					t.Fatalf("seed %d: %s → %s: %v, want %v", seed, from, to, got[key], p)
				} else {
					delete(got, key)
				}
			}
		}
		for key := range got {
			if key[0] != key[1] {
				t.Fatalf("seed %d: %s → %s did not change", seed, key[0], key[1])
			}
		}
	}
}

// TestExposure holds what is told about described pods equal to the definition:
// a set is told when no wider one has the same answer.
func TestExposure(t *testing.T) {
	told := 0
	for seed := range uint64(300) {
		r := random{rand.New(rand.NewPCG(seed, 23))}
		m := New(r.cluster().snapshot(), Options{Described: true})
		list := m.reps.list
		labels := func(ns string) map[string]string { l, _ := m.world.namespaceLabels(ns); return l }
		covers := func(k, i int) bool { // every requirement of k is one of i
			return slices.Contains((&described{list: list}).all(&list[k].peer, labels), i)
		}
		for e, x := range m.Endpoints {
			for d := range directions {
				if !x.Real() {
					continue
				}
				names := m.namesTo(e)
				answer := func(n int) string {
					p := m.row(d, e).of(m, m.reps.first+n)
					if d == Ingress || p.All() {
						return p.String()
					}
					return fmt.Sprint(p, names[n])
				}
				var want []string
				for i, rep := range list {
					wider := false
					for k := range list {
						wider = wider || k != i && answer(k) == answer(i) && covers(k, i)
					}
					if i == 0 || !wider {
						ns := rep.namespace
						if rep.anyNS {
							ns = ""
						}
						want = append(want, ns+fmt.Sprint(requirements(rep.ns), requirements(rep.pod))+answer(i))
					}
				}
				var got []string
				for _, y := range m.Exposure(d, e) {
					a := y.Ports.String()
					if d == Egress && !y.Ports.All() {
						a = fmt.Sprint(y.Ports, y.Named)
					}
					got = append(got, y.Namespace+fmt.Sprint(y.Namespaces, y.Pods)+a)
				}
				told += len(got)
				if !slices.Equal(got, want) {
					t.Fatalf("seed %d, endpoint %d, %s:\n%q, want\n%q", seed, e, d, got, want)
				}
			}
		}
	}
	if told < 2000 {
		t.Errorf("only %d sets were told", told)
	}
}

// all returns what within does, from every representative instead of an index.
func (x *described) all(p *peer, labels func(string) map[string]string) (out []int) {
	onNS, onPods := texts(p.ns), texts(p.pod)
	for n, r := range x.list {
		covered := !p.anyNS && !r.anyNS && r.namespace == p.namespace || p.anyNS && r.anyNS && contains(r.onNS, onNS) || p.anyNS && !r.anyNS && p.ns.matches(labels(r.namespace))
		if covered && contains(r.onPods, onPods) {
			out = append(out, n)
		}
	}
	return out
}
