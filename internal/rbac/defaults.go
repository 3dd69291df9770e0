package rbac

import (
	_ "embed" // the roles and bindings
	"strings"
	"sync"

	"github.com/merlon-security/merlon/internal/fact"
)

// builtinSource is the source of objects that nobody gave.
const builtinSource = "builtin"

// defaultText lists the roles and bindings that the API server makes at its
// start, one a paragraph, as a fresh Kubernetes 1.36 has them: `from` names the
// label that an aggregating role selects, `into` those that a role has. "core"
// is the group "". test/live/rbac holds it against a real API server.
//
//go:embed defaults.txt
var defaultText string

// defaults returns the roles and bindings that every cluster has. The caller
// does not change the slice.
var defaults = sync.OnceValue(func() []*fact.Object { return parseDefaults(defaultText) })

func parseDefaults(text string) []*fact.Object {
	var out []*fact.Object
	var block []string
	flush := func() {
		if len(block) > 0 {
			out = append(out, defaultObject(block))
		}
		block = nil
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, " ") {
			flush()
		}
		block = append(block, strings.TrimSpace(line))
	}
	flush()
	return out
}

// defaultObject builds one object of a paragraph.
func defaultObject(block []string) *fact.Object {
	head := strings.Fields(block[0])
	kind, name := head[0], head[1]
	options := map[string]string{}
	for i := 2; i+1 < len(head); i += 2 {
		options[head[i]] = head[i+1]
	}
	b := &fact.Builder{}
	b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
	text(b, "apiVersion", Group+"/v1")
	text(b, "kind", kind)
	b.Begin(b.Key("metadata"), fact.Pos{}, fact.Map)
	if ns, rest, ok := strings.Cut(name, "/"); ok && !strings.HasPrefix(kind, "Cluster") {
		text(b, "namespace", ns)
		name = rest
	}
	text(b, "name", name)
	b.Begin(b.Key("labels"), fact.Pos{}, fact.Map)
	text(b, "kubernetes.io/bootstrapping", "rbac-defaults")
	for into := range strings.SplitSeq(options["into"], ",") {
		if into != "" {
			text(b, aggregateLabel+into, "true")
		}
	}
	b.End()
	b.End()
	if strings.HasSuffix(kind, "Binding") {
		defaultBinding(b, head[3], head[4], block[1:])
	} else {
		defaultRules(b, options["from"], block[1:])
	}
	b.End()
	o, _ := fact.NewObject(b.Tree().Root(), fact.Origin{Source: builtinSource})
	return &o
}

const aggregateLabel = Group + "/aggregate-to-"

func defaultRules(b *fact.Builder, from string, lines []string) {
	if from != "" {
		b.Begin(b.Key("aggregationRule"), fact.Pos{}, fact.Map)
		b.Begin(b.Key("clusterRoleSelectors"), fact.Pos{}, fact.List)
		b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
		b.Begin(b.Key("matchLabels"), fact.Pos{}, fact.Map)
		text(b, aggregateLabel+from, "true")
		b.End()
		b.End()
		b.End()
		b.End()
	}
	fields := map[string]string{"on": "resources", "in": "apiGroups", "named": "resourceNames", "at": "nonResourceURLs"}
	b.Begin(b.Key("rules"), fact.Pos{}, fact.List)
	for _, line := range lines {
		b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
		parts := strings.Fields(line)
		words(b, "verbs", parts[0])
		for i := 1; i+1 < len(parts); i += 2 {
			words(b, fields[parts[i]], parts[i+1])
		}
		b.End()
	}
	b.End()
}

func defaultBinding(b *fact.Builder, roleKind, roleName string, lines []string) {
	b.Begin(b.Key("roleRef"), fact.Pos{}, fact.Map)
	text(b, "apiGroup", Group)
	text(b, "kind", roleKind)
	text(b, "name", roleName)
	b.End()
	b.Begin(b.Key("subjects"), fact.Pos{}, fact.List)
	for _, line := range lines {
		kind, name, _ := strings.Cut(line, " ")
		b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
		if kind == string(ServiceAccountKind) {
			ns, sa, _ := strings.Cut(name, "/")
			text(b, "namespace", ns)
			name = sa
		} else {
			text(b, "apiGroup", Group)
		}
		text(b, "kind", kind)
		text(b, "name", name)
		b.End()
	}
	b.End()
}

func text(b *fact.Builder, field, s string) { b.String(b.Key(field), fact.Pos{}, s) }

func words(b *fact.Builder, field, list string) {
	b.Begin(b.Key(field), fact.Pos{}, fact.List)
	for w := range strings.SplitSeq(list, ",") {
		if w == "core" && field == "apiGroups" {
			w = ""
		}
		b.String(fact.Key{}, fact.Pos{}, w)
	}
	b.End()
}

// defaultsByName returns the roles and bindings that every cluster has by name.
var defaultsByName = sync.OnceValue(func() map[fact.Ref]*fact.Object {
	out := map[fact.Ref]*fact.Object{}
	for _, o := range defaults() {
		out[o.Ref()] = o
	}
	return out
})
