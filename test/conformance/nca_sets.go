package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/reach"
	"go.yaml.in/yaml/v3"
)

// object is an object as it is written.
type object = map[string]any

// fieldOf follows fields of an object.
func fieldOf(o object, fields ...string) any {
	var v any = o
	for _, f := range fields {
		m, _ := v.(object)
		v = m[f]
	}
	return v
}

func textAt(o object, fields ...string) string {
	s, _ := fieldOf(o, fields...).(string)
	return s
}

// ncaTopology is the pods, namespaces and services that sets of policies are
// held against. Of pods that differ in their names only, two are kept: enough to
// tell what they may do to each other.
type ncaTopology struct {
	peers    map[string]ncaPeer // by NAMESPACE/NAME
	alike    map[string]int
	others   map[string]object // namespaces and services, by kind and name
	hasNames bool              // a namespace was seen
	objects  []*fact.Object
}

// ncaPeer is one pod.
type ncaPeer struct {
	workload string
	pod      object
}

// ncaWorkloads are the kinds that make pods, and where their pod's template is.
var ncaWorkloads = map[string][]string{
	"Deployment": {"spec"}, "ReplicaSet": {"spec"}, "StatefulSet": {"spec"}, "DaemonSet": {"spec"}, "Job": {"spec"},
	"ReplicationController": {"spec"}, "CronJob": {"spec", "jobTemplate", "spec"},
}

// topology reads pods and namespaces from the lists that name them, or else from
// those of all resources. Of a kind that is in neither, that of the whole scheme
// counts.
func (x *ncaCase) topology(namespaces, pods, resources any) (*ncaTopology, error) {
	t := &ncaTopology{peers: map[string]ncaPeer{}, alike: map[string]int{}, others: map[string]object{}}
	ownPods, ownNames := len(texts(pods)) > 0, len(texts(namespaces)) > 0
	for _, read := range []struct {
		from        any
		names, pods bool
	}{{namespaces, true, false}, {pods, false, true}, {resources, !ownNames, !ownPods}} {
		objects, err := x.objects(texts(read.from))
		if err != nil {
			return nil, err
		}
		for _, o := range objects {
			t.add(o, read.names, read.pods)
		}
	}
	switch {
	case x.global == nil:
	case len(t.peers) == 0 && !ownPods && !t.hasNames:
		return x.global, nil
	case len(t.peers) == 0 && !ownPods:
		t.peers = x.global.peers
	case !t.hasNames && len(t.peers) == 0:
		maps.Copy(t.others, x.global.others)
	}
	return t, t.settle()
}

func (t *ncaTopology) add(o object, names, pods bool) {
	kind := textAt(o, "kind")
	namespace := cmp.Or(textAt(o, "metadata", "namespace"), "default")
	switch fields, makes := ncaWorkloads[kind]; {
	case kind == "Namespace" && names:
		t.hasNames = true
		t.others["Namespace "+textAt(o, "metadata", "name")] = o
	case kind == "Service" && pods:
		t.others["Service "+namespace+"/"+textAt(o, "metadata", "name")] = o
	case kind == "Pod" && pods:
		t.addPod(namespace, textAt(o, "metadata", "name"), ncaOwner(o), fieldOf(o, "metadata", "labels"), fieldOf(o, "spec"))
	case makes && pods:
		spec, _ := fieldOf(o, fields...).(object)
		count := 1
		for _, f := range []string{"replicas", "parallelism"} {
			if n, ok := fieldOf(o, "spec", f).(int); ok {
				count = n
			}
		}
		name := textAt(o, "metadata", "name")
		for i := range min(count, 2) {
			t.addPod(namespace, fmt.Sprintf("%s-%d", name, i+1), name+"("+kind+")", fieldOf(spec, "template", "metadata", "labels"), fieldOf(spec, "template", "spec"))
		}
	}
}

// ncaOwner names what a pod belongs to: the first owner, and for a ReplicaSet
// of a Deployment, by its name, the Deployment.
func ncaOwner(o object) string {
	refs, _ := fieldOf(o, "metadata", "ownerReferences").([]any)
	if len(refs) == 0 {
		return textAt(o, "metadata", "name") + "(Pod)"
	}
	ref, _ := refs[0].(object)
	name, kind := textAt(ref, "name"), textAt(ref, "kind")
	if i := strings.LastIndex(name, "-"); kind == "ReplicaSet" && i > 0 && strings.Trim(name[i+1:], "0123456789abcdefABCDEF") == "" {
		return name[:i] + "(Deployment)"
	}
	return name + "(" + kind + ")"
}

