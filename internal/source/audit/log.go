package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/fact"
)

// log is one log as it is read.
type log struct {
	source *Source
	file   string
	in     *bufio.Reader
	line   int
	buffer []byte
	gaps   int
	events int
	names  map[string]string // strings that repeat from event to event, once
}

// next reads one line and reports whether there may be more.
func (l *log) next() (bool, error) {
	l.line++
	l.buffer = l.buffer[:0]
	dropped := 0
	for {
		part, err := l.in.ReadSlice('\n')
		if len(l.buffer)+len(part) > maxLine {
			dropped += len(part)
		} else if dropped == 0 {
			l.buffer = append(l.buffer, part...)
		} else {
			dropped += len(part)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if dropped > 0 {
			if e := l.broken("line-too-long", "is longer than %d bytes and was left out", maxLine); e != nil {
				return false, e
			}
		} else if e := l.take(bytes.TrimSpace(l.buffer), err != nil); e != nil {
			return false, e
		}
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, io.EOF):
			return false, nil
		}
		return false, l.broken("unreadable", "cannot be read on: %v; what follows is missing", cause(err))
	}
}

// end tells of a log with nothing in it.
func (l *log) end() error {
	if l.gaps > maxGaps {
		return l.source.tell("more-gaps", l.file, 0, "has %d more places that cannot be read", l.gaps-maxGaps)
	}
	if l.events == 0 && l.gaps == 0 {
		return l.source.tell("no-events", l.file, 0, "holds no audit event")
	}
	return nil
}

// broken tells of a place that cannot be read. It never quotes the place: a log
// holds bodies of requests.
func (l *log) broken(kind, format string, args ...any) error {
	if l.gaps++; l.gaps > maxGaps {
		return nil
	}
	return l.source.tell(kind, l.file, l.line, format, args...)
}

// take reads one line. last says that it ends without a line end.
func (l *log) take(line []byte, last bool) error {
	if len(line) == 0 {
		return nil
	}
	var w wire
	if err := json.Unmarshal(line, &w); err != nil {
		return l.mend(line, last)
	}
	return l.decoded(&w)
}

// eventStart is how the API server begins an event.
var eventStart = []byte(`{"kind":"Event"`)

// mend tells of a line that is no JSON. Where a line was cut and the next one
// follows without a line end, the next one is still read.
func (l *log) mend(line []byte, last bool) error {
	if at := bytes.LastIndex(line, eventStart); at > 0 {
		var w wire
		if json.Unmarshal(line[at:], &w) == nil {
			if err := l.broken("cut-line", "is cut, and the next event follows in it; the first of the two is missing"); err != nil {
				return err
			}
			return l.decoded(&w)
		}
	}
	if last && line[0] == '{' {
		return l.broken("cut-line", "is cut: the log ends in the middle of an event")
	}
	if line[0] == '{' {
		return l.broken("cut-line", "is cut or damaged: an event is missing")
	}
	return l.broken("not-an-event", "is no JSON")
}

// wire is an event, or a list of them, in any version. Older versions name the
// time otherwise.
type wire struct {
	Kind                     string
	APIVersion               string `json:"apiVersion"`
	Level                    string
	AuditID                  string `json:"auditID"`
	Stage                    string
	RequestURI               string `json:"requestURI"`
	Verb                     string
	User                     wireUser
	ImpersonatedUser         *wireUser `json:"impersonatedUser"`
	SourceIPs                []string  `json:"sourceIPs"`
	UserAgent                string    `json:"userAgent"`
	ObjectRef                *wireObject
	ResponseStatus           *struct{ Code int }
	RequestReceivedTimestamp string `json:"requestReceivedTimestamp"`
	StageTimestamp           string `json:"stageTimestamp"`
	Timestamp                string
	Annotations              map[string]string
	Items                    []json.RawMessage
}

type wireUser struct {
	Username string
	Groups   []string
}

type wireObject struct {
	Resource, Namespace, Name, APIGroup, APIVersion, Subresource string
}

