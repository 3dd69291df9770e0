package reach

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Class is endpoints that no answer tells apart: each may reach, and be reached
// by, the same.
type Class struct {
	Endpoints []int
	Members   []Member // workloads, each with its pods of this class
	Pods      int
}

// Connection is what is allowed between all of some classes and all of others. A
// class on both sides is about its pods between each other; that a pod reaches
// itself is not told.
type Connection struct {
	From, To []int // classes
	Ports    Ports
}

// OutsideConnection is what is allowed between classes and addresses outside.
type OutsideConnection struct {
	Direction Direction
	Classes   []int
	Ranges    []Range
	Ports     Ports
}

// Classes returns all endpoints of pods that were seen, as classes, in the order
// of their first workloads.
func (m *Model) Classes() []Class {
	of := m.classNumbers()
	at := map[int]int{}
	var out []Class
	for i, e := range m.Endpoints {
		if !e.Real() {
			continue
		}
		n, ok := at[of[i]]
		if !ok {
			n = len(out)
			at[of[i]] = n
			out = append(out, Class{})
		}
		out[n].Endpoints = append(out[n].Endpoints, i)
		for _, x := range e.Members {
			out[n].Members = append(out[n].Members, x)
			out[n].Pods += x.Pods
		}
	}
	for i := range out {
		slices.SortFunc(out[i].Members, func(a, b Member) int {
			return strings.Compare(m.Workloads[a.Workload].String(), m.Workloads[b.Workload].String())
		})
	}
	slices.SortStableFunc(out, func(a, b Class) int {
		return strings.Compare(m.Workloads[a.Members[0].Workload].String(), m.Workloads[b.Members[0].Workload].String())
	})
	return out
}

// classNumbers gives endpoints the same number when their rows and columns are
// the same. It refines: first by their own rows, then by every set that some row
// tells apart.
func (m *Model) classNumbers() []int {
	n := len(m.Endpoints)
	of := make([]int, n)
	rowID := map[string]int{}
	first := map[string]int{}
	seen := map[string]bool{}
	var sets []set
	for i := range n {
		e := m.Endpoints[i]
		key := fmt.Sprint(e.HostNetwork, e.Addr)
		for d := range m.rows {
			key += fmt.Sprint(" ", m.rows[d][i].number(rowID, seen, &sets))
		}
		if _, ok := first[key]; !ok {
			first[key] = len(first)
		}
		of[i] = first[key]
	}
	next := len(first)
	for _, s := range sets {
		split := map[int]int{}
		for i := range s.all() {
			to, ok := split[of[i]]
			if !ok {
				to = next
				next++
				split[of[i]] = to
			}
			of[i] = to
		}
	}
	return of
}

// number returns a number of the row's contents, and collects the sets that a
// new row tells apart; the largest is what the others leave.
func (r *row) number(ids map[string]int, seen map[string]bool, sets *[]set) int {
	if n, ok := ids[r.id]; ok {
		return n
	}
	n := len(ids)
	ids[r.id] = n
	largest := 0
	for i := range r.pods {
		if r.pods[i].pods.count() > r.pods[largest].pods.count() {
			largest = i
		}
	}
	for i, p := range r.pods {
		if key := p.pods.key(); i != largest && !seen[key] {
			seen[key] = true
			*sets = append(*sets, p.pods)
		}
	}
	return n
}

// manyClasses is from where on a list is made by columns alone: telling it by
// rows as well, for fewer lines, costs the square of the classes.
const manyClasses = 400

// Connections returns what is allowed between classes, in few lines: as rows or
// as columns of the matrix that are alike.
func (m *Model) Connections(classes []Class) []Connection {
	var blocks []block[Ports]
	if len(classes) > manyClasses {
		blocks = fold(m.columns(first(classes), nil))
		for i := range blocks {
			blocks[i].rows, blocks[i].columns = blocks[i].columns, blocks[i].rows
		}
		sortBlocks(blocks)
	} else {
		blocks = m.matrix(classes).blocks()
	}
	var out []Connection
	for _, b := range blocks {
		out = append(out, Connection{b.rows, b.columns, b.key})
	}
	return out
}

