package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/reach"
)

// maxNamed is how many workloads a line of a table names.
const maxNamed = 4

// namer writes sets of workloads in few words.
type namer struct {
	all  map[string]int // workloads of each namespace
	many int
}

func newNamer(workloads []string) *namer {
	n := &namer{all: map[string]int{}, many: len(workloads)}
	for _, w := range workloads {
		n.all[namespaceOf(w)]++
	}
	return n
}

func namerOf(m *reach.Model) *namer {
	var names []string
	for _, w := range m.Workloads {
		names = append(names, w.String())
	}
	return newNamer(names)
}

func namespaceOf(workload string) string {
	ns, _, _ := strings.Cut(workload, "/")
	return ns
}

// short writes workloads, sorted by name: whole namespaces as NAMESPACE/*, and
// no more than a few names.
func (n *namer) short(workloads []string) string {
	if len(workloads) == n.many && n.many > 1 {
		return fmt.Sprintf("all %d workloads", n.many)
	}
	byNS := map[string]int{}
	for _, w := range workloads {
		byNS[namespaceOf(w)]++
	}
	var out []string
	left := 0
	told := map[string]bool{}
	for _, w := range workloads {
		ns := namespaceOf(w)
		whole := byNS[ns] == n.all[ns] && byNS[ns] > 1
		switch {
		case told[ns]:
		case len(out) >= maxNamed:
			left++
			if whole {
				left += byNS[ns] - 1
				told[ns] = true
			}
		case whole:
			out = append(out, fmt.Sprintf("%s/* (%d)", ns, byNS[ns]))
			told[ns] = true
		default:
			out = append(out, w)
		}
	}
	text := strings.Join(out, ", ")
	if left > 0 {
		text += fmt.Sprintf(" and %d more", left)
	}
	return text
}

// classNames returns the names of all workloads of some classes, sorted.
func classNames(m *reach.Model, classes []reach.Class, numbers []int) []string {
	var out []string
	for _, k := range numbers {
		for _, x := range classes[k].Members {
			out = append(out, m.Workloads[x.Workload].String())
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// titleOf writes "Kind namespace/name".
func titleOf(o *fact.Object) string {
	if ns := o.InNamespace(); ns != "" {
		return o.Kind + " " + ns + "/" + o.Name
	}
	return o.Kind + " " + o.Name
}

// rangeNames writes ranges of addresses in few words.
func rangeNames(ranges []reach.Range) string {
	v4, v6 := false, false
	var out []string
	for _, r := range ranges {
		switch s := r.String(); s {
		case "0.0.0.0/0":
			v4 = true
			out = append(out, s)
		case "::/0":
			v6 = true
			out = append(out, s)
		default:
			out = append(out, s)
		}
	}
	if v4 && v6 && len(out) == 2 {
		return "any address outside"
	}
	return strings.Join(out, ", ")
}
