package assess

import (
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/control/expr"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// maxMemo is how many distinct footprints one worker remembers for a group.
// Beyond it nothing new is remembered: a cluster that is all different gains
// nothing from a memory, and must not pay for one.
const maxMemo = 4096

// maxMisses is after how many misses without a hit a group gives up.
const maxMisses = 256

// group is controls of one kind and scope that read the same parts of their
// subject. Real clusters hold few distinct values there, so that the verdicts of
// all of them are mostly one look-up.
type group struct {
	index   int // of the worker's memory; -1 when nothing may be remembered
	paths   []place
	entries []*entry
}

// place is a path, ready to be followed.
type place struct {
	variable string
	keys     []fact.Key
}

// remembered is what all controls of a group said of one footprint.
type remembered struct {
	parts    []fact.Value
	kind     string
	verdicts []finding.Verdict
	next     *remembered // of the same hash
}

// memory is what one worker remembers for one group.
type memory struct {
	byHash map[uint64]*remembered
	hits   int
	misses int
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

// grouped puts controls with one footprint together.
func (e *Engine) grouped(entries []*entry) []group {
	var out []group
	at := map[string]int{}
	for _, en := range entries {
		paths, ok := e.footprint(en)
		key := strings.Join(paths, "\x01")
		if !ok {
			out = append(out, group{index: -1, entries: []*entry{en}})
			continue
		}
		i, known := at[key]
		if !known {
			i = len(out)
			at[key] = i
			out = append(out, group{index: e.memories, paths: places(paths)})
			e.memories++
		}
		out[i].entries = append(out[i].entries, en)
	}
	return out
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

func places(paths []string) []place {
	out := make([]place, len(paths))
	for i, p := range paths {
		fields := strings.Split(p, "\x00")
		out[i].variable = fields[0]
		for _, f := range fields[1:] {
			out[i].keys = append(out[i].keys, fact.K(f))
		}
	}
	return out
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

var keyMetadata = fact.K("metadata")

// recall looks a subject up in the memory of a group. It returns the verdicts,
// or, when there are none, where to put them; both nil when nothing is to be
// remembered.
func (k *worker) recall(g *group, s *control.Subject) (known *remembered, fresh *remembered) {
	m := &k.memories[g.index]
	if m.misses > maxMisses && m.hits < m.misses/8 {
		return nil, nil
	}
	h := uint64(len(g.paths))
	parts := k.parts[:0]
	kind := ""
	for i := range g.paths {
		if g.paths[i].variable == "containerType" {
			kind += string(s.Container.Type)
			h = h*31 + uint64(len(kind))
			continue
		}
		v, missing, ok := g.paths[i].follow(s)
		if !ok {
			return nil, nil
		}
		if missing > 0 { // rare: a pod without metadata, an object without spec
			kind += "/" + strconv.Itoa(i) + ":" + strconv.Itoa(missing)
		}
		parts = append(parts, v)
		h = h*0x9e3779b97f4a7c15 + v.Hash()
	}
	k.parts = parts
	if m.byHash == nil {
		m.byHash = map[uint64]*remembered{}
	}
	for r := m.byHash[h]; r != nil; r = r.next {
		if r.kind == kind && slices.EqualFunc(r.parts, parts, fact.Equal) {
			m.hits++
			return r, nil
		}
	}
	m.misses++
	if len(m.byHash) >= maxMemo {
		return nil, nil
	}
	r := &remembered{parts: slices.Clone(parts), kind: kind, next: m.byHash[h], verdicts: make([]finding.Verdict, len(g.entries))}
	m.byHash[h] = r
	return nil, r
}
