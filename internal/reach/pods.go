package reach

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Workload is what a person deploys: a Deployment, a StatefulSet, a single Pod …
// with the pods that belong to it.
type Workload struct {
	Kind, Namespace, Name string
	Object                *fact.Object // the workload's own object, or that of its first pod
	Pods                  int          // how many pods: those seen, else the replicas asked for
	Endpoints             []int        // the kinds of pods that it has, usually one

	templates bool // its pods are those of its template; none was seen
}

// String names the workload as "namespace/name[Kind]".
func (w *Workload) String() string { return w.Namespace + "/" + w.Name + "[" + w.Kind + "]" }

// Member is the share of a workload in an endpoint.
type Member struct{ Workload, Pods int }

// Endpoint is a kind of pods that no selector or port of the input tells apart:
// same namespace, same labels as far as any selector looks, same ports.
type Endpoint struct {
	Namespace   string
	Labels      map[string]string // all labels of one of the pods
	HostNetwork bool              // its pods have their node's address, and no policy applies to them
	Addr        netip.Addr        // of its one pod, where known and of use: host-network pods only
	Members     []Member          // empty for a virtual pod
	Virtual     string            // name of a pod that is supposed, not seen

	named   map[string]map[Protocol]Ports // container ports by name
	ports   string                        // those, written in one way
	ofNS    map[string]string             // labels of the namespace
	control bool                          // part of the control plane
	rep     *representative               // of all pods that selectors describe
}

// pod is one pod or pod template, before pods are merged to endpoints.
type pod struct {
	workload int
	count    int
	ep       Endpoint
	endpoint int // set when pods are merged
}

// world is what the policies act on.
type world struct {
	workloads  []*Workload
	byKey      map[string]int          // workloads, as [workloadKey] names them
	owners     map[string]*fact.Object // what has pods, named likewise
	pods       []pod
	namespaces map[string]map[string]string // labels of those seen
	nodes      []*fact.Object
	gaps       []fact.Gap
	unseen     []fact.Gap // namespaces whose labels are not known: told when a policy looks at such
}

func readWorld(objects []*fact.Object, opts Options) *world {
	w := &world{namespaces: map[string]map[string]string{}, byKey: map[string]int{}, owners: readOwners(objects)}
	seen := map[fact.Ref]*fact.Object{}
	for _, o := range objects {
		switch {
		case o.Group == "" && o.Kind == "Namespace":
			l := labelsOf(o.Root.Get(keyMetadata).Get(keyLabels))
			l[nameLabel] = o.Name
			w.namespaces[o.Name] = l
		case o.Group == "" && o.Kind == "Node":
			w.nodes = append(w.nodes, o)
		}
	}
	templates := map[string]*fact.Object{}
	var order []string
	for _, o := range objects {
		pods := fact.PodTemplates(o)
		if len(pods) == 0 || o.Kind == "PodTemplate" {
			continue
		}
		if other := seen[o.Ref()]; other != nil && o.Name != "" {
			w.gaps = append(w.gaps, gapAt(o, o.Root.At("metadata", "name"), "duplicate-object", "there is another "+o.Kind+" of this name at "+place(other)+"; both are taken to run"))
		}
		seen[o.Ref()] = o
		if o.Kind == "Pod" && o.Group == "" {
			w.addPod(o, pods[0], opts)
			continue
		}
		if controllerOf(o).name != "" && w.owners[controllerOf(o).key(o.InNamespace())] != nil {
			continue // a ReplicaSet of a Deployment, a Job of a CronJob: told by its owner
		}
		key := fmt.Sprint(o.Ref(), o.Origin)
		templates[key] = o
		order = append(order, key)
	}
	for _, key := range order {
		o := templates[key]
		if !w.podsSeen(o) {
			w.addTemplate(o, opts)
		}
	}
	w.unseenNamespaces()
	return w
}

func (w *world) unseenNamespaces() {
	told := map[string]bool{}
	for _, x := range w.workloads {
		if _, seen := w.namespaces[x.Namespace]; seen || told[x.Namespace] {
			continue
		}
		told[x.Namespace] = true
		w.unseen = append(w.unseen, gapAt(x.Object, x.Object.Root.At("metadata", "namespace"), "unknown-namespace", "namespace "+clip(x.Namespace)+" is not in the input: its labels are not known, and selectors that ask for them do not match it"))
	}
}

