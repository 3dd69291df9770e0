package source

import (
	"encoding/json"
	"path"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Deploy is a chart or an overlay of the tree that an object of a GitOps
// controller deploys.
type Deploy struct {
	Tree    *Tree
	World   string // what deploys it, as a person would name it
	File    string // where that is written
	Line    int
	Path    string   // of the chart or overlay, relative to the tree
	Values  []string // files, relative to Path
	Inline  []string // values, as YAML or JSON, over the files
	Set     []string // key=value, over all
	Release string
	Space   string // namespace
}

// Deployer reports whether an object may deploy a chart or an overlay of the tree
// that it stands in.
func Deployer(o *fact.Object) bool {
	switch o.GroupKind() {
	case "argoproj.io/Application", "argoproj.io/ApplicationSet", "helm.toolkit.fluxcd.io/HelmRelease", "kustomize.toolkit.fluxcd.io/Kustomization":
		return o.Rendering == nil
	}
	return false
}

// Deploys returns what some objects deploy from the trees of a survey:
// Applications of Argo CD, HelmReleases and Kustomizations of Flux. The
// repository that they name is taken to be the one that is scanned where it has
// a chart or an overlay at their path; what lies elsewhere is not told.
func Deploys(s *Survey, deployers []*fact.Object) []Deploy {
	var out []Deploy
	for _, o := range deployers {
		var found []Deploy
		switch o.GroupKind() {
		case "argoproj.io/Application":
			found = argo(o, o.Root.At("spec"))
		case "argoproj.io/ApplicationSet":
			found = argo(o, o.Root.At("spec", "template", "spec"))
		case "helm.toolkit.fluxcd.io/HelmRelease":
			found = flux(o)
		case "kustomize.toolkit.fluxcd.io/Kustomization":
			found = []Deploy{{Path: o.Root.At("spec", "path").Str()}}
		}
		for _, d := range found {
			if s.locate(&d) {
				at := o.Root.At("metadata", "name").Pos()
				d.World, d.File, d.Line = d.Tree.Place(d.Path)+" by "+o.Kind+" "+o.Name, o.Origin.File, int(at.Line)
				out = append(out, d)
			}
		}
	}
	return out
}

// locate finds the tree in which a deployment's path is a chart or an overlay.
func (s *Survey) locate(d *Deploy) bool {
	d.Path = strings.TrimPrefix(path.Clean("/"+d.Path), "/")
	if d.Path == "" || strings.Contains(d.Path, "{{") {
		return false
	}
	for _, t := range s.Trees {
		if t.Root != nil && slices.ContainsFunc(t.Items, func(i Item) bool { return i.Name == d.Path && (i.Kind == Chart || i.Kind == Overlay) }) {
			d.Tree = t
			return true
		}
	}
	return false
}

// argo reads the sources of an Application.
func argo(o *fact.Object, spec fact.Value) []Deploy {
	sources := []fact.Value{spec.At("source")}
	for v := range spec.At("sources").Children() {
		sources = append(sources, v)
	}
	var out []Deploy
	for _, v := range sources {
		d := Deploy{Path: v.At("path").Str(), Release: o.Name, Space: spec.At("destination", "namespace").Str()}
		if d.Path == "" {
			continue
		}
		h := v.At("helm")
		if name := h.At("releaseName").Str(); name != "" {
			d.Release = name
		}
		for f := range h.At("valueFiles").Children() {
			d.Values = append(d.Values, f.Str())
		}
		if text := h.At("values").Str(); text != "" {
			d.Inline = append(d.Inline, text)
		}
		if text := asJSON(h.At("valuesObject")); text != "" {
			d.Inline = append(d.Inline, text)
		}
		for p := range h.At("parameters").Children() {
			if name := p.At("name").Str(); name != "" {
				d.Set = append(d.Set, name+"="+strings.ReplaceAll(p.At("value").Text(), ",", `\,`))
			}
		}
		out = append(out, d)
	}
	return out
}

// flux reads a HelmRelease whose chart is a path of a Git repository.
func flux(o *fact.Object) []Deploy {
	chart := o.Root.At("spec", "chart", "spec")
	if kind := chart.At("sourceRef", "kind").Str(); kind != "GitRepository" && kind != "Bucket" {
		return nil
	}
	d := Deploy{Path: chart.At("chart").Str(), Release: o.Root.At("spec", "releaseName").Str(), Space: o.Root.At("spec", "targetNamespace").Str()}
	if d.Space == "" {
		d.Space = o.InNamespace()
	}
	if d.Release == "" {
		d.Release = o.Name
	}
	for f := range chart.At("valuesFiles").Children() {
		// Flux reads these from the root of the repository.
		d.Values = append(d.Values, "/"+f.Str())
	}
	if text := asJSON(o.Root.At("spec", "values")); text != "" {
		d.Inline = append(d.Inline, text)
	}
	return []Deploy{d}
}

// asJSON writes a map as JSON, which is YAML; "" for anything else.
func asJSON(v fact.Value) string {
	if v.Kind() != fact.Map {
		return ""
	}
	data, err := json.Marshal(plain(v))
	if err != nil {
		return ""
	}
	return string(data)
}

func plain(v fact.Value) any {
	switch v.Kind() {
	case fact.Map:
		out := make(map[string]any, v.Len())
		for c := range v.Children() {
			out[c.Key().String()] = plain(c)
		}
		return out
	case fact.List:
		out := make([]any, 0, v.Len())
		for c := range v.Children() {
			out = append(out, plain(c))
		}
		return out
	case fact.Bool:
		return v.Bool()
	case fact.Int:
		return v.Int()
	case fact.Float:
		return v.Float()
	case fact.String:
		return v.Str()
	}
	return nil
}
