package corpus

import "fmt"

// podSpec is the workload's pod, without a key above it.
func (w *workload) podSpec() block {
	var b block
	if w.account {
		b += text("serviceAccountName: %s\n", w.name)
	}
	if w.share(55) {
		b += "automountServiceAccountToken: false\n"
	}
	if w.share(20) {
		b += text("terminationGracePeriodSeconds: %d\n", w.number(graces, 10, 2))
	}
	if w.share(8) {
		b += text("priorityClassName: %s\n", w.text(zones))
	}
	if w.share(8) {
		b += text("pool: %s\n", w.text(zones)).under("nodeSelector")
	}
	if w.kind == "Job" || w.kind == "CronJob" {
		b += "restartPolicy: OnFailure\n"
	}
	switch w.mistake {
	case "host-network":
		b += "hostNetwork: true\n"
	case "host-pid":
		b += "hostPID: true\n"
	}
	b += w.podSecurity().under("securityContext")
	if w.share(8) {
		b += "initContainers:\n" + w.small("init", w.text(inits)).item()
	}
	b += "containers:\n" + w.mainContainer().item()
	if w.share(10) {
		b += w.small("sidecar", w.text(sidecars)).item()
	}
	return b + w.volumes()
}

func (w *workload) podSecurity() block {
	switch n := w.IntN(100); {
	case n < 45:
		return text("runAsNonRoot: true\nrunAsUser: %d\nseccompProfile:\n  type: RuntimeDefault\n", w.number(uids, 10000, 8))
	case n < 65:
		return text("runAsNonRoot: true\nfsGroup: %d\n", w.number(uids, 10000, 8))
	case w.different:
		return text("fsGroup: %d\n", w.number(uids, 10000, 8))
	}
	return ""
}

// security is a container's security context: hardened, half so, or none.
func (w *workload) security() block {
	user := w.number(uids, 10000, 8)
	switch w.mistake {
	case "privileged":
		return "privileged: true\n" + w.user(user)
	case "root":
		return text("runAsUser: 0\nrunAsGroup: %d\n", user)
	case "escalation":
		return "allowPrivilegeEscalation: true\n" + w.user(user)
	case "capability":
		return "capabilities:\n  add: [NET_ADMIN, SYS_PTRACE]\n" + w.user(user)
	}
	switch n := w.IntN(100); {
	case n < 50:
		return "allowPrivilegeEscalation: false\nreadOnlyRootFilesystem: true\ncapabilities:\n  drop: [ALL]\n" + w.user(user)
	case n < 65:
		return "allowPrivilegeEscalation: false\ncapabilities:\n  drop: [ALL]\n" + w.user(user)
	case n < 75:
		return text("runAsUser: %d\n", user)
	}
	return w.user(user)
}

// user is written where nobody else's is: in a different corpus.
func (w *workload) user(id int) block {
	if !w.different {
		return ""
	}
	return text("runAsUser: %d\n", id)
}

func (w *workload) image() string {
	ref := fmt.Sprintf("%s/%s/%s", w.own(w.pick(registries)), w.team, w.name)
	switch tag := w.text(tags); w.mistake {
	case "latest":
		return ref + ":latest"
	case "untagged":
		return ref
	default:
		return ref + ":" + tag
	}
}

func (w *workload) mainContainer() block {
	b := text("name: %s\nimage: %s\n", w.own("app"), w.image())
	if w.share(25) {
		b += "imagePullPolicy: IfNotPresent\n"
	}
	if w.share(10) || w.different {
		b += text("command: [%q]\n", w.text(commands))
	}
	if w.share(20) || w.different {
		b += text("args: [%q, %q]\n", w.text(flags), w.text(flags))
	}
	if w.service || w.share(20) {
		b += text("- name: http\n  containerPort: %d\n", w.port).under("ports")
	}
	b += w.env()
	if w.config && w.share(25) {
		b += text("- configMapRef:\n    name: %s\n", w.name).under("envFrom")
	}
	b += w.resources() + w.probes() + w.security().under("securityContext")
	return b + w.mounts()
}

