package json

import (
	"maps"
	"slices"
	"strconv"

	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
)

// encoder writes findings field by field: a large report holds a hundred
// thousand of them, and reflection costs more than judging them did. A test
// holds it equal to encoding/json on every field.
type encoder struct {
	texts map[string][]byte // long texts that many findings share, encoded
	names []string          // room for the keys of a map
	err   error
}

// longText is from which length on a text is worth remembering.
const longText = 64

func (e *encoder) finding(b []byte, f *finding.Finding) []byte {
	b = append(b, `{"id":`...)
	b = e.text(b, f.ID)
	b = e.named(b, "control", f.Control)
	b = e.named(b, "family", f.Family)
	b = e.named(b, "title", f.Title)
	b = e.named(b, "severity", f.Severity.String())
	b = e.named(b, "verdict", string(f.Verdict))
	b = e.subject(append(b, `,"subject":`...), &f.Subject)
	b = e.location(append(b, `,"location":`...), &f.Location)
	if len(f.Evidence) > 0 {
		b = append(b, `,"evidence":`...)
		b = each(b, f.Evidence, func(b []byte, x *finding.Evidence) []byte {
			b = e.text(append(b, `{"path":`...), x.Path)
			return append(e.named(b, "value", x.Value), '}')
		})
	}
	b = e.named(b, "message", f.Message)
	b = strconv.AppendInt(append(b, `,"count":`...), int64(f.Count), 10)
	if f.Pods != 0 {
		b = strconv.AppendInt(append(b, `,"pods":`...), int64(f.Pods), 10)
	}
	if len(f.ManagedBy) > 0 {
		b = e.rest(append(b, `,"managedBy":`...), f.ManagedBy)
	}
	if len(f.Also) > 0 {
		b = each(append(b, `,"also":`...), f.Also, e.location)
	}
	if len(f.Worlds) > 0 {
		b = each(append(b, `,"worlds":`...), f.Worlds, func(b []byte, w *string) []byte { return e.text(b, *w) })
	}
	if f.Rendered != nil {
		b = e.rest(append(b, `,"rendered":`...), f.Rendered)
	}
	if len(f.Frameworks) > 0 {
		b = e.frameworks(append(b, `,"frameworks":`...), f.Frameworks)
	}
	b = e.optional(b, "why", f.Why)
	b = e.optional(b, "fix", f.Fix)
	if w := f.Waived; w != nil {
		b = append(b, `,"waived":`...)
		b = e.rest(b, w)
	}
	if f.Baseline {
		b = append(b, `,"baseline":true`...)
	}
	return append(b, '}')
}

func (e *encoder) subject(b []byte, s *finding.Subject) []byte {
	b = append(b, '{')
	for _, x := range [...]struct {
		name, value string
		always      bool
	}{
		{"cluster", s.Cluster, false}, {"apiVersion", s.APIVersion, false}, {"kind", s.Kind, true},
		{"namespace", s.Namespace, false}, {"name", s.Name, true}, {"container", s.Container, false},
	} {
		if x.value == "" && !x.always {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), x.name...), `":`...)
		b = e.text(b, x.value)
	}
	return append(b, '}')
}

func (e *encoder) location(b []byte, l *finding.Location) []byte {
	b = append(b, '{')
	if l.File != "" {
		b = e.text(append(b, `"file":`...), l.File)
	}
	for _, x := range [...]struct {
		name  string
		value uint32
	}{{"line", l.Line}, {"column", l.Column}} {
		if x.value == 0 {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), x.name...), `":`...)
		b = strconv.AppendUint(b, uint64(x.value), 10)
	}
	return append(b, '}')
}

func (e *encoder) frameworks(b []byte, m map[string][]string) []byte {
	e.names = slices.AppendSeq(e.names[:0], maps.Keys(m))
	slices.Sort(e.names)
	b = append(b, '{')
	for i, name := range e.names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(e.text(b, name), ':')
		if m[name] == nil {
			b = append(b, "null"...)
			continue
		}
		b = each(b, m[name], func(b []byte, item *string) []byte { return e.text(b, *item) })
	}
	return append(b, '}')
}

// each appends a list.
func each[T any](b []byte, list []T, one func([]byte, *T) []byte) []byte {
	b = append(b, '[')
	for i := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = one(b, &list[i])
	}
	return append(b, ']')
}

func (e *encoder) named(b []byte, name, value string) []byte {
	b = append(append(append(b, `,"`...), name...), `":`...)
	return e.text(b, value)
}

func (e *encoder) optional(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return e.named(b, name, value)
}

// text appends a string. Most need no escape at all; the rest is encoding/json's.
func (e *encoder) text(b []byte, s string) []byte {
	if plain(s) {
		return append(append(append(b, '"'), s...), '"')
	}
	if len(s) < longText {
		return e.rest(b, s)
	}
	known, ok := e.texts[s]
	if !ok {
		known = e.rest(nil, s)
		if e.texts == nil {
			e.texts = map[string][]byte{}
		}
		if len(e.texts) < 4096 {
			e.texts[s] = known
		}
	}
	return append(b, known...)
}

// rest encodes what is rare the slow way.
func (e *encoder) rest(b []byte, v any) []byte {
	b, err := sink.AppendJSON(b, v)
	if err != nil && e.err == nil {
		e.err = err
	}
	return b
}

// plain reports whether a string stands in JSON as it is, in the safe form of
// [sink.AppendJSON].
func plain(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c < ' ', c >= 0x7f, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		case (c == ':' || c == '#') && i+1 < len(s) && s[i+1] == c:
			return false
		}
	}
	return true
}
