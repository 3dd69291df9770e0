package reach

import (
	"cmp"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Entry is a way into the cluster: an object that leads traffic from outside to
// a workload, by a Service.
type Entry struct {
	Object   *fact.Object // Ingress, Route, HTTPRoute …, or the Service itself
	Service  *fact.Object
	Workload *Workload
	Endpoint int
	Ports    Ports // of the pods
	// Direct says that packets come from outside as they are: a NodePort,
	// LoadBalancer or externalIPs. Else a controller's pods stand between.
	Direct bool
	// Gateways are those that a route is attached to, as [GatewayPod] names their
	// pods.
	Gateways []string
	// Internal says that the load balancer is one for the private network.
	Internal bool
}

// Entries returns the ways into the cluster, in the order of the objects.
func (m *Model) Entries() []Entry {
	s := newServices(m)
	var out []Entry
	for _, o := range m.objects {
		if entries, ok := entryKinds[o.GroupKind()]; ok {
			out = append(out, entries(s, o)...)
		}
	}
	return out
}

// entryKinds are the objects that lead into the cluster, and how each is read.
var entryKinds = map[string]func(*services, *fact.Object) []Entry{
	"Service":                   (*services).direct,
	"networking.k8s.io/Ingress": (*services).ingress,
	"route.openshift.io/Route":  (*services).route,

	gatewayGroup + "/HTTPRoute": (*services).gatewayRoute,
	gatewayGroup + "/GRPCRoute": (*services).gatewayRoute,
	gatewayGroup + "/TLSRoute":  (*services).gatewayRoute,
	gatewayGroup + "/TCPRoute":  (*services).gatewayRoute,
	gatewayGroup + "/UDPRoute":  (*services).gatewayRoute,
}

// Backends returns where the ports of a Service lead: the pods that it selects
// and the ports on them.
func (m *Model) Backends(service *fact.Object) []Entry {
	return newServices(m).all(service, service)
}

// services resolves Services to pods.
type services struct {
	m       *Model
	byName  map[[2]string]*fact.Object
	byLabel map[[3]string][]int // namespace, key, value → pods

	gateways map[[2]string]*fact.Object // by namespace and name
	grants   map[string][]*fact.Object  // ReferenceGrants by namespace
	unseen   map[string]bool            // kinds of which none or not all are seen
}

func newServices(m *Model) *services {
	s := &services{m: m, byName: map[[2]string]*fact.Object{}, byLabel: map[[3]string][]int{},
		gateways: map[[2]string]*fact.Object{}, grants: map[string][]*fact.Object{}, unseen: map[string]bool{}}
	for _, o := range m.objects {
		ns := o.InNamespace()
		switch o.GroupKind() {
		case "Service":
			s.byName[[2]string{ns, o.Name}] = o
		case kindGateway:
			s.gateways[[2]string{ns, o.Name}] = o
		case kindGrant:
			s.grants[ns] = append(s.grants[ns], o)
		}
	}
	for _, g := range m.snapshot.Gaps() {
		s.unseen[g.Hides] = true
	}
	for i := range m.world.pods {
		p := &m.world.pods[i]
		for k, v := range p.ep.Labels {
			key := [3]string{p.ep.Namespace, k, v}
			s.byLabel[key] = append(s.byLabel[key], i)
		}
	}
	return s
}

// pods returns the pods that a Service selects. One without a selector selects
// none: somebody writes its endpoints by hand.
func (s *services) pods(service *fact.Object) []int {
	sel := service.Root.Get(keySpec).Get(fact.K("selector"))
	var out []int
	first := true
	for l := range sel.Children() {
		in := s.byLabel[[3]string{service.InNamespace(), l.Key().String(), l.Text()}]
		if first {
			out, first = slices.Clone(in), false
			continue
		}
		out = slices.DeleteFunc(out, func(i int) bool { _, ok := slices.BinarySearch(in, i); return !ok })
	}
	return out
}

// all returns where all ports of a Service lead.
func (s *services) all(from, service *fact.Object) []Entry {
	return s.some(from, service, func(fact.Value) bool { return true })
}

// some returns where those ports of a Service lead that want takes.
func (s *services) some(from, service *fact.Object, want func(port fact.Value) bool) []Entry {
	var out []Entry
	at := map[[2]int]int{}
	for _, i := range s.pods(service) {
		p := &s.m.world.pods[i]
		var ports Ports
		for v := range service.Root.Get(keySpec).Get(keyPorts).Children() {
			if want(v) {
				ports = ports.Or(targets(v, p))
			}
		}
		if ports.Empty() {
			continue
		}
		key := [2]int{p.workload, p.endpoint}
		if n, ok := at[key]; ok {
			out[n].Ports = out[n].Ports.Or(ports)
			continue
		}
		at[key] = len(out)
		out = append(out, Entry{Object: from, Service: service, Workload: s.m.Workloads[p.workload], Endpoint: p.endpoint, Ports: ports})
	}
	return out
}

// targets returns where one port of a Service leads on a pod.
func targets(v fact.Value, p *pod) Ports {
	proto, ok := ParseProtocol(v.Get(keyProtocol).Str())
	if !ok {
		return Ports{}
	}
	target := v.Get(fact.K("targetPort"))
	if target.IsNull() || target.Kind() == fact.Int && target.Int() == 0 {
		target = v.Get(keyPort)
	}
	if target.Kind() == fact.String {
		return p.ep.named[target.Str()][proto]
	}
	if n := target.Int(); n >= 1 && n <= lastPort {
		return PortsOf(proto, uint16(n), uint16(n))
	}
	return Ports{}
}

// direct tells Services that are open to the outside by their type.
func (s *services) direct(o *fact.Object) []Entry {
	spec := o.Root.Get(keySpec)
	kind := spec.Get(fact.K("type")).Str()
	if kind != "NodePort" && kind != "LoadBalancer" && spec.Get(fact.K("externalIPs")).Len() == 0 {
		return nil
	}
	out := s.all(o, o)
	for i := range out {
		out[i].Direct, out[i].Internal = true, kind == "LoadBalancer" && internalLoadBalancer(o)
	}
	return out
}

// internalLoadBalancer reads the annotations by which clouds are asked for a
// load balancer of the private network. Sources: the documentation of the cloud
// providers' controllers.
func internalLoadBalancer(o *fact.Object) bool {
	notes := o.Root.Get(keyMetadata).Get(fact.K("annotations"))
	value := func(key string) string { return strings.ToLower(notes.Get(fact.K(key)).Text()) }
	return slices.Contains([]string{"true", "0.0.0.0/0"}, value("service.beta.kubernetes.io/aws-load-balancer-internal")) ||
		value("service.beta.kubernetes.io/aws-load-balancer-scheme") == "internal" ||
		value("service.beta.kubernetes.io/azure-load-balancer-internal") == "true" ||
		value("networking.gke.io/load-balancer-type") == "internal" || value("cloud.google.com/load-balancer-type") == "internal" ||
		value("service.beta.kubernetes.io/openstack-internal-load-balancer") == "true" ||
		value("service.kubernetes.io/ibm-load-balancer-cloud-provider-ip-type") == "private"
}

// port returns where one port of a Service leads, by number or name.
func (s *services) port(from *fact.Object, namespace, name string, port fact.Value) []Entry {
	service := s.byName[[2]string{namespace, name}]
	if service == nil {
		return nil
	}
	return s.some(from, service, func(v fact.Value) bool {
		switch port.Kind() {
		case fact.Int:
			return v.Get(keyPort).Int() == port.Int()
		case fact.String:
			return v.Get(keyName).Str() == port.Str()
		}
		return true
	})
}

// target returns where an Ingress leads that names, against the API, the port of
// the pods and not that of the Service: ingress-nginx sends it there all the same.
func (s *services) target(ingress *fact.Object, name string, port fact.Value) []Entry {
	service := s.byName[[2]string{ingress.InNamespace(), name}]
	if service == nil || port.IsNull() {
		return nil
	}
	return s.some(ingress, service, func(v fact.Value) bool { return v.Get(fact.K("targetPort")).Text() == port.Text() })
}

func (s *services) ingress(o *fact.Object) []Entry {
	spec := o.Root.Get(keySpec)
	var out []Entry
	backend := func(b fact.Value) {
		service := b.Get(fact.K("service"))
		port := service.Get(keyPort)
		number := port.Get(fact.K("number"))
		if number.IsNull() {
			number = port.Get(keyName)
		}
		name := service.Get(keyName).Str()
		if name == "" {
			return
		}
		to := s.port(o, o.InNamespace(), name, number)
		if to == nil {
			to = s.target(o, name, number)
		}
		out = append(out, to...)
	}
	backend(spec.Get(fact.K("defaultBackend")))
	for rule := range spec.Get(fact.K("rules")).Children() {
		for path := range rule.Get(fact.K("http")).Get(fact.K("paths")).Children() {
			backend(path.Get(fact.K("backend")))
		}
	}
	return out
}

// route reads an OpenShift Route: its port is a port's name in the Service or
// the number of its target; without one, all ports.
func (s *services) route(o *fact.Object) []Entry {
	spec := o.Root.Get(keySpec)
	port := spec.Get(keyPort).Get(fact.K("targetPort"))
	var out []Entry
	backend := func(b fact.Value) {
		kind := cmp.Or(b.Get(keyKind).Str(), "Service")
		service := s.byName[[2]string{o.InNamespace(), b.Get(keyName).Str()}]
		if kind != "Service" || service == nil {
			return
		}
		out = append(out, s.some(o, service, func(v fact.Value) bool {
			target := v.Get(fact.K("targetPort"))
			if target.IsNull() {
				target = v.Get(keyPort)
			}
			return port.IsNull() || v.Get(keyName).Text() == port.Text() || target.Text() == port.Text()
		})...)
	}
	backend(spec.Get(fact.K("to")))
	for b := range spec.Get(fact.K("alternateBackends")).Children() {
		backend(b)
	}
	return out
}
