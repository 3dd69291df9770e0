package fact

// ValuesKey is a key of a chart's values: that it is there, not what it holds.
type ValuesKey struct {
	Path    []string
	Kind    Kind // of what it holds; Absent where templates ask for a key that is not there
	Outlets []Outlet
}

// Outlet is a map of a rendered object into which all that a key of the values
// holds is written.
type Outlet struct {
	Ref  Ref
	File string // the object's origin
	Path []Step
}
