package fact

import "strings"

// Origin says where, and by what means, a fact was seen.
type Origin struct {
	Source string // the source's name: "manifest", "cluster", …
	File   string // path as the user would write it, or "" when there is no file
	World  string // chart, overlay or cluster that the object belongs to; "" for loose files
	Doc    int    // number of the document in the file, from 0
}

// Object is one Kubernetes object, in the shape of its newest API version.
// What is read from Root is never changed by anyone.
type Object struct {
	Group, Version, Kind string
	Namespace, Name      string // as written; see [Object.InNamespace]
	Root                 Value
	Origin               Origin
	Waivers              []Note // waiver comments of the document, as written
}

// Note is a comment addressed to Merlon and the line it stands on; Line is the
// first line below it that holds a value when the comment stands alone.
type Note struct {
	Pos  Pos
	Line uint32
	Text string
}

// Keys that everything reads.
func keyOf(name string) Key { return K(name) }

// NewObject reads an object's identity from its document. It reports false
// when the document is not a Kubernetes object: no map, or without apiVersion
// and kind.
func NewObject(root Value, origin Origin) (Object, bool) {
	apiVersion, kind := root.Get(keyOf("apiVersion")).Str(), root.Get(keyOf("kind")).Str()
	if apiVersion == "" || kind == "" {
		return Object{}, false
	}
	o := Object{Kind: kind, Version: apiVersion, Root: root, Origin: origin}
	if i := strings.LastIndexByte(apiVersion, '/'); i >= 0 {
		o.Group, o.Version = apiVersion[:i], apiVersion[i+1:]
	}
	meta := root.Get(keyOf("metadata"))
	o.Namespace, o.Name = meta.Get(keyOf("namespace")).Str(), meta.Get(keyOf("name")).Str()
	if o.Name == "" {
		o.Name = meta.Get(keyOf("generateName")).Str()
	}
	return normalise(o), true
}

// GroupKind returns "Kind" for the core group and "group/Kind" for others: the
// form in which controls name kinds.
func (o *Object) GroupKind() string {
	if o.Group == "" {
		return o.Kind
	}
	return o.Group + "/" + o.Kind
}

// APIVersion returns the version as manifests write it.
func (o *Object) APIVersion() string {
	if o.Group == "" {
		return o.Version
	}
	return o.Group + "/" + o.Version
}

// InNamespace returns the namespace the object lives in once applied: what is
// written, else "default", and "" for kinds that have none.
func (o *Object) InNamespace() string {
	switch {
	case clusterScoped(o.Group, o.Kind):
		return ""
	case o.Namespace == "":
		return "default"
	}
	return o.Namespace
}

// Ref names an object the way an owner or a finding does.
type Ref struct{ Group, Kind, Namespace, Name string }

// Ref returns the object's name in full, by the namespace it lives in.
func (o *Object) Ref() Ref { return Ref{o.Group, o.Kind, o.InNamespace(), o.Name} }
