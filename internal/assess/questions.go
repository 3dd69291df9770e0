package assess

import (
	"net/netip"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
)

// question is what an evaluation asked the world, as a number: the hash of it.
// That two questions may have one number costs an evaluation in vain, and never
// one that is missed.
//
// A question comes up again with every object that was in the answer, or is now:
// so an answer covers what is in the objects, too.
type question uint64

// ask makes a question of a letter for its sort, and what it is about.
func ask(sort byte, about ...string) question {
	h := (uint64(14695981039346656037) ^ uint64(sort)) * 1099511628211 // FNV-1a
	for _, s := range about {
		for i := range len(s) {
			h = (h ^ uint64(s[i])) * 1099511628211
		}
		h = (h ^ 0xff) * 1099511628211
	}
	return question(h)
}

func listed(kind, namespace string) question { return ask('l', kind, namespace) }
func found(r fact.Ref) question              { return ask('f', r.Group, r.Kind, r.Namespace, r.Name) }
func carrying(namespace string) question     { return ask('c', namespace) }
func bound(kind, namespace, name string) question {
	return ask('b', kind, namespace, name)
}
func labels(namespace, key, value string) question { return ask('w', namespace, key, value) }
func selects(kind, namespace string, label [2]string) question {
	return ask('s', kind, namespace, label[0], label[1])
}
func refers(kind string, to fact.Ref) question {
	return ask('r', kind, to.Group, to.Kind, to.Namespace, to.Name)
}
func aggregated() question { return ask('a') }
func rights() question     { return ask('R') } // anything about roles and bindings
func wired() question      { return ask('n') } // anything that decides who reaches whom
func anything() question   { return ask('*') }

// questions calls add with every question to which an object is part of the
// answer, or was.
func questions(o *fact.Object, add func(question)) {
	kind, ns := o.GroupKind(), o.InNamespace()
	add(anything())
	add(listed(kind, "*"))
	add(listed(kind, ns))
	add(found(o.Ref()))
	if k := workloadOf(o); k != nil {
		add(carrying(ns))
		for l := range k.labels.Children() {
			add(labels(ns, l.Key().String(), l.Text()))
		}
	}
	if s, ok := selectorOf(o); ok {
		add(selects(kind, ns, needed(s)))
	}
	if policing(o) || kind == "Namespace" || workloadOf(o) != nil {
		add(wired())
	}
	named(o, func(to fact.Ref) { add(refers(kind, to)) })
	if o.Group != rbac.Group {
		return
	}
	add(rights())
	switch o.Kind {
	case "ClusterRole":
		add(aggregated())
	case "RoleBinding", "ClusterRoleBinding":
		for s := range o.Root.Get(fact.K("subjects")).Children() {
			in := ""
			if s.Get(fact.K("kind")).Str() == "ServiceAccount" {
				if in = s.Get(fact.K("namespace")).Str(); in == "" {
					in = ns
				}
			}
			add(bound(s.Get(fact.K("kind")).Str(), in, s.Get(fact.K("name")).Str()))
		}
	}
}

// asking is the world as one evaluation sees it: it writes down what it is
// asked. Every method of control.World is here and says what its answer rests
// on; a new one whose footprint is not known must say that it rests on
// everything.
type asking struct {
	world *world
	asked []question
}

func (a *asking) ask(q question) { a.asked = append(a.asked, q) }

// Objects lists objects.
func (a *asking) Objects(kind, namespace string) []*fact.Object {
	a.ask(listed(kind, namespace))
	return a.world.Objects(kind, namespace)
}

// Find finds one object.
func (a *asking) Find(kind, namespace, name string) *fact.Object {
	group, bare := fact.InGroup(kind)
	a.ask(found(fact.Ref{Group: group, Kind: bare, Namespace: namespace, Name: name}))
	return a.world.Find(kind, namespace, name)
}

// Workloads lists what carries pods.
func (a *asking) Workloads(namespace string) []*fact.Object {
	a.ask(carrying(namespace))
	return a.world.Workloads(namespace)
}

// Selected finds what an object selects.
func (a *asking) Selected(o *fact.Object) []*fact.Object {
	if s, ok := selectorOf(o); ok {
		if k, v, ok := s.Equality(); ok {
			a.ask(labels(o.InNamespace(), k, v))
		} else {
			a.ask(carrying(o.InNamespace()))
		}
	}
	return a.world.Selected(o)
}

// Selecting finds what selects an object.
func (a *asking) Selecting(kind string, o *fact.Object) []*fact.Object {
	if k := workloadOf(o); k != nil {
		a.ask(selects(kind, o.InNamespace(), [2]string{}))
		for l := range k.labels.Children() {
			a.ask(selects(kind, o.InNamespace(), [2]string{l.Key().String(), l.Text()}))
		}
	}
	return a.world.Selecting(kind, o)
}

