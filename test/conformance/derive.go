package main

import (
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// derive says a finding about RBAC where a foreign tool says it. Merlon reports
// a dangerous grant once, at the role or at the binding that makes it; others
// name the subjects, the bindings, or the workloads that have it in the end.
func derive(in *input, how string, hits []hit) []hit {
	if how == "" {
		return hits
	}
	var out []hit
	seen := map[string]bool{}
	add := func(h hit) {
		key := h.finding.ID + "\x00" + h.kind + "/" + h.namespace + "/" + h.name + "\x00" + h.path + "\x00" + h.via
		if !seen[key] {
			seen[key] = true
			out = append(out, h)
		}
	}
	for _, h := range hits {
		for _, b := range bindingsOf(in, &h) {
			switch how {
			case "bindings":
				add(atBinding(h, b))
			case "subjects":
				for _, s := range grantees(&h, b) {
					add(atSubject(h, b, s))
				}
			case "workloads":
				for _, s := range grantees(&h, b) {
					for _, w := range users(in, b, s) {
						add(at(h, b, w))
					}
				}
			}
		}
		if how == "bindings" && !rbacKind(h.object) {
			add(h)
		}
	}
	return out
}

func rbacKind(o *fact.Object) bool { return o != nil && o.Group == "rbac.authorization.k8s.io" }

// bindingsOf returns the bindings that a finding concerns: the one it is at, or
// those that refer to the role it is at.
func bindingsOf(in *input, h *hit) []*fact.Object {
	if !rbacKind(h.object) {
		return nil
	}
	if strings.HasSuffix(h.object.Kind, "Binding") {
		return []*fact.Object{h.object}
	}
	var out []*fact.Object
	for _, b := range in.objects() {
		if !rbacKind(b) || !strings.HasSuffix(b.Kind, "Binding") {
			continue
		}
		ref := b.Root.Get(fact.K("roleRef"))
		same := ref.Get(fact.K("kind")).Str() == h.object.Kind && ref.Get(fact.K("name")).Str() == h.object.Name
		if same && (h.object.Kind == "ClusterRole" || b.InNamespace() == h.object.InNamespace()) {
			out = append(out, b)
		}
	}
	return out
}

func atBinding(h hit, b *fact.Object) hit {
	if h.object == b {
		return h
	}
	return at(h, b, b)
}

// at moves a finding to another object.
func at(h hit, binding, o *fact.Object) hit {
	if h.object != nil {
		h.via, h.viaKind = h.object.Kind+" "+h.object.Name, h.object.Kind
	}
	if o != binding {
		h.via += " bound by " + binding.Kind + " " + binding.Name
	}
	h.object, h.kind, h.namespace, h.name, h.container, h.ctype = o, o.Kind, o.InNamespace(), o.Name, "", ""
	return h
}

func atSubject(h hit, binding *fact.Object, s fact.Value) hit {
	h = at(h, binding, binding)
	h.kind, h.name = s.Get(fact.K("kind")).Str(), s.Get(fact.K("name")).Str()
	h.namespace = s.Get(fact.K("namespace")).Str()
	return h
}

// grantees returns the subjects of a binding that a finding concerns: the one
// that its path names, else all.
func grantees(h *hit, b *fact.Object) []fact.Value {
	subjects := b.Root.Get(fact.K("subjects"))
	if rest, ok := strings.CutPrefix(h.path, "subjects["); ok && h.object == b {
		index, _, _ := strings.Cut(rest, "]")
		if i, err := strconv.Atoi(index); err == nil {
			if s := subjects.Index(i); s.Present() {
				return []fact.Value{s}
			}
		}
	}
	var out []fact.Value
	for s := range subjects.Children() {
		out = append(out, s)
	}
	return out
}

// users returns the workloads whose pods run as a subject and mount its token.
func users(in *input, binding *fact.Object, subject fact.Value) []*fact.Object {
	if subject.Get(fact.K("kind")).Str() != "ServiceAccount" {
		return nil
	}
	name, namespace := subject.Get(fact.K("name")).Str(), subject.Get(fact.K("namespace")).Str()
	if namespace == "" {
		namespace = binding.InNamespace()
	}
	accountMounts := true
	for _, o := range in.objects() {
		if o.GroupKind() == "ServiceAccount" && o.Name == name && o.InNamespace() == namespace {
			accountMounts = mounts(o.Root, true)
		}
	}
	var out []*fact.Object
	for _, o := range in.objects() {
		if o.InNamespace() != namespace {
			continue
		}
		for _, p := range fact.PodTemplates(o) {
			account := p.Spec.Get(fact.K("serviceAccountName")).Str()
			if account == "" {
				account = "default"
			}
			if account == name && mounts(p.Spec, accountMounts) {
				out = append(out, o)
				break
			}
		}
	}
	return out
}

// mounts reads automountServiceAccountToken.
func mounts(v fact.Value, unset bool) bool {
	if m := v.Get(fact.K("automountServiceAccountToken")); m.Kind() == fact.Bool {
		return m.Bool()
	}
	return unset
}
