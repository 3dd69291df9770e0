package rbac

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/merlon-security/merlon/internal/fact"
)

// ParseRequest reads a question as people type it: a verb, and a resource as
// RESOURCE[.GROUP][/SUBRESOURCE], or a URL that begins with "/". The group of a
// resource of Kubernetes itself may be left out; a dot at the end says that
// there is none.
func ParseRequest(verb, resource string) (Request, error) {
	if verb == "" || resource == "" {
		return Request{}, fmt.Errorf("a question needs a verb and a resource")
	}
	if strings.HasPrefix(resource, "/") {
		return Request{Verb: verb, Path: resource}, nil
	}
	q := Request{Verb: verb}
	resource, q.Subresource, _ = strings.Cut(resource, "/")
	var grouped bool
	q.Resource, q.Group, grouped = strings.Cut(resource, ".")
	if q.Resource == "" {
		return Request{}, fmt.Errorf("%q names no resource", resource)
	}
	if grouped || q.Resource == "*" {
		return q, nil
	}
	group, known := resourceGroups()[q.Resource]
	if !known {
		return Request{}, fmt.Errorf("%s is no resource of Kubernetes itself: write its group too, %s.GROUP", q.Resource, q.Resource)
	}
	q.Group = group
	return q, nil
}

// moreResources are resources that no default role names.
const moreResources = `ClusterRole more
  get on podtemplates,componentstatuses in core
  impersonate on users,groups in core
  impersonate on uids,userextras in authentication.k8s.io
  get on clusterrolebindings in rbac.authorization.k8s.io
  get on priorityclasses in scheduling.k8s.io
  get on prioritylevelconfigurations,flowschemas in flowcontrol.apiserver.k8s.io
  get on mutatingwebhookconfigurations,validatingwebhookconfigurations,validatingadmissionpolicies,validatingadmissionpolicybindings,mutatingadmissionpolicies,mutatingadmissionpolicybindings in admissionregistration.k8s.io
  get on ingressclasses,servicecidrs,ipaddresses in networking.k8s.io
  get on customresourcedefinitions in apiextensions.k8s.io
  get on apiservices in apiregistration.k8s.io
  get on selfsubjectreviews in authentication.k8s.io
  use on podsecuritypolicies in policy
`

// resourceGroups returns the group of each resource that Kubernetes has, without
// groups that are gone.
var resourceGroups = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for _, o := range append(slices.Clip(defaults()), parseDefaults(moreResources)...) {
		for _, r := range compileRules(o) {
			for _, name := range r.resources {
				name, _, _ = strings.Cut(name, "/")
				for _, g := range r.groups {
					old, taken := out[name]
					if g != "extensions" && (!taken || old != "" && g == "") {
						out[name] = g
					}
				}
			}
		}
	}
	delete(out, "*")
	return out
})

// Atoms returns every single right that a rule gives, in the scope of a binding,
// as the question that it answers: a wildcard stands for itself, which only a
// wildcard allows.
func Atoms(rule fact.Value, namespace string) []Request {
	o := fact.Object{Root: rule}
	r := (&compiler{}).rule(rule, &o)
	var out []Request
	for _, verb := range r.verbs {
		for _, path := range r.paths {
			if namespace == "" {
				out = append(out, Request{Verb: verb, Path: path})
			}
		}
		for _, group := range r.groups {
			for _, resource := range r.resources {
				q := Request{Verb: verb, Group: group, Namespace: namespace}
				q.Resource, q.Subresource, _ = strings.Cut(resource, "/")
				if len(r.names) == 0 {
					out = append(out, q)
				}
				for _, q.Name = range r.names {
					out = append(out, q)
				}
			}
		}
	}
	return out
}

// Covers reports whether a single right, as Atoms returns it, allows a request.
func (q Request) Covers(other Request) bool {
	if q.Namespace != "" && (other.Path != "" || q.Namespace != other.Namespace) {
		return false
	}
	word := q.Resource
	if q.Subresource != "" {
		word += "/" + q.Subresource
	}
	r := rule{verbs: []string{q.Verb}, groups: []string{q.Group}, resources: []string{word}}
	if q.Path != "" {
		r = rule{verbs: []string{q.Verb}, paths: []string{q.Path}}
	}
	if q.Name != "" {
		r.names = []string{q.Name}
	}
	r.mark()
	a := ask(other)
	return r.allows(&a)
}