// Referring finds what names an object.
func (a *asking) Referring(kind string, o *fact.Object) []*fact.Object {
	a.ask(refers(kind, o.Ref()))
	return a.world.Referring(kind, o)
}

// ServiceAccount finds what pods run as.
func (a *asking) ServiceAccount(o *fact.Object) *fact.Object {
	return a.Find("ServiceAccount", o.InNamespace(), accountName(o))
}

// policing reports whether an object can limit or open what pods reach.
func policing(o *fact.Object) bool {
	switch o.Group {
	case "networking.k8s.io", "policy.networking.k8s.io", "cilium.io", "projectcalico.org", "crd.projectcalico.org",
		"security.istio.io", "policy.linkerd.io", "crd.antrea.io", "k8s.ovn.org":
		return true
	}
	return false
}

// MayReach asks what the policies allow. Other pods do not decide it, but how
// they are told apart from addresses may.
func (a *asking) MayReach(o *fact.Object, addr netip.Addr, protocol string, port uint16) (allowed, limited bool) {
	a.ask(wired())
	return a.world.MayReach(o, addr, protocol, port)
}

// Reaching asks which namespaces may connect.
func (a *asking) Reaching(o *fact.Object, protocol string, port uint16) []string {
	a.ask(wired())
	return a.world.Reaching(o, protocol, port)
}

// Role finds what a binding binds.
func (a *asking) Role(binding *fact.Object) *fact.Object {
	a.cluster()
	ref := binding.Root.Get(fact.K("roleRef"))
	role := fact.Ref{Group: rbac.Group, Kind: "ClusterRole", Name: ref.Get(fact.K("name")).Str()}
	if ref.Get(fact.K("kind")).Str() == "Role" {
		role.Kind, role.Namespace = "Role", binding.InNamespace()
	}
	a.ask(found(role))
	return a.world.Role(binding)
}

// Rules lists rules. Those of an aggregated role come from any ClusterRole.
func (a *asking) Rules(o *fact.Object) []fact.Value {
	role := o
	if o.Kind == "RoleBinding" || o.Kind == "ClusterRoleBinding" {
		role = a.Role(o)
	} else {
		a.cluster()
		a.ask(found(o.Ref())) // another of its name may be the one that counts
	}
	if role != nil && role.Root.Get(fact.K("aggregationRule")).Present() {
		a.ask(aggregated())
	}
	return a.world.Rules(o)
}

// Bindings finds what grants something to a service account, by its name or one
// of its groups.
func (a *asking) Bindings(o *fact.Object) []*fact.Object {
	a.cluster()
	ns, name := o.InNamespace(), accountName(o)
	a.ask(bound("ServiceAccount", ns, name))
	a.ask(bound("User", "", "system:serviceaccount:"+ns+":"+name))
	for _, group := range [...]string{"system:serviceaccounts", "system:serviceaccounts:" + ns, "system:authenticated"} {
		a.ask(bound("Group", "", group))
	}
	return a.world.Bindings(o)
}

// Of finds the object of a document, which the evaluation has from an answer
// before, or from its subject.
func (a *asking) Of(root fact.Value) *fact.Object { return a.world.Of(root) }

// asker is one evaluation that asked a question.
type asker struct {
	part *part
	run  uint32 // of the part; a later one asked anew
}

// askers finds who asked a question. Entries that are out of date stay until
// there are as many of them as of the others.
type askers struct {
	by         map[question][]asker
	live, held int
}

// note keeps what the present run of a part asked.
func (a *askers) note(p *part, asked []question) {
	for _, q := range asked {
		a.by[q] = append(a.by[q], asker{p, p.run})
	}
	p.asks = len(asked)
	a.live += p.asks
	a.held += p.asks
	if a.held > 2*a.live+4096 {
		a.sweep()
	}
}

// forget makes what a part asked out of date.
func (a *askers) forget(p *part) {
	a.live -= p.asks
	p.asks = 0
	p.run++
}

func (a *askers) sweep() {
	a.held = 0
	for q, list := range a.by {
		kept := list[:0]
		for _, x := range list {
			if x.run == x.part.run {
				kept = append(kept, x)
			}
		}
		clear(list[len(kept):])
		a.by[q] = kept
		a.held += len(kept)
		if len(kept) == 0 {
			delete(a.by, q)
		}
	}
}

// each calls f with every part whose present run asked a question.
func (a *askers) each(q question, f func(*part)) {
	for _, x := range a.by[q] {
		if x.run == x.part.run {
			f(x.part)
		}
	}
}
