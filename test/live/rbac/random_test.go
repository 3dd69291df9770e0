package rbac

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/merlon-security/merlon/internal/rbac"
)

// The words of random roles and questions: few, so that they meet.
var (
	namespaces = []string{"t-a", "t-b", "t-c"}
	nodeNames  = []string{"t-n1", "t-n2", "t-n3"}
	verbs      = []string{"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", "impersonate", "escalate", "bind", "use"}
	groups     = []string{"", "apps", "example.com", "rbac.authorization.k8s.io", "resource.k8s.io", "storage.k8s.io", "coordination.k8s.io", "certificates.k8s.io"}
	resources  = []string{"pods", "pods/exec", "pods/log", "secrets", "configmaps", "deployments", "deployments/scale", "widgets", "widgets/scale", "nodes", "nodes/proxy", "serviceaccounts/token"}
	odd        = []string{"*", "*/scale", "*/exec", "*/*", "pods/*", "*pods"}
	names      = []string{"a", "b", "c"}
	urls       = []string{"/healthz", "/healthz/etcd", "/metrics", "/logs/", "/logs/kube", "/api", "/apis/apps/v1", "/version/"}
	urlRules   = []string{"/healthz", "/healthz*", "/healthz/*", "/metrics", "/logs/*", "/ap*", "*", "/apis/**", "/version/"}
)

type random struct{ *rand.Rand }

func (r random) one(list []string) string { return list[r.IntN(len(list))] }

func (r random) some(list []string, most int) []string {
	var out []string
	for range 1 + r.IntN(most) {
		out = append(out, r.one(list))
	}
	return out
}

func (r random) chance(percent int) bool { return r.IntN(100) < percent }

func (r random) rule(cluster bool) map[string]any {
	if cluster && r.chance(25) {
		v := r.some([]string{"get", "post", "put", "head"}, 2)
		if r.chance(15) {
			v = append(v, "*")
		}
		return map[string]any{"verbs": v, "nonResourceURLs": r.some(urlRules, 2)}
	}
	out := map[string]any{"verbs": r.some(verbs, 4), "apiGroups": r.some(groups[:4], 2), "resources": r.some(resources, 3)}
	if r.chance(6) {
		out["verbs"] = append(out["verbs"].([]string), "*")
	}
	if r.chance(12) {
		out["apiGroups"] = append(out["apiGroups"].([]string), "*")
	}
	if r.chance(20) {
		out["resources"] = append(out["resources"].([]string), r.one(odd))
	}
	if r.chance(30) {
		out["resourceNames"] = r.some(names, 2)
	}
	return out
}

func (r random) rules(cluster bool) []any {
	n := 1 + r.IntN(4)
	if r.chance(5) {
		n = 40 // large enough to be indexed
	}
	out := []any{}
	for range n {
		out = append(out, r.rule(cluster))
	}
	return out
}

func (r random) subject(bound bool) map[string]any {
	const group = "rbac.authorization.k8s.io"
	switch r.IntN(10) {
	case 0, 1, 2:
		return map[string]any{"kind": "User", "apiGroup": group, "name": fmt.Sprintf("t-u%d", r.IntN(12))}
	case 3, 4:
		return map[string]any{"kind": "Group", "apiGroup": group, "name": fmt.Sprintf("t-g%d", r.IntN(6))}
	case 5, 6, 7:
		s := map[string]any{"kind": "ServiceAccount", "name": "t-s" + r.one(names), "namespace": r.one(namespaces)}
		if bound && r.chance(50) {
			delete(s, "namespace") // that of the binding
		}
		return s
	case 8:
		return map[string]any{"kind": "User", "apiGroup": group, "name": "system:serviceaccount:" + r.one(namespaces) + ":t-s" + r.one(names)}
	}
	return map[string]any{"kind": "Group", "apiGroup": group, "name": "system:serviceaccounts:" + r.one(namespaces)}
}

