package reach

import (
	"cmp"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

const (
	gatewayGroup = "gateway.networking.k8s.io"
	kindGateway  = gatewayGroup + "/Gateway"
	kindGrant    = gatewayGroup + "/ReferenceGrant"
)

// GatewayLabel is the label by which implementations of the Gateway API mark the
// pods of a Gateway, with its name (GEP-1762).
const GatewayLabel = "gateway.networking.k8s.io/gateway-name"

// GatewayPod names the pod that is supposed for a Gateway.
func GatewayPod(namespace, name string) string { return "gateway " + namespace + "/" + name }

// gateways are pods to suppose for the Gateways of the input: many
// implementations run them in the Gateway's namespace.
func (m *Model) gateways() (out []Virtual) {
	for _, o := range m.objects {
		if o.GroupKind() == kindGateway {
			labels, _ := m.world.namespaceLabels(o.InNamespace())
			out = append(out, Virtual{GatewayPod(o.InNamespace(), o.Name), o.InNamespace(), map[string]string{GatewayLabel: o.Name}, labels})
		}
	}
	return out
}

// gatewayRoute reads a route of the Gateway API: where the Services lead that it
// names, by each Gateway that takes it. A parent that is a Service is about a
// mesh, and leads nobody in.
func (s *services) gatewayRoute(o *fact.Object) []Entry {
	spec := o.Root.Get(keySpec)
	taken := false
	var gateways []string
	for p := range spec.Get(fact.K("parentRefs")).Children() {
		kind := cmp.Or(p.Get(keyKind).Str(), "Gateway")
		if kind == "Service" || kind == "Gateway" && !s.takes(o, p) {
			continue
		}
		taken = true
		if kind == "Gateway" {
			gateways = append(gateways, GatewayPod(inNamespace(p, o), p.Get(keyName).Str()))
		}
	}
	if !taken {
		return nil
	}
	var out []Entry
	for rule := range spec.Get(keyRules).Children() {
		for b := range rule.Get(fact.K("backendRefs")).Children() {
			if kind := b.Get(keyKind).Str(); kind != "" && kind != "Service" || !s.granted(o, b) {
				continue
			}
			out = append(out, s.port(o, inNamespace(b, o), b.Get(keyName).Str(), b.Get(keyPort))...)
		}
	}
	for i := range out {
		out[i].Gateways = gateways
	}
	return out
}

// inNamespace returns the namespace of what a reference in an object is to.
func inNamespace(ref fact.Value, o *fact.Object) string {
	return cmp.Or(ref.Get(keyNamespace).Str(), o.InNamespace())
}

// takes reports whether some listener of the Gateway that a route names takes the
// route. A Gateway that is not in the input is supposed to.
func (s *services) takes(route *fact.Object, parent fact.Value) bool {
	gateway := s.gateways[[2]string{inNamespace(parent, route), parent.Get(keyName).Str()}]
	if gateway == nil {
		return true
	}
	for l := range gateway.Root.Get(keySpec).Get(fact.K("listeners")).Children() {
		section, port := parent.Get(fact.K("sectionName")), parent.Get(keyPort)
		if section.Present() && section.Str() != l.Get(keyName).Str() || port.Present() && port.Int() != l.Get(keyPort).Int() {
			continue
		}
		allowed := l.Get(fact.K("allowedRoutes"))
		if takesKind(l, allowed.Get(fact.K("kinds")), route) && s.takesNamespace(gateway, allowed.Get(keyNamespaces), route) && takesHost(l, route) {
			return true
		}
	}
	return false
}

// routesOf are the routes that a listener takes which names no kinds, by its
// protocol. A protocol of an implementation's own takes what that says.
var routesOf = map[string][]string{
	"HTTP":  {"HTTPRoute", "GRPCRoute"},
	"HTTPS": {"HTTPRoute", "GRPCRoute"},
	"TLS":   {"TLSRoute", "TCPRoute"},
	"TCP":   {"TCPRoute"},
	"UDP":   {"UDPRoute"},
}

func takesKind(listener, kinds fact.Value, route *fact.Object) bool {
	for k := range kinds.Children() {
		if cmp.Or(k.Get(keyGroup).Str(), gatewayGroup) == route.Group && k.Get(keyKind).Str() == route.Kind {
			return true
		}
	}
	of, known := routesOf[listener.Get(keyProtocol).Str()]
	return kinds.Len() == 0 && (!known || slices.Contains(of, route.Kind))
}

func (s *services) takesNamespace(gateway *fact.Object, namespaces fact.Value, route *fact.Object) bool {
	switch namespaces.Get(fact.K("from")).Str() {
	case "All":
		return true
	case "Selector":
		labels, seen := s.m.world.namespaceLabels(route.InNamespace())
		sel, problem := readSelector(namespaces.Get(fact.K("selector")))
		return problem == "" && (!seen || sel.matches(labels))
	case "", "Same":
		return route.InNamespace() == gateway.InNamespace()
	}
	return false
}

// takesHost reports whether a listener and a route have a host name in common.
// Without one, either is about all.
func takesHost(listener fact.Value, route *fact.Object) bool {
	own, names := listener.Get(fact.K("hostname")).Str(), route.Root.Get(keySpec).Get(fact.K("hostnames"))
	if own == "" || names.Len() == 0 {
		return true
	}
	for n := range names.Children() {
		if hostsMeet(strings.ToLower(own), strings.ToLower(n.Str())) {
			return true
		}
	}
	return false
}

// hostsMeet reports whether two host names, of which each may begin with "*." for
// any number of labels, have a name in common.
func hostsMeet(a, b string) bool {
	_, anyA, wildA := strings.Cut(a, "*")
	_, anyB, wildB := strings.Cut(b, "*")
	switch {
	case wildA && wildB:
		return strings.HasSuffix(anyA, anyB) || strings.HasSuffix(anyB, anyA)
	case wildA:
		return strings.HasSuffix(b, anyA)
	case wildB:
		return strings.HasSuffix(a, anyB)
	}
	return a == b
}

// granted reports whether a route may lead to a backend: in another namespace only
// by a ReferenceGrant there.
func (s *services) granted(route *fact.Object, backend fact.Value) bool {
	ns := inNamespace(backend, route)
	if ns == route.InNamespace() || s.unseen[kindGrant] {
		return true
	}
	return slices.ContainsFunc(s.grants[ns], func(grant *fact.Object) bool {
		spec := grant.Root.Get(keySpec)
		from, to := false, false
		for f := range spec.Get(fact.K("from")).Children() {
			from = from || f.Get(keyGroup).Str() == route.Group && f.Get(keyKind).Str() == route.Kind && f.Get(keyNamespace).Str() == route.InNamespace()
		}
		for t := range spec.Get(fact.K("to")).Children() {
			name := t.Get(keyName).Str()
			to = to || t.Get(keyGroup).Str() == "" && t.Get(keyKind).Str() == "Service" && (name == "" || name == backend.Get(keyName).Str())
		}
		return from && to
	})
}
