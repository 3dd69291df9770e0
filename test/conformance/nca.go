package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// network-config-analyzer compares sets of policies over one set of pods. A
// scheme names the sets and the queries; each query's answer is a number. What
// the numbers count is in the tool's docs/SchemeFileFormat.md.

type ncaScheme struct {
	NamespaceList     any         `yaml:"namespaceList"`
	PodList           any         `yaml:"podList"`
	ResourceList      any         `yaml:"resourceList"`
	NetworkConfigList []ncaConfig `yaml:"networkConfigList"`
	Queries           []ncaQuery  `yaml:"queries"`
}

type ncaConfig struct {
	Name              string `yaml:"name"`
	NetworkPolicyList any    `yaml:"networkPolicyList"`
	NamespaceList     any    `yaml:"namespaceList"`
	PodList           any    `yaml:"podList"`
	ResourceList      any    `yaml:"resourceList"`
}

type ncaQuery map[string]any

// ncaCase is a case under way.
type ncaCase struct {
	files  map[string]string
	lists  map[string]json.RawMessage // lists of pods and namespaces that several cases use, by file name
	global *ncaTopology
	sets   map[string]*ncaSet
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
	x := &ncaCase{files: in.Files, sets: map[string]*ncaSet{}}
	var scheme ncaScheme
	if err := yaml.Unmarshal([]byte(in.Scheme), &scheme); err != nil {
		return outcome{}, fmt.Errorf("read the scheme: %w", err)
	}
	lists, err := r.data.reference("netpol/ibm-nca-podlists.json")
	if err != nil {
		return outcome{}, err
	}
	if err := json.Unmarshal(lists, &x.lists); lists != nil && err != nil {
		return outcome{}, fmt.Errorf("read the lists of pods: %w", err)
	}
	if err := x.load(&scheme); err != nil {
		return outcome{}, err
	}
	out := outcome{expected: plural(len(expect), "query"), got: "the same"}
	for i, q := range expect {
		if i >= len(scheme.Queries) {
			return outcome{}, fmt.Errorf("the scheme has %s, the case expects %d", plural(len(scheme.Queries), "query"), len(expect))
		}
		got, err := x.answer(q.Type[0], scheme.Queries[i])
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

// load reads what the scheme names: the topology that all share, then each set
// of policies, which may bring a topology of its own.
func (x *ncaCase) load(scheme *ncaScheme) error {
	var err error
	if x.global, err = x.topology(scheme.NamespaceList, scheme.PodList, scheme.ResourceList); err != nil {
		return err
	}
	for _, c := range scheme.NetworkConfigList {
		s, err := x.set(&c)
		if err != nil {
			return fmt.Errorf("read the configuration %s: %w", c.Name, err)
		}
		x.sets[c.Name] = s
	}
	return nil
}

// ncaQueries answers each kind of query about some sets.
var ncaQueries = map[string]func([]*ncaSet) (int, error){
	"connectivityMap":    each(func(s *ncaSet) (int, error) { _, err := s.model(); return 0, err }),
	"emptiness":          each((*ncaSet).emptiness),
	"vacuity":            each(func(s *ncaSet) (int, error) { return counted(s.vacuous()) }),
	"redundancy":         each((*ncaSet).redundancy),
	"sanity":             each((*ncaSet).sanity),
	"disjointness":       each((*ncaSet).disjointness),
	"allCaptured":        each((*ncaSet).uncaptured),
	"equivalence":        pairs(func(a, b *ncaSet) (int, error) { return countedNot(equal(a, b)) }),
	"strongEquivalence":  pairs(func(a, b *ncaSet) (int, error) { return countedNot(stronglyEqual(a, b)) }),
	"semanticDiff":       pairs(semanticDiff),
	"twoWayContainment":  pairs(twoWay),
	"containment":        against(func(first, other *ncaSet) (int, error) { return counted(containedIn(other, first, false)) }),
	"permits":            against(func(first, other *ncaSet) (int, error) { return countedNot(permits(first, other)) }),
	"forbids":            against(func(first, other *ncaSet) (int, error) { return countedNot(forbids(first, other)) }),
	"interferes":         against(func(first, other *ncaSet) (int, error) { return counted(interferes(first, other)) }),
	"pairwiseInterferes": pairs(interfere),
}

// answer computes a query's number.
func (x *ncaCase) answer(kind string, q ncaQuery) (int, error) {
	f := ncaQueries[kind]
	if f == nil {
		return 0, fmt.Errorf("this kind of query is not answered")
	}
	var sets []*ncaSet
	for _, name := range texts(q[kind]) {
		s, err := x.named(name)
		if err != nil {
			return 0, err
		}
		sets = append(sets, s)
	}
	return f(sets)
}

// named finds a set, or makes one of a single policy: SET/NAMESPACE/POLICY,
// SET/POLICY, or SET/KIND/NAMESPACE/POLICY.
func (x *ncaCase) named(name string) (*ncaSet, error) {
	set, rest, single := strings.Cut(name, "/")
	s := x.sets[set]
	switch {
	case s == nil:
		return nil, fmt.Errorf("there is no configuration %s", set)
	case !single:
		return s, nil
	}
	if kind, policy, ok := strings.Cut(rest, "/"); ok && strings.Count(rest, "/") == 2 {
		if kind != "K8sNetworkPolicy" {
			return nil, fmt.Errorf("a policy of the kind %s is not evaluated", kind)
		}
		rest = policy
	}
	for _, p := range s.policies {
		if p.name == rest || path.Base(p.name) == rest {
			return s.with(p), nil
		}
	}
	return nil, fmt.Errorf("the configuration %s has no policy %s", set, rest)
}

// documents finds what a path of a scheme means: a list by its name, a file of
// the case, all files of a folder, or, after **, of all folders below it.
func (x *ncaCase) documents(p string) ([]document, error) {
	if text, ok := x.lists[path.Base(p)]; ok {
		return []document{{path.Base(p), text}}, nil
	}
	if strings.HasPrefix(p, "https://") {
		p = path.Base(p) // the same file as the repository holds it
	}
	folder, below := strings.CutSuffix(p, "**")
	folder = path.Clean(folder)
	var out []document
	for _, name := range slices.Sorted(maps.Keys(x.files)) {
		in := folder == "." || strings.HasPrefix(name, folder+"/")
		if name == folder || in && (below || path.Dir(name) == folder) || !below && path.Base(name) == path.Base(folder) {
			out = append(out, document{name, []byte(x.files[name])})
		}
	}
	if out == nil {
		return nil, fmt.Errorf("there is no file %s", p)
	}
	return out, nil
}

// texts returns the paths or names of a list, or the one that stands in its place.
func texts(v any) []string {
	switch v := v.(type) {
	case string:
		if v != "" {
			return []string{v}
		}
	case []any:
		var out []string
		for _, e := range v {
			out = append(out, fmt.Sprint(e))
		}
		return out
	}
	return nil
}
