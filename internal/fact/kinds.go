package fact

import "strings"

// PodTemplate is one pod as some object carries it: the pod's metadata and
// spec, and where they lie.
type PodTemplate struct {
	Object   *Object
	Metadata Value // of the pod, Absent where the template has none
	Spec     Value
}

// podPaths tells where an object of a kind carries a pod: the path of the value
// that holds metadata and spec. Kinds outside Kubernetes itself are those whose
// controllers create pods from exactly this shape.
//
// Sources: Kubernetes API reference 1.36; the CRDs of Argo Rollouts 1.8, Knative
// 1.18, OpenShift 4.19, OpenKruise 1.8, KEDA 2.17, Agent Sandbox 0.1.
var podPaths = map[string][]Key{
	"Pod":         {},
	"PodTemplate": keys("template"),

	"apps/Deployment": specTemplate, "apps/StatefulSet": specTemplate, "apps/DaemonSet": specTemplate,
	"apps/ReplicaSet": specTemplate, "ReplicationController": specTemplate, "batch/Job": specTemplate,
	"argoproj.io/Rollout": specTemplate, "apps.openshift.io/DeploymentConfig": specTemplate,
	"serving.knative.dev/Service": specTemplate, "serving.knative.dev/Configuration": specTemplate,
	"apps.kruise.io/CloneSet": specTemplate, "apps.kruise.io/StatefulSet": specTemplate, "apps.kruise.io/DaemonSet": specTemplate,

	"serving.knative.dev/Revision":   {},
	"batch/CronJob":                  keys("spec", "jobTemplate", "spec", "template"),
	"apps.kruise.io/AdvancedCronJob": keys("spec", "template", "jobTemplate", "spec", "template"),
	"keda.sh/ScaledJob":              keys("spec", "jobTargetRef", "template"),

	"agents.x-k8s.io/Sandbox":                    keys("spec", "podTemplate"),
	"extensions.agents.x-k8s.io/SandboxTemplate": keys("spec", "podTemplate"),
	"ray.io/RayCluster":                          keys("spec", "headGroupSpec", "template"),
}

// WorkloadKinds returns every kind that carries pods, owners before what they
// own. The caller may keep it.
func WorkloadKinds() []string {
	return []string{
		"serving.knative.dev/Service", "serving.knative.dev/Configuration", "serving.knative.dev/Revision",
		"argoproj.io/Rollout", "apps.openshift.io/DeploymentConfig",
		"apps.kruise.io/CloneSet", "apps.kruise.io/StatefulSet", "apps.kruise.io/DaemonSet", "apps.kruise.io/AdvancedCronJob",
		"extensions.agents.x-k8s.io/SandboxTemplate", "agents.x-k8s.io/Sandbox",
		"ray.io/RayCluster", "batch.volcano.sh/Job", "kubeflow.org/PyTorchJob", "kubeflow.org/TFJob", "kubeflow.org/MPIJob",
		"jobset.x-k8s.io/JobSet", "keda.sh/ScaledJob", "batch/CronJob", "batch/Job",
		"apps/Deployment", "apps/StatefulSet", "apps/DaemonSet", "ReplicationController", "apps/ReplicaSet", "PodTemplate", "Pod",
	}
}

var specTemplate = keys("spec", "template")

// manyPods are kinds that carry one pod per role, in a list or map below a path;
// template leads from its elements to the pod.
//
// Sources: the CRDs of Volcano 1.12, Kubeflow training 1.9, JobSet 0.8, KubeRay 1.4.
var manyPods = map[string]struct{ path, template []Key }{
	"batch.volcano.sh/Job":    {keys("spec", "tasks"), keys("template")},
	"kubeflow.org/PyTorchJob": {keys("spec", "pytorchReplicaSpecs"), keys("template")},
	"kubeflow.org/TFJob":      {keys("spec", "tfReplicaSpecs"), keys("template")},
	"kubeflow.org/MPIJob":     {keys("spec", "mpiReplicaSpecs"), keys("template")},
	"jobset.x-k8s.io/JobSet":  {keys("spec", "replicatedJobs"), keys("template", "spec", "template")},
	"ray.io/RayCluster":       {keys("spec", "workerGroupSpecs"), keys("template")},
}

// PodTemplates returns the pods that an object carries, in document order: none
// for most kinds, one for the workloads, more for jobs with several roles.
func PodTemplates(o *Object) []PodTemplate {
	kind := o.GroupKind()
	var out []PodTemplate
	add := func(holder Value) {
		if spec := holder.Get(keySpec); spec.Kind() == Map {
			out = append(out, PodTemplate{o, holder.Get(keyMetadata), spec})
		}
	}
	if many, ok := manyPods[kind]; ok {
		for c := range o.Root.along(many.path).Children() {
			add(c.along(many.template))
		}
	}
	if path, ok := podPaths[kind]; ok {
		add(o.Root.along(path))
	}
	return out
}

// ContainerType tells the kinds of container apart.
type ContainerType string

// A sidecar is an init container that restarts always (KEP-753).
const (
	AppContainer       ContainerType = "container"
	InitContainer      ContainerType = "init"
	SidecarContainer   ContainerType = "sidecar"
	EphemeralContainer ContainerType = "ephemeral"
)

