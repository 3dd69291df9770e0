package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
)

// grantView is a grant as JSON has it.
type grantView struct {
	Subject   string      `json:"subject"`
	Namespace string      `json:"namespace,omitempty"` // "" for everywhere
	Binding   *objectView `json:"binding,omitempty"`
	Role      *objectView `json:"role,omitempty"`
	Rule      *ruleView   `json:"rule,omitempty"`
	By        string      `json:"by,omitempty"` // what grants it where no binding does
}

type objectView struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	At        string `json:"at,omitempty"`
}

type ruleView struct {
	Verbs           []string `json:"verbs,omitempty"`
	APIGroups       []string `json:"apiGroups,omitempty"`
	Resources       []string `json:"resources,omitempty"`
	ResourceNames   []string `json:"resourceNames,omitempty"`
	NonResourceURLs []string `json:"nonResourceURLs,omitempty"`
	In              string   `json:"in,omitempty"` // the ClusterRole that it was aggregated from
	At              string   `json:"at,omitempty"`
}

func viewsOf(grants []rbac.Grant) []grantView {
	out := make([]grantView, len(grants))
	for i, g := range grants {
		out[i] = grantViewOf(g)
	}
	return out
}

func grantViewOf(g rbac.Grant) grantView {
	v := grantView{Subject: g.Subject.String(), Namespace: g.Namespace, By: g.By}
	if g.Binding == nil {
		return v
	}
	v.Binding, v.Role = objectViewOf(g.Binding), objectViewOf(g.Role)
	v.Rule = ruleViewOf(g.Rule)
	v.Rule.At = placeOf(g.From, g.Rule)
	if g.From != g.Role {
		v.Rule.In = fullName(g.From)
	}
	return v
}

func objectViewOf(o *fact.Object) *objectView {
	return &objectView{Kind: o.Kind, Namespace: o.InNamespace(), Name: o.Name, At: placeOf(o, o.Root)}
}

func ruleViewOf(v fact.Value) *ruleView {
	return &ruleView{
		Verbs: textsOf(v, "verbs"), APIGroups: textsOf(v, "apiGroups"), Resources: textsOf(v, "resources"),
		ResourceNames: textsOf(v, "resourceNames"), NonResourceURLs: textsOf(v, "nonResourceURLs"),
	}
}

func textsOf(v fact.Value, field string) []string {
	var out []string
	for c := range v.Get(fact.K(field)).Children() {
		out = append(out, c.Str())
	}
	return out
}

// String says a rule in one line: verbs, what they are for, and names.
func (r *ruleView) String() string {
	if len(r.NonResourceURLs) > 0 {
		return strings.Join(r.Verbs, ",") + " " + strings.Join(r.NonResourceURLs, ",")
	}
	var groups []string
	for _, g := range r.APIGroups {
		if g != "" {
			groups = append(groups, g)
		} else if len(r.APIGroups) > 1 {
			groups = append(groups, "core")
		}
	}
	s := strings.Join(r.Verbs, ",") + " " + strings.Join(r.Resources, ",")
	if len(groups) > 0 {
		s += " of " + strings.Join(groups, ",")
	}
	if len(r.ResourceNames) > 0 {
		s += " named " + strings.Join(r.ResourceNames, ",")
	}
	return s
}

// where says where a grant holds.
func where(namespace string) string {
	if namespace == "" {
		return "everywhere"
	}
	return namespace
}

// grantTable writes grants as a table.
func grantTable(w io.Writer, grants []rbac.Grant) error {
	c := newColumns("SUBJECT", "WHERE", "RULE", "ROLE", "BINDING")
	for _, g := range grants {
		v := grantViewOf(g)
		if v.Binding == nil {
			c.row(v.Subject, where(v.Namespace), v.By)
			continue
		}
		role := v.Role.placed()
		if v.Rule.In != "" {
			role = v.Role.named() + " from " + v.Rule.In + " (" + v.Rule.At + ")"
		} else if v.Rule.At != "" && v.Rule.At != "built in" {
			role = v.Role.named() + " (" + v.Rule.At + ")"
		}
		c.row(v.Subject, where(v.Namespace), v.Rule.String(), role, v.Binding.placed())
	}
	return c.write(w)
}

func (o *objectView) named() string {
	if o.Namespace != "" {
		return o.Kind + " " + o.Namespace + "/" + o.Name
	}
	return o.Kind + " " + o.Name
}

func (o *objectView) placed() string {
	if o.At == "" {
		return o.named()
	}
	return o.named() + " (" + o.At + ")"
}

// grantDot writes grants as a graph for Graphviz: subjects, the bindings that
// name them, the roles bound, and the rules in question.
func grantDot(w io.Writer, grants []rbac.Grant) error {
	var b strings.Builder
	b.WriteString("digraph rbac {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n")
	seen := map[string]bool{}
	line := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		if !seen[text] {
			seen[text] = true
			b.WriteString(text)
		}
	}
	for _, g := range grants {
		v := grantViewOf(g)
		subject := quote(v.Subject)
		line("  %s [style=filled, fillcolor=lightgrey];\n", subject)
		if v.Binding == nil {
			line("  %s -> %s;\n", subject, quote(v.By))
			continue
		}
		binding, role, rule := quote(v.Binding.placed()), quote(v.Role.placed()), quote(v.Rule.String())
		line("  %s -> %s [label=%s];\n", subject, binding, quote(where(v.Namespace)))
		line("  %s -> %s;\n", binding, role)
		line("  %s [shape=plaintext];\n", rule)
		line("  %s -> %s;\n", role, rule)
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// quote makes foreign text a name in a graph.
func quote(s string) string {
	s = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", " ", "\t", " ").Replace(clean(s))
	return `"` + s + `"`
}

// writeGrants writes grants in a form.
func writeGrants(w io.Writer, form string, grants []rbac.Grant) error {
	switch form {
	case "json":
		return writeJSON(w, viewsOf(grants))
	case "dot":
		return grantDot(w, grants)
	}
	return grantTable(w, grants)
}