// decoded reports what a line holds.
func (l *log) decoded(w *wire) error {
	group, version, _ := strings.Cut(w.APIVersion, "/")
	switch version {
	case "v1", "v1beta1", "v1alpha1":
	default:
		group = ""
	}
	if group != "audit.k8s.io" {
		return l.broken("not-an-event", "is no event of audit.k8s.io/v1, v1beta1 or v1alpha1")
	}
	switch w.Kind {
	case "EventList":
		for _, item := range w.Items {
			var one wire
			if err := json.Unmarshal(item, &one); err != nil {
				if err := l.broken("not-an-event", "has an item that is no event"); err != nil {
					return err
				}
				continue
			}
			if err := l.emit(&one); err != nil {
				return err
			}
		}
		return nil
	case "Event":
		return l.emit(w)
	}
	return l.broken("not-an-event", "is neither an Event nor an EventList")
}

// emit hands on one event.
func (l *log) emit(w *wire) error {
	at, err := w.time()
	// Whom the API server did not let in has no name.
	stranger := w.ResponseStatus != nil && w.ResponseStatus.Code == http.StatusUnauthorized
	if err != nil || w.Verb == "" || w.User.Username == "" && !stranger {
		return l.broken("not-an-event", "has an event without %s", missing(w, err))
	}
	l.events++
	e := &fact.AuditEvent{
		ID: w.AuditID, Level: l.once(w.Level), Stage: l.once(w.Stage), Time: at, User: l.caller(&w.User), Verb: l.once(w.Verb),
		URI: w.RequestURI, Annotations: w.Annotations, Decision: l.once(w.Annotations["authorization.k8s.io/decision"]),
		Reason: l.once(w.Annotations["authorization.k8s.io/reason"]), UserAgent: l.once(w.UserAgent),
		Origin: fact.Origin{Source: Name, File: l.file}, Line: l.line,
	}
	for _, ip := range w.SourceIPs {
		e.SourceIPs = append(e.SourceIPs, l.once(ip))
	}
	if w.ImpersonatedUser != nil {
		e.Impersonated = l.caller(w.ImpersonatedUser)
	}
	if w.ResponseStatus != nil {
		e.Code = w.ResponseStatus.Code
	}
	if o := w.ObjectRef; o != nil {
		e.Object = fact.AuditObject{
			Group: l.once(o.APIGroup), Version: l.once(o.APIVersion), Resource: l.once(o.Resource), Subresource: l.once(o.Subresource),
			Namespace: l.once(o.Namespace), Name: o.Name,
		}
		if g, v, ok := strings.Cut(o.APIVersion, "/"); ok && o.APIGroup == "" { // v1alpha1
			e.Object.Group, e.Object.Version = l.once(g), l.once(v)
		}
	}
	return l.source.event(e)
}

func missing(w *wire, err error) string {
	switch {
	case err != nil:
		return "a time that can be read"
	case w.Verb == "":
		return "a verb"
	}
	return "a user"
}

// time returns when the stage was reached.
func (w *wire) time() (time.Time, error) {
	for _, text := range [...]string{w.StageTimestamp, w.RequestReceivedTimestamp, w.Timestamp} {
		if text != "" {
			t, err := time.Parse(time.RFC3339Nano, text)
			return t.UTC(), err
		}
	}
	return time.Time{}, errors.New("no time")
}

func (l *log) caller(u *wireUser) fact.Caller {
	c := fact.Caller{Name: l.once(u.Username)}
	if len(u.Groups) > 0 {
		c.Groups = make([]string, len(u.Groups))
		for i, g := range u.Groups {
			c.Groups[i] = l.once(g)
		}
	}
	return c
}

// maxNames bounds the strings that are kept to be shared.
const maxNames = 1 << 16

// once returns a string that is kept once for all events.
func (l *log) once(s string) string {
	if s == "" {
		return ""
	}
	if known, ok := l.names[s]; ok {
		return known
	}
	if len(l.names) >= maxNames {
		return s
	}
	l.names[s] = s
	return s
}
