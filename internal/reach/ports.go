package reach

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Protocol is a transport protocol that policies tell apart.
type Protocol uint8

// The protocols of NetworkPolicy, in the order in which they are written.
const (
	SCTP Protocol = iota
	TCP
	UDP
	protocols
)

var protocolNames = [protocols]string{"SCTP", "TCP", "UDP"}

func (p Protocol) String() string { return protocolNames[p] }

// ParseProtocol reads a protocol's name; "" is TCP, the API's default.
func ParseProtocol(s string) (Protocol, bool) {
	if s == "" {
		return TCP, true
	}
	i := slices.Index(protocolNames[:], s)
	return Protocol(max(i, 0)), i >= 0
}

// Span is the ports from First to Last.
type Span struct{ First, Last uint16 }

// Ports is a set of ports per protocol. It is comparable: equal sets are equal
// values. The zero Ports is empty.
type Ports struct{ p [protocols]string } // packed spans, four bytes each, sorted, not touching

const (
	allOfOne = "\x00\x01\xff\xff"
	lastPort = 65535
)

// AllPorts holds every port of every protocol.
func AllPorts() Ports { return Ports{[protocols]string{allOfOne, allOfOne, allOfOne}} }

// PortsOf returns the ports from first to last of one protocol.
func PortsOf(proto Protocol, first, last uint16) Ports {
	var p Ports
	if first == 0 {
		first = 1
	}
	if first <= last {
		p.p[proto] = pack([]Span{{first, last}})
	}
	return p
}

func pack(spans []Span) string {
	b := make([]byte, 0, 4*len(spans))
	for _, s := range spans {
		b = append(b, byte(s.First>>8), byte(s.First), byte(s.Last>>8), byte(s.Last))
	}
	return string(b)
}

func unpack(s string) []Span {
	out := make([]Span, 0, len(s)/4)
	for i := 0; i+3 < len(s); i += 4 {
		out = append(out, Span{uint16(s[i])<<8 | uint16(s[i+1]), uint16(s[i+2])<<8 | uint16(s[i+3])})
	}
	return out
}

// Spans returns the ports of one protocol as disjoint spans in order.
func (p Ports) Spans(proto Protocol) []Span { return unpack(p.p[proto]) }

// Empty reports whether there is no port in the set.
func (p Ports) Empty() bool { return len(p.p[0])|len(p.p[1])|len(p.p[2]) == 0 }

// All reports whether every port is in the set.
func (p Ports) All() bool { return p == AllPorts() }

// Has reports whether a port is in the set.
func (p Ports) Has(proto Protocol, port uint16) bool {
	s := p.p[proto]
	for i := 0; i+3 < len(s); i += 4 {
		if first := uint16(s[i])<<8 | uint16(s[i+1]); port >= first {
			if last := uint16(s[i+2])<<8 | uint16(s[i+3]); port <= last {
				return true
			}
		}
	}
	return false
}

// Or returns the ports in either set.
func (p Ports) Or(q Ports) Ports {
	for i := range p.p {
		switch {
		case p.p[i] == q.p[i] || q.p[i] == "" || p.p[i] == allOfOne:
		case p.p[i] == "" || q.p[i] == allOfOne:
			p.p[i] = q.p[i]
		default:
			p.p[i] = pack(join(append(unpack(p.p[i]), unpack(q.p[i])...)))
		}
	}
	return p
}

// union returns the ports in any of the sets.
func union(list []Ports) Ports {
	if len(list) == 1 {
		return list[0]
	}
	var out Ports
	for proto := range protocols {
		var spans []Span
		for _, p := range list {
			spans = append(spans, p.Spans(proto)...)
		}
		out.p[proto] = pack(join(spans))
	}
	return out
}

// join sorts spans and merges those that touch.
func join(spans []Span) []Span {
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Compare(a.First, b.First) })
	out := spans[:0]
	for _, s := range spans {
		if n := len(out); n > 0 && int(s.First) <= int(out[n-1].Last)+1 {
			out[n-1].Last = max(out[n-1].Last, s.Last)
			continue
		}
		out = append(out, s)
	}
	return out
}

// And returns the ports in both sets.
func (p Ports) And(q Ports) Ports {
	for i := range p.p {
		switch {
		case p.p[i] == q.p[i] || q.p[i] == allOfOne || p.p[i] == "":
		case q.p[i] == "" || p.p[i] == allOfOne:
			p.p[i] = q.p[i]
		default:
			p.p[i] = pack(cross(unpack(p.p[i]), unpack(q.p[i])))
		}
	}
	return p
}

func cross(a, b []Span) []Span {
	var out []Span
	for len(a) > 0 && len(b) > 0 {
		if first, last := max(a[0].First, b[0].First), min(a[0].Last, b[0].Last); first <= last {
			out = append(out, Span{first, last})
		}
		if a[0].Last < b[0].Last {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

// Minus returns the ports of p that are not in q.
func (p Ports) Minus(q Ports) Ports {
	for i := range q.p {
		switch {
		case q.p[i] == "" || p.p[i] == "":
		case q.p[i] == allOfOne || p.p[i] == q.p[i]:
			p.p[i] = ""
		default:
			p.p[i] = pack(cross(unpack(p.p[i]), outside(unpack(q.p[i]))))
		}
	}
	return p
}

// outside returns the ports of one protocol that are in none of the spans.
func outside(spans []Span) []Span {
	var out []Span
	next := 1
	for _, s := range spans {
		if int(s.First) > next {
			out = append(out, Span{uint16(next), s.First - 1})
		}
		next = int(s.Last) + 1
	}
	if next <= lastPort {
		out = append(out, Span{uint16(next), lastPort})
	}
	return out
}

// Within reports whether every port of p is in q.
func (p Ports) Within(q Ports) bool { return p.Minus(q).Empty() }

// String writes the set as "all", "none" or "TCP 80,8000-8080 UDP 53".
func (p Ports) String() string {
	switch {
	case p.All():
		return "all"
	case p.Empty():
		return "none"
	}
	var out []string
	for _, proto := range [...]Protocol{TCP, UDP, SCTP} {
		if list := p.List(proto); list != "" {
			out = append(out, proto.String()+" "+list)
		}
	}
	return strings.Join(out, " ")
}

// List writes the ports of one protocol as "80,8000-8080"; "" for none.
func (p Ports) List(proto Protocol) string {
	var b strings.Builder
	for i, s := range p.Spans(proto) {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(s.First)))
		if s.Last != s.First {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(int(s.Last)))
		}
	}
	return b.String()
}