func (t *ncaTopology) addPod(namespace, name, owner string, labels, spec any) {
	text, _ := json.Marshal([]any{namespace, owner, labels})
	if t.alike[string(text)] == 2 {
		return
	}
	t.alike[string(text)]++
	fields, _ := spec.(object)
	t.peers[namespace+"/"+name] = ncaPeer{namespace + "/" + owner, object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": object{"name": name, "namespace": namespace, "labels": labels},
		"spec":     object{"containers": fields["containers"]},
	}}
}

// settle makes facts of what was read.
func (t *ncaTopology) settle() error {
	var list []any
	for _, k := range slices.Sorted(maps.Keys(t.others)) {
		list = append(list, t.others[k])
	}
	for _, k := range slices.Sorted(maps.Keys(t.peers)) {
		list = append(list, t.peers[k].pod)
	}
	var err error
	t.objects, err = facts(list...)
	return err
}

// facts makes facts of objects.
func facts(list ...any) ([]*fact.Object, error) {
	text, err := json.Marshal(object{"apiVersion": "v1", "kind": "List", "items": slices.Concat([]any{}, list)})
	if err != nil {
		return nil, fmt.Errorf("write objects: %w", err)
	}
	in, err := read([]document{{"list", text}})
	if err != nil {
		return nil, err
	}
	return in.objects(), nil
}

// objects reads all objects of some paths, those within lists by themselves.
func (x *ncaCase) objects(paths []string) (out []object, err error) {
	for _, p := range paths {
		docs, err := x.documents(p)
		if err != nil {
			return nil, err
		}
		for _, d := range docs {
			decoder := yaml.NewDecoder(bytes.NewReader(d.text))
			for {
				var v any
				if err := decoder.Decode(&v); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					return nil, fmt.Errorf("read %s: %w", d.name, err)
				}
				out = append(out, flatten(v, "")...)
			}
		}
	}
	return out, nil
}

func flatten(v any, kind string) (out []object) {
	if list, ok := v.([]any); ok {
		for _, e := range list {
			out = append(out, flatten(e, kind)...)
		}
		return out
	}
	o, ok := v.(object)
	if !ok {
		return nil
	}
	if textAt(o, "kind") == "" && kind != "" {
		o["kind"] = kind
		if textAt(o, "apiVersion") == "" {
			o["apiVersion"] = "v1" // of pods and namespaces, as lists of them have it
		}
	}
	if inner, isList := strings.CutSuffix(textAt(o, "kind"), "List"); isList {
		return flatten(o["items"], inner)
	}
	return []object{o}
}

// ncaSet is some policies over a topology.
type ncaSet struct {
	*ncaTopology
	policies  []*ncaPolicy
	ingresses []object
}

// ncaPolicy is one network policy.
type ncaPolicy struct {
	name   string // NAMESPACE/NAME
	raw    object
	object *fact.Object
}

// set reads a configuration. A list of policies, even an empty one, takes the
// place of those among its resources.
func (x *ncaCase) set(c *ncaConfig) (*ncaSet, error) {
	t, err := x.topology(c.NamespaceList, c.PodList, c.ResourceList)
	if err != nil {
		return nil, err
	}
	from := c.NetworkPolicyList
	if from == nil {
		from = c.ResourceList
	}
	objects, err := x.objects(texts(from))
	if err != nil {
		return nil, err
	}
	s := &ncaSet{ncaTopology: t}
	for _, o := range objects {
		switch textAt(o, "kind") {
		case "NetworkPolicy":
			p, err := newPolicy(o)
			if err != nil {
				return nil, err
			}
			s.policies = append(s.policies, p)
		case "Ingress":
			s.ingresses = append(s.ingresses, o)
		}
	}
	if t == x.global {
		return s, nil
	}
	return s, s.suppose()
}

// newPolicy reads a policy. What its types are by default is written out, so
// that a policy without one of its rules keeps them.
func newPolicy(o object) (*ncaPolicy, error) {
	spec, _ := o["spec"].(object)
	if types, _ := spec["policyTypes"].([]any); spec != nil && len(types) == 0 {
		types = []any{"Ingress"}
		if egress, _ := spec["egress"].([]any); len(egress) > 0 {
			types = append(types, "Egress")
		}
		spec["policyTypes"] = types
	}
	list, err := facts(o)
	if err != nil || len(list) != 1 {
		return nil, errors.Join(err, fmt.Errorf("the policy %s cannot be read", textAt(o, "metadata", "name")))
	}
	return &ncaPolicy{list[0].InNamespace() + "/" + list[0].Name, o, list[0]}, nil
}

