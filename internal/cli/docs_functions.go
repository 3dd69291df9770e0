package cli

import (
	"fmt"
	"strings"

	"github.com/merlon-security/merlon/internal/control"
)

// functionDocs explains every function that Merlon adds to CEL: how it is called
// and what it gives. A test holds it to what the library has.
func functionDocs() map[string][2]string {
	return map[string][2]string{
		"image":            {"image(string)", "`{registry, repository, name, tag, digest}` of an image reference, Docker's short forms made full (`nginx` → `docker.io`, `library/nginx`, `nginx`, ``, ``); `tag` and `digest` are empty when not written"},
		"secretKind":       {"secretKind(name, value)", "what kind of secret a value carried under a name looks like, `\"\"` for none"},
		"secretsIn":        {"secretsIn(text)", "list of kinds of secrets found in free text"},
		"metadata":         {"metadata(object)", "the metadata of the object that is judged, and of the pods that it carries: a list"},
		"secretKeys":       {"secretKeys(map)", "the keys of a map whose values look like secrets"},
		"secretsInCommand": {"secretsInCommand(words)", "list of `{index, kind}` of secrets in a command line given as words, where a flag and its value may be two of them"},
		"saysSecret":       {"saysSecret(name)", "whether a name announces that its value is a secret (`DB_PASSWORD`; not `PASSWORD_FILE`)"},
		"unsortedKeys":     {"unsortedKeys(value)", "paths of the maps in a value whose keys are not in order"},
		"selects":          {"selects(labelSelector, labels)", "whether a LabelSelector (`matchLabels`, `matchExpressions`) selects labels; a missing (null) selector selects nothing, an empty one everything"},
		"matchesLabels":    {"matchesLabels(map, labels)", "the same for a plain map selector, as in Service; an empty map selects nothing"},
		"objects":          {"objects(kind)`, `objects(kind, namespace)", "all objects of a kind in the input"},
		"find":             {"find(kind, namespace, name)", "optional: one object; `namespace` is `\"\"` for cluster-scoped kinds"},
		"workloads":        {"workloads(namespace)", "objects that carry pods in a namespace"},
		"pods":             {"pods(object)", "the pods an object carries, each with `metadata`, `spec`"},
		"podSecurityLevel": {"podSecurityLevel(object, version)", "the strictest Pod Security level that all pods of an object meet, `privileged`, `baseline` or `restricted`, by the upstream library and the policy of a version, `latest` or `v1.30`"},
		"containers":       {"containers(pod)", "all containers of a pod: init, then app, then ephemeral"},
		"selected":         {"selected(object)", "objects carrying pods that a Service, NetworkPolicy, PodDisruptionBudget selects"},
		"selecting":        {"selecting(kind, object)", "objects of `Service`, `networking.k8s.io/NetworkPolicy`, `policy/PodDisruptionBudget` whose selector selects the pods that `object` carries"},
		"referring":        {"referring(kind, object)", "objects of a kind that name this one: HorizontalPodAutoscaler → its target; Ingress, HTTPRoute → Service; RoleBinding, ClusterRoleBinding → Role, ClusterRole, ServiceAccount; pods' owners → ServiceAccount, ConfigMap, Secret, PersistentVolumeClaim; StatefulSet → Service"},
		"serviceAccountOf": {"serviceAccountOf(object)", "optional: the ServiceAccount object that the pods of `object` run as"},
		"roleOf":           {"roleOf(binding)", "optional: the Role or ClusterRole bound, built-in ones included"},
		"rulesOf":          {"rulesOf(x)", "rules of a Role, of a ClusterRole (aggregation resolved over the input and the built-in roles), or of a binding's role"},
		"bindingsOf":       {"bindingsOf(object)", "bindings that grant something to the ServiceAccount `object`, or to the one that the pods of `object` run as, implied groups included"},
		"flag":             {"flag(name)", "component scope: value in force of a flag or of the field of a configuration file that means the same: as given, else the default of the component, else `\"\"`"},
		"flagSet":          {"flagSet(name)", "component scope: whether a flag, or the field that means the same, is given"},
		"known":            {"known(name)", "component scope: whether `flag` is sure; false where a file that was not read may say otherwise"},
		"origin":           {"origin(name)", "component scope: where the value in force comes from, in words"},
		"setting":          {"setting(path)", "component scope: optional: a field of the configuration file, by the list of keys that lead to it"},
		"conflicts":        {"conflicts()", "component scope: settings that are given twice and differently: `{id, flag, value, place, otherValue, otherPlace}`"},
		"version":          {"version()", "component scope: exact version"},
		"advisories":       {"advisories()", "component scope: what is published about the version: `{id, summary, severity, score, fixed, applies, evidence}`"},
		"looser":           {"looser(mode, limit)", "whether a file's mode, in octal, gives anybody more than a limit"},
		"can":              {"subject.can(verb, resource[, namespace[, name]])", "whether a subject (the variable, or one of a binding) may do something, by whatever grants it; the resource is `RESOURCE[.GROUP][/SUBRESOURCE]` or a URL, the namespace `\"\"` for all at once, `\"*\"` for any"},
		"grants":           {"subject.grants(verb, resource[, namespace[, name]])", "how bindings of its own, those of every cluster aside, let a subject do it: `binding`, `role`, `rule`, `namespace`, `text`; the shortest first"},
		"who":              {"who(verb, resource[, namespace[, name]])", "subjects that may do something by a binding that not every cluster has"},
		"mayReach":         {"mayReach(object, address, port)", "whether all policies together let the pods of `object` connect to an address outside on a port such as `'80/TCP'`: `no`, `limited` (policies limit their egress, and yet allow this) or `open` (no policy limits it)"},
		"reaching":         {"reaching(object, port)", "the namespaces whose pods may connect to the pods of `object` on a port such as `'2379/TCP'`; `'0/TCP'` is every port"},
	}
}

func functionsPage() string {
	var b strings.Builder
	b.WriteString(printed + "# CEL functions\n\n")
	b.WriteString("What Merlon adds to the language of ValidatingAdmissionPolicy (CEL with optional types, strings, lists, sets, regular\nexpressions, two-variable comprehensions, `quantity()`, `ip()`, `cidr()`, `url()`). [control-format.md](control-format.md) explains the\nvariables.\n\n")
	b.WriteString("| function | gives | sees |\n|---|---|---|\n")
	docs := functionDocs()
	for _, f := range control.Functions() {
		sees := "its arguments"
		if f.Whole {
			sees = "the whole input"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", docs[f.Name][0], strings.ReplaceAll(docs[f.Name][1], "|", `\|`), sees)
	}
	b.WriteString("\nFunctions that see the whole input see everything in it and nothing else. Each call costs about what it returns: never\ncompare all with all.\n")
	return b.String()
}
