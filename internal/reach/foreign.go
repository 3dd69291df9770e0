package reach

import (
	"github.com/merlon-security/merlon/internal/fact"
)

// Foreign is a policy of a plug-in or a mesh, which this package does not
// evaluate. It taints the answers that it could change.
type Foreign struct {
	Object *fact.Object
	wide   bool // it may be about any namespace
}

// foreignKinds are the policies known not to be evaluated; true for those that
// are about the whole cluster.
var foreignKinds = map[string]bool{
	"cilium.io/CiliumNetworkPolicy": false, "cilium.io/CiliumClusterwideNetworkPolicy": true,
	"projectcalico.org/NetworkPolicy": false, "projectcalico.org/GlobalNetworkPolicy": true,
	"crd.projectcalico.org/NetworkPolicy": false, "crd.projectcalico.org/GlobalNetworkPolicy": true,
	"projectcalico.org/StagedNetworkPolicy": false, "projectcalico.org/HostEndpoint": true,
	"security.istio.io/AuthorizationPolicy": false, "security.istio.io/PeerAuthentication": false,
	"networking.istio.io/Sidecar":           false,
	"policy.linkerd.io/Server":              false,
	"policy.linkerd.io/ServerAuthorization": false, "policy.linkerd.io/AuthorizationPolicy": false,
	"crd.antrea.io/NetworkPolicy": false, "crd.antrea.io/ClusterNetworkPolicy": true,
	"k8s.ovn.org/EgressFirewall": false, "k8s.cni.cncf.io/MultiNetworkPolicy": false,
	"crd.nsx.vmware.com/SecurityPolicy": false,
}

// meshRoot is the namespace whose mesh policies are about all.
const meshRoot = "istio-system"

func readForeign(objects []*fact.Object) []*Foreign {
	var out []*Foreign
	for _, o := range objects {
		wide, known := foreignKinds[o.GroupKind()]
		if known {
			out = append(out, &Foreign{o, wide || o.InNamespace() == meshRoot && o.Group != "cilium.io"})
		}
	}
	return out
}

func (f *Foreign) gap() fact.Gap {
	about := "namespace " + clip(f.Object.InNamespace())
	if f.wide {
		about = "any namespace"
	}
	return gapAt(f.Object, fact.Value{}, "not-evaluated", f.Object.GroupKind()+" is not evaluated: it may allow less, or more, than is told for "+about)
}

// isUnordered reports whether a policy or another of its priority may come first.
func (m *Model) isUnordered(p *Policy) bool {
	if m.unordered[p] != nil {
		return true
	}
	for _, first := range m.unordered {
		if first == p {
			return true
		}
	}
	return false
}

// Taints returns what could make the answers about an endpoint differ from what
// is told: policies that are not evaluated, or not in whole.
func (m *Model) Taints(endpoint int) []*fact.Object {
	var out []*fact.Object
	e := m.Endpoints[endpoint]
	for _, f := range m.foreign {
		if f.wide || f.Object.InNamespace() == e.Namespace {
			out = append(out, f.Object)
		}
	}
	if m.ignores != nil && (m.Protected(Ingress, endpoint) || m.Protected(Egress, endpoint)) {
		out = append(out, m.ignores.Object)
	}
	for _, p := range m.Policies {
		if (p.tainted || m.isUnordered(p)) && (p.selected.has(endpoint) || !p.subject.pods) {
			out = append(out, p.Object)
		}
	}
	return out
}
