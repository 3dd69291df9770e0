package fact

// Selector is a LabelSelector: all of its requirements hold for the labels that
// it selects. The zero Selector selects everything.
type Selector struct{ requirements []requirement }

type requirement struct {
	key, op string
	values  []string
}

// LabelSelector reads a LabelSelector (matchLabels, matchExpressions). It
// reports false for one that is absent or null, which selects nothing.
func LabelSelector(v Value) (Selector, bool) {
	if v.Kind() != Map {
		return Selector{}, false
	}
	s := equalities(v.Get(keyMatchLabels))
	for e := range v.Get(keyMatchExpressions).Children() {
		r := requirement{key: e.Get(keyKey).Str(), op: e.Get(keyOperator).Str()}
		for x := range e.Get(keyValues).Children() {
			r.values = append(r.values, x.Text())
		}
		s.requirements = append(s.requirements, r)
	}
	return s, true
}

// MapSelector reads a plain map of labels, as a Service has it. It reports
// false for an empty one, which selects nothing.
func MapSelector(v Value) (Selector, bool) {
	s := equalities(v)
	return s, len(s.requirements) > 0
}

func equalities(v Value) Selector {
	var s Selector
	for l := range v.Children() {
		s.requirements = append(s.requirements, requirement{l.Key().String(), "In", []string{l.Text()}})
	}
	return s
}

// Empty reports whether the selector selects everything.
func (s Selector) Empty() bool { return len(s.requirements) == 0 }

// Equality returns one label that everything selected must have, for finding
// candidates; false when there is none.
func (s Selector) Equality() (key, value string, ok bool) {
	for _, r := range s.requirements {
		if r.op == "In" && len(r.values) == 1 {
			return r.key, r.values[0], true
		}
	}
	return "", "", false
}

// Matches reports whether the selector selects the labels that get answers for.
// An operator that Kubernetes does not know selects nothing.
func (s Selector) Matches(get func(key string) (string, bool)) bool {
	for _, r := range s.requirements {
		v, ok := get(r.key)
		if !r.holds(v, ok) {
			return false
		}
	}
	return true
}

func (r requirement) holds(v string, ok bool) bool {
	in := false
	for _, x := range r.values {
		in = in || x == v
	}
	switch r.op {
	case "In":
		return ok && in
	case "NotIn":
		return !ok || !in
	case "Exists":
		return ok
	case "DoesNotExist":
		return !ok
	}
	return false
}

// Labels answers for a map of labels, as [Selector.Matches] asks.
func Labels(v Value) func(string) (string, bool) {
	return func(key string) (string, bool) {
		l := v.Get(K(key))
		return l.Text(), l.Present()
	}
}
