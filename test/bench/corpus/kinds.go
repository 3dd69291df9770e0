package corpus

// workload writes a workload and all that stands around it.
func (p *page) workload(w *workload) {
	if w.index%perNamespace == 0 {
		p.namespace(w)
	}
	p.program(w)
	p.network(w)
	p.identity(w)
	p.upkeep(w)
}

// template is a pod template, without a key above it.
func (w *workload) template() block {
	meta := w.labels().under("labels")
	if w.share(20) {
		meta += text("prometheus.io/scrape: \"true\"\nprometheus.io/port: %q\n", text("%d", w.port)).under("annotations")
	} else if w.different {
		meta += text("checksum/config: %q\n", w.own("c")).under("annotations")
	}
	return meta.under("metadata") + w.podSpec().under("spec")
}

func (p *page) program(w *workload) {
	meta := w.plainMeta(w.name) + w.labels().under("labels")
	if w.share(10) || w.different {
		meta += text("example.com/owner: %s\n", w.own(w.team)).under("annotations")
	}
	template := w.template()
	selected := w.selector().under("matchLabels").under("selector")
	switch w.kind {
	case "Pod":
		p.document("v1", "Pod", meta, w.podSpec().under("spec"))
	case "Job":
		p.document("batch/v1", "Job", meta, (text("backoffLimit: %d\n", w.number([]int{2, 4}, 1, 1)) + template.under("template")).under("spec"))
	case "CronJob":
		job := template.under("template").under("spec").under("jobTemplate")
		p.document("batch/v1", "CronJob", meta, (text("schedule: \"%d %d * * *\"\nconcurrencyPolicy: Forbid\n", w.number(schedules, 0, 1)%60, w.IntN(24)) + job).under("spec"))
	case "StatefulSet":
		claim := text("metadata:\n  name: data\nspec:\n  accessModes: [ReadWriteOnce]\n  storageClassName: %s\n  resources:\n    requests:\n      storage: %dGi\n", w.text(classes), w.number([]int{10, 20, 100}, 10, 1))
		p.document("apps/v1", "StatefulSet", meta, (text("serviceName: %s\nreplicas: %d\n", w.name, w.number(replicas, 1, 1)) +
			selected + template.under("template") + "volumeClaimTemplates:\n" + claim.item()).under("spec"))
	case "DaemonSet":
		p.document("apps/v1", "DaemonSet", meta, (selected + template.under("template")).under("spec"))
	default:
		b := text("replicas: %d\n", w.number(replicas, 1, 1))
		if w.share(15) {
			b += "strategy:\n  rollingUpdate:\n    maxUnavailable: 0\n"
		}
		p.document("apps/v1", "Deployment", meta, (b + selected + template.under("template")).under("spec"))
	}
}

// upkeep is what keeps a workload running.
func (p *page) upkeep(w *workload) {
	if w.config {
		b := text("config.yaml: |\n  listen: :%d\n  upstream: %s\n", w.port, w.own("http://"+w.pick(purposes)+"-api:8080"))
		if w.share(40) {
			b += text("cache.size: %q\n", w.own("256"))
		}
		if w.mistake == "secret-in-config" {
			b += text("db.password: hG5%x-pL%x\n", w.Uint32(), w.next())
		}
		p.document("v1", "ConfigMap", w.meta(w.name), b.under("data"))
	}
	if w.budget {
		p.document("policy/v1", "PodDisruptionBudget", w.plainMeta(w.name),
			(text("maxUnavailable: %d\n", w.number([]int{1}, 1, 1)) + w.selector().under("matchLabels").under("selector")).under("spec"))
	}
	if w.scaler {
		b := text("scaleTargetRef:\n  apiVersion: apps/v1\n  kind: Deployment\n  name: %s\nminReplicas: 2\nmaxReplicas: %d\n", w.name, w.number([]int{6, 10}, 3, 1))
		b += text("- type: Resource\n  resource:\n    name: cpu\n    target:\n      type: Utilization\n      averageUtilization: %d\n", w.number([]int{70, 80}, 50, 1)).under("metrics")
		p.document("autoscaling/v2", "HorizontalPodAutoscaler", w.plainMeta(w.name), b.under("spec"))
	}
}
