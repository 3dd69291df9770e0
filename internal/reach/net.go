// Package reach says who can talk to whom: an exact, symbolic evaluation of
// network policies over ports and addresses.
//
// It is pure: objects in, answers out. What it evaluates are NetworkPolicy
// (networking.k8s.io/v1), AdminNetworkPolicy and BaselineAdminNetworkPolicy
// (policy.networking.k8s.io/v1alpha1) and ClusterNetworkPolicy (v1alpha2); what
// it meets and cannot evaluate is a gap.
//
// Pods that no rule tells apart are one [Class], so that the work follows the
// number of distinct behaviours and not that of pods.
package reach

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Net is the network of some objects. It is immutable after New and safe for
// concurrent use.
type Net struct {
	workloads []*Workload
	classes   []*Class
	policies  []*Policy
	terms     map[string]*term
	ordered   []*term
	blocks    []block
	pieces    []Range
	labels    map[string]fact.Value // of namespaces
	entries   []Entry
	gaps      []fact.Gap
}

// Workload is what carries pods of one set of labels: what a person edits, or a
// pod's owner where only the pod is known.
type Workload struct {
	Namespace, Kind, Name string
	Object                *fact.Object
	Class                 *Class

	labels fact.Value
	named  []namedPort
	host   bool
}

// String returns the workload as namespace/name[Kind].
func (w *Workload) String() string { return w.Namespace + "/" + w.Name + "[" + w.Kind + "]" }

// namedPort is a port that a container gives a name.
type namedPort struct {
	name  string
	proto Protocol
	port  uint16
}

// Class is pods that no policy tells apart.
type Class struct {
	Workloads []*Workload

	namespace string
	in        bitset // the terms that hold its pods
	named     []namedPort
	host      bool // on the network of the node: policies do not hold for it
	// rules that are looked at for it, by direction, in the order in which they
	// count; baseline ones last.
	admin, base [2][]*rule
	developer   [2][]*rule
	isolated    [2]bool
}

type bitset []uint64

func (b bitset) has(i int) bool { return i/64 < len(b) && b[i/64]&(1<<(i%64)) != 0 }
func (b bitset) set(i int)      { b[i/64] |= 1 << (i % 64) }

var (
	keyEgress            = fact.K("egress")
	keyFrom              = fact.K("from")
	keyIngress           = fact.K("ingress")
	keyKey               = fact.K("key")
	keyLabels            = fact.K("labels")
	keyMatchExpressions  = fact.K("matchExpressions")
	keyMatchLabels       = fact.K("matchLabels")
	keyMetadata          = fact.K("metadata")
	keyName              = fact.K("name")
	keyNamespaceSelector = fact.K("namespaceSelector")
	keyOperator          = fact.K("operator")
	keyPodSelector       = fact.K("podSelector")
	keyPort              = fact.K("port")
	keyPorts             = fact.K("ports")
	keyProtocol          = fact.K("protocol")
	keySpec              = fact.K("spec")
	keyTo                = fact.K("to")
	keyValues            = fact.K("values")
)

// New evaluates some objects. The order of the objects decides nothing but the
// order of what is listed.
func New(objects []*fact.Object) *Net {
	n := &Net{terms: map[string]*term{}, labels: map[string]fact.Value{}}
	for _, o := range objects {
		switch o.GroupKind() {
		case "Namespace":
			n.labels[o.Name] = o.Root.Get(keyMetadata).Get(keyLabels)
		case "networking.k8s.io/NetworkPolicy":
			n.networkPolicy(o)
		case "policy.networking.k8s.io/AdminNetworkPolicy", "policy.networking.k8s.io/BaselineAdminNetworkPolicy", "policy.networking.k8s.io/ClusterNetworkPolicy":
			n.adminPolicy(o)
		default:
			n.foreign(o)
		}
	}
	n.collect(objects)
	slices.SortStableFunc(n.policies, func(a, b *Policy) int {
		return cmp.Or(cmp.Compare(a.tier, b.tier), cmp.Compare(a.priority, b.priority), strings.Compare(a.Object.Name, b.Object.Name))
	})
	n.pieces = partition(n.blocks)
	n.classify()
	n.entries = n.findEntries(objects)
	return n
}

// Gaps returns what could not be evaluated.
func (n *Net) Gaps() []fact.Gap { return n.gaps }

// Workloads returns all workloads, by name.
func (n *Net) Workloads() []*Workload { return n.workloads }

// Classes returns the classes of pods.
func (n *Net) Classes() []*Class { return n.classes }

// Policies returns the policies, in the order in which they count.
func (n *Net) Policies() []*Policy { return n.policies }

// foreign tells of policies of other makers: they can forbid what is allowed
// here, and allow nothing that is forbidden.
func (n *Net) foreign(o *fact.Object) {
	switch o.GroupKind() {
	case "cilium.io/CiliumNetworkPolicy", "cilium.io/CiliumClusterwideNetworkPolicy",
		"projectcalico.org/NetworkPolicy", "projectcalico.org/GlobalNetworkPolicy",
		"crd.projectcalico.org/NetworkPolicy", "crd.projectcalico.org/GlobalNetworkPolicy",
		"security.istio.io/AuthorizationPolicy", "crd.antrea.io/NetworkPolicy", "crd.antrea.io/ClusterNetworkPolicy":
		n.gapf("not-evaluated", o, o.Root, "policies of this kind are not evaluated; what they forbid may be listed as allowed")
	}
}

