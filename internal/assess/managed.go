package assess

import (
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// managers returns the Helm release and GitOps applications that an object
// says it belongs to. Labels that anybody may use for anything, such as
// app.kubernetes.io/instance, tell nothing.
//
// Sources: Helm 3 and 4, resource ownership annotations; Argo CD, resource
// tracking; Flux, labels of the kustomize and helm controllers.
func managers(o *fact.Object) []finding.Manager {
	meta := o.Root.Get(keyMetadata)
	labels, notes := meta.Get(keyLabels), meta.Get(keyAnnotations)
	if !labels.Present() && !notes.Present() {
		return nil
	}
	text := func(m fact.Value, key string) string { return m.Get(fact.K(key)).Str() }
	var out []finding.Manager
	add := func(tool, kind, namespace, name string) {
		if name != "" {
			out = append(out, finding.Manager{Tool: tool, Kind: kind, Namespace: namespace, Name: name})
		}
	}
	add("helm", "Release", text(notes, "meta.helm.sh/release-namespace"), text(notes, "meta.helm.sh/release-name"))
	if id, _, ok := strings.Cut(text(notes, "argocd.argoproj.io/tracking-id"), ":"); ok {
		namespace, name, both := strings.Cut(id, "_") // an application outside of Argo CD's own namespace
		if !both {
			namespace, name = "", id
		}
		add("argocd", "Application", namespace, name)
	} else {
		add("argocd", "Application", "", text(labels, "argocd.argoproj.io/instance"))
	}
	add("flux", "Kustomization", text(labels, "kustomize.toolkit.fluxcd.io/namespace"), text(labels, "kustomize.toolkit.fluxcd.io/name"))
	add("flux", "HelmRelease", text(labels, "helm.toolkit.fluxcd.io/namespace"), text(labels, "helm.toolkit.fluxcd.io/name"))
	return out
}

// unseen counts the gaps that keep items of a standard from passing. What
// Merlon does not ask for by design is left out here: the controls that would
// need it are told as not run.
func unseen(gaps []fact.Gap) int {
	n := 0
	for _, g := range gaps {
		if g.Kind != "not-asked" && g.Kind != "metadata-only" {
			n++
		}
	}
	return n
}
