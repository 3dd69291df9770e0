package reach

import (
	"fmt"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Problem is something that a policy does not do although its author may think
// that it does.
type Problem struct {
	Kind    string // stable, in kebab case
	Policy  *Policy
	Value   fact.Value // where it stands
	Message string
}

// maxCompared bounds how many rules of one namespace are compared with each
// other: beyond it, redundant rules are not looked for.
const maxCompared = 2000

// Lint returns what is wrong with the policies, in their order. It reports
// false when there are too many in one namespace to look for redundant rules.
func (m *Model) Lint() (out []Problem, complete bool) {
	for _, p := range m.Policies {
		out = append(out, m.lintPolicy(p)...)
	}
	redundant, complete := m.redundant()
	out = append(out, redundant...)
	out = append(out, m.unenforced()...)
	at := map[*Policy]int{}
	for i, p := range m.Policies {
		at[p] = i
	}
	slices.SortStableFunc(out, func(a, b Problem) int { return at[a.Policy] - at[b.Policy] })
	return out, complete
}

func (m *Model) lintPolicy(p *Policy) (out []Problem) {
	add := func(kind string, v fact.Value, format string, args ...any) {
		if !v.Present() {
			v = p.Object.Root.Get(keySpec)
		}
		out = append(out, Problem{kind, p, v, fmt.Sprintf(format, args...)})
	}
	if p.selected.empty() && !(p.Tier == Namespace && m.index.namespaces[p.namespace] == nil) {
		add("selects-nothing", p.subject.value, "it selects no pod of the input")
	}
	for d, rules := range p.Rules {
		for _, r := range rules {
			m.lintRule(r, add)
			if p.Tier == Namespace && r.anyPeer && r.anyPort && strings.Contains(strings.ToLower(p.Object.Name), "deny") {
				add("deny-that-allows", r.Value, "by its name it denies, but this rule allows all %s: a rule without peers and ports matches everything", Direction(d))
			}
		}
	}
	if p.Tier == Namespace {
		for d, field := range [...]string{"ingress", "egress"} {
			if v := p.Object.Root.Get(keySpec).Get(fact.K(field)); v.Len() > 0 && !p.Isolates[d] {
				add("rules-ignored", v, "policyTypes does not list %s, so these rules have no effect", [...]string{"Ingress", "Egress"}[d])
			}
			if other := m.cancels(p, Direction(d)); other != nil {
				add("deny-cancelled", fact.Value{}, "it denies all %s, but %s allows everything for all of its pods", Direction(d), other)
			}
		}
	}
	return out
}

func (m *Model) lintRule(r *Rule, add func(kind string, v fact.Value, format string, args ...any)) {
	for _, x := range r.peers {
		if x.pods && len(x.ranges) == 0 && x.selected.empty() {
			add("peer-selects-nothing", x.value, "this peer selects no pod of the input")
		}
	}
	if !r.anyPeer && r.pods.empty() && len(r.ranges) == 0 {
		add("rule-never-matches", r.Value, "no pod or address is a peer of this rule")
	}
	for _, x := range r.ports {
		if x.name != "" && m.index.named[x.name] == nil {
			add("unknown-port", x.value, "no container of the input has a port named %s", clip(x.name))
		}
	}
}

// cancels returns a policy that allows everything to all that p denies
// everything.
func (m *Model) cancels(p *Policy, d Direction) *Policy {
	if !p.Isolates[d] || len(p.Rules[d]) > 0 || p.selected.empty() {
		return nil
	}
	for _, q := range m.Policies {
		if q.Tier == Namespace && p.selected.within(q.selected) &&
			slices.ContainsFunc(q.Rules[d], func(r *Rule) bool { return r.anyPeer && r.anyPort }) {
			return q
		}
	}
	return nil
}

// redundant finds rules that another rule makes superfluous: for network
// policies any other rule that allows all of it, for the admin tiers an earlier
// rule that decides all of it.
func (m *Model) redundant() (out []Problem, complete bool) {
	complete = true
	groups := map[string][]*Rule{}
	var order []string
	for _, p := range m.Policies {
		if p.selected.empty() {
			continue
		}
		for d, rules := range p.Rules {
			key := fmt.Sprint(p.Tier, d, p.Object.InNamespace())
			if _, ok := groups[key]; !ok {
				order = append(order, key)
			}
			for _, r := range rules {
				if r.anyPeer || !r.pods.empty() || len(r.ranges) > 0 {
					groups[key] = append(groups[key], r)
				}
			}
		}
	}
	for _, key := range order {
		if rules := groups[key]; len(rules) <= maxCompared {
			out = append(out, covered(rules)...)
		} else {
			complete = false
		}
	}
	return out, complete
}

func covered(rules []*Rule) (out []Problem) {
	gone := map[*Rule]bool{}
	for i, r := range rules {
		for k, by := range rules {
			if i == k || gone[by] || r.Policy.Tier != Namespace && k > i || !by.covers(r) {
				continue
			}
			if k > i && r.covers(by) {
				continue // of two that are equal, the later one is told
			}
			gone[r] = true
			if r.Policy.Tier == Namespace {
				out = append(out, Problem{"redundant-rule", r.Policy, r.Value, fmt.Sprintf("%s, rule %d, already allows all of this", by.Policy, by.Index+1)})
			} else {
				out = append(out, Problem{"shadowed-rule", r.Policy, r.Value, fmt.Sprintf("it never decides: %s, rule %d, comes first and matches all of this", by.Policy, by.Index+1)})
			}
			break
		}
	}
	return out
}

// covers reports whether r is about everything that s is about.
func (r *Rule) covers(s *Rule) bool {
	if !s.Policy.selected.within(r.Policy.selected) {
		return false
	}
	if !r.anyPeer {
		if s.anyPeer || !s.pods.within(r.pods) {
			return false
		}
		rest := s.ranges
		for _, x := range r.ranges {
			rest = without(rest, x)
		}
		if len(rest) > 0 {
			return false
		}
	}
	return r.anyPort || !s.anyPort && coversPorts(r, s)
}

func coversPorts(r, s *Rule) bool {
	var have Ports
	names := map[portRule]bool{}
	nameOf := func(x portRule) portRule { return portRule{name: x.name, anyProto: x.anyProto, proto: x.proto} }
	for _, x := range r.ports {
		have = have.Or(x.ports)
		names[nameOf(x)] = true
	}
	for _, x := range s.ports {
		if x.name != "" && !names[nameOf(x)] || x.name == "" && !x.ports.Within(have) {
			return false
		}
	}
	return true
}

// unenforced tells policies of a cluster whose network plug-in ignores them, as
// far as its pods are in the input.
func (m *Model) unenforced() (out []Problem) {
	if m.ignores == nil {
		return nil
	}
	for _, p := range m.Policies {
		out = append(out, Problem{"not-enforced", p, p.Object.Root.Get(keySpec), "the network plug-in of this cluster, " + m.ignores.String() + ", does not enforce policies, and no other that does is in the input"})
	}
	return out
}

// ignoring returns the network plug-in of the input, if it ignores policies and
// there is none beside it that does not.
func (m *Model) ignoring() (out *Workload) {
	for _, w := range m.Workloads {
		name := strings.ToLower(w.Name)
		for _, known := range enforcing {
			if strings.Contains(name, known) {
				return nil
			}
		}
		if w.Kind == "DaemonSet" && strings.Contains(name, "flannel") {
			out = w
		}
	}
	return out
}

// enforcing are parts of the names under which plug-ins run that enforce
// policies. Sources: the installation manifests of the projects.
var enforcing = [...]string{"calico-node", "canal", "cilium", "antrea-agent", "weave-net", "kube-router", "ovnkube", "kube-network-policies", "kindnet", "romana", "sdn-node", "aws-network-policy", "azure-npm"}
