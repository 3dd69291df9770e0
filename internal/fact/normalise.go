package fact

import "slices"

// moved are kinds that changed their API group; the shape is the newest one's
// or is rewritten below. Source: Kubernetes deprecated API migration guide.
func moved(group, kind string) string {
	switch group + "/" + kind {
	case "extensions/Deployment", "extensions/DaemonSet", "extensions/ReplicaSet":
		return "apps"
	case "extensions/Ingress", "extensions/NetworkPolicy":
		return "networking.k8s.io"
	case "extensions/PodSecurityPolicy":
		return "policy"
	case "authorization.openshift.io/Role", "authorization.openshift.io/ClusterRole",
		"authorization.openshift.io/RoleBinding", "authorization.openshift.io/ClusterRoleBinding":
		return "rbac.authorization.k8s.io"
	}
	if group == "" {
		return groupOf(kind)
	}
	return group
}

// groupOf returns the group of a kind that a file puts into the core group,
// where it is not: kubectl refuses such a file, but what its author means is
// plain, and what is wrong with it is worth telling.
func groupOf(kind string) string {
	switch kind {
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet":
		return "apps"
	case "Job", "CronJob":
		return "batch"
	case "Ingress", "NetworkPolicy":
		return "networking.k8s.io"
	case "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding":
		return "rbac.authorization.k8s.io"
	case "DeploymentConfig":
		return "apps.openshift.io"
	}
	return ""
}

// normalise brings an object to the shape of its newest API version, so that
// controls see one. The document keeps its positions; nothing is defaulted.
func normalise(o Object) Object {
	o.Group = moved(o.Group, o.Kind)
	switch {
	case o.Group == "networking.k8s.io" && o.Kind == "Ingress" && (o.Version == "v1beta1"):
		o.Root = rewrite(o.Root, ingressBackend)
	}
	for _, p := range PodTemplates(&o) {
		if p.Spec.Get(keyServiceAccountName).IsNull() && p.Spec.Get(keyServiceAccount).Str() != "" {
			o.Root = rewrite(o.Root, serviceAccountOf(podSpecs(&o)))
			break
		}
	}
	return o
}

// A rewriting looks at one child of a map and, if it changes it, adds the new
// form to the builder and reports true.
type rewriting func(b *Builder, parent, child Value) bool

func rewrite(root Value, f rewriting) Value {
	b := &Builder{Positions: root.t.pos != nil}
	var walk func(key Key, v Value)
	walk = func(key Key, v Value) {
		if k := v.Kind(); k != Map && k != List {
			b.Copy(key, v)
			return
		}
		b.Begin(key, v.Pos(), v.Kind())
		for c := range v.Children() {
			if v.Kind() != Map || !f(b, v, c) {
				walk(c.Key(), c)
			}
		}
		b.End()
	}
	walk(Key{}, root)
	return b.Tree().Root()
}

// serviceAccountOf writes the field's deprecated form in the present one too, as
// the API server does; what was written stays.
func serviceAccountOf(specs []Value) rewriting {
	return func(b *Builder, parent, child Value) bool {
		if child.Key() != keyServiceAccount || child.Kind() != String || !slices.Contains(specs, parent) || !parent.Get(keyServiceAccountName).IsNull() {
			return false
		}
		b.Copy(child.Key(), child)
		b.String(keyServiceAccountName, child.Pos(), child.Str())
		return true
	}
}

func podSpecs(o *Object) []Value {
	var out []Value
	for _, p := range PodTemplates(o) {
		out = append(out, p.Spec)
	}
	return out
}

// ingressBackend turns serviceName and servicePort of v1beta1 into service.name
// and service.port, and spec.backend into spec.defaultBackend.
func ingressBackend(b *Builder, parent, child Value) bool {
	name := child.Get(keyServiceName)
	if child.Key() != keyBackend || name.Kind() != String {
		return false
	}
	port := child.Get(keyServicePort)
	key := child.Key()
	if parent.Key() == keySpec {
		key = b.Key("defaultBackend")
	}
	b.Begin(key, child.Pos(), Map)
	b.Begin(b.Key("service"), name.Pos(), Map)
	b.Copy(b.Key("name"), name)
	if port.Present() {
		field := "number"
		if port.Kind() == String {
			field = "name"
		}
		b.Begin(b.Key("port"), port.Pos(), Map)
		b.Copy(b.Key(field), port)
		b.End()
	}
	b.End()
	b.End()
	return true
}
