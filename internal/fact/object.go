package fact

import "strings"

// Origin says where, and by what means, a fact was seen.
type Origin struct {
	Source string // the source's name: "manifest", "cluster", …
	File   string // path as the user would write it, or "" when there is no file
	World  string // chart with its values, overlay or cluster that the object belongs to; "" for loose files
	Root   string // chart or overlay root by which findings are known over time; "" for loose files
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

	// Rendering tells of an object that a program wrote how it relates to what a
	// person wrote; nil when a person wrote the object. Places of its Root are
	// then those of the rendered text.
	Rendering *Rendering

	// Alias is the name under which findings know the object, where its own is
	// made up: a static pod's without its node. "" for its own name.
	Alias string
	// Pods is how many pods run that are judged through this object.
	Pods int
	// Partial says that only the metadata is known, so that the object answers
	// whether it exists, and nothing else.
	Partial bool

	// Set by NewObject, for both are asked for often; "" is not known yet.
	groupKind, inNamespace string
}

// Rendering relates a rendered text to the files that it was made from.
type Rendering struct {
	Lines  map[uint32]Written // by line of the rendered text
	Values map[Value]Written  // of single values, over Lines; what is in neither is not known
	Known  Ref                // what the object is called where it was written; zero when that is not known
}

// Written is a place where a person wrote something.
type Written struct {
	File   string
	Pos    Pos    // zero when only the file is known
	Root   string // chart or overlay that the file belongs to, as [Origin].Root
	Values string // key of the chart's values that the line shows, as a.b.c; "" when there is none, or more than one
}

// At returns where a value of the object was written, and the line at which it
// stands in the rendered text, 0 when it was not rendered.
func (o *Object) At(v Value) (Written, uint32) {
	at := v.Pos()
	if o.Rendering == nil {
		return Written{File: o.Origin.File, Pos: at, Root: o.Origin.Root}, 0
	}
	if w, ok := o.Rendering.Values[v]; ok {
		return w, at.Line
	}
	if w, ok := o.Rendering.Lines[at.Line]; ok {
		return w, at.Line
	}
	return Written{File: o.Origin.File, Root: o.Origin.Root}, at.Line
}

// Line returns where a line of the object's text was written, such as one with a
// comment.
func (o *Object) Line(line uint32) Written {
	switch {
	case o.Rendering == nil:
		return Written{File: o.Origin.File, Pos: Pos{Line: line}, Root: o.Origin.Root}
	case o.Rendering.Lines[line].File != "":
		return o.Rendering.Lines[line]
	}
	return Written{File: o.Origin.File, Root: o.Origin.Root}
}

// Edited returns the object with another root, and false when that is none. What
// is known of its values stays known of those that are in the same place.
func (o *Object) Edited(root Value) (*Object, bool) {
	next, ok := NewObject(root, o.Origin)
	if !ok {
		return nil, false
	}
	if next.Name == "" {
		next.Name = o.Name // of its file
	}
	next.Waivers, next.Alias, next.Pods, next.Partial = o.Waivers, o.Alias, o.Pods, o.Partial
	if r := o.Rendering; r != nil {
		moved := &Rendering{Lines: r.Lines, Known: r.Known}
		if r.Values != nil {
			moved.Values = make(map[Value]Written, len(r.Values))
			r.move(o.Root, next.Root, moved.Values)
		}
		next.Rendering = moved
	}
	return &next, true
}

// move copies what is known of values below one to those at the same place below
// another.
func (r *Rendering) move(from, to Value, into map[Value]Written) {
	if w, ok := r.Values[from]; ok {
		into[to] = w
	}
	switch {
	case from.Kind() == Map && to.Kind() == Map:
		for c := range to.Children() {
			if x := from.Get(c.Key()); x.Present() {
				r.move(x, c, into)
			}
		}
	case from.Kind() == List && to.Kind() == List && from.Len() <= to.Len():
		i := 0
		for c := range from.Children() { // what an edit adds comes last
			r.move(c, to.Index(i), into)
			i++
		}
	}
}

// KnownAs returns the name under which findings know the object.
func (o *Object) KnownAs() string {
	if o.Alias != "" {
		return o.Alias
	}
	return o.Name
}

// Note is a comment addressed to Merlon and the line it stands on; Line is the
// first line below it that holds a value when the comment stands alone.
type Note struct {
	Pos  Pos
	Line uint32
	Text string
}

// NewObject reads an object's identity from its document. It reports false
// when the document is not a Kubernetes object: no map, or without apiVersion
// and kind.
func NewObject(root Value, origin Origin) (Object, bool) {
	apiVersion, kind := root.Get(keyApiVersion).Str(), root.Get(keyKind).Str()
	if apiVersion == "" || kind == "" {
		return Object{}, false
	}
	o := Object{Kind: kind, Version: apiVersion, Root: root, Origin: origin}
	if i := strings.LastIndexByte(apiVersion, '/'); i >= 0 {
		o.Group, o.Version = apiVersion[:i], apiVersion[i+1:]
	}
	meta := root.Get(keyMetadata)
	o.Namespace, o.Name = meta.Get(keyNamespace).Str(), meta.Get(keyName).Str()
	if o.Name == "" {
		o.Name = meta.Get(keyGenerateName).Str()
	}
	o = normalise(o)
	o.groupKind, o.inNamespace = o.GroupKind(), o.InNamespace()
	return o, true
}

// GroupKind returns "Kind" for the core group and "group/Kind" for others: the
// form in which controls name kinds.
func (o *Object) GroupKind() string {
	if o.groupKind != "" {
		return o.groupKind
	}
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
	case o.inNamespace != "":
		return o.inNamespace
	case ClusterScoped(o.Group, o.Kind):
		return ""
	case o.Namespace == "":
		return "default"
	}
	return o.Namespace
}

// Bytes returns about how much memory the object holds.
func (o *Object) Bytes() int {
	if o.Root.t == nil {
		return 0
	}
	return o.Root.t.Bytes()
}

// Ref names an object the way an owner or a finding does.
type Ref struct{ Group, Kind, Namespace, Name string }

// Ref returns the object's name in full, by the namespace it lives in.
func (o *Object) Ref() Ref { return Ref{o.Group, o.Kind, o.InNamespace(), o.Name} }

// Covers returns the first and last line of what a note on a line is about: the
// field that begins on it with all below it, or the whole document when that is
// its first field. Zero when nothing begins there.
func (o *Object) Covers(line uint32) [2]uint32 {
	first := o.Root.Index(0).Pos().Line
	if line <= first {
		return [2]uint32{1, lastLine(o.Root)}
	}
	var find func(v Value) [2]uint32
	find = func(v Value) [2]uint32 {
		for c := range v.Children() {
			if c.Pos().Line == line {
				return [2]uint32{line, lastLine(c)}
			}
			if r := find(c); r != [2]uint32{} {
				return r
			}
		}
		return [2]uint32{}
	}
	return find(o.Root)
}

func lastLine(v Value) uint32 {
	last := v.Pos().Line
	for c := range v.Children() {
		last = max(last, lastLine(c))
	}
	return last
}
