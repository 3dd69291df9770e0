package cli

import (
	"cmp"
	"fmt"
	"html"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/reach"
)

// maxPictured is up to how many workloads each namespace has a picture of its
// own: beyond it the page gets larger than a browser likes.
const maxPictured = 300

// maxRows is how many rows the table of a workload has on the page.
const maxRows = 200

const pageHead = `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"><title>Network</title>
<style>body{font:15px/1.5 sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#223}summary{cursor:pointer}
svg{display:block;width:100%;height:auto;margin:.6rem 0}details details{margin-left:1.4rem}
table{border-collapse:collapse;margin:.3rem 0 .8rem 1.4rem}td,th{text-align:left;padding:.15rem .8rem .15rem 0;vertical-align:top}
th{font-weight:600}.n{color:#667}</style>
<h1>Who can talk to whom</h1>
`

// html is a page that needs nothing else: a picture of the namespaces, which
// unfold to a picture of their workloads, and these to whom they may reach and
// who may reach them.
func (v *netView) html() string {
	var b strings.Builder
	b.WriteString(pageHead)
	workloads := v.names(seq(len(v.Classes)))
	spaces := v.byNamespace()
	fmt.Fprintf(&b, "<p>%s in %s. A namespace unfolds to its workloads, a workload to what it may reach and who may reach it.</p>\n",
		plural(len(workloads), "workload"), plural(len(spaces), "namespace"))
	v.drawing(&b, func(w string) string { return namespaceOf(w) + "/*" }, "")
	lines := v.lines(newNamer(workloads))
	for _, ns := range sortedNames(spaces) {
		fmt.Fprintf(&b, "<details><summary><b>%s</b> <span class=n>%s</span></summary>\n", html.EscapeString(clean(ns)), plural(len(spaces[ns]), "workload"))
		if len(workloads) <= maxPictured {
			v.drawing(&b, func(w string) string {
				if namespaceOf(w) == ns {
					return w
				}
				return namespaceOf(w) + "/*"
			}, ns+"/")
		}
		for _, w := range spaces[ns] {
			fmt.Fprintf(&b, "<details><summary>%s</summary><table>\n", html.EscapeString(clean(w.name)))
			for _, l := range slices.Concat(lines.ofClass[w.class], lines.ofWorkload[w.name]) {
				fmt.Fprintf(&b, "<tr><th>%s<td>%s<td>%s\n", l[0], html.EscapeString(clean(l[1])), html.EscapeString(l[2]))
			}
			if n := lines.more[w.class]; n > 0 {
				fmt.Fprintf(&b, "<tr><td><td>and %d more, which -o json has\n", n)
			}
			b.WriteString("</table></details>\n")
		}
		b.WriteString("</details>\n")
	}
	if len(v.Gaps) > 0 {
		b.WriteString("<h2>Not known</h2><ul>\n")
		for _, g := range v.Gaps {
			fmt.Fprintf(&b, "<li>%s %s: %s</li>\n", html.EscapeString(clean(g.Subject)), html.EscapeString(g.Kind), html.EscapeString(clean(g.Message)))
		}
		b.WriteString("</ul>\n")
	}
	b.WriteString("</html>\n")
	return b.String()
}

// drawing draws the connections between groups of workloads; only those with an
// end whose name begins with part.
func (v *netView) drawing(b *strings.Builder, group func(workload string) string, part string) {
	nodes, edges := v.grouped(group, part)
	switch {
	case len(edges) > maxEdges:
		fmt.Fprintf(b, "<p class=n>%d connections: too many for a picture.</p>\n", len(edges))
	case len(edges) == 0:
		b.WriteString("<p class=n>No connections.</p>\n")
	default:
		b.WriteString(svgOf(nodes, edges))
	}
}

// grouped returns the connections between groups of workloads, with all ports of
// each two of them. What a group does within itself is told only of one workload.
func (v *netView) grouped(group func(workload string) string, part string) (nodes []string, edges []netEdge) {
	groups := make([][]string, len(v.Classes))
	for i, c := range v.Classes {
		for _, w := range c.Workloads {
			groups[i] = append(groups[i], group(w))
		}
		slices.Sort(groups[i])
		groups[i] = slices.Compact(groups[i])
	}
	of := func(classes []int) []string {
		var out []string
		for _, k := range classes {
			out = append(out, groups[k]...)
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	ports := map[[2]string]reach.Ports{}
	add := func(from, to []string, p reach.Ports) {
		for _, f := range from {
			for _, t := range to {
				if f != t && (strings.HasPrefix(f, part) || strings.HasPrefix(t, part)) {
					ports[[2]string{f, t}] = ports[[2]string{f, t}].Or(p)
				}
			}
		}
	}
	for _, c := range v.Connections {
		add(of(c.From), of(c.To), c.Ports.Ports)
	}
	for _, o := range v.Outside {
		if o.Direction == "ingress" {
			add([]string{o.shown}, of(o.Classes), o.Ports.Ports)
		} else {
			add(of(o.Classes), []string{o.shown}, o.Ports.Ports)
		}
	}
	for _, e := range v.Entries {
		if !e.Ports.Empty() {
			add([]string{e.Object}, []string{group(e.Workload)}, e.Ports.Ports)
		}
	}
	for k, p := range ports {
		edges = append(edges, netEdge{k[0], k[1], p.String(), ""})
		nodes = append(nodes, k[0], k[1])
	}
	slices.SortFunc(edges, func(a, b netEdge) int { return cmp.Or(strings.Compare(a.from, b.from), strings.Compare(a.to, b.to)) })
	slices.Sort(nodes)
	return slices.Compact(nodes), edges
}

// pageLines are the rows of the tables of workloads: what, with whom, ports.
type pageLines struct {
	ofClass    map[int][][3]string
	ofWorkload map[string][][3]string
	more       map[int]int // rows of a class beyond the most
}

func (v *netView) lines(names *namer) *pageLines {
	out := &pageLines{map[int][][3]string{}, map[string][][3]string{}, map[int]int{}}
	add := func(classes []int, what, who string, ports viewPorts) {
		row := [3]string{what, who, ports.String()}
		for _, k := range classes {
			if len(out.ofClass[k]) >= maxRows {
				out.more[k]++
				continue
			}
			out.ofClass[k] = append(out.ofClass[k], row)
		}
	}
	for _, c := range v.Connections {
		add(c.From, "may reach", names.short(v.names(c.To)), c.Ports)
		add(c.To, "reached by", names.short(v.names(c.From)), c.Ports)
	}
	for _, o := range v.Outside {
		if o.Direction == "ingress" {
			add(o.Classes, "reached by", o.shown, o.Ports)
		} else {
			add(o.Classes, "may reach", o.shown, o.Ports)
		}
	}
	for _, e := range v.Entries {
		if !e.Ports.Empty() {
			out.ofWorkload[e.Workload] = append(out.ofWorkload[e.Workload], [3]string{"reached by", e.Object, e.Ports.String()})
		}
	}
	return out
}
