package corpus

// namespace writes a namespace and what holds for all of it.
func (p *page) namespace(w *workload) {
	labels := text("team: %s\n", w.team)
	if w.share(55) {
		labels += "pod-security.kubernetes.io/enforce: " + block(w.pick([]string{"baseline", "restricted"})) + "\n"
	}
	p.document("v1", "Namespace", text("name: %s\n", w.namespace)+labels.under("labels"))
	if w.share(75) {
		p.document("networking.k8s.io/v1", "NetworkPolicy", w.plainMeta("default-deny"), "spec:\n  podSelector: {}\n  policyTypes: [Ingress, Egress]\n")
	}
	if w.share(50) {
		p.document("v1", "ResourceQuota", w.plainMeta("quota"), text("requests.cpu: %q\nlimits.memory: %dGi\n", text("%d", w.number([]int{20, 40, 80}, 20, 1)), w.number([]int{64, 128}, 64, 1)).under("hard").under("spec"))
	}
	if w.share(25) {
		p.document("v1", "LimitRange", w.plainMeta("limits"), text("- type: Container\n  default:\n    memory: %s\n", w.memory(memories)).under("limits").under("spec"))
	}
}

// network writes how a workload is reached.
func (p *page) network(w *workload) {
	if w.service {
		var b block
		switch w.mistake {
		case "load-balancer":
			b = "type: LoadBalancer\n"
		case "node-port":
			b = "type: NodePort\n"
		}
		target := "http"
		if w.share(30) {
			target = string(text("%d", w.port))
		}
		b += w.selector().under("selector") + text("- name: http\n  port: %d\n  targetPort: %s\n", w.portOf([]int{80, 80, 8080}), target).under("ports")
		p.document("v1", "Service", w.meta(w.name), b.under("spec"))
	}
	if w.ingress {
		p.ingress(w)
	}
	if w.policy {
		from := text("podSelector:\n  matchLabels:\n    app: %s\n", w.own(w.pick(purposes)+"-web"))
		if w.mistake == "open-policy" {
			from = "ipBlock:\n  cidr: 0.0.0.0/0\n"
		}
		rule := "from:\n" + from.item() + text("- port: %d\n", w.port).under("ports")
		b := w.selector().under("matchLabels").under("podSelector") + "policyTypes: [Ingress]\ningress:\n" + rule.item()
		p.document("networking.k8s.io/v1", "NetworkPolicy", w.plainMeta(w.name), b.under("spec"))
	}
}

func (p *page) ingress(w *workload) {
	host := w.name + ".example.com"
	meta := w.meta(w.name)
	if w.share(50) {
		meta += text("cert-manager.io/cluster-issuer: %s\n", w.own("letsencrypt")).under("annotations")
	}
	b := block("ingressClassName: nginx\n")
	if w.share(80) {
		b += text("- hosts: [%s]\n  secretName: %s-tls\n", host, w.name).under("tls")
	}
	backend := text("service:\n  name: %s\n  port:\n    name: http\n", w.name).under("backend")
	paths := "paths:\n" + (text("path: %s\npathType: Prefix\n", w.own("/")) + backend).item()
	rule := text("host: %s\n", host) + paths.under("http")
	p.document("networking.k8s.io/v1", "Ingress", meta, (b + "rules:\n" + rule.item()).under("spec"))
}

// identity writes who a workload is and what it may do.
func (p *page) identity(w *workload) {
	if w.account {
		var rest block
		if w.share(35) {
			rest = "automountServiceAccountToken: false\n"
		}
		p.document("v1", "ServiceAccount", w.meta(w.name), rest)
	}
	if !w.role {
		return
	}
	rules := w.rule()
	if w.share(35) {
		rules += w.rule()
	}
	scope, meta := "", w.plainMeta(w.name)
	if w.mistake == "cluster-admin" || w.share(6) {
		scope, meta = "Cluster", text("name: %s\n", w.name)
	}
	target := w.name
	if w.mistake == "cluster-admin" {
		target = "cluster-admin"
	} else {
		p.document("rbac.authorization.k8s.io/v1", scope+"Role", meta, rules.under("rules"))
	}
	ref := text("apiGroup: rbac.authorization.k8s.io\nkind: %sRole\nname: %s\n", scope, target).under("roleRef")
	subject := text("- kind: ServiceAccount\n  name: %s\n  namespace: %s\n", w.name, w.namespace).under("subjects")
	p.document("rbac.authorization.k8s.io/v1", scope+"RoleBinding", meta, ref+subject)
}

// rule is one rule of a role.
func (w *workload) rule() block {
	named := func(groups, resources, verbs string) block {
		return text("apiGroups: [%s]\nresources: [%s]\nresourceNames: [%s]\nverbs: [%s]\n", groups, resources, w.own(w.name), verbs).item()
	}
	plain := func(groups, resources, verbs string) block {
		if w.different {
			return named(groups, resources, verbs)
		}
		return text("apiGroups: [%s]\nresources: [%s]\nverbs: [%s]\n", groups, resources, verbs).item()
	}
	switch w.mistake {
	case "wildcard-role":
		return plain(`"*"`, `"*"`, `"*"`)
	case "secrets-role":
		return plain(`""`, "secrets", "get, list, watch")
	}
	switch w.IntN(6) {
	case 0:
		return plain(`""`, "configmaps, endpoints", "get, list, watch")
	case 1:
		return plain("coordination.k8s.io", "leases", "get, create, update")
	case 2:
		return plain(`""`, "pods, services", "get, list, watch")
	case 3:
		return plain("apps", "deployments", "get, list")
	case 4:
		return plain(`""`, "events", "create, patch")
	}
	return named(`""`, "configmaps", "get, update")
}
