package fact

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
	switch kind {
	case "DeploymentConfig":
		if group == "" {
			return "apps.openshift.io"
		}
	}
	return group
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
		if p.Spec.Get(keyOf("serviceAccountName")).IsNull() && p.Spec.Get(keyOf("serviceAccount")).Str() != "" {
			o.Root = rewrite(o.Root, serviceAccount)
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

// serviceAccount writes the field's deprecated form in the present one too, as
// the API server does; what was written stays.
func serviceAccount(b *Builder, parent, child Value) bool {
	if child.Key() != keyOf("serviceAccount") || child.Kind() != String || parent.Get(keyOf("containers")).Kind() != List ||
		!parent.Get(keyOf("serviceAccountName")).IsNull() {
		return false
	}
	b.Copy(child.Key(), child)
	b.String(b.Key("serviceAccountName"), child.Pos(), child.Str())
	return true
}

// ingressBackend turns serviceName and servicePort of v1beta1 into service.name
// and service.port, and spec.backend into spec.defaultBackend.
func ingressBackend(b *Builder, parent, child Value) bool {
	name := child.Get(keyOf("serviceName"))
	if child.Key() != keyOf("backend") || name.Kind() != String {
		return false
	}
	port := child.Get(keyOf("servicePort"))
	key := child.Key()
	if parent.Key() == keyOf("spec") {
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
