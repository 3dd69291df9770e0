// Package least finds, from what somebody did, the least rights with which they
// could have done it, and proves it.
package least

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
)

// Use is one thing that somebody did, or was refused, however often.
type Use struct {
	User        rbac.User
	Request     rbac.Request
	Allowed     bool
	First, Last time.Time
	Count       int
}

// MaxUses is how many different uses a record keeps.
const MaxUses = 2_000_000

// Record is what an audit log says about the use of rights. The zero Record is
// empty; it is not safe for concurrent use.
type Record struct {
	From, To time.Time // of all events, whoever sent them
	Events   int       // requests that were decided upon
	Left     int       // uses beyond MaxUses, which were left out

	uses  map[useKey]*Use
	hours map[int64]bool // in which there is an event
}

// Silence is a time without any event.
type Silence struct{ From, To time.Time }

// Silences returns the times of a day or more in which the log has no event at
// all: parts of it are missing, or nothing happened.
func (r *Record) Silences() []Silence {
	hours := slices.Sorted(maps.Keys(r.hours))
	var out []Silence
	for i := 1; i < len(hours); i++ {
		if hours[i]-hours[i-1] > 24 {
			out = append(out, Silence{time.Unix((hours[i-1]+1)*3600, 0).UTC(), time.Unix(hours[i]*3600, 0).UTC()})
		}
	}
	return out
}

// Covered returns the time between the first event and the last, without
// silences.
func (r *Record) Covered() time.Duration {
	d := r.To.Sub(r.From)
	for _, s := range r.Silences() {
		d -= s.To.Sub(s.From)
	}
	return d
}

type useKey struct {
	name, groups string
	request      rbac.Request
	allowed      bool
}

// Add takes in one event. keep, if not nil, says whose uses are kept.
func (r *Record) Add(e *fact.AuditEvent, keep func(rbac.User) bool) {
	if r.From.IsZero() || e.Time.Before(r.From) {
		r.From = e.Time
	}
	if e.Time.After(r.To) {
		r.To = e.Time
	}
	if r.hours == nil {
		r.hours = map[int64]bool{}
	}
	r.hours[e.Time.Unix()/3600] = true
	allowed, decided := decision(e)
	if !decided {
		return
	}
	r.Events++
	for _, u := range requests(e, allowed) {
		if keep == nil || keep(u.User) {
			r.add(u, e.Time)
		}
	}
}

// decision says what the authorizer said. A log without its annotation says so
// by the response; an event of a request that was only received says nothing yet.
func decision(e *fact.AuditEvent) (allowed, known bool) {
	switch {
	case e.Decision == "allow":
		return true, true
	case e.Decision == "forbid":
		return false, true
	case e.Code == 401, e.Stage == "RequestReceived":
		return false, false
	}
	return e.Code != 403, true
}

func (r *Record) add(u Use, at time.Time) {
	key := useKey{u.User.Name, strings.Join(u.User.Groups, "\x00"), u.Request, u.Allowed}
	known := r.uses[key]
	if known == nil {
		if len(r.uses) >= MaxUses {
			r.Left++
			return
		}
		if r.uses == nil {
			r.uses = map[useKey]*Use{}
		}
		u.First, u.Last = at, at
		known = &u
		r.uses[key] = known
	}
	known.Count++
	if at.Before(known.First) {
		known.First = at
	}
	if at.After(known.Last) {
		known.Last = at
	}
}

// Uses returns what was done, in order.
func (r *Record) Uses() []Use {
	out := make([]Use, 0, len(r.uses))
	for _, u := range r.uses {
		out = append(out, *u)
	}
	slices.SortFunc(out, func(a, b Use) int {
		return cmp.Or(
			strings.Compare(a.User.Name, b.User.Name), compareRequests(a.Request, b.Request), cmp.Compare(btoi(a.Allowed), btoi(b.Allowed)),
			slices.Compare(a.User.Groups, b.User.Groups),
		)
	})
	return out
}

func compareRequests(a, b rbac.Request) int {
	return cmp.Or(
		strings.Compare(a.Path, b.Path), strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Group, b.Group), strings.Compare(a.Resource, b.Resource),
		strings.Compare(a.Subresource, b.Subresource), strings.Compare(a.Name, b.Name), strings.Compare(a.Verb, b.Verb), strings.Compare(a.Fields, b.Fields),
	)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// requests returns what the authorizer was asked for an event: the request
// itself, and, before it, whether the caller may act as somebody else.
func requests(e *fact.AuditEvent, allowed bool) []Use {
	var out []Use
	if e.Impersonated.Name != "" {
		caller := rbac.User{Name: e.User.Name, Groups: e.User.Groups}
		for _, q := range impersonations(e.Impersonated) {
			out = append(out, Use{User: caller, Request: q, Allowed: true}) // else nobody would be impersonated
		}
	}
	as := e.As()
	return append(out, Use{User: rbac.User{Name: as.Name, Groups: as.Groups}, Request: requestOf(e), Allowed: allowed})
}

// impersonations are the rights that it takes to act as somebody. Groups that the
// system adds by itself are not asked about. Source:
// k8s.io/apiserver/pkg/endpoints/filters, impersonation.
func impersonations(c fact.Caller) []rbac.Request {
	subject := rbac.User{Name: c.Name}.Subject()
	q := rbac.Request{Verb: "impersonate", Resource: "users", Name: c.Name}
	if subject.Kind == rbac.ServiceAccountKind {
		q = rbac.Request{Verb: "impersonate", Resource: "serviceaccounts", Namespace: subject.Namespace, Name: subject.Name}
	}
	out := []rbac.Request{q}
	implied := subject.User().Groups
	for _, g := range c.Groups {
		if !slices.Contains(implied, g) {
			out = append(out, rbac.Request{Verb: "impersonate", Resource: "groups", Name: g})
		}
	}
	return out
}

// requestOf returns what the authorizer was asked. The log names a new object by
// the name that it got; the authorizer was asked without.
func requestOf(e *fact.AuditEvent) rbac.Request {
	o := e.Object
	if o.Resource == "" {
		path, _, _ := strings.Cut(e.URI, "?")
		return rbac.Request{Verb: e.Verb, Path: cmp.Or(path, "/")}
	}
	q := rbac.Request{Verb: e.Verb, Group: o.Group, Resource: o.Resource, Subresource: o.Subresource, Namespace: o.Namespace, Name: o.Name}
	if as := e.As(); (rbac.User{Name: as.Name, Groups: as.Groups}).IsNode() {
		q.Fields = fieldsOf(e) // only the Node authorizer looks at them
	}
	if e.Verb == "create" && o.Subresource == "" {
		q.Name = ""
		if path, _, _ := strings.Cut(e.URI, "?"); path != "" && !strings.Contains(path, "/namespaces/") {
			q.Namespace = ""
		}
	}
	return q
}

// fieldsOf returns the field selector of a list, or "". Source:
// k8s.io/apiserver/pkg/endpoints/request: only these verbs have one.
func fieldsOf(e *fact.AuditEvent) string {
	_, query, _ := strings.Cut(e.URI, "?")
	values, err := url.ParseQuery(query)
	if err != nil || e.Verb != "list" && e.Verb != "watch" && e.Verb != "deletecollection" {
		return ""
	}
	return values.Get("fieldSelector")
}