func (m *Model) matrix(classes []Class) *matrix[Ports] {
	x := newMatrix[Ports](len(classes))
	for i, a := range classes {
		for k, b := range classes {
			if p := m.Between(a.Endpoints[0], b.Endpoints[0]); !p.Empty() && (i != k || a.Pods > 1) {
				x.add(i, k, p)
			}
		}
	}
	for i, a := range classes {
		if p := m.Between(a.Endpoints[0], a.Endpoints[0]); a.Pods == 1 && !p.Empty() {
			x.fill(i, p)
		}
	}
	return x
}

// columns returns, for each class, which classes may reach it on which ports.
// Classes are given by one of their endpoints each; -1 is a class of none. It
// takes the sources that have one egress row together. Of the sources of a class
// only those count that wanted returns; without wanted, all.
func (m *Model) columns(reps []int, wanted func(class int) set) [][]part[Ports] {
	n := len(reps)
	classesOf := make([][]int, len(m.Endpoints)) // in a comparison, one endpoint may stand for several
	var hosts []int
	type group struct {
		row     *row
		members set
	}
	var groups []group
	at := map[string]int{}
	for k, e := range reps {
		if e < 0 {
			continue
		}
		if classesOf[e] = append(classesOf[e], k); m.Endpoints[e].HostNetwork && len(classesOf[e]) == 1 {
			hosts = append(hosts, e)
		}
		r := m.rows[Egress][e]
		g, ok := at[r.id]
		if !ok {
			g = len(groups)
			at[r.id] = g
			groups = append(groups, group{row: r})
		}
		groups[g].members.add(k)
	}
	parts := map[string][]part[Ports]{}
	out := make([][]part[Ports], n)
	x := &lines{matrix[Ports]{rows: out}}
	for k, e := range reps {
		if e < 0 {
			continue
		}
		var only set
		if wanted != nil {
			if only = wanted(k); only.empty() {
				continue
			}
		}
		in := m.rows[Ingress][e]
		if _, ok := parts[in.id]; !ok {
			parts[in.id] = x.sources(m, in, classesOf, hosts)
		}
		for _, from := range parts[in.id] {
			if only != nil {
				from.set = from.set.and(only)
			}
			if from.set.count() < len(groups) {
				for s := range from.set.all() {
					if p := m.rows[Egress][reps[s]].of(m, e).And(from.key); !p.Empty() {
						out[k] = x.addTo(out[k], p, s)
					}
				}
				continue
			}
			for _, g := range groups {
				if p := g.row.of(m, e).And(from.key); !p.Empty() && g.members.meets(from.set) {
					out[k] = x.addAll(out[k], p, g.members.and(from.set))
				}
			}
		}
	}
	return out
}

// lines are columns under way.
type lines struct{ matrix[Ports] }

// sources returns which classes an ingress row lets in, by ports.
func (x *lines) sources(m *Model, r *row, classesOf [][]int, hosts []int) []part[Ports] {
	var out []part[Ports]
	for _, p := range r.pods {
		if p.ports.Empty() {
			continue
		}
		var in set
		for e := range p.pods.all() {
			if !m.Endpoints[e].HostNetwork {
				for _, k := range classesOf[e] {
					in.add(k)
				}
			}
		}
		if !in.empty() {
			out = append(out, part[Ports]{p.ports, in})
		}
	}
	for _, e := range hosts {
		if p := r.ofHost(m.Endpoints[e]); !p.Empty() {
			for _, k := range classesOf[e] {
				out = x.addTo(out, p, k)
			}
		}
	}
	return out
}

