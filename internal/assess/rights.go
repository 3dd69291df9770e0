package assess

import (
	"fmt"
	"slices"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/rbac"
)

// subjects judges everybody whom a binding of the input names, once. Those whom
// only bindings of every cluster name are known and left out.
func (k *worker) subjects() {
	if len(k.engine.planEach(control.EachSubject).groups) == 0 {
		return
	}
	for _, i := range k.world.identities() {
		k.identity(i)
	}
}

func (k *worker) identity(i control.Identity) {
	k.run(k.engine.planEach(control.EachSubject), control.Subject{Identity: &i})
}

func (w *world) identities() []control.Identity {
	var out []control.Identity
	for _, s := range w.rbac().Given() {
		out = append(out, control.Identity{Kind: string(s.Kind), Namespace: s.Namespace, Name: s.Name})
	}
	return out
}

// subjectOf returns the API group and the subject of a finding about somebody.
func subjectOf(i *control.Identity) (string, finding.Subject) {
	s := finding.Subject{APIVersion: rbac.Group + "/v1", Kind: i.Kind, Namespace: i.Namespace, Name: i.Name}
	if i.Kind == string(rbac.ServiceAccountKind) {
		s.APIVersion = "v1"
		return "", s
	}
	return rbac.Group, s
}

// placed returns where a value of some object stands.
func (k *worker) placed(v fact.Value) finding.Location {
	o := k.world.Of(v.Root())
	if o == nil {
		return finding.Location{}
	}
	at, _ := o.At(v)
	return written(at)
}

func request(q control.Question) (rbac.Request, error) {
	r, err := rbac.ParseRequest(q.Verb, q.Resource)
	r.Namespace, r.Name = q.Namespace, q.Name
	return r, err
}

func subject(i control.Identity) rbac.Subject {
	return rbac.Subject{Kind: rbac.SubjectKind(i.Kind), Namespace: i.Namespace, Name: i.Name}
}

// Can reports whether somebody may do something.
func (w *world) Can(who control.Identity, q control.Question) (bool, error) {
	r, err := request(q)
	if err != nil {
		return false, err
	}
	x, s := w.rbac(), subject(who)
	if isNode(s) {
		x = w.nodes() // what a node may do depends on what runs on it
	}
	if q.Namespace != "*" {
		return x.Can(s.User(), r), nil
	}
	r.Namespace = ""
	if x.Can(s.User(), r) {
		return true, nil
	}
	for _, of := range append([]rbac.Subject{s}, groupsOf(s)...) {
		for _, r.Namespace = range x.Namespaces(of) {
			if x.Can(s.User(), r) {
				return true, nil
			}
		}
	}
	return false, nil
}

func isNode(s rbac.Subject) bool {
	return s.Kind == rbac.GroupKind && s.Name == rbac.Nodes || slices.Contains(s.User().Groups, rbac.Nodes)
}

func groupsOf(s rbac.Subject) []rbac.Subject {
	var out []rbac.Subject
	for _, g := range s.User().Groups {
		out = append(out, rbac.Subject{Kind: rbac.GroupKind, Name: g})
	}
	return out
}

// Held returns how a binding of its own lets somebody do something.
func (w *world) Held(who control.Identity, q control.Question) ([]control.Grant, error) {
	r, err := request(q)
	if err != nil {
		return nil, err
	}
	var out []control.Grant
	for _, g := range w.rbac().Held(subject(who), r) {
		text := fmt.Sprintf("%s %s binds %s %s", g.Binding.Kind, g.Binding.Name, g.Role.Kind, g.Role.Name)
		if g.From != g.Role {
			text += ", which aggregates " + g.From.Name
		}
		if g.Namespace != "" {
			text += ", in " + g.Namespace
		} else {
			text += ", everywhere"
		}
		out = append(out, control.Grant{Binding: g.Binding, Role: g.Role, Rule: g.Rule, Namespace: g.Namespace, Text: text})
	}
	return out, nil
}

// Who returns everybody who may do something, those aside whom only bindings of
// every cluster name.
func (w *world) Who(q control.Question) ([]control.Identity, error) {
	r, err := request(q)
	if err != nil {
		return nil, err
	}
	grants := w.rbac().Who
	if r.Namespace == "*" {
		grants = w.rbac().Anywhere
	}
	var out []control.Identity
	for _, g := range grants(r) {
		if g.Binding == nil || rbac.IsDefault(g.Binding) {
			continue
		}
		i := control.Identity{Kind: string(g.Subject.Kind), Namespace: g.Subject.Namespace, Name: g.Subject.Name}
		if n := len(out); n == 0 || out[n-1] != i {
			out = append(out, i)
		}
	}
	return out, nil
}

// Can, Held and Who rest on who is bound and on the roles.

// Can asks what somebody may do: of a node, everything has a say.
func (a *asking) Can(who control.Identity, q control.Question) (bool, error) {
	s := subject(who)
	if isNode(s) {
		a.ask(anything())
	}
	for _, of := range append([]rbac.Subject{s}, groupsOf(s)...) {
		a.holds(of)
	}
	return a.world.Can(who, q)
}

// Held asks by which bindings of its own somebody may do something.
func (a *asking) Held(who control.Identity, q control.Question) ([]control.Grant, error) {
	a.holds(subject(who))
	return a.world.Held(who, q)
}

// Who asks about everybody.
func (a *asking) Who(q control.Question) ([]control.Identity, error) {
	a.ask(rights())
	return a.world.Who(q)
}

// holds asks for the bindings of a subject, and their roles.
func (a *asking) holds(s rbac.Subject) {
	a.cluster()
	a.ask(bound(string(s.Kind), s.Namespace, s.Name))
	if s.Kind == rbac.ServiceAccountKind {
		a.ask(bound(string(rbac.UserKind), "", s.User().Name))
	}
	for _, b := range a.world.rbac().Bindings(s) {
		a.Rules(b)
	}
}

// cluster asks whether the input is all that a cluster has, so that roles which
// are not in it are nowhere.
func (a *asking) cluster() {
	a.ask(found(fact.Ref{Group: rbac.Group, Kind: "ClusterRole", Name: "cluster-admin"}))
}
