package control

import (
	"path"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/control/expr"
	"github.com/merlon-security/merlon/internal/fact"
)

// roles are the kinds that RBAC's functions read.
func roles() []string {
	const group = "rbac.authorization.k8s.io/"
	return []string{group + "Role", group + "RoleBinding", group + "ClusterRole", group + "ClusterRoleBinding"}
}

// Judges returns the kinds whose objects the control judges.
func (c *Control) Judges() []string {
	switch {
	case c.Scope.Each == EachNamespace:
		return append(fact.WorkloadKinds(), "Namespace")
	case len(c.Scope.Kinds) > 0:
		return c.Scope.Kinds
	case c.Scope.Each == EachInput:
		return nil
	}
	return fact.WorkloadKinds()
}

// Consults returns the kinds whose objects the control looks up beside its
// subject, so that their absence speaks. A * in a kind stands for what only the
// subject tells.
func (c *Compiled) Consults() []string {
	var out []string
	for _, p := range []*expr.Program{c.when, c.items, c.require} {
		if p == nil {
			continue
		}
		for _, call := range p.Calls() {
			if call.First == "*" { // a kind that the control's settings name
				if named := kindsIn(c.params); len(named) > 0 {
					out = append(out, named...)
					continue
				}
			}
			out = append(out, consulted(call)...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// kindsIn returns every text in a control's settings that may be a kind.
func kindsIn(v expr.Value) []string {
	var out []string
	switch v.Kind() {
	case expr.String:
		if _, name := fact.InGroup(v.Str()); name != "" && name[0] >= 'A' && name[0] <= 'Z' && !strings.ContainsAny(v.Str(), " :*") {
			return []string{v.Str()}
		}
	case expr.List:
		for _, x := range v.Elems() {
			out = append(out, kindsIn(x)...)
		}
	case expr.Map:
		v.Each(func(_, x expr.Value) bool {
			out = append(out, kindsIn(x)...)
			return true
		})
	}
	return out
}

func consulted(call expr.Call) []string {
	switch call.Name {
	case "objects", "find", "selecting", "referring":
		return []string{call.First}
	case "workloads", "selected":
		return fact.WorkloadKinds()
	case "serviceAccountOf":
		return []string{"ServiceAccount"}
	case "roleOf", "rulesOf", "bindingsOf":
		return roles()
	}
	return nil
}

// Settings are the settings of controls, by id.
type Settings = map[string]map[string]any

// Kinds returns every kind that the controls need of a cluster, in order: those
// they judge and those they consult.
func Kinds(lib *Library, controls []*Control, settings Settings) ([]string, error) {
	seen := map[string]bool{"Namespace": true}
	var patterns []string
	for _, c := range controls {
		if c.Written {
			continue
		}
		compiled, err := c.Compile(lib, settings[c.ID])
		if err != nil {
			return nil, err
		}
		for _, k := range slices.Concat(c.Judges(), compiled.Consults()) {
			if strings.Contains(k, "*") {
				patterns = append(patterns, k)
			} else {
				seen[k] = true
			}
		}
	}
	out := make([]string, 0, len(seen))
	for _, k := range slices.Concat(fact.WorkloadKinds(), roles(), policies()) {
		for _, p := range patterns {
			if ok, err := path.Match(p, k); ok && err == nil {
				seen[k] = true
			}
		}
	}
	for k := range seen {
		out = append(out, k)
	}
	slices.Sort(out)
	return out, nil
}

// policies are the kinds of admission, which a control may name by a pattern.
func policies() []string {
	const group = "admissionregistration.k8s.io/"
	return []string{
		group + "ValidatingAdmissionPolicy", group + "ValidatingAdmissionPolicyBinding", group + "MutatingAdmissionPolicy",
		group + "MutatingAdmissionPolicyBinding", group + "ValidatingWebhookConfiguration", group + "MutatingWebhookConfiguration",
	}
}

// Living splits controls into those that can be judged of what an API server
// tells and those that can not, for they are about how it was written.
func Living(controls []*Control) (living, written []*Control) {
	for _, c := range controls {
		if c.Written {
			written = append(written, c)
		} else {
			living = append(living, c)
		}
	}
	return living, written
}

// Filed splits controls into those that can be judged of files and those that are
// about what runs in a cluster.
func Filed(controls []*Control) (filed, running []*Control) {
	for _, c := range controls {
		if c.Running {
			running = append(running, c)
		} else {
			filed = append(filed, c)
		}
	}
	return filed, running
}

// Blind splits controls into those that can be judged in spite of some gaps and
// those that cannot: whose subjects are all hidden, or who look up objects that
// are, so that absence would speak for nothing.
func Blind(lib *Library, controls []*Control, settings Settings, gaps []fact.Gap) (run, blind []*Control, err error) {
	hidden := map[string]bool{} // true: not even whether they exist is known
	for _, g := range gaps {
		if g.Hides != "" {
			hidden[g.Hides] = hidden[g.Hides] || g.Kind != "metadata-only"
		}
	}
	if len(hidden) == 0 {
		return controls, nil, nil
	}
	for _, c := range controls {
		compiled, err := c.Compile(lib, settings[c.ID])
		if err != nil {
			return nil, nil, err
		}
		if c.hiddenBy(hidden) || compiled.misses(hidden) {
			blind = append(blind, c)
		} else {
			run = append(run, c)
		}
	}
	return run, blind, nil
}

// hiddenBy reports whether none of the control's subjects can be seen.
func (c *Control) hiddenBy(hidden map[string]bool) bool {
	judges := c.Judges()
	for _, k := range judges {
		if _, gone := hidden[k]; !gone {
			return false
		}
	}
	return len(judges) > 0
}

// misses reports whether the control looks up objects of which it is not known
// whether they exist.
func (c *Compiled) misses(hidden map[string]bool) bool {
	for _, k := range c.Consults() {
		for h, whole := range hidden {
			if ok, err := path.Match(k, h); whole && (k == "*" || ok && err == nil) {
				return true
			}
		}
	}
	return false
}