// podsSeen reports whether pods of the workload are in the input, which then
// count instead of its template.
func (w *world) podsSeen(o *fact.Object) bool {
	i, ok := w.byKey[workloadKey(o.InNamespace(), o.Kind, o.Name)]
	if !ok || w.workloads[i].templates {
		return false
	}
	if w.workloads[i].Object.Kind == "Pod" {
		w.workloads[i].Object = o
	}
	return true
}

// WorkloadOf returns the workload that an object is part of, by its controllers:
// that of a pod, of a ReplicaSet; nil for what has no pods here.
func (m *Model) WorkloadOf(o *fact.Object) *Workload {
	key := workloadKey(o.InNamespace(), o.Kind, o.Name)
	for range maxOwners {
		if i, ok := m.world.byKey[key]; ok {
			return m.Workloads[i]
		}
		c := controllerOf(o)
		key = c.key(o.InNamespace())
		parent := m.world.owners[key]
		if c.name == "" || parent == nil {
			break
		}
		o = parent
	}
	if i, ok := m.world.byKey[key]; ok {
		return m.Workloads[i]
	}
	return nil
}

// maxOwners bounds a chain of controllers: pod, ReplicaSet, Deployment; none is
// much longer.
const maxOwners = 8

func workloadKey(namespace, kind, name string) string { return namespace + "/" + kind + "/" + name }

// owner is a controller as an ownerReference names it.
type owner struct{ kind, name string }

func (o owner) key(namespace string) string { return workloadKey(namespace, o.kind, o.name) }

func controllerOf(o *fact.Object) owner {
	refs := o.Root.Get(keyMetadata).Get(keyOwnerReferences)
	for r := range refs.Children() {
		if r.Get(keyController).Bool() {
			return owner{r.Get(keyKind).Str(), r.Get(keyName).Str()}
		}
	}
	if r := refs.Index(0); r.Present() {
		return owner{r.Get(keyKind).Str(), r.Get(keyName).Str()}
	}
	return owner{}
}

func readOwners(objects []*fact.Object) map[string]*fact.Object {
	out := map[string]*fact.Object{}
	for _, o := range objects {
		if len(fact.PodTemplates(o)) > 0 {
			out[workloadKey(o.InNamespace(), o.Kind, o.Name)] = o
		}
	}
	return out
}

func (w *world) addPod(o *fact.Object, p fact.PodTemplate, opts Options) {
	if phase := o.Root.Get(keyStatus).Get(fact.K("phase")).Str(); (phase == "Succeeded" || phase == "Failed") && !opts.AllPods {
		return // it has no address any more
	}
	kind, name := "Pod", o.Name
	if c := controllerOf(o); c.name != "" && c.kind != "Node" { // a node's static pods are single ones
		kind, name = cmp.Or(c.kind, "Pod"), c.name
		for range maxOwners {
			parent := w.owners[workloadKey(o.InNamespace(), kind, name)]
			if parent == nil || controllerOf(parent).name == "" {
				break
			}
			c = controllerOf(parent)
			kind, name = c.kind, c.name
		}
	}
	key := workloadKey(o.InNamespace(), kind, name)
	i, ok := w.byKey[key]
	if !ok {
		i = len(w.workloads)
		w.byKey[key] = i
		w.workloads = append(w.workloads, &Workload{Kind: kind, Namespace: o.InNamespace(), Name: name, Object: o})
	}
	w.add(i, 1, o, p, opts)
}

func (w *world) addTemplate(o *fact.Object, opts Options) {
	for n, p := range fact.PodTemplates(o) {
		name := o.Name
		if n > 0 {
			name = fmt.Sprintf("%s#%d", o.Name, n+1) // a job with several roles
		}
		i := len(w.workloads)
		w.workloads = append(w.workloads, &Workload{Kind: o.Kind, Namespace: o.InNamespace(), Name: name, Object: o, templates: true})
		if n == 0 {
			w.byKey[workloadKey(o.InNamespace(), o.Kind, name)] = i
		}
		count := 1
		if r := o.Root.Get(keySpec).Get(keyReplicas); r.Kind() == fact.Int {
			count = int(min(max(r.Int(), 0), 1<<20))
		}
		w.add(i, count, o, p, opts)
	}
}