// collect finds the workloads. Pods with an owner stand for it; those of one
// owner and one set of labels are one workload.
func (n *Net) collect(objects []*fact.Object) {
	seen := map[string]bool{}
	for _, o := range objects {
		pods := fact.PodTemplates(o)
		if len(pods) == 0 || o.Partial {
			continue
		}
		w := &Workload{Namespace: o.InNamespace(), Kind: o.Kind, Name: o.Name, Object: o}
		if owner := controllerOf(o); o.GroupKind() == "Pod" && owner.Present() {
			w.Name = owner.Get(keyName).Str()
			if kind := owner.Get(fact.K("kind")).Str(); kind != "" {
				w.Kind = kind
			}
		}
		w.labels = pods[0].Metadata.Get(keyLabels)
		w.host = pods[0].Spec.Get(fact.K("hostNetwork")).Bool()
		for _, c := range pods[0].Containers() {
			w.named = append(w.named, namedPorts(c.Value)...)
		}
		key := w.String() + "\x00" + string(binary.BigEndian.AppendUint64(nil, w.labels.Hash())) + "\x00" + o.Origin.World
		if !seen[key] {
			seen[key] = true
			n.workloads = append(n.workloads, w)
		}
	}
	slices.SortStableFunc(n.workloads, func(a, b *Workload) int { return strings.Compare(a.String(), b.String()) })
}

func controllerOf(o *fact.Object) fact.Value {
	refs := o.Root.Get(keyMetadata).Get(fact.K("ownerReferences"))
	for r := range refs.Children() {
		if r.Get(fact.K("controller")).Bool() {
			return r
		}
	}
	return refs.Index(0)
}

func namedPorts(container fact.Value) []namedPort {
	var out []namedPort
	for p := range container.Get(keyPorts).Children() {
		proto, ok := protocolOf(p.Get(keyProtocol).Text())
		port := p.Get(fact.K("containerPort")).Int()
		if ok && port > 0 && port < 65536 {
			out = append(out, namedPort{p.Get(keyName).Text(), proto, uint16(port)})
		}
	}
	return out
}

// namespaceLabels answers for the labels of a namespace. Each carries its own
// name as a label, whether it is declared or not.
func (n *Net) namespaceLabels(name string) func(string) (string, bool) {
	labels := fact.Labels(n.labels[name])
	return func(key string) (string, bool) {
		if key == "kubernetes.io/metadata.name" {
			return name, true
		}
		return labels(key)
	}
}

// classify finds in which terms each workload lies, and puts those together
// that are alike.
func (n *Net) classify() {
	byNamespace := map[string][]*term{}
	var wide []*term
	for _, t := range n.ordered {
		if t.namespace != "" {
			byNamespace[t.namespace] = append(byNamespace[t.namespace], t)
		} else {
			wide = append(wide, t)
		}
	}
	inNamespace := map[string][]*term{} // the wide ones that select the namespace
	classes := map[string]*Class{}
	for _, w := range n.workloads {
		list, ok := inNamespace[w.Namespace]
		if !ok {
			list = byNamespace[w.Namespace]
			get := n.namespaceLabels(w.Namespace)
			for _, t := range wide {
				if t.ns.Matches(get) {
					list = append(slices.Clip(list), t)
				}
			}
			inNamespace[w.Namespace] = list
		}
		in := make(bitset, (len(n.ordered)+63)/64)
		if !w.host {
			get := fact.Labels(w.labels)
			for _, t := range list {
				if t.pods.Matches(get) {
					in.set(t.id)
				}
			}
		}
		n.join(classes, w, in)
	}
	for _, c := range n.classes {
		n.govern(c)
	}
}

func (n *Net) join(classes map[string]*Class, w *Workload, in bitset) {
	key := []byte(w.Namespace + "\x00")
	for _, word := range in {
		key = binary.BigEndian.AppendUint64(key, word)
	}
	if w.host {
		key = append(key, 'h')
	}
	named := slices.DeleteFunc(slices.Clone(w.named), func(p namedPort) bool { return p.name == "" || !n.asked(p.name) })
	slices.SortFunc(named, func(a, b namedPort) int {
		return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.proto, b.proto), cmp.Compare(a.port, b.port))
	})
	for _, p := range named {
		key = append(append(key, p.name...), 0, byte(p.proto), byte(p.port>>8), byte(p.port))
	}
	c := classes[string(key)]
	if c == nil {
		c = &Class{namespace: w.Namespace, in: in, named: named, host: w.host}
		classes[string(key)] = c
		n.classes = append(n.classes, c)
	}
	w.Class = c
	c.Workloads = append(c.Workloads, w)
}

// asked reports whether any rule names a port so.
func (n *Net) asked(name string) bool {
	for _, p := range n.policies {
		for dir := range p.rules {
			for i := range p.rules[dir] {
				if slices.ContainsFunc(p.rules[dir][i].ports, func(s portSpec) bool { return s.name == name }) {
					return true
				}
			}
		}
	}
	return false
}

// govern finds the rules that hold for a class.
func (n *Net) govern(c *Class) {
	if c.host {
		return
	}
	for _, p := range n.policies {
		if !c.in.has(p.subject.id) {
			continue
		}
		for dir := range p.rules {
			if p.tier == developer {
				if !p.isolates[dir] {
					continue
				}
				c.isolated[dir] = true
			}
			into := [...]*[2][]*rule{admin: &c.admin, developer: &c.developer, baseline: &c.base}[p.tier]
			for i := range p.rules[dir] {
				into[dir] = append(into[dir], &p.rules[dir][i])
			}
		}
	}
}
