package harden

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/component"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// Prove holds the settings of a control to their promise: the component of every
// failing case, with them, passes. It returns what does not hold, a line each.
// Controls over several objects look in the world that worldOf makes.
func Prove(lib *control.Library, c *control.Control, newest int, worldOf func([]*fact.Object) control.World) []string {
	if len(c.Settings) == 0 {
		return nil
	}
	cases, err := c.Cases()
	if err != nil {
		return []string{err.Error()}
	}
	proven := false
	var out []string
	for i := range cases {
		cs := &cases[i]
		if cs.Verdict != finding.Fail {
			continue
		}
		done, err := proveCase(lib, c, cs, newest, worldOf)
		if err != nil {
			out = append(out, fmt.Sprintf("%s:%d: %s: settings: %v", c.File, cs.Line, cs.Name, err))
		}
		proven = proven || done
	}
	if !proven && len(out) == 0 {
		out = append(out, c.File+": the settings satisfy none of the failing cases")
	}
	return out
}

// proveCase makes a case's settings and judges again. It reports false where
// none applies.
func proveCase(lib *control.Library, c *control.Control, cs *control.Case, newest int, worldOf func([]*fact.Object) control.World) (bool, error) {
	minor := newest
	if cs.Kubernetes != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(strings.TrimPrefix(cs.Kubernetes, "v"), "1."))
		if err != nil {
			return false, err
		}
		minor = n
	}
	compiled, err := c.Compile(lib, cs.Params)
	if err != nil {
		return false, err
	}
	var objects []*fact.Object
	for _, root := range cs.Objects {
		o, err := objectOf(root)
		if err != nil {
			return false, err
		}
		objects = append(objects, o)
	}
	m := &maker{Input: Input{Library: lib, Minor: minor, World: worldOf(objects)}}
	if c.Scope.Each == control.EachObject {
		return m.proveObject(compiled, cs)
	}
	done := false
	for _, p := range processesOf(cs.Objects) {
		if s := c.Scope.Component; s != "*" && s != p.Name() {
			continue
		}
		p = p.At(minor)
		plan, _ := component.NewPlan(p)
		at := minor
		if n := p.Minor(); n > 0 {
			at = n
		}
		for range maxRounds {
			wanted, err := m.bench(plan, at).wanted(compiled)
			if err != nil {
				return done, err
			}
			before := plan.Object().Root
			for i := range wanted {
				if d := wanted[i].Document; d != "" && !slices.Contains(Documents(), d) {
					return done, fmt.Errorf("no document is called %q: there are %v", d, Documents())
				}
				Apply(plan, &wanted[i])
			}
			if len(wanted) == 0 || fact.Equal(before, plan.Object().Root) {
				break
			}
			done = true
		}
		told := ""
		v := m.bench(plan, at).judge.Run(compiled, func(o control.Outcome) { told = o.Message })
		if done && (v == finding.Fail || v == finding.Unknown) {
			return done, fmt.Errorf("with them: %s: %s", v, told)
		}
	}
	return done, nil
}

// proveObject does so for a file of a node, or the machine.
func (m *maker) proveObject(c *control.Compiled, cs *control.Case) (bool, error) {
	done := false
	for _, root := range cs.Objects {
		o, err := objectOf(root)
		if err != nil {
			return done, err
		}
		wanted, err := m.wantedOf(o, c)
		if err != nil {
			return done, err
		}
		for i := range wanted {
			if root, err = edited(root, &wanted[i]); err != nil {
				return done, err
			}
			done = true
		}
		if v := m.judgeObject(root, m.Minor, c, nil); done && v != finding.Pass {
			return done, fmt.Errorf("with them: %s", v)
		}
	}
	return done, nil
}

// processesOf returns the components that objects run or tell of.
func processesOf(objects []fact.Value) []*component.Process {
	var out []*component.Process
	for _, root := range objects {
		o, ok := fact.NewObject(root, fact.Origin{})
		if !ok {
			continue
		}
		out = append(out, Processes(&o)...)
	}
	return out
}

// Processes returns the components that an object runs or tells of.
func Processes(o *fact.Object) []*component.Process {
	if p, ok := component.FromObject(o); ok {
		return []*component.Process{p}
	}
	var out []*component.Process
	for _, pod := range fact.PodTemplates(o) {
		for _, c := range pod.Containers() {
			if p, ok := component.FromContainer(c.Value); ok {
				out = append(out, p)
			}
		}
	}
	return out
}
