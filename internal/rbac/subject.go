package rbac

import (
	"fmt"
	"slices"
	"strings"
)

// SubjectKind tells the three sorts of subject of a binding apart. Their values
// are those of a subject's kind.
type SubjectKind string

// The kinds of subject.
const (
	UserKind           SubjectKind = "User"
	GroupKind          SubjectKind = "Group"
	ServiceAccountKind SubjectKind = "ServiceAccount"
)

// The names that the API server gives to everybody, or treats apart. Source:
// k8s.io/apiserver/pkg/authentication/user.
const (
	Masters         = "system:masters"
	Authenticated   = "system:authenticated"
	Unauthenticated = "system:unauthenticated"
	ServiceAccounts = "system:serviceaccounts"
	Nodes           = "system:nodes"
	Anonymous       = "system:anonymous"
	accountPrefix   = "system:serviceaccount:"
	nodePrefix      = "system:node:"
)

// Subject is whom a binding can name. Namespace is that of a service account.
type Subject struct {
	Kind            SubjectKind
	Namespace, Name string
}

// String returns the form that people type: a user's name, group:NAME,
// sa NAMESPACE/NAME.
func (s Subject) String() string {
	switch s.Kind {
	case GroupKind:
		return "group:" + s.Name
	case ServiceAccountKind:
		return "sa " + s.Namespace + "/" + s.Name
	}
	return "user " + s.Name
}

// ParseSubject reads a subject as people type it: `user NAME` or NAME,
// `group:NAME` or `group NAME`, `sa NAMESPACE/NAME` or
// system:serviceaccount:NAMESPACE:NAME.
func ParseSubject(text string) (Subject, error) {
	kind, name, worded := strings.Cut(strings.TrimSpace(text), " ")
	switch name = strings.TrimSpace(name); {
	case worded && kind == "user":
		text = name
	case worded && kind == "group":
		return named(Subject{Kind: GroupKind, Name: name})
	case worded && (kind == "sa" || kind == "serviceaccount"):
		return account(name)
	}
	if name, ok := strings.CutPrefix(text, "group:"); ok {
		return named(Subject{Kind: GroupKind, Name: name})
	}
	for _, prefix := range [...]string{"sa:", "serviceaccount:"} {
		if name, ok := strings.CutPrefix(text, prefix); ok {
			return account(name)
		}
	}
	text, _ = strings.CutPrefix(text, "user:")
	return named(userSubject(text))
}

func named(s Subject) (Subject, error) {
	if s.Name == "" {
		return s, fmt.Errorf("the subject has no name; write a user's NAME, group:NAME, or sa NAMESPACE/NAME")
	}
	return s, nil
}

func account(name string) (Subject, error) {
	ns, name, ok := strings.Cut(name, "/")
	if !ok || ns == "" || name == "" || strings.Contains(name, "/") {
		return Subject{}, fmt.Errorf("a service account is written sa NAMESPACE/NAME")
	}
	return Subject{Kind: ServiceAccountKind, Namespace: ns, Name: name}, nil
}

// userSubject returns the subject of a user name, which may be a service
// account's. Source: k8s.io/apiserver/pkg/authentication/serviceaccount.
func userSubject(name string) Subject {
	if rest, ok := strings.CutPrefix(name, accountPrefix); ok {
		ns, sa, ok := strings.Cut(rest, ":")
		if ok && ns != "" && sa != "" && !strings.Contains(sa, ":") {
			return Subject{Kind: ServiceAccountKind, Namespace: ns, Name: sa}
		}
	}
	return Subject{Kind: UserKind, Name: name}
}

// User is who asks: what the API server knows of a caller once it is
// authenticated.
type User struct {
	Name   string
	Groups []string
}

// User returns the caller that a subject is, in every group that the system puts
// it into. A group stands for somebody in it of whom nothing else is known.
func (s Subject) User() User {
	switch s.Kind {
	case ServiceAccountKind:
		return User{
			Name:   accountPrefix + s.Namespace + ":" + s.Name,
			Groups: []string{ServiceAccounts, ServiceAccounts + ":" + s.Namespace, Authenticated},
		}
	case GroupKind:
		switch {
		case s.Name == Authenticated || s.Name == Unauthenticated:
			return User{Groups: []string{s.Name}}
		case strings.HasPrefix(s.Name, ServiceAccounts+":"):
			return User{Groups: []string{s.Name, ServiceAccounts, Authenticated}}
		}
		return User{Groups: []string{s.Name, Authenticated}}
	}
	switch {
	case s.Name == Anonymous:
		return User{Name: s.Name, Groups: []string{Unauthenticated}}
	case strings.HasPrefix(s.Name, nodePrefix):
		return User{Name: s.Name, Groups: []string{Nodes, Authenticated}}
	}
	return User{Name: s.Name, Groups: []string{Authenticated}}
}

// Subject returns the subject that the user is by name.
func (u User) Subject() Subject { return userSubject(u.Name) }

// subjects returns every subject that the user is, by name first.
func (u User) subjects() []Subject {
	var out []Subject
	if u.Name != "" {
		out = append(out, userSubject(u.Name))
	}
	for _, g := range u.Groups {
		out = append(out, Subject{Kind: GroupKind, Name: g})
	}
	return out
}

// node returns the name of the node that the user is, or "". Source:
// kubernetes/pkg/auth/nodeidentifier.
func (u User) node() string {
	name, ok := strings.CutPrefix(u.Name, nodePrefix)
	if !ok || !slices.Contains(u.Groups, Nodes) {
		return ""
	}
	return name
}

// sortsBy returns the place of the subject's kind among kinds, and what it is
// ordered by first within it.
func (s *Subject) sortsBy() (int, string) {
	switch s.Kind {
	case GroupKind:
		return 0, s.Name
	case ServiceAccountKind:
		return 1, s.Namespace
	}
	return 2, s.Name
}

// compare orders subjects: groups, service accounts, users, by name.
func (s *Subject) compare(t *Subject) int {
	if s == t {
		return 0
	}
	if s.Kind != t.Kind {
		return strings.Compare(string(s.Kind), string(t.Kind))
	}
	if s.Namespace != t.Namespace {
		return strings.Compare(s.Namespace, t.Namespace)
	}
	return strings.Compare(s.Name, t.Name)
}
