package component

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Plan is how a component is to run: its flags, and what its configuration file
// says. It begins as what a process is and is changed setting by setting, each
// where the component looks for it.
type Plan struct {
	Component string
	Flags     map[string]string
	// File is what the configuration file says, with its drop-ins; nil for a
	// component that has none. Path is where the file lies.
	File map[string]any
	Path string

	process *Process
	spec    map[string]any // the rest of what is known of the process
}

// NewPlan returns the plan by which a process runs. It is false where a
// configuration file of the process was not read, so that nobody knows.
func NewPlan(p *Process) (*Plan, bool) {
	plan := &Plan{Component: p.name, Flags: map[string]string{}, process: p, spec: map[string]any{}}
	for name, g := range p.flags {
		plan.Flags[name] = g.value
	}
	if p.lists[0].Get(keyComponent).Present() {
		for c := range p.lists[0].Children() {
			plan.spec[c.Key().String()] = c
		}
	}
	for _, f := range p.files {
		if content, ok := f.Get(keyContent).Go().(map[string]any); ok {
			plan.File = merged(plan.File, content)
			if plan.Path == "" {
				plan.Path = f.Get(keyPath).Str()
			}
		}
	}
	return plan, !p.unread
}

// merged lays a drop-in over a file: maps are joined, all else is replaced.
func merged(under, over map[string]any) map[string]any {
	if under == nil {
		return over
	}
	for k, v := range over {
		below, isMap := under[k].(map[string]any)
		if above, too := v.(map[string]any); isMap && too {
			v = merged(below, above)
		}
		under[k] = v
	}
	return under
}

// MoveToFile makes the plan one with a configuration file, and moves there the
// flags that have a field in it, where their component wants them.
func (p *Plan) MoveToFile(path string) {
	if p.File == nil {
		p.File, p.Path = map[string]any{}, path
		p.Flags[configFlag(p.Component)] = path
	}
	for _, name := range slices.Sorted(maps.Keys(p.Flags)) {
		f := fileSettingOf(p.Component, name)
		if f.path == "" {
			continue
		}
		value := p.Process().Flag(name) // of flag and file, as the component sees it
		delete(p.Flags, name)
		p.setField(strings.Split(f.path, "."), typed(settingOf(p.Component, name).kind, name, value))
	}
}

// Set gives a flag a value: in the file where the component has one with a
// field for it, else on the command line. An empty list is none.
func (p *Plan) Set(flag, value string) {
	if value == "" && settingOf(p.Component, flag).kind == list {
		p.Unset(flag)
		return
	}
	f := fileSettingOf(p.Component, flag)
	if p.File == nil || f.path == "" {
		p.Flags[flag] = value
		return
	}
	delete(p.Flags, flag)
	p.setField(strings.Split(f.path, "."), typed(settingOf(p.Component, flag).kind, flag, value))
}

// Unset takes a flag away, from the command line and from the file.
func (p *Plan) Unset(flag string) {
	delete(p.Flags, flag)
	if f := fileSettingOf(p.Component, flag); f.path != "" && p.File != nil {
		p.SetField(strings.Split(f.path, "."), nil)
	}
}

// SetField gives a field of the configuration file a value, nil to take it away.
func (p *Plan) SetField(path []string, value any) {
	if value != nil {
		p.setField(path, value)
		return
	}
	at := p.File
	for _, step := range path[:len(path)-1] {
		at, _ = at[step].(map[string]any)
	}
	delete(at, path[len(path)-1])
}

func (p *Plan) setField(path []string, value any) {
	if p.File == nil {
		p.File = map[string]any{}
	}
	at := p.File
	for _, step := range path[:len(path)-1] {
		below, ok := at[step].(map[string]any)
		if !ok {
			below = map[string]any{}
			at[step] = below
		}
		at = below
	}
	at[path[len(path)-1]] = value
}

// Change adds elements to the list that a flag is, and takes others away. Of
// what is name=value, as a feature gate, the last one of a name stays.
func (p *Plan) Change(flag string, add, remove []string) {
	var list []string
	for e := range strings.SplitSeq(p.Process().Flag(flag), ",") {
		e = strings.TrimSpace(e)
		name, _, gate := strings.Cut(e, "=")
		replaced := gate && slices.ContainsFunc(add, func(a string) bool { return strings.HasPrefix(a, name+"=") })
		if e != "" && !replaced && !slices.Contains(remove, e) && !slices.Contains(list, e) {
			list = append(list, e)
		}
	}
	for _, a := range add {
		if !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		p.Unset(flag)
		return
	}
	p.Set(flag, strings.Join(list, ","))
}

// Field returns the way to the field of the configuration file that a flag
// stands in; nil where it stands on the command line.
func (p *Plan) Field(flag string) []string {
	f := fileSettingOf(p.Component, flag)
	if p.File == nil || f.path == "" {
		return nil
	}
	return strings.Split(f.path, ".")
}

// Words returns the flags as words of a command line, in the order of their
// names.
func (p *Plan) Words() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(p.Flags)) {
		out = append(out, "--"+name+"="+p.Flags[name])
	}
	return out
}

// Object returns the plan as the object that a source of node facts would tell
// of it.
func (p *Plan) Object() *fact.Object {
	spec := maps.Clone(p.spec)
	command := []any{p.Component}
	for _, w := range p.Words() {
		command = append(command, w)
	}
	spec["component"], spec["command"] = p.Component, command
	if p.process.version != "" {
		spec["version"] = p.process.version
	}
	delete(spec, "env") // it is among the flags
	delete(spec, "configuration")
	if p.File != nil {
		spec["configuration"] = []any{map[string]any{"path": p.Path, "content": p.File}}
	}
	o, _ := fact.NewObject(fact.Of(map[string]any{
		"apiVersion": "merlon.dev/v1", "kind": "NodeComponent", "metadata": map[string]any{"name": p.Component}, "spec": spec,
	}), fact.Origin{Source: "plan"})
	return &o
}

// Process returns the component as it would run by the plan.
func (p *Plan) Process() *Process {
	q, _ := FromObject(p.Object())
	return q.At(p.process.minor)
}

// typed writes a flag's value as its field in a configuration file has it.
func typed(k kind, flag, value string) any {
	switch {
	case flag == "feature-gates":
		gates := map[string]any{}
		for g := range strings.SplitSeq(value, ",") {
			if name, v, ok := strings.Cut(g, "="); ok {
				gates[name] = canonical(v) == "true"
			}
		}
		return gates
	case k == boolean:
		return value == "true"
	case k == list:
		out := []any{}
		for e := range strings.SplitSeq(value, ",") {
			if e != "" {
				out = append(out, e)
			}
		}
		return out
	}
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		return n
	}
	return value
}
