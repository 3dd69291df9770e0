package assess

import (
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/control/expr"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// The memory of verdicts. What a control can read of its subject is known: its
// footprint. Controls of one footprint form a group, and what all of them said
// of one content of it is remembered. To look that up costs a few numbers: each
// place of a footprint (`container.securityContext`) is looked at once for a
// subject, its content is given a number, and the numbers of a group's places
// are the key. Contents are compared, not only hashed, so that nothing collides.

// maxMemo is how many contents one worker tells apart at a place, and how many
// it remembers of a group. Beyond it nothing new is remembered: a cluster that is
// all different gains nothing from a memory, and must not pay for one.
const maxMemo = 4096

// maxMisses is after how many new contents with hardly a known one a place is
// given up, and with it every group that reads it.
const maxMisses = 256

// maxPlaces is how many places a group may read and still be remembered.
const maxPlaces = 12

// plan is what is to be run for one scope of one kind.
type plan struct {
	index  int // of the worker's memory
	places []place
	groups []group
}

// group is controls that read the same places of their subject. Real clusters
// hold few distinct values there, so that the verdicts of all of them are mostly
// one look-up.
type group struct {
	places  []int // of the plan; nil when nothing may be remembered
	entries []*entry
	sees    bool // more than the subject
}

// place is a path, ready to be followed.
type place struct {
	variable string
	keys     []fact.Key
}

// memory is what one worker remembers for one plan.
type memory struct {
	places []contents
	groups []map[key]*remembered
	// Of the subject in hand: the number of each place's content, 0 where it was
	// not looked at yet, nowhere where it must not be remembered.
	now []uint16
}

type key [maxPlaces]uint16

const nowhere = 0xffff

// contents numbers what was met at one place, from 1.
type contents struct {
	byHash  map[uint64]*content
	n, hits int
}

type content struct {
	value   fact.Value
	missing int // fields on the way that were not there, besides the last
	number  uint16
	next    *content // of the same hash
}

// remembered is what all controls of a group said of one content.
type remembered struct {
	verdicts []finding.Verdict // "" for a control that does not concern the subject
	again    []int             // those that are to be judged anew, for their evidence
	hits     int
}

// coarse shortens a path to the level at which footprints are told apart:
// `container.securityContext`, `pod.spec.volumes`, `object.spec.type`. Controls
// that read different fields below it share a group.
func coarse(p expr.Path) expr.Path {
	keep := 1
	switch p.Var {
	case "pod", "object":
		keep = 2
	}
	return expr.Path{Var: p.Var, Fields: p.Fields[:min(keep, len(p.Fields))]}
}

// planOf puts controls with one footprint together.
func (e *Engine) planOf(entries []*entry) *plan {
	p := &plan{index: e.scopes}
	e.scopes++
	groups, places := map[string]int{}, map[string]int{}
	for _, en := range entries {
		paths, ok := e.footprint(en)
		if !ok || len(paths) > maxPlaces {
			p.groups = append(p.groups, group{entries: []*entry{en}, sees: sees(en)})
			continue
		}
		name := strings.Join(paths, "\x01")
		i, known := groups[name]
		if !known {
			i = len(p.groups)
			groups[name] = i
			g := group{places: make([]int, 0, len(paths))}
			for _, path := range paths {
				at, known := places[path]
				if !known {
					at = len(p.places)
					places[path] = at
					p.places = append(p.places, placeOf(path))
				}
				g.places = append(g.places, at)
			}
			p.groups = append(p.groups, g)
		}
		p.groups[i].entries = append(p.groups[i].entries, en)
	}
	return p
}

// sees reports whether a control may look beyond its subject.
func sees(en *entry) bool {
	c, err := en.compiled()
	if err != nil {
		return true
	}
	fine, ok := c.Footprint()
	return !ok || slices.ContainsFunc(fine, func(p expr.Path) bool { return p.Var == "namespaceObject" })
}

// footprint returns the coarse paths of a control, sorted; false when it may
// not be remembered.
func (e *Engine) footprint(en *entry) ([]string, bool) {
	c, err := en.compiled()
	if err != nil || e.options.NoMemo {
		return nil, false
	}
	fine, ok := c.Footprint()
	if !ok || c.Scope.Each == control.EachComponent {
		return nil, false
	}
	var out []string
	if len(c.Scope.Containers) > 0 {
		out = append(out, "containerType") // decides whether the control applies
	}
	for _, p := range fine {
		switch p.Var {
		case "params", "kubernetes", "item", "variables":
			// The same for every subject, or part of what is read already.
			continue
		case "request":
			// The kind is the same for all that a plan is for.
			if len(p.Fields) == 0 || p.Fields[0] != "kind" && p.Fields[0] != "operation" {
				return nil, false
			}
		case "object", "pod", "container", "containerType":
			c := coarse(p)
			out = append(out, strings.Join(append([]string{c.Var}, c.Fields...), "\x00"))
		default:
			return nil, false
		}
	}
	slices.Sort(out)
	return slices.Compact(out), true
}

func placeOf(path string) place {
	fields := strings.Split(path, "\x00")
	p := place{variable: fields[0]}
	for _, f := range fields[1:] {
		p.keys = append(p.keys, fact.K(f))
	}
	return p
}

// follow returns what lies at a place of a subject, and how many of the fields
// on the way are missing besides the last. A null is what an absent field is. It
// reports false where the way leads through something that has no fields. Both
// are errors to some expressions and must not be taken for the absence of the
// last field.
func (p *place) follow(s *control.Subject) (v fact.Value, missing int, ok bool) {
	keys := p.keys
	switch p.variable {
	case "object":
		v = s.Object.Root
	case "container":
		v = s.Container.Value
	case "pod":
		if len(keys) == 0 {
			return s.Pod.Spec.Root(), 0, true
		}
		v = s.Pod.Spec
		if keys[0] == keyMetadata {
			v = s.Pod.Metadata
		}
		keys = keys[1:]
	}
	for i, k := range keys {
		if v.IsNull() {
			return fact.Value{}, len(keys) - i, true
		}
		if v.Kind() != fact.Map {
			return fact.Value{}, 0, false
		}
		v = v.Get(k)
	}
	if v.IsNull() {
		v = fact.Value{}
	}
	return v, 0, true
}

var keyMetadata, keyLabels, keyAnnotations = fact.K("metadata"), fact.K("labels"), fact.K("annotations")

// memory returns the worker's memory for a plan, ready for a new subject.
func (k *worker) memory(p *plan) *memory {
	for p.index >= len(k.memories) {
		k.memories = append(k.memories, memory{})
	}
	m := &k.memories[p.index]
	if m.places == nil {
		m.places, m.now = make([]contents, len(p.places)), make([]uint16, len(p.places))
		m.groups = make([]map[key]*remembered, len(p.groups))
	}
	clear(m.now)
	return m
}

// key returns what a subject is to a group; false when nothing is to be
// remembered of it.
func (m *memory) key(p *plan, g *group, s *control.Subject) (key, bool) {
	var out key
	for i, at := range g.places {
		n := m.now[at]
		if n == 0 {
			n = m.places[at].number(&p.places[at], s)
			m.now[at] = n
		}
		if n == nowhere {
			return key{}, false
		}
		out[i] = n
	}
	return out, g.places != nil
}

// number returns the number of what lies at a place of a subject.
func (c *contents) number(p *place, s *control.Subject) uint16 {
	if p.variable == "containerType" {
		return 1 + uint16(slices.Index(containerTypes[:], s.Container.Type))
	}
	if c.n > maxMisses && c.hits < c.n/8 {
		return nowhere
	}
	v, missing, ok := p.follow(s)
	if !ok {
		return nowhere
	}
	h := v.Hash() + uint64(missing)
	for x := c.byHash[h]; x != nil; x = x.next {
		if x.missing == missing && fact.Equal(x.value, v) {
			c.hits++
			return x.number
		}
	}
	if c.n >= maxMemo {
		return nowhere
	}
	if c.byHash == nil {
		c.byHash = map[uint64]*content{}
	}
	c.n++
	c.byHash[h] = &content{value: v, missing: missing, number: uint16(c.n), next: c.byHash[h]}
	return uint16(c.n)
}

var containerTypes = [...]fact.ContainerType{fact.AppContainer, fact.InitContainer, fact.SidecarContainer, fact.EphemeralContainer}
