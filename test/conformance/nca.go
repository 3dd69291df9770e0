package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/reach"
	"go.yaml.in/yaml/v3"
)

// network-config-analyzer compares sets of policies over one set of pods. A
// scheme names the sets and the queries; each query's answer is a number.

type ncaScheme struct {
	NamespaceList     any         `yaml:"namespaceList"`
	PodList           any         `yaml:"podList"`
	ResourceList      any         `yaml:"resourceList"`
	NetworkConfigList []ncaConfig `yaml:"networkConfigList"`
	Queries           []ncaQuery  `yaml:"queries"`
}

type ncaConfig struct {
	Name              string   `yaml:"name"`
	NetworkPolicyList []string `yaml:"networkPolicyList"`
	NamespaceList     any      `yaml:"namespaceList"`
	PodList           any      `yaml:"podList"`
	ResourceList      any      `yaml:"resourceList"`
}

type ncaQuery map[string]any

// ncaCase is a case under way.
type ncaCase struct {
	scheme  ncaScheme
	files   map[string]string
	lists   map[string]json.RawMessage
	configs map[string]*ncaConfig
}

func runNCA(r *runner, c *testCase, _ *input) (outcome, error) {
	var in struct {
		Scheme string            `json:"scheme"`
		Files  map[string]string `json:"files"`
	}
	if err := c.decode("input", &in); err != nil {
		return outcome{}, err
	}
	var expect []struct {
		Name     string
		Type     []string
		Expected *int
	}
	if err := c.decode("expect", &expect); err != nil {
		return outcome{}, err
	}
	x := &ncaCase{files: in.Files, configs: map[string]*ncaConfig{}}
	if err := yaml.Unmarshal([]byte(in.Scheme), &x.scheme); err != nil {
		return outcome{}, fmt.Errorf("read the scheme: %w", err)
	}
	lists, err := r.data.reference("netpol/ibm-nca-podlists.json")
	if err != nil {
		return outcome{}, err
	}
	if err := json.Unmarshal(lists, &x.lists); lists != nil && err != nil {
		return outcome{}, fmt.Errorf("read the lists of pods: %w", err)
	}
	for i := range x.scheme.NetworkConfigList {
		x.configs[x.scheme.NetworkConfigList[i].Name] = &x.scheme.NetworkConfigList[i]
	}
	out := outcome{expected: plural(len(expect), "query"), got: "the same"}
	for i, q := range expect {
		if i >= len(x.scheme.Queries) {
			return outcome{}, fmt.Errorf("the scheme has %s, the case expects %d", plural(len(x.scheme.Queries), "query"), len(expect))
		}
		got, err := x.answer(q.Type[0], x.scheme.Queries[i])
		switch {
		case err != nil:
			out.notes = append(out.notes, fmt.Sprintf("%s (%s): %v", q.Name, q.Type[0], err))
		case q.Expected != nil && got != *q.Expected:
			out.notes = append(out.notes, fmt.Sprintf("%s (%s): %d, want %d", q.Name, q.Type[0], got, *q.Expected))
		}
	}
	if out.agreed = len(out.notes) == 0; !out.agreed {
		out.got = plural(len(out.notes), "difference")
	}
	return out, nil
}

// answer computes a query's number.
func (x *ncaCase) answer(kind string, q ncaQuery) (int, error) {
	var names []string
	list, _ := q[kind].([]any)
	for _, n := range list {
		names = append(names, fmt.Sprint(n))
	}
	var configs []*fact.Snapshot
	for _, n := range names {
		s, err := x.snapshot(n)
		if err != nil {
			return 0, err
		}
		configs = append(configs, s)
	}
	switch kind {
	case "connectivityMap", "semanticDiff":
		for _, s := range configs {
			reach.New(s, netpolOptions())
		}
		return 0, nil
	case "equivalence", "strongEquivalence":
		return pairs(configs, func(a, b *fact.Snapshot) bool { return !equalConfigs(a, b) }), nil
	case "containment":
		return against(configs, func(first, other *fact.Snapshot) bool { _, within := contained(other, first); return within }), nil
	case "vacuity":
		n := 0
		for _, s := range configs {
			if equalConfigs(s, withoutPolicies(s)) {
				n++
			}
		}
		return n, nil
	}
	if f, ok := ncaCounts[kind]; ok {
		n := 0
		for _, s := range configs {
			n += f(s)
		}
		return n, nil
	}
	switch kind {
	case "permits":
		return against(configs, func(made, spec *fact.Snapshot) bool {
			return !everyCaptured(spec, made, func(want, have reach.Ports) bool { return want.Within(have) })
		}), nil
	case "forbids":
		return against(configs, func(made, spec *fact.Snapshot) bool {
			return !everyCaptured(spec, made, func(want, have reach.Ports) bool { return want.And(have).Empty() })
		}), nil
	case "twoWayContainment":
		_, ab := contained(configs[0], configs[1])
		_, ba := contained(configs[1], configs[0])
		return map[[2]bool]int{{false, false}: 0, {true, false}: 1, {false, true}: 2, {true, true}: 3}[[2]bool{ba, ab}], nil
	case "interferes":
		return against(configs, interferes), nil
	case "pairwiseInterferes":
		return pairs(configs, interferes) + pairs(configs, func(a, b *fact.Snapshot) bool { return interferes(b, a) }), nil
	case "redundancy":
		n := 0
		for _, s := range configs {
			n += redundant(s)
		}
		return n, nil
	}
	return 0, fmt.Errorf("this kind of query is not answered")
}

