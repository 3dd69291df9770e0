package rbac

import (
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Request is one question to the authorizer, as a SubjectAccessReview asks it:
// about a resource, or, when Path is set, about a URL.
type Request struct {
	Verb                         string
	Group, Resource, Subresource string
	Namespace, Name              string // "" for all namespaces, for any name
	Path                         string
	Fields                       string // field selector of a list, watch or deletecollection
}

// String returns the question as a person would put it.
func (q Request) String() string {
	if q.Path != "" {
		return q.Verb + " " + q.Path
	}
	s := q.Verb + " " + q.Resource
	if q.Group != "" {
		s += "." + q.Group
	}
	if q.Subresource != "" {
		s += "/" + q.Subresource
	}
	if q.Name != "" {
		s += " " + q.Name
	}
	if q.Namespace != "" {
		s += " in " + q.Namespace
	}
	return s
}

// asked is a request with what the rules compare made once.
type asked struct {
	Request
	verb, word bits
	space      uint64 // of the namespace
}

func ask(q Request) asked {
	a := asked{Request: q, verb: bitOf(hashWord(q.Verb))}
	if q.Path != "" {
		a.Namespace, a.word = "", bitOf(urlHash) // URLs lie in none
		return a
	}
	a.space = space(q.Namespace)
	h := hashWord(q.Resource)
	if q.Subresource != "" {
		h = more(more(h, "/"), q.Subresource)
		a.word = bitOf(more(hashWord("*/"), q.Subresource))
	}
	a.word |= bitOf(h)
	return a
}

// hashes returns the hashes of the words that a rule may have to match.
func (q *asked) hashes() [3]uint64 {
	if q.Path != "" {
		return [3]uint64{urlHash, urlHash, urlHash}
	}
	h := [3]uint64{hashWord(q.Resource), hashWord("*"), hashWord("*")}
	if q.Subresource != "" {
		h[0] = more(more(h[0], "/"), q.Subresource)
		h[2] = more(more(h[2], "/"), q.Subresource)
	}
	return h
}

// words returns the words that a rule may have to match, each once.
func (q *asked) words() []string {
	switch {
	case q.Path != "":
		return []string{urlWord}
	case q.Subresource != "":
		return []string{q.Resource + "/" + q.Subresource, "*", "*/" + q.Subresource}
	case q.Resource == "*":
		return []string{"*"}
	}
	return []string{q.Resource, "*"}
}

// urlWord stands for non-resource URLs among words. No resource has that name:
// the API server refuses it.
const urlWord = "\x00url"

// names reports whether a word of a rule means the resource that is asked for.
// Source: RBAC's evaluation helpers: "*" alone is a wildcard, "*/x" matches a
// subresource x of anything, and nothing else is one.
func (q *asked) names(word string) bool {
	n := len(q.Subresource)
	if word == "*" || n == 0 {
		return word == "*" || word == q.Resource
	}
	at := len(word) - n - 1
	return at >= 0 && word[at] == '/' && word[at+1:] == q.Subresource && (word[:at] == q.Resource || word[:at] == "*")
}

// rule is one PolicyRule, compiled.
type rule struct {
	verbs, groups, resources, names, paths []string
	verb, word                             bits // of what it may match
	value                                  fact.Value
	from                                   *fact.Object // whose document it stands in
}

// allows reports whether the rule allows the request.
func (r *rule) allows(q *asked) bool {
	if r.verb&q.verb == 0 || r.word&q.word == 0 || !matches(r.verbs, q.Verb) {
		return false
	}
	if q.Path != "" {
		return r.allowsPath(q.Path)
	}
	if !matches(r.groups, q.Group) || len(r.names) > 0 && !contains(r.names, q.Name) {
		return false
	}
	for _, word := range r.resources {
		if q.names(word) {
			return true
		}
	}
	return false
}

// allowsPath matches a URL: exactly, or by what stands before a "*" at the end.
func (r *rule) allowsPath(path string) bool {
	for _, p := range r.paths {
		if p == "*" || p == path || strings.HasSuffix(p, "*") && strings.HasPrefix(path, strings.TrimRight(p, "*")) {
			return true
		}
	}
	return false
}

func matches(list []string, word string) bool {
	for _, x := range list {
		if x == "*" || x == word {
			return true
		}
	}
	return false
}

func contains(list []string, word string) bool {
	for _, x := range list {
		if x == word {
			return true
		}
	}
	return false
}

// compileRules reads the rules that stand in a role. What is no list of strings
// grants nothing: the API server refuses such a role.
func compileRules(o *fact.Object) []rule {
	list := o.Root.Get(keyRules)
	if list.Len() == 0 {
		return nil
	}
	c := compiler{}
	out := make([]rule, 0, list.Len())
	for v := range list.Children() {
		out = append(out, c.rule(v, o))
	}
	return out
}

// compiler reads rules; their words share one array.
type compiler struct{ words []string }

func (c *compiler) rule(v fact.Value, from *fact.Object) rule {
	r := rule{
		verbs: c.read(v.Get(keyVerbs)), groups: c.read(v.Get(keyGroups)), resources: c.read(v.Get(keyResources)),
		names: c.read(v.Get(keyNames)), paths: c.read(v.Get(keyPaths)), value: v, from: from,
	}
	r.mark()
	return r
}

// mark notes what the rule may match.
func (r *rule) mark() {
	r.verb, r.word = bitsOf(r.verbs), bitsOf(r.resources)
	if len(r.paths) > 0 {
		r.word |= bitOf(urlHash)
	}
}

func (c *compiler) read(v fact.Value) []string {
	from := len(c.words)
	if v.Kind() == fact.List {
		for w := range v.Children() {
			if w.Kind() == fact.String {
				c.words = append(c.words, w.Str())
			}
		}
	}
	return c.words[from:len(c.words):len(c.words)]
}

var (
	keyRules     = fact.K("rules")
	keyVerbs     = fact.K("verbs")
	keyGroups    = fact.K("apiGroups")
	keyResources = fact.K("resources")
	keyNames     = fact.K("resourceNames")
	keyPaths     = fact.K("nonResourceURLs")
)

// manyRules is from when on a role gets an index of its own.
const manyRules = 16

// maxNamed is how many pairs of resource and name of one rule are indexed.
const maxNamed = 256

// role is a role with the rules that it grants, aggregated ones included. It is
// immutable.
type role struct {
	key    roleKey
	object *fact.Object
	rules  []rule
	by     map[uint64][]int32 // rules by hash of resource and name, in order; nil for few rules
	verb   bits               // of what it may match
	word   bits
}

// roleKey names a role; namespace is "" for a ClusterRole.
type roleKey struct{ namespace, name string }

func newRole(key roleKey, o *fact.Object, rules []rule) *role {
	r := &role{key: key, object: o, rules: rules}
	for i := range rules {
		r.verb |= rules[i].verb
		r.word |= rules[i].word
	}
	if len(rules) <= manyRules {
		return r
	}
	r.by = map[uint64][]int32{}
	for i := range rules {
		one := &rules[i]
		if len(one.paths) > 0 {
			r.index(urlHash, "", i)
		}
		for _, word := range one.resources {
			h := hashWord(word)
			if len(one.names) == 0 || len(one.names)*len(one.resources) > maxNamed {
				r.index(h, "", i)
				continue
			}
			for _, name := range one.names {
				r.index(h, name, i)
			}
		}
	}
	return r
}

func (r *role) index(word uint64, name string, i int) {
	k := nameHash(word, name)
	list := r.by[k]
	if n := len(list); n == 0 || list[n-1] != int32(i) {
		r.by[k] = append(list, int32(i))
	}
}

// allows returns the first rule of the role that allows the request, or nil.
func (r *role) allows(q *asked) *rule {
	if r.by == nil {
		for i := range r.rules {
			if r.rules[i].allows(q) {
				return &r.rules[i]
			}
		}
		return nil
	}
	best := len(r.rules)
	try := func(word uint64, name string) {
		for _, i := range r.by[nameHash(word, name)] {
			if int(i) >= best {
				return
			}
			if r.rules[i].allows(q) {
				best = int(i)
				return
			}
		}
	}
	for _, word := range q.hashes() {
		try(word, "")
		if q.Name != "" && q.Path == "" {
			try(word, q.Name)
		}
	}
	if best == len(r.rules) {
		return nil
	}
	return &r.rules[best]
}

// words returns every word by which a request can come to the role.
func (r *role) words() []string {
	var out []string
	seen := map[string]bool{}
	add := func(w string) {
		if !seen[w] {
			seen[w] = true
			out = append(out, w)
		}
	}
	for i := range r.rules {
		if len(r.rules[i].paths) > 0 {
			add(urlWord)
		}
		for _, w := range r.rules[i].resources {
			add(w)
		}
	}
	return out
}
