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
		for d := range directions {
			key += fmt.Sprint(" ", m.row(d, i).number(rowID, seen, &sets))
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
	rows, columns []line[K]
}

// line is one row or column of a matrix: what it holds, each with where.
type line[K comparable] struct {
	parts []part[K]
	at    map[K]int // where a key is, once they are many
}

type part[K comparable] struct {
	key K
	set set
}

// of returns the place of a key.
func (l *line[K]) of(key K) *set {
	const few = 8
	i := -1
	if l.at != nil {
		if n, ok := l.at[key]; ok {
			i = n
		}
	} else {
		i = slices.IndexFunc(l.parts, func(p part[K]) bool { return p.key == key })
	}
	if i < 0 {
		i = len(l.parts)
		l.parts = append(l.parts, part[K]{key: key})
		if l.at != nil {
			l.at[key] = i
		} else if len(l.parts) > few {
			l.at = map[K]int{}
			for n, p := range l.parts {
				l.at[p.key] = n
			}
		}
	}
	return &l.parts[i].set
}

// add adds places to a key.
func (l *line[K]) add(key K, s set) {
	to := l.of(key)
	*to = to.or(s)
}

func newMatrix[K comparable](n int) *matrix[K] {
	return &matrix[K]{make([]line[K], n), make([]line[K], n)}
}

func (x *matrix[K]) add(i, k int, key K) {
	x.rows[i].of(key).add(k)
	x.columns[k].of(key).add(i)
}

// fill adds the meeting of a thing with itself where nothing is told about it
// and the block around it gets whole: a single pod reaches itself anyway.
func (x *matrix[K]) fill(i int, key K) {
	if slices.ContainsFunc(x.rows[i].parts, func(p part[K]) bool { return p.key == key }) {
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
func fold[K comparable](lines []line[K]) []block[K] {
	type key struct {
		key K
		set string
	}
	at := map[key]int{}
	var out []block[K]
	for i, l := range lines {
		for _, p := range l.parts {
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
		ofRow := map[string][]int{} // lines, by the contents of a row
		for i, c := range classes {
			r := m.row(d, c.Endpoints[0])
			lines, known := ofRow[r.id]
			if !known {
				for _, x := range r.outside() {
					key := fmt.Sprint(x.Ports.p, x.Ranges)
					k, ok := at[key]
					if !ok {
						k = len(out)
						at[key] = k
						x.Direction = d
						out = append(out, x)
					}
					lines = append(lines, k)
				}
				ofRow[r.id] = lines
			}
			for _, k := range lines {
				out[k].Classes = append(out[k].Classes, i)
			}
		}
	}
	return out
}

// outside returns the addresses of a row by what is allowed with them.
func (r *row) outside() (out []OutsideConnection) {
	at := map[Ports]int{}
	for _, x := range r.nets {
		if x.ports.Empty() {
			continue
		}
		k, ok := at[x.ports]
		if !ok {
			k = len(out)
			at[x.ports] = k
			out = append(out, OutsideConnection{Ports: x.ports})
		}
		out[k].Ranges = append(out[k].Ranges, x.Range)
	}
	return out
}