// first returns an endpoint of each class.
func first(classes []Class) []int {
	out := make([]int, len(classes))
	for k, c := range classes {
		out[k] = c.Endpoints[0]
	}
	return out
}

// matrix holds what is between some things, for telling it in few blocks.
type matrix[K comparable] struct {
	rows, columns [][]part[K]
}

type part[K comparable] struct {
	key K
	set set
}

func newMatrix[K comparable](n int) *matrix[K] {
	return &matrix[K]{make([][]part[K], n), make([][]part[K], n)}
}

func (x *matrix[K]) add(i, k int, key K) {
	x.rows[i] = x.addTo(x.rows[i], key, k)
	x.columns[k] = x.addTo(x.columns[k], key, i)
}

func (x *matrix[K]) addTo(list []part[K], key K, i int) []part[K] {
	k := slices.IndexFunc(list, func(p part[K]) bool { return p.key == key })
	if k < 0 {
		k = len(list)
		list = append(list, part[K]{key: key})
	}
	list[k].set.add(i)
	return list
}

func (x *matrix[K]) addAll(list []part[K], key K, s set) []part[K] {
	for i := range list {
		if list[i].key == key {
			list[i].set = list[i].set.or(s)
			return list
		}
	}
	return append(list, part[K]{key, s})
}

// fill adds the meeting of a thing with itself where nothing is told about it
// and the block around it gets whole: a single pod reaches itself anyway.
func (x *matrix[K]) fill(i int, key K) {
	if slices.ContainsFunc(x.rows[i], func(p part[K]) bool { return p.key == key }) {
		x.add(i, i, key)
	}
}

// block is all of some rows with all of some columns.
type block[K comparable] struct {
	rows, columns []int
	key           K
}

func (x *matrix[K]) blocks() []block[K] {
	byRow, byColumn := fold(x.rows), fold(x.columns)
	for i := range byColumn {
		byColumn[i].rows, byColumn[i].columns = byColumn[i].columns, byColumn[i].rows
	}
	if len(byColumn) < len(byRow) {
		byRow = byColumn
	}
	sortBlocks(byRow)
	return byRow
}

func sortBlocks[K comparable](list []block[K]) {
	slices.SortStableFunc(list, func(a, b block[K]) int {
		return cmp.Or(slices.Compare(a.rows, b.rows), slices.Compare(a.columns, b.columns))
	})
}

// fold joins lines of a matrix that hold the same.
func fold[K comparable](lines [][]part[K]) []block[K] {
	type key struct {
		key K
		set string
	}
	at := map[key]int{}
	var out []block[K]
	for i, parts := range lines {
		for _, p := range parts {
			to := key{p.key, p.set.key()}
			k, ok := at[to]
			if !ok {
				k = len(out)
				at[to] = k
				out = append(out, block[K]{columns: slices.Collect(p.set.all()), key: p.key})
			}
			out[k].rows = append(out[k].rows, i)
		}
	}
	return out
}

// OutsideConnections returns what is allowed between classes and addresses
// outside, in few lines.
func (m *Model) OutsideConnections(classes []Class) []OutsideConnection {
	var out []OutsideConnection
	for d := range directions {
		at := map[string]int{}
		for i, c := range classes {
			byPorts := map[Ports][]Range{}
			var order []Ports
			for _, x := range m.rows[d][c.Endpoints[0]].nets {
				if !x.ports.Empty() {
					if byPorts[x.ports] == nil {
						order = append(order, x.ports)
					}
					byPorts[x.ports] = append(byPorts[x.ports], x.Range)
				}
			}
			for _, p := range order {
				key := fmt.Sprint(p.p, byPorts[p])
				k, ok := at[key]
				if !ok {
					k = len(out)
					at[key] = k
					out = append(out, OutsideConnection{Direction: d, Ranges: byPorts[p], Ports: p})
				}
				out[k].Classes = append(out[k].Classes, i)
			}
		}
	}
	return out
}
