package least

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/merlon-security/merlon/internal/rbac"
)

// YAML returns the plan as manifests.
func (p *Plan) YAML() string {
	var b strings.Builder
	for i := range p.Roles {
		r := &p.Roles[i]
		head(&b, r.kind(), r.Namespace, r.Name)
		b.WriteString("rules:\n")
		for _, rule := range r.Rules {
			lead := "  - "
			for _, f := range rule.fields() {
				if len(f.list) > 0 {
					fmt.Fprintf(&b, "%s%s: [%s]\n", lead, f.name, words(f.list))
					lead = "    "
				}
			}
		}
	}
	for i := range p.Bindings {
		x := &p.Bindings[i]
		kind := "RoleBinding"
		if x.Namespace == "" {
			kind = "ClusterRoleBinding"
		}
		head(&b, kind, x.Namespace, x.Name)
		fmt.Fprintf(&b, "roleRef: {apiGroup: %s, kind: %s, name: %s}\n", rbac.Group, x.RoleKind, word(x.RoleName))
		s := p.Subject
		if s.Kind == rbac.ServiceAccountKind {
			fmt.Fprintf(&b, "subjects:\n  - {kind: ServiceAccount, namespace: %s, name: %s}\n", word(s.Namespace), word(s.Name))
			continue
		}
		fmt.Fprintf(&b, "subjects:\n  - {apiGroup: %s, kind: %s, name: %s}\n", rbac.Group, s.Kind, word(s.Name))
	}
	return b.String()
}

func head(b *strings.Builder, kind, namespace, name string) {
	if b.Len() > 0 {
		b.WriteString("---\n")
	}
	fmt.Fprintf(b, "apiVersion: %s/v1\nkind: %s\nmetadata: {", rbac.Group, kind)
	if namespace != "" {
		fmt.Fprintf(b, "namespace: %s, ", word(namespace))
	}
	fmt.Fprintf(b, "name: %s}\n", word(name))
}

func words(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = word(s)
	}
	return strings.Join(out, ", ")
}

// word writes a string as YAML: plain where nothing in it can mean anything
// else, in double quotes as JSON has them otherwise.
func word(s string) string {
	plain := s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-./0123456789") == "" && s[0] >= 'a' && s[0] <= 'z' || strings.HasPrefix(s, "/") && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz-./0123456789") == ""
	switch s {
	case "y", "n", "yes", "no", "on", "off", "true", "false", "null":
		plain = false
	}
	if plain {
		return s
	}
	q, _ := json.Marshal(s)
	return string(q)
}
