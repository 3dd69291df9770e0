package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/merlon-security/merlon/internal/reach"
)

// adviceYAML writes policies as a person would.
func adviceYAML(list []reach.Advice) string {
	var b strings.Builder
	for _, a := range list {
		fmt.Fprintf(&b, "---\n# %s\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: %s\n  namespace: %s\n  labels: {app.kubernetes.io/managed-by: merlon}\nspec:\n",
			clean(oneLine(a.Comment)), quoteYAML(a.Name), quoteYAML(a.Namespace))
		fmt.Fprintf(&b, "  podSelector: %s\n", selectorYAML(a.Pods))
		var types []string
		if a.Isolates[reach.Ingress] {
			types = append(types, "Ingress")
		}
		if a.Isolates[reach.Egress] {
			types = append(types, "Egress")
		}
		fmt.Fprintf(&b, "  policyTypes: [%s]\n", strings.Join(types, ", "))
		rulesYAML(&b, "ingress", "from", a.Ingress)
		rulesYAML(&b, "egress", "to", a.Egress)
	}
	return b.String()
}

func rulesYAML(b *strings.Builder, field, side string, rules []reach.AdviceRule) {
	if len(rules) == 0 {
		return
	}
	fmt.Fprintf(b, "  %s:\n", field)
	for _, r := range rules {
		lead := "    - "
		if r.Comment != "" {
			b.WriteString("    # " + clean(oneLine(r.Comment)) + "\n")
		}
		if len(r.Peers) > 0 {
			fmt.Fprintf(b, "%s%s:\n", lead, side)
			lead = "      "
			for _, p := range r.Peers {
				peerYAML(b, &p)
			}
		}
		if r.Ports.All() {
			if len(r.Peers) == 0 {
				b.WriteString("    - {}\n")
			}
			continue
		}
		fmt.Fprintf(b, "%sports:\n", lead)
		for _, proto := range []reach.Protocol{reach.TCP, reach.UDP, reach.SCTP} {
			for _, s := range r.Ports.Spans(proto) {
				fmt.Fprintf(b, "        - {protocol: %s, port: %d", proto, s.First)
				if s.Last != s.First {
					fmt.Fprintf(b, ", endPort: %d", s.Last)
				}
				b.WriteString("}\n")
			}
		}
	}
}

func peerYAML(b *strings.Builder, p *reach.AdvicePeer) {
	for _, x := range p.Prefixes {
		except := ""
		if len(p.Except) > 0 {
			var list []string
			for _, e := range p.Except {
				list = append(list, quoteYAML(e.String()))
			}
			except = ", except: [" + strings.Join(list, ", ") + "]"
		}
		fmt.Fprintf(b, "        - ipBlock: {cidr: %s%s}\n", quoteYAML(x.String()), except)
	}
	if p.Prefixes != nil {
		return
	}
	lead := "        - "
	if p.Namespace != "" {
		fmt.Fprintf(b, "%snamespaceSelector: %s\n", lead, selectorYAML(map[string]string{"kubernetes.io/metadata.name": p.Namespace}))
		lead = "          "
	}
	fmt.Fprintf(b, "%spodSelector: %s\n", lead, selectorYAML(p.Pods))
}

func selectorYAML(labels map[string]string) string {
	if len(labels) == 0 {
		return "{}"
	}
	var out []string
	for _, k := range sortedNames(labels) {
		out = append(out, quoteYAML(k)+": "+quoteYAML(labels[k]))
	}
	return "{matchLabels: {" + strings.Join(out, ", ") + "}}"
}

// quoteYAML writes a string so that it stays one: plain where it is a word, else
// as JSON, which YAML reads.
func quoteYAML(s string) string {
	plain := s != ""
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		plain = plain && (letter || i > 0 && (r >= '0' && r <= '9' || strings.ContainsRune("-._/", r)))
	}
	switch strings.ToLower(s) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
		plain = false
	}
	if plain {
		return s
	}
	b, _ := json.Marshal(s)
	return string(b)
}
