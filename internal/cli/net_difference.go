package cli

import (
	"fmt"
	"html"
	"io"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/reach"
)

// writeDifference writes what changed, in the form that was asked for.
func (n *netInput) writeDifference(d *reach.Difference, list []jsonChange, workloads []string) error {
	names := newNamer(workloads)
	side := func(list []string) string {
		if len(list) == 1 {
			return list[0]
		}
		return names.short(list)
	}
	switch n.output {
	case "json":
		return writeJSON(n.Out, struct {
			Schema  string       `json:"schema"`
			Added   []string     `json:"workloads_added"`
			Removed []string     `json:"workloads_removed"`
			Changes []jsonChange `json:"changes"`
		}{"merlon.net-diff/v1", slices.Concat([]string{}, d.Added), slices.Concat([]string{}, d.Removed), slices.Concat([]jsonChange{}, list)})
	case "dot", "svg", "html":
		_, err := io.WriteString(n.Out, differencePicture(n.output, d, list, side))
		return err
	}
	if len(list) == 0 && n.output == "table" {
		if _, err := fmt.Fprintln(n.Out, "the same is allowed"); err != nil {
			return err
		}
		return n.movedWorkloads(d, side)
	}
	t := &netTable{titles: []string{"CHANGE", "FROM", "TO", "BEFORE", "AFTER"}}
	for _, c := range list {
		t.add(c.Change, side(c.From), side(c.To), c.Before.String(), c.After.String())
	}
	if err := t.write(n.Out, n.output); err != nil || n.output != "table" {
		return err
	}
	return n.movedWorkloads(d, side)
}

// movedWorkloads tells which workloads only one of the inputs has.
func (n *netInput) movedWorkloads(d *reach.Difference, side func([]string) string) error {
	for _, x := range []struct {
		what string
		list []string
	}{{"added", d.Added}, {"removed", d.Removed}} {
		if len(x.list) > 0 {
			if _, err := fmt.Fprintf(n.Out, "workloads %s: %s\n", x.what, clean(oneLine(side(x.list)))); err != nil {
				return err
			}
		}
	}
	return nil
}

// differencePicture draws the changes: what is added, removed and changed each
// in a colour of its own.
func differencePicture(format string, d *reach.Difference, list []jsonChange, side func([]string) string) string {
	var nodes []string
	var edges []netEdge
	for _, c := range list {
		e := netEdge{side(c.From), side(c.To), c.Change + ": " + c.Before.String() + " → " + c.After.String(), c.Change}
		nodes = append(nodes, e.from, e.to)
		edges = append(edges, e)
	}
	slices.Sort(nodes)
	nodes = slices.Compact(nodes)
	switch format {
	case "dot":
		return dotOf(nodes, edges)
	case "svg":
		return svgOf(nodes, edges)
	}
	var b strings.Builder
	b.WriteString(strings.Replace(pageHead, "Who can talk to whom", "What changes", 1))
	for _, x := range []struct {
		what string
		list []string
	}{{"added", d.Added}, {"removed", d.Removed}} {
		if len(x.list) > 0 {
			fmt.Fprintf(&b, "<p>Workloads %s: %s</p>\n", x.what, html.EscapeString(clean(side(x.list))))
		}
	}
	switch {
	case len(edges) == 0:
		b.WriteString("<p>The same is allowed.</p>\n")
	case len(edges) <= maxEdges:
		b.WriteString(svgOf(nodes, edges))
	}
	b.WriteString("<table>\n<tr><th>Change<th>From<th>To<th>Before<th>After\n")
	for _, c := range list {
		fmt.Fprintf(&b, "<tr><td>%s<td>%s<td>%s<td>%s<td>%s\n", c.Change, html.EscapeString(clean(side(c.From))), html.EscapeString(clean(side(c.To))), c.Before, c.After)
	}
	b.WriteString("</table>\n</html>\n")
	return b.String()
}
