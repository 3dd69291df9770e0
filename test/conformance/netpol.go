package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/reach"
)

// The netpol-analyzer oracles hold lines of that tool's text: connections that
// are possible between workloads and with addresses outside, and how two sets of
// manifests differ in them. They are compared as sets of lines.

// connections returns what is possible, by the two ends as the tool names them.
func connections(in *input) map[[2]string]string {
	n := reach.New(in.objects())
	out := map[[2]string]string{}
	for c := range n.Pairs(false) {
		out[[2]string{c.Src.String(), c.Dst.String()}] = c.Ports.String()
	}
	for _, c := range n.Entered() {
		out[[2]string{c.Src.String(), c.Dst.String()}] = c.Ports.String()
	}
	return out
}

// runConnlist compares the list of connections. Lists of exposure to pods that
// are not in the input are not answered yet.
func runConnlist(_ *runner, c *testCase, in *input) (outcome, error) {
	var want struct{ Connlist, Exposure []string }
	if err := c.decode("expect", &want); err != nil {
		return outcome{}, err
	}
	if want.Connlist == nil {
		return outcome{expected: "a list of exposure", got: "none yet"}, nil
	}
	var got []string
	for ends, ports := range connections(in) {
		got = append(got, ends[0]+" => "+ends[1]+" : "+ports)
	}
	return compareLines(want.Connlist, got), nil
}

// compareLines compares two texts as sets of lines.
func compareLines(want, got []string) outcome {
	set := func(lines []string) []string {
		seen := map[string]bool{}
		for _, l := range lines {
			if l = strings.Join(strings.Fields(l), " "); l != "" {
				seen[l] = true
			}
		}
		return slices.Sorted(maps.Keys(seen))
	}
	w, g := set(want), set(got)
	var notes []string
	for _, l := range w {
		if !slices.Contains(g, l) && len(notes) < 10 {
			notes = append(notes, "missing: "+l)
		}
	}
	for _, l := range g {
		if !slices.Contains(w, l) && len(notes) < 20 {
			notes = append(notes, "not expected: "+l)
		}
	}
	return outcome{expected: fmt.Sprintf("%d lines", len(w)), got: fmt.Sprintf("%d lines", len(g)), agreed: slices.Equal(w, g), notes: notes}
}

// runDiff compares the differences of two folders of manifests.
func runDiff(_ *runner, c *testCase, _ *input) (outcome, error) {
	var dirs struct{ Dir1, Dir2 map[string]string }
	var want []string
	if err := c.decode("input", &dirs); err != nil {
		return outcome{}, err
	}
	if err := c.decode("expect", &want); err != nil {
		return outcome{}, err
	}
	var sides [2]map[[2]string]string
	for i, files := range []map[string]string{dirs.Dir1, dirs.Dir2} {
		var docs []document
		for _, name := range slices.Sorted(maps.Keys(files)) {
			docs = append(docs, document{name, []byte(files[name])})
		}
		in, err := read(docs)
		if err != nil {
			return outcome{}, err
		}
		sides[i] = connections(in)
	}
	return compareLines(want, diffLines(sides[0], sides[1])), nil
}

func diffLines(before, after map[[2]string]string) []string {
	all := maps.Clone(before)
	maps.Copy(all, after)
	old, new := endsOf(before), endsOf(after)
	var out []string
	for ends := range all {
		a, b := before[ends], after[ends]
		kind, info := "changed", ""
		switch {
		case a == b:
			continue
		case a == "":
			kind, a, info = "added", "No Connections", newcomers(ends, old, "added")
		case b == "":
			kind, b, info = "removed", "No Connections", newcomers(ends, new, "removed")
		}
		out = append(out, fmt.Sprintf("diff-type: %s, source: %s, destination: %s, ref1: %s, ref2: %s%s", kind, ends[0], ends[1], a, b, info))
	}
	if len(out) > 0 {
		out = append(out, "Connectivity diff:")
	}
	return out
}

func endsOf(side map[[2]string]string) map[string]bool {
	seen := map[string]bool{}
	for ends := range side {
		seen[ends[0]], seen[ends[1]] = true, true
	}
	return seen
}

// newcomers tells which ends of a connection the other side does not have.
func newcomers(ends [2]string, other map[string]bool, what string) string {
	var list []string
	for _, e := range ends {
		if !other[e] && !strings.HasSuffix(e, "[External]") && !strings.HasPrefix(e, "{") {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		return ""
	}
	return ", workloads-diff-info: workload " + strings.Join(list, " and ") + " " + what
}
