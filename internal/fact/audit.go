package fact

import "time"

// AuditEvent is one entry of an API server's audit log, in the shape of its
// newest version. It has no body of a request or response. It is immutable.
type AuditEvent struct {
	ID           string
	Level, Stage string
	Time         time.Time // when the stage was reached, or else when the request came
	User         Caller    // no name: one whom the API server did not let in, code 401
	Impersonated Caller    // no name: nobody
	Verb         string
	Object       AuditObject // no resource: the request is for a URL
	URI          string      // with the query
	Code         int         // of the response; 0 while there is none
	Decision     string      // of the authorizer: "allow", "forbid", or "" where the log does not say
	Reason       string
	Annotations  map[string]string // all, those two included
	SourceIPs    []string
	UserAgent    string
	Origin       Origin
	Line         int // in the file, from 1
}

// Caller is who sent a request.
type Caller struct {
	Name   string
	Groups []string
}

// AuditObject is what a request is about.
type AuditObject struct {
	Group, Version, Resource, Subresource, Namespace, Name string
}

// As returns the caller whose rights counted: the one impersonated, if any.
func (e *AuditEvent) As() Caller {
	if e.Impersonated.Name != "" {
		return e.Impersonated
	}
	return e.User
}
