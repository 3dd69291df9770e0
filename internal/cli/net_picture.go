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

// netEdge is an arrow of a picture.
type netEdge struct{ from, to, label string }

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
		if e := (netEdge{from, to, label}); !seen[e] && from != to {
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
		b.WriteString("  " + quote(e.from) + " -> " + quote(e.to) + " [label=" + quote(e.label) + "];\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// svgOf draws sources at the left, destinations at the right, and an arrow for
// each connection.
func svgOf(nodes []string, edges []netEdge) string {
	const row, width, box = 28, 1100, 380
	var left, right []string
	for _, n := range nodes {
		if slices.ContainsFunc(edges, func(e netEdge) bool { return e.from == n }) {
			left = append(left, n)
		}
		if slices.ContainsFunc(edges, func(e netEdge) bool { return e.to == n }) {
			right = append(right, n)
		}
	}
	height := row*(max(len(left), len(right))+1) + 10
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" role="img" aria-label="Connections that the policies allow">`+"\n", width, height)
	b.WriteString(`<defs><marker id="a" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#667"/></marker></defs>` + "\n")
	y := func(list []string, n string) int { return row*(slices.Index(list, n)+1) - 6 }
	for _, e := range edges {
		fmt.Fprintf(&b, `<path d="M%d %dC%d %d %d %d %d %d" fill="none" stroke="#99a" marker-end="url(#a)"><title>%s</title></path>`+"\n",
			box, y(left, e.from), width/2, y(left, e.from), width/2, y(right, e.to), width-box, y(right, e.to),
			html.EscapeString(clean(e.from+" → "+e.to+": "+e.label)))
	}
	draw := func(list []string, x int) {
		for _, n := range list {
			shown := clean(oneLine(n))
			if r := []rune(shown); len(r) > 56 {
				shown = string(r[:55]) + "…"
			}
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" rx="3" fill="#f4f6fa" stroke="#abc"/><text x="%d" y="%d">%s</text>`+"\n",
				x, y(list, n)-11, box, row-6, x+8, y(list, n)+4, html.EscapeString(shown))
		}
	}
	draw(left, 0)
	draw(right, width-box)
	b.WriteString("</svg>\n")
	return b.String()
}

// html is a page that needs nothing else: namespaces that unfold to workloads,
// each with whom it may reach and who may reach it.
func (v *netView) html() string {
	var b strings.Builder
	b.WriteString(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"><title>Network</title>
<style>body{font:15px/1.5 sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#223}summary{cursor:pointer}
details details{margin-left:1.4rem}table{border-collapse:collapse;margin:.3rem 0 .8rem 1.4rem}td,th{text-align:left;padding:.15rem .8rem .15rem 0;vertical-align:top}
th{font-weight:600}.n{color:#667}</style>
<h1>Who can talk to whom</h1>
`)
	fmt.Fprintf(&b, "<p>%s in %s. A namespace unfolds to its workloads, a workload to what it may reach and who may reach it.</p>\n",
		plural(len(v.names(seq(len(v.Classes)))), "workload"), plural(len(v.byNamespace()), "namespace"))
	spaces := v.byNamespace()
	for _, ns := range sortedNames(spaces) {
		fmt.Fprintf(&b, "<details><summary><b>%s</b> <span class=n>%s</span></summary>\n", html.EscapeString(clean(ns)), plural(len(spaces[ns]), "workload"))
		for _, w := range spaces[ns] {
			v.workloadHTML(&b, w.name, w.class)
		}
		b.WriteString("</details>\n")
	}
	if len(v.Gaps) > 0 {
		fmt.Fprintf(&b, "<h2>Not known</h2><ul>\n")
		for _, g := range v.Gaps {
			fmt.Fprintf(&b, "<li>%s %s: %s</li>\n", html.EscapeString(clean(g.Subject)), html.EscapeString(g.Kind), html.EscapeString(clean(g.Message)))
		}
		b.WriteString("</ul>\n")
	}
	b.WriteString("</html>\n")
	return b.String()
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

func (v *netView) workloadHTML(b *strings.Builder, name string, class int) {
	names := newNamer(v.names(seq(len(v.Classes))))
	fmt.Fprintf(b, "<details><summary>%s</summary><table>\n", html.EscapeString(clean(name)))
	line := func(what, who, ports string) {
		fmt.Fprintf(b, "<tr><th>%s<td>%s<td>%s\n", what, html.EscapeString(clean(who)), html.EscapeString(ports))
	}
	for _, c := range v.Connections {
		if slices.Contains(c.From, class) {
			line("may reach", names.short(v.names(c.To)), c.Ports.String())
		}
		if slices.Contains(c.To, class) {
			line("reached by", names.short(v.names(c.From)), c.Ports.String())
		}
	}
	for _, o := range v.Outside {
		if slices.Contains(o.Classes, class) {
			what := "may reach"
			if o.Direction == "ingress" {
				what = "reached by"
			}
			line(what, o.shown, o.Ports.String())
		}
	}
	for _, e := range v.Entries {
		if e.Workload == name && !e.Ports.Empty() {
			line("reached by", e.Object, e.Ports.String())
		}
	}
	b.WriteString("</table></details>\n")
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
