package reach

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Change is a difference of what is allowed between workloads.
type Change struct {
	From, To      []string // workloads
	Before, After Ports
}

// OutsideChange is a difference of what is allowed with addresses outside.
type OutsideChange struct {
	Direction     Direction
	Workloads     []string
	Ranges        []Range
	Before, After Ports
}

// Difference is what changed from one model to another.
type Difference struct {
	Added, Removed []string // workloads
	Changes        []Change
	Outside        []OutsideChange
}

// unit is a workload's pods of one kind in both models; -1: not there.
type unit struct {
	name string
	at   [2]int
}

// Diff compares two models made by [Pair]. Workloads are told apart by name.
func Diff(before, after *Model) *Difference {
	x := &differ{models: [2]*Model{before, after}, d: &Difference{}}
	x.pair()
	x.inside()
	for d := range directions {
		x.outside(d)
	}
	return x.d
}

type differ struct {
	models  [2]*Model
	d       *Difference
	classes [][]unit
	aligned bool // endpoints have the same numbers in both
}

// pair finds the workloads of both models and joins those that neither tells
// apart.
func (x *differ) pair() {
	units := map[string]*unit{}
	names := [2]map[string]bool{{}, {}}
	for side, m := range x.models {
		for _, w := range m.Workloads {
			names[side][w.String()] = true
			for n, e := range w.Endpoints {
				name := w.String()
				if n > 0 {
					name = fmt.Sprintf("%s#%d", name, n+1)
				}
				if units[name] == nil {
					units[name] = &unit{name, [2]int{-1, -1}}
				}
				units[name].at[side] = e
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names[0])) {
		if !names[1][name] {
			x.d.Removed = append(x.d.Removed, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names[1])) {
		if !names[0][name] {
			x.d.Added = append(x.d.Added, name)
		}
	}
	numbers := [2][]int{x.models[0].classNumbers(), x.models[1].classNumbers()}
	at := map[[2]int]int{}
	x.aligned = len(x.models[0].Endpoints) == len(x.models[1].Endpoints)
	for _, name := range slices.Sorted(maps.Keys(units)) {
		u := units[name]
		key := [2]int{-1, -1}
		for side, e := range u.at {
			if e >= 0 {
				key[side] = numbers[side][e]
			}
		}
		x.aligned = x.aligned && u.at[0] == u.at[1]
		k, ok := at[key]
		if !ok {
			k = len(x.classes)
			at[key] = k
			x.classes = append(x.classes, nil)
		}
		x.classes[k] = append(x.classes[k], *u)
	}
}

// alike reports whether an end's own policies allow the same in both models.
func (x *differ) alike(d Direction, u unit) bool {
	return x.aligned && x.models[0].row(d, u.at[0]).id == x.models[1].row(d, u.at[1]).id
}

type change struct{ before, after Ports }

// concerned returns the sources of which something may have changed for a class:
// all, or, where its own policies allow the same, those whose policies do not.
func (x *differ) concerned() func(class int) set {
	n := len(x.classes)
	all, some := fullSet(n), set(nil)
	for k, c := range x.classes {
		if !x.alike(Egress, c[0]) {
			some.add(k)
		}
	}
	return func(k int) set {
		if x.alike(Ingress, x.classes[k][0]) {
			return some
		}
		return all
	}
}

// inside compares who may reach each class.
func (x *differ) inside() {
	n := len(x.classes)
	concerned := x.concerned()
	var columns [2][]line[Ports]
	for side, m := range x.models {
		reps := make([]int, n)
		for k, c := range x.classes {
			reps[k] = c[0].at[side]
		}
		columns[side] = m.columns(reps, concerned)
	}
	lines := make([]line[change], n)
	for k, c := range x.classes {
		if concerned(k).empty() {
			continue
		}
		rest := [2]set{concerned(k), concerned(k)} // who may not reach it at all
		for side := range columns {
			for _, p := range columns[side][k].parts {
				rest[side] = rest[side].minus(p.set)
			}
		}
		all := [2][]part[Ports]{append(columns[0][k].parts, part[Ports]{set: rest[0]}), append(columns[1][k].parts, part[Ports]{set: rest[1]})}
		for _, p := range all[0] {
			for _, q := range all[1] {
				if p.key == q.key || !p.set.meets(q.set) {
					continue
				}
				both := p.set.and(q.set)
				if len(c) == 1 {
					both = both.minus(setOf(k)) // a single workload with itself
				}
				if !both.empty() {
					lines[k].add(change{p.key, q.key}, both)
				}
			}
		}
	}
	for _, b := range fold(lines) {
		x.d.Changes = append(x.d.Changes, Change{x.names(b.columns), x.names(b.rows), b.key.before, b.key.after})
	}
	slices.SortStableFunc(x.d.Changes, func(a, b Change) int { return cmp.Or(slices.Compare(a.From, b.From), slices.Compare(a.To, b.To)) })
}

func (x *differ) names(classes []int) []string {
	var out []string
	for _, k := range classes {
		for _, u := range x.classes[k] {
			out = append(out, u.name)
		}
	}
	slices.Sort(out)
	return out
}

// outside compares what the classes exchange with addresses outside.
func (x *differ) outside(d Direction) {
	at := map[string]int{}
	ofRows := map[[2]string][]int{} // lines, by the contents of two rows
	first := len(x.d.Outside)
	for k, c := range x.classes {
		if x.alike(d, c[0]) {
			continue
		}
		var rows [2]*row
		var ids [2]string
		for side, m := range x.models {
			if e := c[0].at[side]; e >= 0 {
				rows[side] = m.row(d, e)
				ids[side] = rows[side].id
			}
		}
		lines, known := ofRows[ids]
		if !known {
			for _, o := range outsideChanges(rows) {
				text := fmt.Sprint(o.Before, o.After, o.Ranges)
				n, ok := at[text]
				if !ok {
					n = len(x.d.Outside)
					at[text] = n
					o.Direction = d
					x.d.Outside = append(x.d.Outside, o)
				}
				lines = append(lines, n)
			}
			ofRows[ids] = lines
		}
		for _, n := range lines {
			x.d.Outside[n].Workloads = append(x.d.Outside[n].Workloads, x.names([]int{k})...)
		}
	}
	for i := first; i < len(x.d.Outside); i++ {
		slices.Sort(x.d.Outside[i].Workloads)
	}
}

// outsideChanges compares two rows, of which one may be missing.
func outsideChanges(rows [2]*row) (out []OutsideChange) {
	var all []Range
	for _, r := range rows {
		if r != nil {
			for _, n := range r.nets {
				all = append(all, n.Range)
			}
		}
	}
	at := map[change]int{}
	for _, r := range cut(all) {
		var p [2]Ports
		for side := range rows {
			if rows[side] != nil {
				p[side] = rows[side].at(r.First)
			}
		}
		if p[0] == p[1] {
			continue
		}
		key := change{p[0], p[1]}
		n, ok := at[key]
		if !ok {
			n = len(out)
			at[key] = n
			out = append(out, OutsideChange{Before: p[0], After: p[1]})
		}
		out[n].Ranges = appendRange(out[n].Ranges, r)
	}
	return out
}

// appendRange adds a range, as one with the last where they touch.
func appendRange(list []Range, r Range) []Range {
	if n := len(list); n > 0 && list[n-1].Last.Next() == r.First {
		list[n-1].Last = r.Last
		return list
	}
	return append(list, r)
}
