package control

import (
	"strings"

	"github.com/merlon-security/merlon/internal/control/expr"
	"github.com/merlon-security/merlon/internal/fact"
)

// maxKept bounds what a judge keeps of each sort of answer.
const maxKept = 4096

// listing is objects as expressions read them, and the list they were made of.
type listing struct {
	of []*fact.Object
	v  expr.Value
}

var noObjects = expr.ListOf(nil)

// objects returns the objects of a kind. Many controls ask for those of the
// namespace in hand, and its objects are judged one after the other, so what
// was made of an answer is kept. The world is asked each time: it may want to
// know what a verdict rests on.
func (j *Judge) objects(w World, kind, namespace string) expr.Value {
	key := [2]string{kind, namespace}
	list := w.Objects(kind, namespace)
	if len(list) == 0 {
		return noObjects
	}
	known, ok := j.lists[key]
	if !ok || len(known.of) != len(list) || &known.of[0] != &list[0] {
		if j.lists == nil || len(j.lists) >= maxKept {
			j.lists = map[[2]string]listing{}
		}
		known = listing{list, objectList(list)}
		j.lists[key] = known
	}
	return known.v
}

// selecting returns what selects the pods of an object. Many controls ask it of
// the same object, so the answers for the last one are kept.
func (j *Judge) selecting(w World, kind string, o *fact.Object) expr.Value {
	if j.selectingOf != o || j.selected == nil {
		j.selectingOf, j.selected = o, map[string]expr.Value{}
	}
	v, ok := j.selected[kind]
	if !ok {
		v = objectList(w.Selecting(kind, o))
		j.selected[kind] = v
	}
	return v
}

// metadata returns the metadata of an object and of the pods that it carries.
func (j *Judge) metadata(object expr.Value) expr.Value {
	o := j.subject.Object
	if o == nil || !o.Root.Same(object.Node()) {
		return expr.Errorf("metadata: not the object that is judged")
	}
	var out []expr.Value
	add := func(v fact.Value) {
		if v.Kind() == fact.Map {
			out = append(out, expr.FromFact(v))
		}
	}
	own := o.Root.Get(keyMetadata)
	add(own)
	for _, p := range fact.PodTemplates(o) {
		if !p.Metadata.Same(own) {
			add(p.Metadata)
		}
	}
	return expr.ListOf(out)
}

var keyMetadata = fact.K("metadata")

// containers returns all containers of a pod. Many controls ask for those of the
// same pod, so the last answer is kept.
func (j *Judge) containers(pod expr.Value) expr.Value {
	if j.listOf != nil && j.listOf == pod.Ref() {
		return j.list
	}
	spec, _ := pod.Field("spec")
	var out []expr.Value
	for _, name := range [...]string{"initContainers", "containers", "ephemeralContainers"} {
		if l, ok := spec.Field(name); ok {
			out = append(out, l.Elems()...)
		}
	}
	j.listOf, j.list = pod.Ref(), expr.ListOf(out)
	return j.list
}

// image returns the parts of an image reference. Many controls ask for those of
// the same container, so the last answer is kept.
func (j *Judge) image(ref string) expr.Value {
	if j.imageOf != ref || j.imageParts.Kind() == expr.Unset {
		i := ParseImage(ref)
		j.imageOf = ref
		j.imageParts = imageShape.Of(
			expr.StringOf(i.Registry), expr.StringOf(i.Repository), expr.StringOf(i.Name), expr.StringOf(i.Tag), expr.StringOf(i.Digest),
		)
	}
	return j.imageParts
}

var imageShape = expr.NewShape("registry", "repository", "name", "tag", "digest")

// Image is the reference of an image with Docker's short forms made full.
type Image struct{ Registry, Repository, Name, Tag, Digest string }

// ParseImage reads an image reference: [registry/]repository[:tag][@digest].
// Source: github.com/distribution/reference, normalised names.
func ParseImage(s string) Image {
	var i Image
	s, i.Digest, _ = strings.Cut(strings.TrimSpace(s), "@")
	if at := strings.LastIndexByte(s, ':'); at > strings.LastIndexByte(s, '/') {
		s, i.Tag = s[:at], s[at+1:]
	}
	first, rest, slash := strings.Cut(s, "/")
	if slash && (strings.ContainsAny(first, ".:") || first == "localhost") {
		i.Registry, i.Repository = first, rest
	} else {
		i.Registry, i.Repository = "docker.io", s
		if !slash && s != "" {
			i.Repository = "library/" + s
		}
	}
	if i.Registry == "index.docker.io" {
		i.Registry = "docker.io"
	}
	i.Name = i.Repository[strings.LastIndexByte(i.Repository, '/')+1:]
	return i
}
