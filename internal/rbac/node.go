package rbac

import (
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// The Node authorizer lets a kubelet do what its node needs, and no more: some
// rules that are the same for all nodes, and objects that something on the node
// refers to. Source: kubernetes/plugin/pkg/auth/authorizer/node, Kubernetes 1.36
// with its default feature gates.

// nodeRules are the rights of every node, in the form of defaults.txt, for
// resources that are not limited to what is on the node. Source:
// bootstrappolicy.NodeRules.
const nodeRules = `ClusterRole node-authorizer
  create on tokenreviews in authentication.k8s.io
  create on subjectaccessreviews,localsubjectaccessreviews in authorization.k8s.io
  get,list,watch on services in core
  create,update,patch on events in core
  get on endpoints in core
  create,get,list,watch on certificatesigningrequests in certificates.k8s.io
  get,list,watch on csidrivers in storage.k8s.io
  get,list,watch on runtimeclasses in node.k8s.io
`

// laterNodeRules are those of nodeRules that the oldest supported Kubernetes does
// not have. Each API server writes the rules of its version into the ClusterRole
// system:node, which binds nobody, so that it tells whether they hold.
const laterNodeRules = `ClusterRole node-authorizer
  create,update,patch on events in events.k8s.io
`

var roleOfNodes = roleKey{name: "system:node"}

// Kinds returns the kinds of objects that an Index looks at: what it needs of a
// cluster.
func Kinds() []string {
	return []string{
		Group + "/ClusterRole", Group + "/ClusterRoleBinding", Group + "/Role", Group + "/RoleBinding",
		"Pod", "PersistentVolume", "storage.k8s.io/VolumeAttachment", "resource.k8s.io/ResourceSlice",
		"certificates.k8s.io/PodCertificateRequest",
	}
}

// holding is what holds an object on nodes.
type holding struct {
	resource        string // as in a request, with the group behind a dot
	namespace, name string
}

// onNode is a node that an object is needed on, and by what: the first that
// says so.
type onNode struct {
	node, why string
	count     int
}

// graph knows which objects are needed on which nodes. It is immutable.
type graph struct {
	rules  []rule
	later  []rule
	needed *table[holding, []onNode] // sorted by node
	claims *table[string, holding]   // the claim that a PersistentVolume is bound to
	mounts *lists[holding, string]   // PersistentVolumes that need a Secret
	own    bool                      // nobody else has seen the lists
	source *lists[fact.Ref, *fact.Object]
}

func hashHolding(h holding) uint64 { return hashOf(h.name, h.namespace) }

func newGraph(objects []*fact.Object) *graph {
	g := &graph{
		rules: compileRules(parseDefaults(nodeRules)[0]), later: compileRules(parseDefaults(laterNodeRules)[0]),
		needed: newTable[holding, []onNode](hashHolding), claims: newTable[string, holding](func(k string) uint64 { return hashOf(k, "") }),
		mounts: newLists[holding, string](hashHolding), source: newLists[fact.Ref, *fact.Object](hashRef), own: true,
	}
	for _, o := range objects {
		g.count(o, 1)
	}
	g.own = false
	return g
}

// apply returns the graph after some changes.
func (g *graph) apply(changes []fact.Change) *graph {
	n := &graph{rules: g.rules, later: g.later, needed: g.needed.fork(), claims: g.claims.fork(), mounts: g.mounts.fork(), source: g.source.fork()}
	for _, c := range changes {
		ref := c.Object.Ref()
		for _, old := range n.source.get(ref) {
			if old.Origin == c.Object.Origin {
				n.count(old, -1)
			}
		}
		if c.Op == fact.Upsert {
			n.count(c.Object, 1)
		}
	}
	return n
}

// count adds, or takes away, what an object says of nodes.
func (g *graph) count(o *fact.Object, by int) {
	refers := true
	switch o.GroupKind() {
	case "Pod":
		refers = g.pod(o, by)
	case "PersistentVolume":
		g.volume(o, by)
	case "storage.k8s.io/VolumeAttachment":
		g.need(holding{"volumeattachments.storage.k8s.io", "", o.Name}, o.Root.At("spec", "nodeName").Str(), "it attaches a volume to the node", by)
	case "resource.k8s.io/ResourceSlice":
		g.need(holding{"resourceslices.resource.k8s.io", "", o.Name}, o.Root.At("spec", "nodeName").Str(), "it describes devices of the node", by)
	case "certificates.k8s.io/PodCertificateRequest":
		g.need(holding{"podcertificaterequests.certificates.k8s.io", o.InNamespace(), o.Name}, o.Root.At("spec", "nodeName").Str(), "it is for a pod on the node", by)
	default:
		refers = false
	}
	if refers && by > 0 {
		g.source.add(o.Ref(), o, g.own)
	} else if refers {
		g.source.remove(o.Ref(), o)
	}
}

// need notes that a node needs an object.
func (g *graph) need(h holding, node, why string, by int) {
	if node == "" || h.name == "" {
		return
	}
	list := g.needed.get(h)
	at, found := slices.BinarySearchFunc(list, node, func(n onNode, node string) int { return strings.Compare(n.node, node) })
	if !g.own {
		list = slices.Clone(list)
	}
	switch {
	case !found:
		list = slices.Insert(list, at, onNode{node, why, by})
	case list[at].count+by <= 0:
		list = slices.Delete(list, at, at+1)
	default:
		list[at].count += by
	}
	if len(list) == 0 {
		g.needed.delete(h)
		return
	}
	g.needed.set(h, list)
}

// pod notes what a pod that is bound to a node needs there. A mirror pod, which
// the kubelet made itself, gives nothing but itself.
func (g *graph) pod(o *fact.Object, by int) bool {
	spec, ns := o.Root.Get(keySpec), o.InNamespace()
	node := spec.Get(keyNodeName).Str()
	if node == "" {
		return false
	}
	why := "pod " + ns + "/" + o.Name + " runs on the node"
	need := func(resource, name string) { g.need(holding{resource, ns, name}, node, why, by) }
	need("pods", o.Name)
	if o.Root.At("metadata", "annotations", "kubernetes.io/config.mirror").Present() {
		return true
	}
	why = "pod " + ns + "/" + o.Name + " on the node uses it"
	account := spec.Get(keyAccountName).Str()
	if account == "" && !stored(o) {
		account = "default" // as the API server writes it
	}
	need("serviceaccounts", account)
	for v := range spec.Get(keyPullSecrets).Children() {
		need("secrets", v.Get(keyName).Str())
	}
	for _, kind := range [...]fact.Key{keyInit, keyContainers, keyEphemeral} {
		for c := range spec.Get(kind).Children() {
			containerNeeds(c, need)
		}
	}
	for v := range spec.Get(keyVolumes).Children() {
		volumeNeeds(o.Name, v, need)
	}
	resourceClaims(o, need)
	return true
}

func containerNeeds(c fact.Value, need func(resource, name string)) {
	for e := range c.Get(keyEnvFrom).Children() {
		need("secrets", e.At("secretRef", "name").Str())
		need("configmaps", e.At("configMapRef", "name").Str())
	}
	for e := range c.Get(keyEnv).Children() {
		from := e.Get(keyValueFrom)
		need("secrets", from.At("secretKeyRef", "name").Str())
		need("configmaps", from.At("configMapKeyRef", "name").Str())
	}
}

// secretRefs are the fields of a volume that name a Secret.
var secretRefs = [...][]string{
	{"azureFile", "secretName"}, {"cephfs", "secretRef", "name"}, {"cinder", "secretRef", "name"},
	{"flexVolume", "secretRef", "name"}, {"rbd", "secretRef", "name"}, {"secret", "secretName"},
	{"scaleIO", "secretRef", "name"}, {"iscsi", "secretRef", "name"}, {"storageos", "secretRef", "name"},
	{"csi", "nodePublishSecretRef", "name"},
}

func volumeNeeds(pod string, v fact.Value, need func(resource, name string)) {
	for _, path := range secretRefs {
		need("secrets", v.At(path...).Str())
	}
	need("configmaps", v.At("configMap", "name").Str())
	for s := range v.At("projected", "sources").Children() {
		need("secrets", s.At("secret", "name").Str())
		need("configmaps", s.At("configMap", "name").Str())
	}
	need("persistentvolumeclaims", v.At("persistentVolumeClaim", "claimName").Str())
	if !v.Get(keyEphemeralVolume).IsNull() {
		need("persistentvolumeclaims", pod+"-"+v.Get(keyName).Str())
	}
}

// resourceClaims notes the claims of devices: by name, or as the status says
// they were made of a template.
func resourceClaims(o *fact.Object, need func(resource, name string)) {
	const claims = "resourceclaims.resource.k8s.io"
	status := o.Root.Get(keyStatus)
	for c := range o.Root.At("spec", "resourceClaims").Children() {
		need(claims, c.At("resourceClaimName").Str())
		if c.At("resourceClaimTemplateName").Str() == "" {
			continue
		}
		for s := range status.At("resourceClaimStatuses").Children() {
			if s.Get(keyName).Str() == c.Get(keyName).Str() {
				need(claims, s.At("resourceClaimName").Str())
			}
		}
	}
	need(claims, status.At("extendedResourceClaimStatus", "resourceClaimName").Str())
}

// volume notes the claim that a PersistentVolume is bound to and the Secrets
// with which the kubelet mounts it.
func (g *graph) volume(o *fact.Object, by int) {
	spec := o.Root.Get(keySpec)
	claim := spec.At("claimRef")
	if claim.IsNull() {
		return
	}
	bound := holding{"persistentvolumeclaims", claim.Get(keyNamespace).Str(), claim.Get(keyName).Str()}
	if by > 0 {
		g.claims.set(o.Name, bound)
	} else {
		g.claims.delete(o.Name)
	}
	mount := func(ns, name string) {
		h := holding{"secrets", ns, name}
		switch {
		case name == "":
		case by > 0:
			g.mounts.add(h, o.Name, g.own)
		default:
			g.mounts.remove(h, o.Name)
		}
	}
	for _, driver := range [...]string{"cephfs", "cinder", "flexVolume", "rbd", "scaleIO", "iscsi", "storageos"} {
		ref := spec.At(driver, "secretRef")
		ns := ref.Get(keyNamespace).Str()
		if ns == "" && driver != "cinder" && driver != "storageos" {
			ns = bound.namespace
		}
		mount(ns, ref.Get(keyName).Str())
	}
	azure := spec.At("azureFile")
	ns := azure.At("secretNamespace").Str()
	if ns == "" {
		ns = bound.namespace
	}
	mount(ns, azure.At("secretName").Str())
	for _, ref := range [...]string{"nodePublishSecretRef", "nodeStageSecretRef", "nodeExpandSecretRef"} {
		r := spec.At("csi", ref)
		mount(r.Get(keyNamespace).Str(), r.Get(keyName).Str())
	}
}

var (
	keySpec            = fact.K("spec")
	keyStatus          = fact.K("status")
	keyNodeName        = fact.K("nodeName")
	keyAccountName     = fact.K("serviceAccountName")
	keyPullSecrets     = fact.K("imagePullSecrets")
	keyInit            = fact.K("initContainers")
	keyContainers      = fact.K("containers")
	keyEphemeral       = fact.K("ephemeralContainers")
	keyVolumes         = fact.K("volumes")
	keyEnvFrom         = fact.K("envFrom")
	keyEnv             = fact.K("env")
	keyValueFrom       = fact.K("valueFrom")
	keyEphemeralVolume = fact.K("ephemeral")
)
