package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// hit is a finding led back to the object it is about, one for each place where
// the engine reports several as one.
type hit struct {
	finding         *finding.Finding
	verdict         finding.Verdict
	object          *fact.Object // nil for namespaces that are only named, and for the input as a whole
	kind, namespace string
	name, container string
	ctype           string
	path            string   // of the field at fault, list elements by position
	seen            []string // paths of the other fields that it shows
	via             string   // kind/namespace/name of the role or binding that it was derived from
	viaKind         string
}

// hitsOf takes findings apart.
func hitsOf(findings []finding.Finding, in *input) []hit {
	var out []hit
	for i := range findings {
		f := &findings[i]
		for _, at := range append([]finding.Location{f.Location}, f.Also...) {
			h := hit{
				finding: f, verdict: f.Verdict, object: in.byFile[at.File],
				kind: f.Subject.Kind, namespace: f.Subject.Namespace, name: f.Subject.Name, container: f.Subject.Container,
			}
			if len(f.Evidence) > 0 {
				h.path = f.Evidence[0].Path
			}
			if h.object != nil {
				h.namespace = h.object.InNamespace()
				h.path = byPosition(h.object.Root, h.path, at)
				for _, e := range f.Evidence {
					for _, v := range places(h.object.Root, e.Path) {
						h.seen = append(h.seen, v.path)
					}
				}
				h.ctype = containerType(h.object, h.container)
				if kind, name, ok := alias(h.object); ok {
					h.kind, h.name, h.namespace = kind, name, ""
					h.path = strings.TrimPrefix(h.path, "spec.configuration[0].content.")
				}
			}
			if len(f.Also) > 0 { // the evidence is the first place's
				h.path += fmt.Sprintf("\x00%s:%d:%d", at.File, at.Line, at.Column)
			}
			out = append(out, h)
		}
	}
	return out
}

// shown is a hit in a line.
func (h *hit) shown() string {
	subject := h.kind + " " + strings.TrimPrefix(h.namespace+"/"+h.name, "/")
	if h.container != "" {
		subject += ", container " + h.container
	}
	place, _, _ := strings.Cut(h.path, "\x00")
	s := fmt.Sprintf("%s: %s: %s (%s)", h.finding.Control, subject, h.finding.Message, place)
	if h.via != "" {
		s += " by " + h.via
	}
	if h.verdict != finding.Fail {
		s = string(h.verdict) + ": " + s
	}
	return s
}

// place is a path with positions, and the value it ends at or, for a field that
// is missing, the value that misses it.
type place struct {
	path string
	at   fact.Value
}

// places finds what a path as people read it, `containers[app].image`, may mean
// by position, `containers[0].image`: several places where elements of a list
// share a name. What the document does not have, as a missing field, stays.
func places(root fact.Value, shown string) []place {
	var out []place
	best := 0
	var walk func(v fact.Value)
	walk = func(v fact.Value) {
		p := v.ShownPath()
		if p != "" && !below(shown, p) {
			return
		}
		if len(p) > best {
			best, out = len(p), nil
		}
		if len(p) == best {
			out = append(out, place{v.Path() + shown[len(p):], v})
		}
		for c := range v.Children() {
			walk(c)
		}
	}
	walk(root)
	return out
}

// byPosition is the place of a path that stands where a finding is; the first
// where none does.
func byPosition(root fact.Value, shown string, at finding.Location) string {
	all := places(root, shown)
	for _, p := range all {
		if pos := p.at.Pos(); pos.Line == at.Line && pos.Column == at.Column {
			return p.path
		}
	}
	return all[0].path
}

// below reports whether a path is that of outer or of something in it.
func below(p, outer string) bool {
	rest, ok := strings.CutPrefix(p, outer)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// containerType returns the type of the container of a name.
func containerType(o *fact.Object, name string) string {
	if name == "" {
		return ""
	}
	for _, p := range fact.PodTemplates(o) {
		for _, c := range p.Containers() {
			if c.Value.Get(fact.K("name")).Str() == name {
				return string(c.Type)
			}
		}
	}
	return ""
}

// apply narrows what an engine found to what a row means.
func (o *options) apply(in *input, j *judgement) ([]hit, []unit) {
	hits, units := j.hits, j.units
	if o.first {
		hits, units = onlyFirst(o, in, hits, units)
	}
	hits = filter(hits, func(h hit) bool {
		return allowed(o.containers, h.ctype, h.container == "") && allowed(o.severity, h.finding.Severity.String(), false)
	})
	hits = derive(in, o.derive, hits)
	hits = filter(hits, func(h hit) bool {
		return kindAllowed(o.kinds, h.object, h.kind) && (o.roleRef == "" || h.viaKind == o.roleRef) &&
			!slices.ContainsFunc(o.not, func(glob string) bool { ok, _ := path.Match(glob, h.name); return ok })
	})
	units = filter(units, func(u unit) bool {
		return allowed(o.containers, u.ctype, u.container == "") && (u.object == nil || kindAllowed(o.kinds, u.object, u.object.Kind))
	})
	return hits, units
}

// onlyFirst keeps what concerns the first object that any control looked at.
func onlyFirst(o *options, in *input, hits []hit, units []unit) ([]hit, []unit) {
	seen := map[*fact.Object]bool{}
	for _, u := range units {
		if u.object != nil && kindAllowed(o.kinds, u.object, u.object.Kind) {
			seen[u.object] = true
		}
	}
	for _, x := range in.objects() {
		if seen[x] {
			return filter(hits, func(h hit) bool { return h.object == x }), filter(units, func(u unit) bool { return u.object == x })
		}
	}
	return hits, units
}

func filter[T any](list []T, keep func(T) bool) []T {
	var out []T
	for _, x := range list {
		if keep(x) {
			out = append(out, x)
		}
	}
	return out
}

func allowed(list []string, value string, none bool) bool {
	return len(list) == 0 || none || slices.Contains(list, value)
}

// kindAllowed reports whether a kind is in a list of "Kind" and "group/Kind".
func kindAllowed(list []string, o *fact.Object, kind string) bool {
	return len(list) == 0 || slices.Contains(list, kind) || o != nil && slices.Contains(list, o.GroupKind())
}
