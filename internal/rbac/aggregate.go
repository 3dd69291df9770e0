package rbac

import (
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
)

var (
	keyAggregation = fact.K("aggregationRule")
	keySelectors   = fact.K("clusterRoleSelectors")
	keyMetadata    = fact.K("metadata")
	keyLabels      = fact.K("labels")
)

// aggregates reports whether other roles make the rules of a ClusterRole. One
// that was read from an API server has them written down.
func aggregates(o *fact.Object) bool {
	return o.Kind == "ClusterRole" && !o.Root.Get(keyAggregation).IsNull() && !stored(o)
}

func labelsOf(o *fact.Object) fact.Value { return o.Root.Get(keyMetadata).Get(keyLabels) }

// label notes by which labels a ClusterRole can be selected, and whether it
// selects. Each is under the zero label, too, for selectors without equality.
func (x *Index) label(o *fact.Object) {
	for l := range labelsOf(o).Children() {
		x.labelled.add(label{l.Key().String(), l.Str()}, o, x.building)
	}
	x.labelled.add(label{}, o, x.building)
	if aggregates(o) {
		x.aggregating.add("", o, x.building)
	}
}

func (x *Index) unlabel(o *fact.Object) {
	if o.Kind != "ClusterRole" {
		return
	}
	for l := range labelsOf(o).Children() {
		x.labelled.remove(label{l.Key().String(), l.Str()}, o)
	}
	x.labelled.remove(label{}, o)
	x.aggregating.remove("", o)
}

// aggregate gives every aggregating role its rules.
func (x *Index) aggregate() {
	for _, o := range x.aggregating.get("") {
		key := roleKey{"", o.Name}
		old := x.role(key)
		if old == nil || old.object != o {
			continue
		}
		rules := x.aggregated(o)
		x.removeRole(old)
		x.addRole(newRole(key, o, rules))
	}
}

// aggregated returns the rules that the controller writes into an aggregating
// role: those of all roles that it selects, however many steps away, in the order
// of their names; a loop ends where it closes. What its author wrote there is
// overwritten, but stands where the input has none of the roles selected.
// Source: kubernetes/pkg/controller/clusterroleaggregation.
func (x *Index) aggregated(o *fact.Object) []rule {
	var out []rule
	found := false
	seen := map[*fact.Object]bool{o: true}
	var visit func(o *fact.Object)
	visit = func(o *fact.Object) {
		for _, c := range x.selected(o) {
			if seen[c] {
				continue
			}
			seen[c], found = true, true
			if aggregates(c) {
				visit(c)
				continue
			}
			out = append(out, compileRules(c)...)
		}
	}
	visit(o)
	if !found {
		return compileRules(o)
	}
	return out
}

// selected returns the ClusterRoles that an aggregating role selects, by name.
func (x *Index) selected(o *fact.Object) []*fact.Object {
	var out []*fact.Object
	for v := range o.Root.Get(keyAggregation).Get(keySelectors).Children() {
		sel, ok := fact.LabelSelector(v)
		if !ok {
			continue
		}
		key, value, _ := sel.Equality()
		for _, c := range x.labelled.get(label{key, value}) {
			if sel.Matches(fact.Labels(labelsOf(c))) && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	slices.SortFunc(out, func(a, b *fact.Object) int { return compareRefs(a.Ref(), b.Ref()) })
	return out
}
