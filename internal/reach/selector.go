package reach

import (
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// selector is a LabelSelector: all requirements hold. The zero selector selects
// everything.
type selector struct{ reqs []requirement }

type requirement struct {
	key, op string
	values  []string // sorted
	written []string // the values as they stand
	label   bool     // written as one of matchLabels
}

// maxSelector bounds the requirements and values of one selector: no object that
// an API server stores holds more in its 1.5 MB.
const maxSelector = 100_000

// readSelector reads a LabelSelector. An operator that Kubernetes does not know,
// or one with the wrong number of values, makes it select nothing; the problem
// is returned.
func readSelector(v fact.Value) (s selector, problem string) {
	for l := range v.Get(keyMatchLabels).Children() {
		s.reqs = append(s.reqs, requirement{l.Key().String(), opIn, []string{l.Text()}, []string{l.Text()}, true})
	}
	for e := range v.Get(keyMatchExpressions).Children() {
		r := requirement{key: e.Get(keyKey).Text(), op: e.Get(keyOperator).Str()}
		for x := range e.Get(keyValues).Children() {
			r.values = append(r.values, x.Text())
		}
		r.written = slices.Clone(r.values)
		slices.Sort(r.values)
		r.values = slices.Compact(r.values)
		switch {
		case r.op == opIn || r.op == opNotIn:
			if len(r.values) == 0 {
				problem = "a selector with " + r.op + " needs values"
			}
		case r.op == opExists || r.op == opNotExists:
			if len(r.values) > 0 {
				problem = "a selector with " + r.op + " takes no values"
			}
		default:
			problem = "the operator " + clip(r.op) + " is none of In, NotIn, Exists, DoesNotExist"
		}
		s.reqs = append(s.reqs, r)
	}
	if v.Present() && v.Kind() != fact.Map && v.Kind() != fact.Null {
		problem = "a selector must be a map"
	}
	if len(s.reqs) > maxSelector {
		problem = "a selector with more than 100,000 requirements"
	}
	if problem != "" {
		return selector{[]requirement{{op: "never"}}}, problem
	}
	return s, ""
}

const (
	opIn        = "In"
	opNotIn     = "NotIn"
	opExists    = "Exists"
	opNotExists = "DoesNotExist"
)

func (s selector) empty() bool { return len(s.reqs) == 0 }

func (s selector) matches(labels map[string]string) bool {
	for i := range s.reqs {
		r := &s.reqs[i]
		v, ok := labels[r.key]
		switch r.op {
		case opIn:
			if !ok || !r.has(v) {
				return false
			}
		case opNotIn:
			if ok && r.has(v) {
				return false
			}
		case opExists:
			if !ok {
				return false
			}
		case opNotExists:
			if ok {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func (r *requirement) has(v string) bool {
	_, ok := slices.BinarySearch(r.values, v)
	return ok
}

// equality returns one label that everything selected must have.
func (s selector) equality() (label [2]string, ok bool) {
	for _, r := range s.reqs {
		if r.op == opIn && len(r.values) == 1 {
			return [2]string{r.key, r.values[0]}, true
		}
	}
	return label, false
}

// text writes the selector so that equal selectors are equal texts.
func (s selector) text() string {
	parts := make([]string, len(s.reqs))
	for i, r := range s.reqs {
		parts[i] = r.text()
	}
	slices.Sort(parts)
	return strings.Join(slices.Compact(parts), ",")
}

func (r *requirement) text() string {
	switch r.op {
	case opExists:
		return r.key
	case opNotExists:
		return "!" + r.key
	case opIn:
		if len(r.values) == 1 {
			return r.key + "=" + r.values[0]
		}
		return r.key + " in (" + strings.Join(r.values, ",") + ")"
	case opNotIn:
		return r.key + " notin (" + strings.Join(r.values, ",") + ")"
	}
	return r.op
}