// small is a container that many workloads have alike.
func (w *workload) small(name, image string) block {
	b := text("name: %s\nimage: %s\n", w.own(name), image)
	if name == "init" {
		b += text("args: [%q]\n", w.own("--wait=db:5432"))
	}
	return b + text("limits:\n  memory: %s\n", w.memory(memories[:3])).under("resources") +
		("allowPrivilegeEscalation: false\n" + w.user(w.number(uids, 10000, 8))).under("securityContext")
}

func (w *workload) env() block {
	var b block
	add := func(name, value string) { b += text("- name: %s\n  value: %q\n", name, value) }
	if w.share(40) || w.different {
		add("LOG_LEVEL", w.text(levels))
	}
	if w.share(30) {
		add("DATABASE_HOST", w.own("db."+w.namespace+".svc"))
	}
	if w.share(15) {
		add("UPSTREAM_URL", w.own("http://"+w.pick(purposes)+"-api."+w.namespace+".svc:8080"))
	}
	if w.mistake == "secret-in-env" {
		add("DB_PASSWORD", fmt.Sprintf("tR7%x-kQ%x", w.Uint32(), w.next()))
	} else if w.share(20) {
		b += text("- name: DB_PASSWORD\n  valueFrom:\n    secretKeyRef:\n      name: %s\n      key: password\n", w.own(w.name+"-db"))
	}
	return b.under("env")
}

func (w *workload) resources() block {
	if !w.share(75) && !w.different {
		return ""
	}
	cpu := w.number(cpus, 50, 2)
	b := text("cpu: %dm\nmemory: %s\n", cpu, w.memory(memories)).under("requests")
	if w.share(75) {
		b += text("memory: %s\n", w.memory(memories)).under("limits")
	}
	return b.under("resources")
}

func (w *workload) memory(pool []int) string {
	if w.different {
		return fmt.Sprintf("%dKi", w.number(pool, 65536, slots))
	}
	return fmt.Sprintf("%dMi", w.number(pool, 0, 1))
}

func (w *workload) probes() block {
	var b block
	if w.kind == "Job" || w.kind == "CronJob" {
		return b
	}
	port := "http"
	if w.different || !w.service {
		port = fmt.Sprint(w.port)
	}
	if w.share(62) {
		b += text("httpGet:\n  path: %s\n  port: %s\n", w.text(readyPaths), port).under("readinessProbe")
	}
	if w.share(52) {
		b += text("httpGet:\n  path: %s\n  port: %s\ninitialDelaySeconds: %d\n", w.text(healthPaths), port, w.number(delays, 5, 2)).under("livenessProbe")
	}
	return b
}

func (w *workload) mounts() block {
	var b block
	if w.scratch {
		b += text("- name: tmp\n  mountPath: %s\n", w.own("/tmp"))
	}
	if w.config {
		b += text("- name: config\n  mountPath: %s\n  readOnly: true\n", w.own("/etc/app"))
	}
	switch w.mistake {
	case "host-path", "runtime-socket":
		b += text("- name: %s\n  mountPath: %s\n", w.volume, w.own("/host"))
	}
	return b.under("volumeMounts")
}

func (w *workload) volumes() block {
	var b block
	switch {
	case w.scratch && w.different:
		b += text("- name: tmp\n  emptyDir:\n    sizeLimit: %s\n", w.memory(memories))
	case w.scratch:
		b += "- name: tmp\n  emptyDir: {}\n"
	}
	if w.config {
		b += text("- name: config\n  configMap:\n    name: %s\n", w.name)
	}
	switch w.mistake {
	case "host-path":
		b += text("- name: %s\n  hostPath:\n    path: %s\n", w.volume, w.own("/var/lib/data"))
	case "runtime-socket":
		b += text("- name: %s\n  hostPath:\n    path: /run/containerd/containerd.sock\n", w.volume)
	}
	return b.under("volumes")
}