// ncaCounts are queries that count something in each configuration.
var ncaCounts = map[string]func(*fact.Snapshot) int{
	// emptiness counts policies that select no pod, and rules whose peers do not.
	"emptiness": func(s *fact.Snapshot) int {
		problems, _ := reach.New(s, netpolOptions()).Lint()
		n := 0
		for _, p := range problems {
			if p.Kind == "selects-nothing" || p.Kind == "rule-never-matches" {
				n++
			}
		}
		return n
	},
	// allCaptured counts pods that no policy is about, for each direction.
	"allCaptured": func(s *fact.Snapshot) int {
		m := reach.New(s, netpolOptions())
		n := 0
		for i, e := range m.Endpoints {
			for _, d := range []reach.Direction{reach.Ingress, reach.Egress} {
				if e.Real() && !m.Protected(d, i) {
					n += pods(e)
				}
			}
		}
		return n
	},
}

func pods(e *reach.Endpoint) int {
	n := 0
	for _, x := range e.Members {
		n += x.Pods
	}
	return n
}

// everyCaptured reports whether a relation holds for all that the policies of
// one configuration allow of their own, and what another allows there.
func everyCaptured(spec, made *fact.Snapshot, holds func(want, have reach.Ports) bool) bool {
	x, y := reach.Pair(spec, made, reach.Options{HostNetworkAsPods: true, AllPods: true})
	for i := range x.Endpoints {
		out := x.Protected(reach.Egress, i)
		for k := range x.Endpoints {
			if (out || x.Protected(reach.Ingress, k)) && (i != k || pods(x.Endpoints[i]) > 1) && !holds(x.Between(i, k), y.Between(i, k)) {
				return false
			}
		}
		for _, r := range reach.Cuts(reach.Ingress, x, y) {
			if x.Protected(reach.Ingress, i) && !holds(x.From(r.First, i), y.From(r.First, i)) {
				return false
			}
		}
		for _, r := range reach.Cuts(reach.Egress, x, y) {
			if out && !holds(x.To(i, r.First), y.To(i, r.First)) {
				return false
			}
		}
	}
	return true
}

// interferes reports whether the second configuration allows more to pods that
// the policies of both are about.
func interferes(first, second *fact.Snapshot) bool {
	x, y := reach.Pair(first, second, reach.Options{HostNetworkAsPods: true, AllPods: true})
	both := func(d reach.Direction, i int) bool { return x.Protected(d, i) && y.Protected(d, i) }
	for i := range x.Endpoints {
		for k := range x.Endpoints {
			if (both(reach.Egress, i) || both(reach.Ingress, k)) && (i != k || pods(x.Endpoints[i]) > 1) && !y.Between(i, k).Within(x.Between(i, k)) {
				return true
			}
		}
		for _, r := range reach.Cuts(reach.Ingress, x, y) {
			if both(reach.Ingress, i) && !y.From(r.First, i).Within(x.From(r.First, i)) {
				return true
			}
		}
		for _, r := range reach.Cuts(reach.Egress, x, y) {
			if both(reach.Egress, i) && !y.To(i, r.First).Within(x.To(i, r.First)) {
				return true
			}
		}
	}
	return false
}

func pairs(list []*fact.Snapshot, f func(a, b *fact.Snapshot) bool) int {
	n := 0
	for i, a := range list {
		for _, b := range list[i+1:] {
			if f(a, b) {
				n++
			}
		}
	}
	return n
}

func against(list []*fact.Snapshot, f func(first, other *fact.Snapshot) bool) int {
	n := 0
	for _, b := range list[1:] {
		if f(list[0], b) {
			n++
		}
	}
	return n
}

func equalConfigs(a, b *fact.Snapshot) bool { equal, _ := contained(a, b); return equal }