// Container is one container of a pod.
type Container struct {
	Type  ContainerType
	Value Value
}

// Containers returns every container of the pod: init containers and sidecars,
// then containers, then ephemeral ones.
func (p *PodTemplate) Containers() []Container {
	inits, apps, ephemeral := p.Spec.Get(keyInitContainers), p.Spec.Get(keyContainers), p.Spec.Get(keyEphemeralContainers)
	out := make([]Container, 0, inits.Len()+apps.Len()+ephemeral.Len())
	for c := range inits.Children() {
		t := InitContainer
		if c.Get(keyRestartPolicy).Str() == "Always" {
			t = SidecarContainer
		}
		out = append(out, Container{t, c})
	}
	for c := range apps.Children() {
		out = append(out, Container{AppContainer, c})
	}
	for c := range ephemeral.Children() {
		out = append(out, Container{EphemeralContainer, c})
	}
	return out
}

// ClusterScoped reports whether a kind that Merlon knows has no namespace. A
// kind it does not know is taken to have one.
func ClusterScoped(group, kind string) bool {
	if group == "constraints.gatekeeper.sh" {
		return true // every constraint, whatever its template calls it
	}
	switch group + "/" + kind {
	case "/Namespace", "/Node", "/PersistentVolume", "/ComponentStatus",
		"rbac.authorization.k8s.io/ClusterRole", "rbac.authorization.k8s.io/ClusterRoleBinding",
		"admissionregistration.k8s.io/ValidatingWebhookConfiguration", "admissionregistration.k8s.io/MutatingWebhookConfiguration",
		"admissionregistration.k8s.io/ValidatingAdmissionPolicy", "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding",
		"admissionregistration.k8s.io/MutatingAdmissionPolicy", "admissionregistration.k8s.io/MutatingAdmissionPolicyBinding",
		"apiextensions.k8s.io/CustomResourceDefinition", "apiregistration.k8s.io/APIService",
		"certificates.k8s.io/CertificateSigningRequest", "certificates.k8s.io/ClusterTrustBundle",
		"flowcontrol.apiserver.k8s.io/FlowSchema", "flowcontrol.apiserver.k8s.io/PriorityLevelConfiguration",
		"networking.k8s.io/IngressClass", "networking.k8s.io/IPAddress", "networking.k8s.io/ServiceCIDR",
		"node.k8s.io/RuntimeClass", "policy/PodSecurityPolicy", "scheduling.k8s.io/PriorityClass",
		"storage.k8s.io/StorageClass", "storage.k8s.io/CSIDriver", "storage.k8s.io/CSINode", "storage.k8s.io/VolumeAttachment", "storage.k8s.io/VolumeAttributesClass",
		"resource.k8s.io/DeviceClass", "resource.k8s.io/ResourceSlice",
		"gateway.networking.k8s.io/GatewayClass",
		"policy.networking.k8s.io/AdminNetworkPolicy", "policy.networking.k8s.io/BaselineAdminNetworkPolicy", "policy.networking.k8s.io/ClusterNetworkPolicy",
		"cert-manager.io/ClusterIssuer", "cilium.io/CiliumClusterwideNetworkPolicy", "crd.projectcalico.org/GlobalNetworkPolicy", "projectcalico.org/GlobalNetworkPolicy",
		"/Config", "merlon.dev/Dockerfile", "kubelet.config.k8s.io/KubeletConfiguration", "kubeproxy.config.k8s.io/KubeProxyConfiguration",
		"kubeadm.k8s.io/ClusterConfiguration", "kubeadm.k8s.io/InitConfiguration", "kubeadm.k8s.io/JoinConfiguration",
		"security.openshift.io/SecurityContextConstraints", "snapshot.storage.k8s.io/VolumeSnapshotClass",
		"external-secrets.io/ClusterSecretStore", "external-secrets.io/ClusterExternalSecret", "policy.sigstore.dev/ClusterImagePolicy",
		"argoproj.io/ClusterWorkflowTemplate", "tekton.dev/ClusterTask", "policies.kyverno.io/ValidatingPolicy", "policies.kyverno.io/ImageValidatingPolicy",
		"kyverno.io/ClusterPolicy", "templates.gatekeeper.sh/ConstraintTemplate":
		return true
	}
	return false
}

// Deployed reports whether an object is one that a cluster holds. Files about
// clusters and images, such as a kubeconfig or a Dockerfile, look like objects
// and are none: what a cluster lacks cannot be told from them.
func (o *Object) Deployed() bool {
	switch o.Group {
	case "merlon.dev", "kubelet.config.k8s.io", "kubeproxy.config.k8s.io", "kubeadm.k8s.io":
		return false
	}
	return o.Group != "" || o.Kind != "Config"
}

// InGroup splits a kind as controls name it, "Kind" or "group/Kind".
func InGroup(kind string) (group, name string) {
	if i := strings.LastIndexByte(kind, '/'); i >= 0 {
		return kind[:i], kind[i+1:]
	}
	return "", kind
}
