package reach

// representative stands for all pods that two selectors describe, whether there
// are any or not. A rule is about it when every requirement of the rule's
// selectors is one of its own: then the rule is about each of those pods.
type representative struct {
	namespace string // of the policy, when only its own namespace is meant
	anyNS     bool
	ns, pod   selector
}

func (r *representative) text() string {
	x := peer{namespace: r.namespace, anyNS: r.anyNS, ns: r.ns, pod: r.pod}
	return x.key()
}

func (r *representative) within(x peer) bool {
	if x.anyNS {
		if r.anyNS && !contains(r.ns, x.ns) {
			return false
		}
		if !r.anyNS && !x.ns.matches(map[string]string{nameLabel: r.namespace}) {
			return false
		}
	} else if r.anyNS {
		if !contains(r.ns, selector{[]requirement{{nameLabel, opIn, []string{x.namespace}}}}) {
			return false
		}
	} else if r.namespace != x.namespace {
		return false
	}
	return contains(r.pod, x.pod)
}

// contains reports whether every requirement of part is one of whole.
func contains(whole, part selector) bool {
	for _, p := range part.reqs {
		found := false
		for _, w := range whole.reqs {
			found = found || w.text() == p.text()
		}
		if !found {
			return false
		}
	}
	return true
}