// contained reports whether two configurations allow the same, and whether the
// first allows no more than the second.
func contained(a, b *fact.Snapshot) (equal, within bool) {
	x, y := reach.Pair(a, b, reach.Options{HostNetworkAsPods: true, AllPods: true})
	if len(x.Endpoints) != len(y.Endpoints) {
		return false, false
	}
	equal, within = true, true
	see := func(p, q reach.Ports) { equal, within = equal && p == q, within && p.Within(q) }
	for i := range x.Endpoints {
		for k := range x.Endpoints {
			if i != k || len(x.Endpoints[i].Members) > 1 {
				see(x.Between(i, k), y.Between(i, k))
			}
		}
		for _, r := range reach.Cuts(reach.Ingress, x, y) {
			see(x.From(r.First, i), y.From(r.First, i))
		}
		for _, r := range reach.Cuts(reach.Egress, x, y) {
			see(x.To(i, r.First), y.To(i, r.First))
		}
	}
	return equal, within
}

func withoutPolicies(s *fact.Snapshot) *fact.Snapshot {
	var changes []fact.Change
	for _, o := range s.Objects() {
		if !reach.IsPolicy(o) {
			changes = append(changes, fact.Change{Op: fact.Upsert, Object: o})
		}
	}
	return (&fact.Snapshot{}).Apply(changes...)
}

// snapshot reads a configuration, or one policy of it: CONFIG/NAMESPACE/POLICY.
func (x *ncaCase) snapshot(name string) (*fact.Snapshot, error) {
	config, policy, single := strings.Cut(name, "/")
	c := x.configs[config]
	if c == nil {
		return nil, fmt.Errorf("there is no configuration %s", config)
	}
	var docs []document
	seen := map[string]bool{}
	for _, src := range []any{or(c.NamespaceList, x.scheme.NamespaceList), or(c.PodList, x.scheme.PodList), or(c.ResourceList, x.scheme.ResourceList), anyOf(c.NetworkPolicyList)} {
		for _, p := range texts(src) {
			for _, d := range x.documents(p) {
				if !seen[d.name] {
					seen[d.name] = true
					docs = append(docs, d)
				}
			}
		}
	}
	in, err := read(docs)
	if err != nil || !single {
		return in.snapshot, err
	}
	var changes []fact.Change
	for _, o := range in.objects() {
		if !reach.IsPolicy(o) || o.InNamespace()+"/"+o.Name == policy {
			changes = append(changes, fact.Change{Op: fact.Upsert, Object: o})
		}
	}
	return (&fact.Snapshot{}).Apply(changes...), nil
}

// documents finds what a path of a scheme means: a list of pods by its name, a
// file of the case, or all files below a folder of it.
func (x *ncaCase) documents(p string) []document {
	if text, ok := x.lists[path.Base(p)]; ok {
		return []document{{path.Base(p), text}}
	}
	clean := path.Clean(p)
	var out []document
	for _, name := range slices.Sorted(maps.Keys(x.files)) {
		if name == clean || path.Base(name) == path.Base(clean) || strings.HasPrefix(name, clean+"/") || strings.Contains(name, "/"+clean+"/") {
			out = append(out, document{name, []byte(x.files[name])})
		}
	}
	return out
}

func or(a, b any) any {
	if a != nil {
		return a
	}
	return b
}

func anyOf(list []string) any {
	var out []any
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

func texts(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, fmt.Sprint(e))
		}
		return out
	}
	return nil
}

// redundant counts the policies without which a configuration allows the same,
// and in each policy by itself the rules without which it does.
func redundant(s *fact.Snapshot) int {
	n := 0
	var policies []*fact.Object
	for _, o := range s.Objects() {
		if reach.IsPolicy(o) {
			policies = append(policies, o)
		}
	}
	bare := withoutPolicies(s)
	for _, o := range policies {
		if len(policies) > 1 && equalConfigs(s, s.Apply(fact.Change{Op: fact.Delete, Object: o})) {
			n++
		}
		alone := bare.Apply(fact.Change{Op: fact.Upsert, Object: o})
		for _, field := range []string{"ingress", "egress"} {
			list := o.Root.At("spec", field)
			for i := range list.Len() {
				if list.Len() > 1 && equalConfigs(alone, bare.Apply(fact.Change{Op: fact.Upsert, Object: withoutRule(o, list.Index(i))})) {
					n++
				}
			}
		}
	}
	return n
}

// withoutRule is a policy with one of its rules left out.
func withoutRule(o *fact.Object, rule fact.Value) *fact.Object {
	b := &fact.Builder{}
	var put func(key fact.Key, v fact.Value)
	put = func(key fact.Key, v fact.Value) {
		if v.Kind() != fact.Map && v.Kind() != fact.List {
			b.Copy(key, v)
			return
		}
		b.Begin(key, v.Pos(), v.Kind())
		for c := range v.Children() {
			if !c.Same(rule) {
				put(c.Key(), c)
			}
		}
		b.End()
	}
	put(fact.Key{}, o.Root)
	out, _ := fact.NewObject(b.Tree().Root(), o.Origin)
	return &out
}
