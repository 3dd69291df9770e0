package source

// Deploy is a chart or an overlay that an object of a GitOps controller deploys
// from the tree that is scanned.
type Deploy struct {
	World   string // what deploys it, as a person would name it
	File    string // where that is written
	Line    int
	Path    string // of the chart or overlay, relative to the tree
	Values  []string
	Inline  string   // values, as YAML
	Set     []string // key=value
	Release string
	Space   string // namespace
}
