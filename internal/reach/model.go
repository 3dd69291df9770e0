package reach

import (
	"slices"
	"sort"

	"github.com/merlon-security/merlon/internal/fact"
)

// Options change what a model answers for. The zero Options is what Kubernetes
// documents.
type Options struct {
	// HostNetworkAsPods applies policies to host-network pods as if they had an
	// address of their own. Kubernetes leaves it to the plug-in; most cannot.
	HostNetworkAsPods bool
	// AllPods counts pods that have ended, too.
	AllPods bool
	// NetworksOutside takes the networks of admin policies to be about addresses
	// outside only. As documented they are about pods, too.
	NetworksOutside bool
	// Virtual are pods to suppose beside those seen.
	Virtual []Virtual
	// Gateways supposes a pod for each Gateway of the input, in its namespace.
	Gateways bool
	// Described adds what rules describe: for each pair of selectors, all pods
	// that it selects or will ever select; see [Model.Exposure].
	Described bool
}

// Virtual is a pod that is supposed: an ingress controller that is not in the
// input, a pod of a namespace that somebody may create.
type Virtual struct {
	Name, Namespace         string
	Labels, NamespaceLabels map[string]string
}

// Model is what the policies of one snapshot allow. It is immutable and safe
// for concurrent use.
type Model struct {
	Workloads []*Workload
	Endpoints []*Endpoint
	Policies  []*Policy // in the order in which they decide
	opts      Options
	snapshot  *fact.Snapshot
	objects   []*fact.Object // of the snapshot, in order, but for policies
	world     *world
	foreign   []*Foreign
	gaps      []fact.Gap
	policyGap []fact.Gap
	ignores   *Workload           // the network plug-in, where it ignores policies
	unordered map[*Policy]*Policy // with the one before it of the same priority, of which either may come first

	reps   *described // nil without Described
	looked looks
	index  *index
	rows   [directions][]*deferred // of each endpoint
	nextID int                     // of the next policy that is read
}

// New computes a model.
func New(s *fact.Snapshot, opts Options) *Model {
	return build(s, opts, looks{})
}

// Pair computes two models that tell the same pods apart, for comparing them.
func Pair(before, after *fact.Snapshot, opts Options) (a, b *Model) {
	var also looks
	for _, s := range []*fact.Snapshot{before, after} {
		policies, _ := readPolicies(s.Objects(), nil)
		also = also.with(policies...)
	}
	return build(before, opts, also), build(after, opts, also)
}

// build computes a model; also is what counts when pods are told apart beside
// what the policies look at.
func build(s *fact.Snapshot, opts Options, also looks) *Model {
	objects := s.Objects()
	m := &Model{opts: opts, snapshot: s}
	m.objects = slices.DeleteFunc(slices.Clone(objects), isPolicy)
	m.world = readWorld(objects, opts)
	m.Workloads = m.world.workloads
	m.Policies, m.policyGap = readPolicies(objects, m.world.nodes)
	m.nextID = len(m.Policies)
	m.refuse(s.Gaps(), objects)
	m.foreign = readForeign(objects)
	m.ignores = m.ignoring()
	m.looked = also.with(m.Policies...)
	if opts.Described {
		m.reps = describe(m.Policies)
	}
	m.merge()
	m.index = m.newIndex()
	found := map[string]set{}
	for _, p := range m.Policies {
		m.resolve(p, found)
	}
	if m.reps != nil {
		m.describeAll(found)
	}
	all := fullSet(len(m.Endpoints))
	m.evaluate([directions]set{all, all})
	m.settle()
	return m
}

// wrongType is the kind of gap that a reader leaves for a value for which the API
// server refuses the whole object.
const wrongType = "wrong-type"

func isRefusal(g fact.Gap) bool { return g.Kind == wrongType && g.File != "" }

// refuse taints the policies that the API server refuses as they are written:
// they are evaluated without the value, and the cluster would not have them.
func (m *Model) refuse(gaps []fact.Gap, objects []*fact.Object) {
	if !slices.ContainsFunc(gaps, isRefusal) {
		return
	}
	of := map[*fact.Object]*Policy{}
	for _, p := range m.Policies {
		of[p.Object] = p
	}
	inFile := map[string][]*fact.Object{}
	for _, o := range objects {
		inFile[o.Origin.File] = append(inFile[o.Origin.File], o)
	}
	for _, g := range gaps {
		if !isRefusal(g) {
			continue
		}
		list := inFile[g.File]
		next := sort.Search(len(list), func(i int) bool { return list[i].Root.Pos().Line > g.Pos.Line })
		if next == 0 || of[list[next-1]] == nil {
			continue
		}
		p := of[list[next-1]]
		p.tainted = true
		p.gaps = append(p.gaps, fact.Gap{Kind: "refused-policy", Source: g.Source, File: g.File, Pos: g.Pos, Subject: p.String(),
			Message: "the API server refuses this policy, which is evaluated without the value: " + g.Message})
	}
}

// Gaps returns what could not be read or is not evaluated.
func (m *Model) Gaps() []fact.Gap { return m.gaps }

// settle finds what is to be told of all policies together.
func (m *Model) settle() {
	m.unordered = map[*Policy]*Policy{}
	for i, p := range m.Policies {
		if p.Tier == Namespace {
			continue
		}
		for _, q := range m.Policies[i+1:] {
			if q.Tier != p.Tier || q.Priority != p.Priority {
				break
			}
			if p.selected.meets(q.selected) {
				m.unordered[q] = p
			}
		}
	}
	m.gaps = m.allGaps()
}

func (m *Model) allGaps() []fact.Gap {
	out := slices.Concat(m.world.gaps, m.policyGap)
	for _, p := range m.Policies {
		out = append(out, p.gaps...)
	}
	for _, q := range m.Policies {
		if p := m.unordered[q]; p != nil {
			out = append(out, gapAt(q.Object, q.Object.Root.Get(keySpec).Get(fact.K("priority")), "same-priority", "it has the priority of "+p.String()+", which selects some of its pods, too: which of them decides is not defined; here the first by name does"))
		}
	}
	for _, f := range m.foreign {
		out = append(out, f.gap())
	}
	if w := m.ignores; w != nil && len(m.Policies) > 0 {
		out = append(out, gapAt(w.Object, w.Object.Root.At("metadata", "name"), "not-enforced", "this network plug-in does not enforce policies, and no other that does is in the input: in fact everything may be allowed"))
	}
	last, byLabels := "", false
	for _, p := range m.Policies {
		byLabels = byLabels || p.byLabels
		if p.Tier != Namespace || p.namespace == last {
			continue // policies of a namespace stand together
		}
		last = p.namespace
		if _, seen := m.world.namespaces[last]; !seen && m.index.namespaces[last] == nil {
			out = append(out, gapAt(p.Object, p.Object.Root.At("metadata", "namespace"), "unknown-namespace", "namespace "+clip(last)+" has no pods and is not in the input; its policies apply to nothing here"))
		}
	}
	if byLabels {
		out = append(out, m.world.unseen...)
	}
	return out
}
