package cli

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

// maxEdges bounds a picture: beyond it nobody sees anything.
const maxEdges = 1500

// maxLabels is up to how many arrows their ports are written beside them; else
// they are told where one points at them.
const maxLabels = 60

// shortened cuts a text to some letters.
func shortened(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// netEdge is an arrow of a picture.
type netEdge struct{ from, to, label, change string }

// colour is that of the arrow: of a change, what was added, removed or changed.
func (e netEdge) colour() string {
	switch e.change {
	case "added":
		return "#1a7f37"
	case "removed":
		return "#cf222e"
	case "changed":
		return "#9a6700"
	}
	return "#99a"
}

// edges returns the connections between groups of workloads: classes, or whole
// namespaces when there would be too many arrows.
func (v *netView) edges() (nodes []string, edges []netEdge) {
	name := func(k int) string {
		w := v.Classes[k].Workloads
		if len(w) == 1 {
			return w[0]
		}
		return fmt.Sprintf("%s and %d more", w[0], len(w)-1)
	}
	count := 0
	for _, c := range v.Connections {
		count += len(c.From) * len(c.To)
	}
	if count > maxEdges {
		name = func(k int) string {
			ns := namespaceOf(v.Classes[k].Workloads[0])
			return ns + "/*"
		}
	}
	seen, known := map[netEdge]bool{}, map[string]bool{}
	add := func(from, to, label string) {
		for _, n := range []string{from, to} {
			if !known[n] {
				known[n] = true
				nodes = append(nodes, n)
			}
		}
		if e := (netEdge{from, to, label, ""}); !seen[e] && from != to {
			seen[e] = true
			edges = append(edges, e)
		}
	}
	for _, c := range v.Connections {
		for _, f := range c.From {
			for _, t := range c.To {
				add(name(f), name(t), c.Ports.String())
			}
		}
	}
	for _, o := range v.Outside {
		for _, k := range o.Classes {
			if o.Direction == "ingress" {
				add(o.shown, name(k), o.Ports.String())
			} else {
				add(name(k), o.shown, o.Ports.String())
			}
		}
	}
	for _, e := range v.Entries {
		if !e.Ports.Empty() {
			add(e.Object, e.Workload, e.Ports.String())
		}
	}
	slices.Sort(nodes)
	return nodes, edges
}

func (v *netView) picture(w io.Writer, format string) error {
	nodes, edges := v.edges()
	var text string
	switch format {
	case "dot":
		text = dotOf(nodes, edges)
	case "svg":
		text = svgOf(nodes, edges)
	default:
		text = v.html()
	}
	_, err := io.WriteString(w, text)
	return err
}

func dotOf(nodes []string, edges []netEdge) string {
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(clean(oneLine(s))) + `"`
	}
	var b strings.Builder
	b.WriteString("digraph network {\n  rankdir=LR;\n  node [shape=box];\n")
	for _, n := range nodes {
		b.WriteString("  " + quote(n) + ";\n")
	}
	for _, e := range edges {
		more := ""
		if e.change != "" {
			more = ", color=" + quote(e.colour())
		}
		b.WriteString("  " + quote(e.from) + " -> " + quote(e.to) + " [label=" + quote(e.label) + more + "];\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// svgOf draws sources at the left, destinations at the right, and an arrow for
// each connection.
func svgOf(nodes []string, edges []netEdge) string {
	const row, width, box = 28, 1100, 380
	left, right := newSide(nodes, edges, func(e netEdge) string { return e.from }), newSide(nodes, edges, func(e netEdge) string { return e.to })
	height := row*(max(len(left.names), len(right.names))+1) + 10
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" role="img" aria-label="Connections that the policies allow">`+"\n", width, height)
	b.WriteString(`<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#667"/></marker></defs>` + "\n")
	y := func(s *side, n string) int { return row*(s.at[n]+1) - 6 }
	for _, e := range edges {
		fmt.Fprintf(&b, `<path d="M%d %dC%d %d %d %d %d %d" fill="none" stroke="%s" marker-end="url(#a)"><title>%s</title></path>`+"\n",
			box, y(left, e.from), width/2, y(left, e.from), width/2, y(right, e.to), width-box, y(right, e.to),
			e.colour(), html.EscapeString(clean(e.from+" → "+e.to+": "+e.label)))
	}
	if len(edges) <= maxLabels {
		for i, e := range edges { // at different places of the arrows, so that few of them meet
			t := 0.25 + 0.125*float64(i%5)
			at := t * t * (3 - 2*t)
			x := box + int((width-2*box)*(1.5*t*(1-t)+t*t*t))
			fmt.Fprintf(&b, `<text x="%d" y="%d" font-size="10" text-anchor="middle" fill="#445" stroke="#fff" stroke-width="3" paint-order="stroke">%s</text>`+"\n",
				x, y(left, e.from)+int(at*float64(y(right, e.to)-y(left, e.from)))-2, html.EscapeString(clean(shortened(e.label, 28))))
		}
	}
	draw := func(s *side, x int) {
		for _, n := range s.names {
			shown := shortened(clean(oneLine(n)), 56)
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" rx="3" fill="#f4f6fa" stroke="#abc"/><text x="%d" y="%d">%s</text>`+"\n",
				x, y(s, n)-11, box, row-6, x+8, y(s, n)+4, html.EscapeString(shown))
		}
	}
	draw(left, 0)
	draw(right, width-box)
	b.WriteString("</svg>\n")
	return b.String()
}

// side is the nodes of a drawing at one side, in order.
type side struct {
	names []string
	at    map[string]int
}

func newSide(nodes []string, edges []netEdge, end func(netEdge) string) *side {
	used := map[string]bool{}
	for _, e := range edges {
		used[end(e)] = true
	}
	s := &side{at: map[string]int{}}
	for _, n := range nodes {
		if used[n] {
			s.at[n] = len(s.names)
			s.names = append(s.names, n)
		}
	}
	return s
}

type placed struct {
	name  string
	class int
}

func (v *netView) byNamespace() map[string][]placed {
	out := map[string][]placed{}
	for _, c := range v.Classes {
		for _, w := range c.Workloads {
			out[namespaceOf(w)] = append(out[namespaceOf(w)], placed{w, c.ID})
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b placed) int { return strings.Compare(a.name, b.name) })
	}
	return out
}

func seq(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

func sortedNames[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
