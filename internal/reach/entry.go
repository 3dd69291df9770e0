package reach

import (
	"math"

	"github.com/merlon-security/merlon/internal/fact"
)

// Entry is a way into the cluster from outside that an Ingress, a Gateway route,
// an OpenShift Route or a Service opens: to pods, on ports.
type Entry struct {
	Through  *fact.Object // the object that opens it
	Service  *fact.Object
	Workload *Workload
	Ports    Ports
	// Direct says that no controller stands in between: a NodePort or a load
	// balancer leads straight to the pods.
	Direct bool
}

// Entries returns the ways in, in the order of the objects that open them. They
// say what is opened, not whether policies let it through.
func (n *Net) Entries() []Entry { return n.entries }

// Controller is the party that stands for an ingress or gateway controller: a
// pod without labels in a namespace that no object names.
func (n *Net) Controller() Party {
	c := &Class{namespace: "ingress-controller", in: make(bitset, (len(n.ordered)+63)/64)}
	none := func(string) (string, bool) { return "", false }
	for _, t := range n.ordered {
		if t.namespace == "" && t.ns.Matches(none) && t.pods.Matches(none) {
			c.in.set(t.id)
		}
	}
	return Party{Class: c}
}

// backend is a service that an object leads to, and the port asked for: its
// number, its name, or neither for all.
type backend struct {
	namespace, name string
	port            fact.Value
	target          bool // port is that of the pods
}

func (n *Net) findEntries(objects []*fact.Object) []Entry {
	services := map[[2]string]*fact.Object{}
	for _, o := range objects {
		if o.GroupKind() == "Service" {
			services[[2]string{o.InNamespace(), o.Name}] = o
		}
	}
	inNamespace := map[string][]*Workload{}
	for _, w := range n.workloads {
		inNamespace[w.Namespace] = append(inNamespace[w.Namespace], w)
	}
	var out []Entry
	for _, o := range objects {
		for _, b := range backends(o) {
			s := services[[2]string{b.namespace, b.name}]
			if s == nil {
				continue
			}
			out = append(out, entriesOf(o, s, b, inNamespace[b.namespace])...)
		}
		if o.GroupKind() == "Service" {
			switch o.Root.Get(keySpec).Get(fact.K("type")).Str() {
			case "NodePort", "LoadBalancer":
				for _, e := range entriesOf(o, o, backend{namespace: o.InNamespace()}, inNamespace[o.InNamespace()]) {
					e.Direct = true
					out = append(out, e)
				}
			}
		}
	}
	return out
}

// backends returns the services that an object leads to from outside.
func backends(o *fact.Object) []backend {
	spec, ns := o.Root.Get(keySpec), o.InNamespace()
	var out []backend
	switch o.GroupKind() {
	case "networking.k8s.io/Ingress":
		add := func(b fact.Value) {
			if s := b.Get(fact.K("service")); s.Kind() == fact.Map {
				port := s.At("port", "number")
				if !port.Present() {
					port = s.At("port", "name")
				}
				out = append(out, backend{namespace: ns, name: s.Get(keyName).Str(), port: port})
			}
		}
		add(spec.Get(fact.K("defaultBackend")))
		for r := range spec.Get(fact.K("rules")).Children() {
			for p := range r.At("http", "paths").Children() {
				add(p.Get(fact.K("backend")))
			}
		}
	case "route.openshift.io/Route":
		port := spec.At("port", "targetPort")
		add := func(t fact.Value) {
			if k := t.Get(fact.K("kind")).Str(); k == "" || k == "Service" {
				out = append(out, backend{namespace: ns, name: t.Get(keyName).Str(), port: port, target: true})
			}
		}
		add(spec.Get(keyTo))
		for t := range spec.Get(fact.K("alternateBackends")).Children() {
			add(t)
		}
	case "gateway.networking.k8s.io/HTTPRoute", "gateway.networking.k8s.io/GRPCRoute", "gateway.networking.k8s.io/TLSRoute",
		"gateway.networking.k8s.io/TCPRoute", "gateway.networking.k8s.io/UDPRoute":
		for r := range spec.Get(fact.K("rules")).Children() {
			for b := range r.Get(fact.K("backendRefs")).Children() {
				in := ns
				if x := b.Get(fact.K("namespace")).Str(); x != "" {
					in = x
				}
				out = append(out, backend{namespace: in, name: b.Get(keyName).Str(), port: b.Get(keyPort)})
			}
		}
	}
	return out
}

// entriesOf returns the pods that a service leads to, and on which of their
// ports.
func entriesOf(through, service *fact.Object, b backend, workloads []*Workload) []Entry {
	spec := service.Root.Get(keySpec)
	sel, ok := fact.MapSelector(spec.Get(fact.K("selector")))
	if !ok {
		return nil
	}
	var out []Entry
	for _, w := range workloads {
		if !sel.Matches(fact.Labels(w.labels)) {
			continue
		}
		var ports Ports
		for p := range spec.Get(keyPorts).Children() {
			if b.leadsTo(p) {
				ports = ports.Union(targets(p, w))
			}
		}
		if !ports.Empty() {
			out = append(out, Entry{Through: through, Service: service, Workload: w, Ports: ports})
		}
	}
	return out
}

// leadsTo reports whether a port of a service is the one asked for.
func (b *backend) leadsTo(p fact.Value) bool {
	if b.port.IsNull() {
		return true
	}
	asked := []fact.Value{p.Get(keyPort), p.Get(keyName)}
	if b.target { // a Route names the port of the service by name, or that of the pods
		asked = []fact.Value{p.Get(keyName), p.Get(fact.K("targetPort"))}
		if p.Get(fact.K("targetPort")).IsNull() {
			asked[1] = p.Get(keyPort)
		}
	}
	for _, a := range asked {
		if a.Present() && a.Text() == b.port.Text() {
			return true
		}
	}
	return false
}

// targets returns the ports of a workload's pods behind a port of a service.
func targets(p fact.Value, w *Workload) Ports {
	proto, ok := protocolOf(p.Get(keyProtocol).Text())
	if !ok {
		return Ports{}
	}
	target := p.Get(fact.K("targetPort"))
	if target.IsNull() {
		target = p.Get(keyPort)
	}
	if target.Kind() == fact.String {
		var out Ports
		for _, named := range w.named {
			if named.name == target.Str() && named.proto == proto {
				out = out.Union(PortsOf(proto, named.port, named.port))
			}
		}
		return out
	}
	if i := target.Int(); i > 0 && i <= math.MaxUint16 {
		return PortsOf(proto, uint16(i), uint16(i))
	}
	return Ports{}
}