// with is the topology with some policies only.
func (s *ncaSet) with(policies ...*ncaPolicy) *ncaSet {
	return &ncaSet{ncaTopology: s.ncaTopology, policies: policies}
}

// without is the set with one policy left out.
func (s *ncaSet) without(p *ncaPolicy) *ncaSet {
	out := *s
	out.policies = slices.DeleteFunc(slices.Clone(s.policies), func(q *ncaPolicy) bool { return q == p })
	return &out
}

func (s *ncaSet) snapshot() *fact.Snapshot {
	var changes []fact.Change
	for _, o := range s.objects {
		changes = append(changes, fact.Change{Op: fact.Upsert, Object: o})
	}
	for _, p := range s.policies {
		changes = append(changes, fact.Change{Op: fact.Upsert, Object: p.object})
	}
	return (&fact.Snapshot{}).Apply(changes...)
}

// ncaOptions are the tool's views of what Kubernetes leaves open.
func ncaOptions() reach.Options { return reach.Options{HostNetworkAsPods: true, AllPods: true} }

// ncaModel is what a set allows, asked pod by pod.
type ncaModel struct {
	*reach.Model
	set *ncaSet
	end map[string]int // of each pod
}

func (s *ncaSet) model() (*ncaModel, error) {
	return newModel(s, reach.New(s.snapshot(), ncaOptions()))
}

func newModel(s *ncaSet, m *reach.Model) (*ncaModel, error) {
	out := &ncaModel{m, s, map[string]int{}}
	for _, w := range m.Workloads {
		if len(w.Endpoints) != 1 {
			return nil, fmt.Errorf("the pod %s/%s is not one", w.Namespace, w.Name)
		}
		out.end[w.Namespace+"/"+w.Name] = w.Endpoints[0]
	}
	if len(out.end) != len(s.peers) {
		return nil, fmt.Errorf("of %d pods %d could be read", len(s.peers), len(out.end))
	}
	return out, nil
}

// both computes two sets so that the same addresses are told apart.
func both(a, b *ncaSet) (x, y *ncaModel, err error) {
	m, n := reach.Pair(a.snapshot(), b.snapshot(), ncaOptions())
	if x, err = newModel(a, m); err == nil {
		y, err = newModel(b, n)
	}
	return x, y, err
}

// suppose adds pods that a cluster has and files seldom do: the tool supposes
// the cluster's DNS where a policy names it, and the pods of an ingress
// controller where there is an Ingress (SimulatingLiveClusterMissingResources.md).
func (s *ncaSet) suppose() error {
	m, err := s.model()
	if err != nil {
		return err
	}
	problems, _ := m.Lint()
	missing := func(p reach.Problem) bool {
		text, _ := json.Marshal(s.policyOf(p.Policy.Object).raw["spec"])
		return p.Kind == "peer-selects-nothing" && (bytes.Contains(text, []byte(`"k8s-app":"kube-dns"`)) || bytes.Contains(text, []byte(`"kubernetes.io/metadata.name":"kube-system"`)))
	}
	t := *s.ncaTopology
	t.peers, t.others, t.alike = maps.Clone(t.peers), maps.Clone(t.others), map[string]int{}
	if slices.ContainsFunc(problems, missing) {
		t.supposed("kube-system", "kube-dns-livesim", object{"k8s-app": "kube-dns"})
	}
	if len(s.ingresses) > 0 && !slices.ContainsFunc(slices.Collect(maps.Keys(t.others)), func(k string) bool { return strings.Contains(k, "ingress-nginx") }) {
		t.supposed("ingress-controller-ns", "ingress-controller-livesim", object{"app": "ingress-nginx"})
	}
	if len(t.peers) == len(s.peers) {
		return nil
	}
	s.ncaTopology = &t
	return t.settle()
}

func (t *ncaTopology) supposed(namespace, name string, labels object) {
	if _, ok := t.others["Namespace "+namespace]; !ok {
		t.others["Namespace "+namespace] = object{"apiVersion": "v1", "kind": "Namespace", "metadata": object{"name": namespace, "labels": object{"name": namespace}}}
	}
	t.addPod(namespace, name, name+"(Pod)", labels, object{"containers": []any{}})
}

func (s *ncaSet) policyOf(o *fact.Object) *ncaPolicy {
	i := slices.IndexFunc(s.policies, func(p *ncaPolicy) bool { return p.object == o })
	return s.policies[i]
}
