package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/reach"
)

// exposureLines writes the tool's second list: what each workload is open to
// beyond the pods that are there, and which workloads no policy is about.
func exposureLines(s *fact.Snapshot) []string {
	opts := netpolOptions()
	opts.Virtual, opts.Described = nil, true
	m := reach.New(s, opts)
	cuts := cutsOf(m)
	out := []string{"Exposure Analysis Result:"}
	heads := map[string]bool{}
	for _, w := range m.Workloads {
		if len(w.Endpoints) == 0 {
			continue
		}
		e := w.Endpoints[0]
		for d, side := range [...][2]string{{"<=", "Ingress"}, {"=>", "Egress"}} {
			lines := exposed(m, cuts[d], w, e, reach.Direction(d))
			for _, l := range lines {
				out = append(out, fmt.Sprintf("%s %s %s", w, side[0], l))
			}
			if len(lines) > 0 {
				heads[side[1]+" Exposure:"] = true
			}
			if !m.Protected(reach.Direction(d), e) {
				heads["Workloads not protected by network policies:"] = true
				out = append(out, fmt.Sprintf("%s is not protected on %s", w, side[1]))
			}
		}
	}
	for h := range heads {
		out = append(out, h)
	}
	return out
}

func exposed(m *reach.Model, cuts []reach.Range, w *reach.Workload, e int, d reach.Direction) []string {
	var out []string
	for _, r := range cuts {
		p := m.From(r.First, e)
		if d == reach.Egress {
			p = m.To(e, r.First)
		}
		if r.First.Is4() && !p.Empty() {
			out = append(out, externalName(r)+" : "+netpolPorts(p))
		}
	}
	for _, x := range m.Exposure(d, e) {
		ports := exposedPorts(&x)
		switch {
		case x.Any() && ports == "No Connections":
		case x.Any():
			out = append(out, "entire-cluster : "+ports)
		case x.Seen && len(x.Pods) > 0 && (x.Namespace != "" || len(x.Namespaces) > 0) && onlyLabels(x.Pods) && onlyLabels(x.Namespaces):
			// the pods that are there are told in the first list
		default:
			out = append(out, describedName(&x)+" : "+ports)
		}
	}
	return out
}

func onlyLabels(list []reach.Requirement) bool {
	return !slices.ContainsFunc(list, func(r reach.Requirement) bool { return !r.Label })
}

// exposedPorts adds ports by name to those by number.
func exposedPorts(x *reach.Described) string {
	if len(x.Named) == 0 {
		return netpolPorts(x.Ports)
	}
	byProto := map[string][]string{}
	for _, n := range x.Named {
		proto, name, _ := strings.Cut(n, " ")
		byProto[proto] = append(byProto[proto], name)
	}
	var out []string
	for _, proto := range []string{"", "SCTP", "TCP", "UDP"} {
		p, _ := reach.ParseProtocol(proto)
		list := byProto[proto]
		if numbers := x.Ports.List(p); proto != "" && numbers != "" {
			list = append([]string{numbers}, list...)
		}
		if len(list) > 0 {
			out = append(out, proto+" "+strings.Join(list, ","))
		}
	}
	return strings.Join(out, ",")
}

func describedName(x *reach.Described) string {
	ns, pods := "[all namespaces]", "[all pods]"
	switch {
	case x.Namespace != "":
		ns = x.Namespace
	case len(x.Namespaces) > 0:
		ns = "[namespace with {" + requirementNames(x.Namespaces) + "}]"
	}
	if len(x.Pods) > 0 {
		pods = "[pod with {" + requirementNames(x.Pods) + "}]"
	}
	return ns + "/" + pods
}

// requirementNames writes matchLabels, then matchExpressions.
func requirementNames(list []reach.Requirement) string {
	var labels, expressions []string
	for _, r := range list {
		if r.Label {
			labels = append(labels, r.Key+"="+r.Values[0])
		} else {
			expressions = append(expressions, fmt.Sprintf("{Key:%s,Operator:%s,Values:%v,}", r.Key, r.Operator, r.Values))
		}
	}
	return strings.Join(append(labels, expressions...), ",")
}
