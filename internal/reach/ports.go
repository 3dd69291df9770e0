package reach

import (
	"slices"
	"strconv"
	"strings"
)

// Protocol is a transport protocol that policies tell apart.
type Protocol uint8

// The protocols of a Service and of a NetworkPolicy. Others, ICMP for one, are
// not part of the API.
const (
	TCP Protocol = iota
	UDP
	SCTP
	protocols
)

var protocolNames = [protocols]string{"TCP", "UDP", "SCTP"}

// String returns the protocol's name as manifests write it.
func (p Protocol) String() string { return protocolNames[p] }

// protocolOf reads a protocol's name; "" is TCP, as the API defaults it.
func protocolOf(name string) (Protocol, bool) {
	if name == "" {
		return TCP, true
	}
	for i, n := range protocolNames {
		if strings.EqualFold(n, name) {
			return Protocol(i), true
		}
	}
	return 0, false
}

// Span is a run of ports, both ends included.
type Span struct{ From, To uint16 }

// Ports is a set of protocol and port, exact. The zero Ports is empty. It is
// immutable.
type Ports struct{ spans [protocols][]Span }

// AllPorts is every port of every protocol.
func AllPorts() Ports {
	var p Ports
	for i := range p.spans {
		p.spans[i] = []Span{{1, 65535}}
	}
	return p
}

// PortsOf is one run of ports.
func PortsOf(proto Protocol, from, to uint16) Ports {
	var p Ports
	if from <= to {
		p.spans[proto] = []Span{{from, to}}
	}
	return p
}

// Empty reports whether no port is in the set.
func (p Ports) Empty() bool {
	for _, s := range p.spans {
		if len(s) > 0 {
			return false
		}
	}
	return true
}

// All reports whether every port is in the set.
func (p Ports) All() bool { return p.Equal(AllPorts()) }

// Equal reports whether two sets are the same.
func (p Ports) Equal(q Ports) bool {
	for i := range p.spans {
		if !slices.Equal(p.spans[i], q.spans[i]) {
			return false
		}
	}
	return true
}

// Has reports whether a port is in the set.
func (p Ports) Has(proto Protocol, port uint16) bool {
	for _, s := range p.spans[proto] {
		if s.From <= port && port <= s.To {
			return true
		}
	}
	return false
}

// Spans returns the runs of a protocol, in order.
func (p Ports) Spans(proto Protocol) []Span { return p.spans[proto] }

// Union returns what is in either set.
func (p Ports) Union(q Ports) Ports {
	var out Ports
	for i := range p.spans {
		switch {
		case len(p.spans[i]) == 0:
			out.spans[i] = q.spans[i]
		case len(q.spans[i]) == 0:
			out.spans[i] = p.spans[i]
		default:
			out.spans[i] = joined(append(slices.Clone(p.spans[i]), q.spans[i]...))
		}
	}
	return out
}

// joined sorts runs and joins those that touch.
func joined(all []Span) []Span {
	slices.SortFunc(all, func(a, b Span) int { return int(a.From) - int(b.From) })
	out := all[:1]
	for _, s := range all[1:] {
		last := &out[len(out)-1]
		if int(s.From) <= int(last.To)+1 {
			last.To = max(last.To, s.To)
			continue
		}
		out = append(out, s)
	}
	return out
}

// Intersect returns what is in both sets.
func (p Ports) Intersect(q Ports) Ports {
	var out Ports
	for i := range p.spans {
		a, b := p.spans[i], q.spans[i]
		for len(a) > 0 && len(b) > 0 {
			from, to := max(a[0].From, b[0].From), min(a[0].To, b[0].To)
			if from <= to {
				out.spans[i] = append(out.spans[i], Span{from, to})
			}
			if a[0].To < b[0].To {
				a = a[1:]
			} else {
				b = b[1:]
			}
		}
	}
	return out
}

// Minus returns what is in p and not in q.
func (p Ports) Minus(q Ports) Ports { return p.Intersect(q.inverse()) }

func (p Ports) inverse() Ports {
	var out Ports
	for i := range p.spans {
		next := 1
		for _, s := range p.spans[i] {
			if int(s.From) > next {
				out.spans[i] = append(out.spans[i], Span{uint16(next), s.From - 1})
			}
			next = int(s.To) + 1
		}
		if next <= 65535 {
			out.spans[i] = append(out.spans[i], Span{uint16(next), 65535})
		}
	}
	return out
}

// Contains reports whether all of q is in p.
func (p Ports) Contains(q Ports) bool { return q.Minus(p).Empty() }

// String writes the set for people: "All Connections", "No Connections", or by
// protocol in the order of their names, "TCP 80,8080-8090,UDP 53".
func (p Ports) String() string { return p.text(nil) }

// text writes the set together with ports that are known by name only.
func (p Ports) text(named [][2]string) string {
	if p.All() {
		return "All Connections"
	}
	var parts []string
	for _, proto := range [...]Protocol{SCTP, TCP, UDP} {
		var list []string
		for _, s := range p.spans[proto] {
			text := strconv.Itoa(int(s.From))
			if s.To > s.From {
				text += "-" + strconv.Itoa(int(s.To))
			}
			list = append(list, text)
		}
		for _, n := range named {
			if n[0] == proto.String() {
				list = append(list, n[1])
			}
		}
		if len(list) > 0 {
			parts = append(parts, proto.String()+" "+strings.Join(list, ","))
		}
	}
	if len(parts) == 0 {
		return "No Connections"
	}
	return strings.Join(parts, ",")
}
