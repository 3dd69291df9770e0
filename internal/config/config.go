// Package config holds how a plug (a source, a sink, a gate, a store) is named,
// documented and made from its own part of the configuration.
package config

// Kind is one plug: its name, what it does in a sentence, an example of its
// settings, and how it is made from them. New calls decode with a pointer to
// its own settings; it must accept their absence.
type Kind[T any] struct {
	Name    string
	Doc     string
	Example string
	New     func(decode func(any) error) (T, error)
}

// Find returns the kind of a name.
func Find[T any](kinds []Kind[T], name string) (Kind[T], bool) {
	for _, k := range kinds {
		if k.Name == name {
			return k, true
		}
	}
	return Kind[T]{}, false
}