// world makes random roles and bindings, and what is on nodes, as one List.
func (r random) world() string {
	var items []any
	add := func(apiVersion, kind, ns, name string, more map[string]any) {
		meta := map[string]any{"name": name}
		if ns != "" {
			meta["namespace"] = ns
		}
		if l, ok := more["labels"]; ok {
			meta["labels"] = l
			delete(more, "labels")
		}
		if a, ok := more["annotations"]; ok {
			meta["annotations"] = a
			delete(more, "annotations")
		}
		more["apiVersion"], more["kind"], more["metadata"] = apiVersion, kind, meta
		items = append(items, more)
	}
	const v1 = "rbac.authorization.k8s.io/v1"
	for i := range 60 {
		more := map[string]any{"rules": r.rules(true)}
		if r.chance(60) {
			more["labels"] = map[string]any{"t-part": r.one(names), "t-odd": fmt.Sprint(r.chance(50))}
		}
		add(v1, "ClusterRole", "", fmt.Sprintf("t-r%d", i), more)
	}
	for i, selector := range []map[string]any{
		{"matchLabels": map[string]any{"t-part": "a"}},
		{"matchExpressions": []any{map[string]any{"key": "t-part", "operator": "In", "values": []any{"b", "c"}}, map[string]any{"key": "t-odd", "operator": "NotIn", "values": []any{"true"}}}},
		{"matchLabels": map[string]any{"t-loop": "y"}}, {"matchLabels": map[string]any{"t-loop": "x"}},
	} {
		selectors := []any{selector}
		more := map[string]any{"rules": []any{}}
		switch i {
		case 0:
			more["rules"] = r.rules(true) // the controller writes over them
		case 1:
			selectors = append(selectors, map[string]any{"matchLabels": map[string]any{"t-part": "a", "t-odd": "true"}})
		case 2:
			more["labels"] = map[string]any{"t-loop": "x"}
			selectors = append(selectors, map[string]any{"matchLabels": map[string]any{"t-part": "b"}})
		case 3:
			more["labels"] = map[string]any{"t-loop": "y"}
		}
		more["aggregationRule"] = map[string]any{"clusterRoleSelectors": selectors}
		add(v1, "ClusterRole", "", fmt.Sprintf("t-agg%d", i), more)
	}
	for _, ns := range namespaces {
		for i := range 12 {
			add(v1, "Role", ns, fmt.Sprintf("t-r%d", i), map[string]any{"rules": r.rules(false)})
		}
		for i := range 30 {
			ref := map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": fmt.Sprintf("t-r%d", r.IntN(14))} // two are nowhere
			if r.chance(40) {
				ref["kind"], ref["name"] = "ClusterRole", r.clusterRole()
			}
			add(v1, "RoleBinding", ns, fmt.Sprintf("t-b%d", i), map[string]any{"roleRef": ref, "subjects": r.subjects(true)})
		}
	}
	for i := range 25 {
		ref := map[string]any{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": r.clusterRole()}
		add(v1, "ClusterRoleBinding", "", fmt.Sprintf("t-b%d", i), map[string]any{"roleRef": ref, "subjects": r.subjects(false)})
	}
	r.nodes(add)
	text, _ := json.Marshal(map[string]any{"apiVersion": "v1", "kind": "List", "items": items})
	return string(text)
}

func (r random) clusterRole() string {
	if r.chance(20) {
		return fmt.Sprintf("t-agg%d", r.IntN(4))
	}
	return fmt.Sprintf("t-r%d", r.IntN(62))
}

func (r random) subjects(bound bool) []any {
	var out []any
	for range 1 + r.IntN(3) {
		out = append(out, r.subject(bound))
	}
	return out
}

// nodes makes nodes, and pods on them that need random things.
func (r random) nodes(add func(apiVersion, kind, ns, name string, more map[string]any)) {
	m := func(kv ...any) map[string]any {
		out := map[string]any{}
		for i := 0; i < len(kv); i += 2 {
			out[kv[i].(string)] = kv[i+1]
		}
		return out
	}
	for _, n := range nodeNames {
		add("v1", "Node", "", n, m())
	}
	for _, ns := range namespaces {
		for _, name := range names {
			add("v1", "ServiceAccount", ns, "t-s"+name, m())
		}
	}
	for i := range 18 {
		ns := r.one(namespaces)
		ref := func() map[string]any { return m("name", r.one(names)) }
		c := m("name", "c", "image", "registry.example.com/c:1", "env", []any{
			m("name", "A", "valueFrom", m("secretKeyRef", m("name", r.one(names), "key", "k"))),
			m("name", "B", "valueFrom", m("configMapKeyRef", m("name", r.one(names), "key", "k"))),
		})
		volumes := []any{
			m("name", "v0", "persistentVolumeClaim", m("claimName", r.one(names))),
			m("name", "v1", "ephemeral", m("volumeClaimTemplate", m("spec", m("accessModes", []any{"ReadWriteOnce"}, "resources", m("requests", m("storage", "1Gi")))))),
		}
		spec := m("containers", []any{c}, "serviceAccountName", "t-s"+r.one(names))
		switch i % 6 {
		case 0:
			c["envFrom"] = []any{m("secretRef", ref()), m("configMapRef", ref())}
			delete(c, "env")
			spec["imagePullSecrets"] = []any{ref()}
		case 1:
			volumes = append(volumes, m("name", "v2", "secret", m("secretName", r.one(names))), m("name", "v3", "configMap", ref()))
		case 2:
			volumes = append(volumes, m("name", "v2", "projected", m("sources", []any{m("secret", ref()), m("configMap", ref())})))
			delete(c, "env")
		case 3:
			volumes = append(volumes, m("name", "v2", "csi", m("driver", "d.example.com", "nodePublishSecretRef", ref())))
			spec["initContainers"] = []any{m("name", "i", "image", "registry.example.com/c:1", "env", c["env"])}
			delete(c, "env")
		case 4:
			spec["resourceClaims"] = []any{m("name", "d", "resourceClaimName", r.one(names))}
		}
		spec["volumes"] = volumes
		if i < 16 {
			spec["nodeName"] = r.one(nodeNames)
		}
		add("v1", "Pod", ns, fmt.Sprintf("t-p%d", i), m("spec", spec))
	}
	add("v1", "Pod", "t-a", "t-mirror", m("annotations", m("kubernetes.io/config.mirror", "x"),
		"spec", m("nodeName", "t-n1", "containers", []any{m("name", "c", "image", "registry.example.com/c:1")})))
	for i, name := range names {
		claim := m("namespace", r.one(namespaces), "name", r.one(names))
		volume := m("accessModes", []any{"ReadWriteOnce"}, "capacity", m("storage", "1Gi"), "claimRef", claim, "persistentVolumeReclaimPolicy", "Retain")
		switch i {
		case 0:
			volume["csi"] = m("driver", "d.example.com", "volumeHandle", name, "nodeStageSecretRef", m("namespace", "t-b", "name", "staged"), "controllerPublishSecretRef", m("namespace", "t-b", "name", "unseen"))
		case 1:
			volume["iscsi"] = m("targetPortal", "192.0.2.1:3260", "iqn", "iqn.2001-04.com.example:x", "lun", 0, "secretRef", m("name", "bound"))
		case 2:
			volume["azureFile"] = m("shareName", "s", "secretName", "share", "secretNamespace", "t-c")
		}
		add("v1", "PersistentVolume", "", name, m("spec", volume))
		add("storage.k8s.io/v1", "VolumeAttachment", "", name, m("spec", m("attacher", "d.example.com", "nodeName", r.one(nodeNames), "source", m("persistentVolumeName", name))))
		add("resource.k8s.io/v1", "ResourceSlice", "", name, m("spec", m("driver", "d.example.com", "nodeName", r.one(nodeNames), "pool", m("name", name, "generation", 1, "resourceSliceCount", 1))))
	}
}

// user is somebody who may be in groups beyond those of the system.
func (r random) user() rbac.User {
	switch r.IntN(6) {
	case 0:
		return rbac.Subject{Kind: rbac.ServiceAccountKind, Namespace: r.one(namespaces), Name: "t-s" + r.one(names)}.User()
	case 1:
		u := rbac.Subject{Kind: rbac.UserKind, Name: "system:node:" + r.one(append(nodeNames, "t-gone"))}.User()
		if r.chance(10) {
			u.Groups = []string{rbac.Authenticated} // no node without its group
		}
		return u
	case 2:
		switch r.IntN(12) {
		case 0:
			return rbac.Subject{Kind: rbac.UserKind, Name: rbac.Anonymous}.User()
		case 1:
			return rbac.User{Name: "t-boss", Groups: []string{rbac.Masters, rbac.Authenticated}}
		case 2:
			return rbac.User{Name: "system:kube-scheduler", Groups: []string{rbac.Authenticated}}
		case 3:
			return rbac.Subject{Kind: rbac.ServiceAccountKind, Namespace: "kube-system", Name: "deployment-controller"}.User()
		}
	}
	u := rbac.User{Name: fmt.Sprintf("t-u%d", r.IntN(12)), Groups: []string{rbac.Authenticated}}
	for r.chance(50) {
		u.Groups = append(u.Groups, fmt.Sprintf("t-g%d", r.IntN(6)))
	}
	return u
}

// request is a question, every third one such as a kubelet asks.
func (r random) request(node bool) rbac.Request {
	if r.chance(15) {
		return rbac.Request{Verb: r.one([]string{"get", "post", "put", "head", "delete"}), Path: r.one(urls)}
	}
	if node || r.chance(10) {
		return r.nodeRequest()
	}
	q := rbac.Request{Verb: r.one(verbs), Group: r.one(groups[:4])}
	q.Resource, q.Subresource, _ = strings.Cut(r.one(resources), "/")
	if r.chance(5) {
		q.Verb = "*"
	}
	if r.chance(5) {
		q.Resource = r.one([]string{"*", "jobs"})
	}
	if r.chance(70) {
		q.Namespace = r.one(append(namespaces, "t-none"))
	}
	if r.chance(50) {
		q.Name = r.one(append(names, "d"))
	}
	return q
}

// limited are the resources that the Node authorizer looks at, and some others.
var limited = []string{
	"secrets", "secrets", "secrets", "configmaps", "configmaps", "persistentvolumeclaims", "persistentvolumeclaims/status", "persistentvolumes",
	"pods", "pods", "pods/status", "pods/eviction", "pods/exec", "nodes", "nodes/status", "nodes/proxy", "serviceaccounts", "serviceaccounts/token",
	"serviceaccounts/token", "services", "endpoints", "events", "secrets/x", "persistentvolumes/status",
	"resourceclaims.resource.k8s.io", "resourceslices.resource.k8s.io", "volumeattachments.storage.k8s.io", "csinodes.storage.k8s.io",
	"csidrivers.storage.k8s.io", "leases.coordination.k8s.io", "leases.coordination.k8s.io/x", "runtimeclasses.node.k8s.io",
	"certificatesigningrequests.certificates.k8s.io", "podcertificaterequests.certificates.k8s.io", "clustertrustbundles.certificates.k8s.io",
	"events.events.k8s.io", "tokenreviews.authentication.k8s.io", "subjectaccessreviews.authorization.k8s.io",
}

func (r random) nodeRequest() rbac.Request {
	q := rbac.Request{Verb: r.one(verbs[:8])}
	if r.chance(50) {
		q.Verb = "get"
	}
	resource, sub, _ := strings.Cut(r.one(limited), "/")
	q.Subresource = sub
	q.Resource, q.Group, _ = strings.Cut(resource, ".")
	if r.chance(80) {
		q.Namespace = r.one(namespaces)
	}
	if q.Resource == "leases" && r.chance(70) {
		q.Namespace = "kube-node-lease"
	}
	if strings.HasPrefix(q.Resource, "persistentvolumes") || q.Group == "storage.k8s.io" || q.Resource == "resourceslices" {
		if r.chance(85) {
			q.Namespace = ""
		}
	}
	if !r.chance(10) {
		q.Name = r.one(append(names, "t-sa", "t-sb", "t-p1-v1", "t-p2-v1", "t-p3", "t-p4", "t-mirror", "t-n1", "t-n2", "staged", "unseen", "bound", "share"))
	}
	if (q.Verb == "list" || q.Verb == "watch" || q.Verb == "deletecollection") && r.chance(50) {
		q.Fields = r.one([]string{"spec.nodeName", "metadata.name"}) + "=" + r.one(nodeNames)
	}
	return q
}
