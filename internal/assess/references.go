package assess

import (
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
)

// reference is one object as others name it, and the kind of those that do.
type reference struct {
	from string
	to   fact.Ref
}

// referenceIndex finds the objects that name another.
type referenceIndex struct{ lists[reference] }

func (x referenceIndex) add(o *fact.Object) {
	named(o, func(to fact.Ref) { x.put(reference{o.GroupKind(), to}, o) })
}

func (x referenceIndex) drop(o *fact.Object) {
	named(o, func(to fact.Ref) { x.take(reference{o.GroupKind(), to}, o) })
}

// Referring returns the objects of a kind that name o.
func (w *world) Referring(kind string, o *fact.Object) []*fact.Object {
	x := w.references.get(w, func() referenceIndex { return referenceIndex{lists[reference]{}} })
	return x.lists[reference{kind, o.Ref()}]
}

// named calls add once for every object that o names.
func named(o *fact.Object, add func(fact.Ref)) {
	var seen []fact.Ref
	refersTo(o, func(to fact.Ref) {
		if to.Name != "" && !slices.Contains(seen, to) {
			seen = append(seen, to)
			add(to)
		}
	})
}

// refersTo calls add for every object that o names.
func refersTo(o *fact.Object, add func(fact.Ref)) {
	ns := o.InNamespace()
	spec := o.Root.Get(fact.K("spec"))
	switch o.GroupKind() {
	case "autoscaling/HorizontalPodAutoscaler":
		target := spec.Get(fact.K("scaleTargetRef"))
		group := groupOf(target.Get(fact.K("apiVersion")).Str())
		add(fact.Ref{Group: group, Kind: target.Get(fact.K("kind")).Str(), Namespace: ns, Name: target.Get(fact.K("name")).Str()})
	case "networking.k8s.io/Ingress":
		ingressServices(spec, func(name string) { add(fact.Ref{Kind: "Service", Namespace: ns, Name: name}) })
	case "gateway.networking.k8s.io/HTTPRoute", "gateway.networking.k8s.io/GRPCRoute", "gateway.networking.k8s.io/TCPRoute", "gateway.networking.k8s.io/TLSRoute", "gateway.networking.k8s.io/UDPRoute":
		routeServices(spec, ns, add)
	case "rbac.authorization.k8s.io/RoleBinding", "rbac.authorization.k8s.io/ClusterRoleBinding":
		bindingReferences(o, ns, add)
	case "apps/StatefulSet":
		add(fact.Ref{Kind: "Service", Namespace: ns, Name: spec.Get(fact.K("serviceName")).Str()})
	}
	for _, p := range fact.PodTemplates(o) {
		podReferences(p.Spec, func(kind, name string) { add(fact.Ref{Kind: kind, Namespace: ns, Name: name}) })
		for _, c := range p.Containers() {
			containerReferences(c.Value, func(kind, name string) { add(fact.Ref{Kind: kind, Namespace: ns, Name: name}) })
		}
	}
}

func groupOf(apiVersion string) string {
	for i := range apiVersion {
		if apiVersion[i] == '/' {
			return apiVersion[:i]
		}
	}
	return ""
}

func ingressServices(spec fact.Value, add func(name string)) {
	service := func(backend fact.Value) {
		add(backend.Get(fact.K("service")).Get(fact.K("name")).Str())
	}
	service(spec.Get(fact.K("defaultBackend")))
	for rule := range spec.Get(fact.K("rules")).Children() {
		for p := range rule.Get(fact.K("http")).Get(fact.K("paths")).Children() {
			service(p.Get(fact.K("backend")))
		}
	}
}

func routeServices(spec fact.Value, ns string, add func(fact.Ref)) {
	for rule := range spec.Get(fact.K("rules")).Children() {
		for b := range rule.Get(fact.K("backendRefs")).Children() {
			if k := b.Get(fact.K("kind")).Str(); k != "" && k != "Service" {
				continue
			}
			in := b.Get(fact.K("namespace")).Str()
			if in == "" {
				in = ns
			}
			add(fact.Ref{Kind: "Service", Namespace: in, Name: b.Get(fact.K("name")).Str()})
		}
	}
}

func bindingReferences(o *fact.Object, ns string, add func(fact.Ref)) {
	role := o.Root.Get(fact.K("roleRef"))
	to := fact.Ref{Group: "rbac.authorization.k8s.io", Kind: role.Get(fact.K("kind")).Str(), Name: role.Get(fact.K("name")).Str()}
	if to.Kind == "Role" {
		to.Namespace = ns
	}
	add(to)
	for s := range o.Root.Get(fact.K("subjects")).Children() {
		if s.Get(fact.K("kind")).Str() != "ServiceAccount" {
			continue
		}
		in := s.Get(fact.K("namespace")).Str()
		if in == "" {
			in = ns
		}
		add(fact.Ref{Kind: "ServiceAccount", Namespace: in, Name: s.Get(fact.K("name")).Str()})
	}
}

func podReferences(spec fact.Value, add func(kind, name string)) {
	account := spec.Get(fact.K("serviceAccountName")).Str()
	if account == "" {
		account = "default"
	}
	add("ServiceAccount", account)
	for s := range spec.Get(fact.K("imagePullSecrets")).Children() {
		add("Secret", s.Get(fact.K("name")).Str())
	}
	for v := range spec.Get(fact.K("volumes")).Children() {
		volumeReferences(v, add)
		for s := range v.Get(fact.K("projected")).Get(fact.K("sources")).Children() {
			volumeReferences(s, add)
		}
	}
}

func volumeReferences(v fact.Value, add func(kind, name string)) {
	secret := v.Get(fact.K("secret"))
	add("Secret", secret.Get(fact.K("secretName")).Str())
	add("Secret", secret.Get(fact.K("name")).Str())
	add("ConfigMap", v.Get(fact.K("configMap")).Get(fact.K("name")).Str())
	add("PersistentVolumeClaim", v.Get(fact.K("persistentVolumeClaim")).Get(fact.K("claimName")).Str())
}

func containerReferences(c fact.Value, add func(kind, name string)) {
	for e := range c.Get(fact.K("env")).Children() {
		from := e.Get(fact.K("valueFrom"))
		add("Secret", from.Get(fact.K("secretKeyRef")).Get(fact.K("name")).Str())
		add("ConfigMap", from.Get(fact.K("configMapKeyRef")).Get(fact.K("name")).Str())
	}
	for e := range c.Get(fact.K("envFrom")).Children() {
		add("Secret", e.Get(fact.K("secretRef")).Get(fact.K("name")).Str())
		add("ConfigMap", e.Get(fact.K("configMapRef")).Get(fact.K("name")).Str())
	}
}
