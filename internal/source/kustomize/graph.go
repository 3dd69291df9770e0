package kustomize

import (
	"path"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// graph says which overlay uses which.
type graph struct{ nodes map[string]*node } // by folder

// node is one kustomization.
type node struct {
	dir, file string
	component bool
	uses      []string // folders
	patches   []string // files
	refused   []refusal
}

// refusal is a field that would have something fetched or run.
type refusal struct {
	pos fact.Pos
	why string
}

func newGraph(t *source.Tree, overlays []source.Item) *graph {
	g := &graph{nodes: map[string]*node{}}
	for _, o := range overlays {
		for _, base := range source.Kustomizations() {
			file := path.Join(o.Name, base)
			root, ok := document(t, file)
			if !ok {
				continue
			}
			if n := newNode(t, o.Name, file, root); n != nil {
				g.nodes[o.Name] = n
			}
			break
		}
	}
	return g
}

// document reads the first document of a file.
func document(t *source.Tree, name string) (fact.Value, bool) {
	f, err := t.Open(name)
	if err != nil {
		return fact.Value{}, false
	}
	defer f.Close()
	doc, err := yamldoc.NewReader(f, name, yamldoc.Limits{Document: 4 << 20, Values: 200_000}).Next()
	if err != nil {
		return fact.Value{}, true // kustomize says what is wrong with it
	}
	return doc.Root, true
}

// newNode reads what a kustomization refers to; nil when it is an object of that
// name which belongs to others, such as Flux.
func newNode(t *source.Tree, dir, file string, root fact.Value) *node {
	if v := root.At("apiVersion").Str(); v != "" && !strings.HasPrefix(v, "kustomize.config.k8s.io/") {
		return nil
	}
	n := &node{dir: dir, file: file, component: root.At("kind").Str() == "Component"}
	for _, field := range [...]string{"resources", "bases", "components"} {
		for v := range root.At(field).Children() {
			n.use(t, v)
		}
	}
	for _, field := range [...]string{"helmCharts", "helmChartInflationGenerator", "helmGlobals"} {
		if v := root.At(field); v.Present() {
			n.refuse(v, field+" has Kustomize fetch charts and run helm: render the chart by itself, or inflate it beforehand")
		}
	}
	for _, field := range [...]string{"generators", "transformers", "validators", "configurations", "crds", "patchesStrategicMerge"} {
		for v := range root.At(field).Children() {
			n.local(v)
			if field == "patchesStrategicMerge" && v.Kind() == fact.String && !strings.Contains(v.Str(), "\n") {
				n.patches = append(n.patches, path.Join(dir, v.Str()))
			}
			n.plugin(t, field, v)
		}
	}
	n.paths(root)
	return n
}

// use takes in a resource: a folder is another kustomization.
func (n *node) use(t *source.Tree, v fact.Value) {
	name := path.Join(n.dir, v.Str())
	if v.Str() == "" || t.Root == nil {
		return
	}
	if info, err := t.Root.Stat(name); err == nil {
		if info.IsDir() {
			n.uses = append(n.uses, name)
		}
		return
	}
	n.local(v)
	if strings.HasPrefix(name, "..") || path.IsAbs(v.Str()) {
		n.refuse(v, "it uses what lies outside of what is scanned: scan a folder that holds both")
	}
}

// local refuses what would be fetched.
func (n *node) local(v fact.Value) {
	s := v.Str()
	if strings.Contains(s, "\n") {
		return
	}
	for _, sign := range [...]string{"://", "?ref=", "git@", "git::", "github.com/", "gitlab.com/", "bitbucket.org/", "dev.azure.com"} {
		if strings.Contains(s, sign) {
			n.refuse(v, "it uses what would be fetched from the network: bring it into the tree")
			return
		}
	}
}

// plugin refuses a generator, transformer or validator that is a program.
func (n *node) plugin(t *source.Tree, field string, v fact.Value) {
	if field != "generators" && field != "transformers" && field != "validators" {
		return
	}
	text := v.Str()
	if !strings.Contains(text, "\n") {
		root, ok := document(t, path.Join(n.dir, text))
		if !ok || root.At("apiVersion").Str() == "builtin" && root.At("kind").Str() != "HelmChartInflationGenerator" {
			return
		}
		if root.Kind() == fact.Map {
			n.refuse(v, field+" names a plugin, and Merlon runs none")
		}
		return
	}
	doc, err := yamldoc.NewReader(strings.NewReader(text), "", yamldoc.Limits{}).Next()
	if err == nil && (doc.Root.At("apiVersion").Str() != "builtin" || doc.Root.At("kind").Str() == "HelmChartInflationGenerator") {
		n.refuse(v, field+" names a plugin, and Merlon runs none")
	}
}

// paths looks at every field by which a kustomization names single files.
func (n *node) paths(root fact.Value) {
	for p := range root.At("patches").Children() {
		if name := p.At("path").Str(); name != "" {
			n.patches = append(n.patches, path.Join(n.dir, name))
		}
	}
	var visit func(v fact.Value)
	visit = func(v fact.Value) {
		for c := range v.Children() {
			switch key := c.Key().String(); {
			case key == "path" || key == "env":
				n.local(c)
			case key == "files" || key == "envs":
				for e := range c.Children() {
					n.local(e)
				}
			default:
				visit(c)
			}
		}
	}
	for _, field := range [...]string{"patches", "patchesJson6902", "replacements", "configMapGenerator", "secretGenerator", "openapi"} {
		visit(root.At(field))
		if field == "openapi" {
			n.local(root.At(field, "path"))
		}
	}
}

func (n *node) refuse(v fact.Value, why string) { n.refused = append(n.refused, refusal{v.Pos(), why}) }

// roots returns the folders of overlays that no other uses.
func (g *graph) roots() []string {
	used := map[string]bool{}
	for _, n := range g.nodes {
		for _, u := range n.uses {
			if u != n.dir {
				used[u] = true
			}
		}
	}
	var out []string
	for dir, n := range g.nodes {
		if !used[dir] && !n.component {
			out = append(out, dir)
		}
	}
	slices.Sort(out)
	return out
}

// reach returns an overlay and all that it uses, itself first.
func (g *graph) reach(dir string) []*node {
	var out []*node
	seen := map[string]bool{}
	var visit func(dir string)
	visit = func(dir string) {
		n := g.nodes[dir]
		if n == nil || seen[dir] {
			return
		}
		seen[dir] = true
		out = append(out, n)
		for _, u := range n.uses {
			visit(u)
		}
	}
	visit(dir)
	return out
}
