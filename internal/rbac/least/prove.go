package least

import (
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
)

// Proof is what shows that a plan is enough and nothing in it too much.
type Proof struct {
	Replayed int            // uses that were asked again
	Denied   []rbac.Request // of these, what the plan does not allow
	Elements int            // verbs, resources, names and URLs that were taken out one by one
	Idle     []Idle         // of these, without which all would still be allowed
}

// Idle is an element of a rule that nothing needs.
type Idle struct {
	Role    Role
	Rule    int
	Element string
}

// Held reports whether the proof holds.
func (p *Proof) Held() bool { return len(p.Denied)+len(p.Idle) == 0 }

// Prove replays uses against a plan, and again with each element of each rule
// taken out.
func (p *Plan) Prove(uses []Use) Proof {
	out := Proof{Replayed: len(uses)}
	user := p.Subject.User()
	x, given := rbac.Only(p.Objects()), givenTo(p.Subject)
	var needed []rbac.Request // what takes a role
	seen := map[rbac.Request]bool{}
	for _, u := range uses {
		switch {
		case given(u):
		case !x.Can(user, u.Request):
			out.Denied = append(out.Denied, u.Request)
		case !seen[u.Request]:
			seen[u.Request] = true
			needed = append(needed, u.Request)
		}
	}
	for i := range p.Roles {
		for j := range p.Roles[i].Rules {
			mine := p.allowedBy(i, j, needed)
			for _, less := range p.Roles[i].Rules[j].less() {
				out.Elements++
				without := p.with(i, j, less.rule)
				after := x.Apply(fact.Change{Op: fact.Upsert, Object: without.object()})
				if !slices.ContainsFunc(mine, func(q rbac.Request) bool { return !after.Can(user, q) }) {
					out.Idle = append(out.Idle, Idle{Role: p.Roles[i], Rule: j, Element: less.element})
				}
			}
		}
	}
	return out
}

// allowedBy returns which of some requests one rule of a plan allows: only they
// can be denied without it.
func (p *Plan) allowedBy(role, at int, requests []rbac.Request) []rbac.Request {
	r := p.Roles[role]
	r.Rules = []Rule{r.Rules[at]}
	x := rbac.Only((&Plan{Subject: p.Subject, Roles: []Role{r}, Bindings: p.Bindings}).Objects())
	var out []rbac.Request
	for _, q := range requests {
		if x.Can(p.Subject.User(), q) {
			out = append(out, q)
		}
	}
	return out
}

// with returns a role of the plan with another rule in place of one.
func (p *Plan) with(role, at int, r Rule) *Role {
	n := p.Roles[role]
	n.Rules = slices.Clone(n.Rules)
	n.Rules[at] = r
	return &n
}

type lessRule struct {
	element string
	rule    Rule
}

// less returns the rule without each of its elements. Without its last name, verb
// or resource a rule grants nothing; without a name at all it would grant more.
func (r Rule) less() []lessRule {
	var out []lessRule
	take := func(what string, list []string, put func(n *Rule, list []string)) {
		for i, s := range list {
			n := r
			if len(list) == 1 {
				n = Rule{}
			} else {
				put(&n, slices.Delete(slices.Clone(list), i, i+1))
			}
			out = append(out, lessRule{what + " " + s, n})
		}
	}
	take("verb", r.Verbs, func(n *Rule, l []string) { n.Verbs = l })
	take("resource", r.Resources, func(n *Rule, l []string) { n.Resources = l })
	take("name", r.Names, func(n *Rule, l []string) { n.Names = l })
	take("URL", r.Paths, func(n *Rule, l []string) { n.Paths = l })
	return out
}

// Unused is a rule that somebody has, by a binding, and that the log shows no
// use of, or a use of only part.
type Unused struct {
	Grant  rbac.Grant
	Rights []rbac.Request // never used
	Wide   []rbac.Request // used, but a wildcard, or any name, for what is in Uses
	Uses   []rbac.Request
}

// Never returns the rights of a subject, built-in ones aside, that uses do not
// show. Wildcards that were used are told with what they were used for.
func Never(x *rbac.Index, subject rbac.Subject, uses []Use) []Unused {
	var out []Unused
	for _, g := range x.Show(subject.User()) {
		if g.Binding == nil || rbac.IsDefault(g.Binding) {
			continue
		}
		n := Unused{Grant: g}
		for _, right := range rbac.Atoms(g.Rule, g.Namespace) {
			used := false
			for _, u := range uses {
				if u.Allowed && right.Covers(u.Request) {
					used = true
					if wild(right) && !slices.Contains(n.Uses, u.Request) {
						n.Uses = append(n.Uses, u.Request)
					}
				}
			}
			switch {
			case !used:
				n.Rights = append(n.Rights, right)
			case wild(right):
				n.Wide = append(n.Wide, right)
			}
		}
		if len(n.Rights)+len(n.Wide) > 0 {
			out = append(out, n)
		}
	}
	return out
}

func wild(q rbac.Request) bool {
	return q.Verb == "*" || q.Group == "*" || q.Resource == "*" || len(q.Path) > 0 && q.Path[len(q.Path)-1] == '*'
}