func (w *world) add(workload, count int, o *fact.Object, p fact.PodTemplate, opts Options) {
	x := pod{workload: workload, count: count}
	x.ep.Namespace, x.ep.Labels = o.InNamespace(), labelsOf(p.Metadata.Get(keyLabels))
	x.ep.HostNetwork = p.Spec.Get(keyHostNetwork).Bool() && !opts.HostNetworkAsPods
	if x.ep.HostNetwork && o.Kind == "Pod" {
		if a, err := netip.ParseAddr(o.Root.Get(keyStatus).Get(fact.K("podIP")).Str()); err == nil {
			x.ep.Addr = a.Unmap()
		}
	}
	x.ep.control = controlPlane(o, &p)
	x.ep.named, x.ep.ports = w.containerPorts(o, &p)
	w.workloads[workload].Pods += count
	w.pods = append(w.pods, x)
}

// controlPlane tells the static pods of a control plane by the labels that
// kubeadm and its like give them.
func controlPlane(o *fact.Object, p *fact.PodTemplate) bool {
	return p.Metadata.Get(keyLabels).Get(fact.K("tier")).Str() == "control-plane" && o.InNamespace() == "kube-system"
}

func (w *world) containerPorts(o *fact.Object, p *fact.PodTemplate) (map[string]map[Protocol]Ports, string) {
	var named map[string]map[Protocol]Ports
	var all []string
	for _, c := range p.Containers() {
		if c.Type == fact.InitContainer || c.Type == fact.EphemeralContainer {
			continue
		}
		for e := range c.Value.Get(keyPorts).Children() {
			proto, known := ParseProtocol(e.Get(keyProtocol).Str())
			n := e.Get(keyContainerPort)
			if !known || n.Kind() != fact.Int || n.Int() < 1 || n.Int() > lastPort {
				w.gaps = append(w.gaps, gapAt(o, e, "invalid-port", "this container port is none; it is left out"))
				continue
			}
			if name := e.Get(keyName).Str(); name != "" {
				if named == nil {
					named = map[string]map[Protocol]Ports{}
				}
				if named[name] == nil {
					named[name] = map[Protocol]Ports{}
				}
				port := uint16(n.Int())
				named[name][proto] = named[name][proto].Or(PortsOf(proto, port, port))
				all = append(all, fmt.Sprintf("%s/%s/%d", name, proto, port))
			}
		}
	}
	slices.Sort(all)
	return named, strings.Join(all, " ")
}

func labelsOf(v fact.Value) map[string]string {
	out := make(map[string]string, v.Len())
	for l := range v.Children() {
		out[l.Key().String()] = l.Text()
	}
	return out
}

// nameLabel is the label that every namespace has, with its name.
const nameLabel = "kubernetes.io/metadata.name"

// namespaceLabels returns the labels of a namespace; of one that is not in the
// input, only the label that it surely has.
func (w *world) namespaceLabels(name string) (labels map[string]string, seen bool) {
	if l, ok := w.namespaces[name]; ok {
		return l, true
	}
	l := map[string]string{nameLabel: name}
	return l, false
}

// gapAt is a gap at a place of an object.
func gapAt(o *fact.Object, v fact.Value, kind, message string) fact.Gap {
	if !v.Present() {
		v = o.Root
	}
	at, _ := o.At(v)
	return fact.Gap{Kind: kind, Source: o.Origin.Source, File: at.File, Pos: at.Pos, Subject: o.Kind + " " + o.InNamespace() + "/" + clip(o.Name), Message: message}
}

func place(o *fact.Object) string {
	if o.Origin.File == "" {
		return o.Origin.Source
	}
	at, _ := o.At(o.Root.Index(0))
	if at.Pos.Line == 0 {
		return at.File
	}
	return fmt.Sprintf("%s:%d", at.File, at.Pos.Line)
}
