// Package harden makes hardened configuration of components: what they say now,
// changed by what the controls want. It knows no setting itself. Each control of
// components tells what satisfies it (key settings of its file), is judged again
// with that, and what still fails is told; so a new control is in the output by
// being there.
//
// It is pure: keys and times come from the caller.
package harden

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/component"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// Input is what is to be hardened, by which controls.
type Input struct {
	Library  *control.Library
	Controls []*control.Compiled
	Minor    int // of Kubernetes, for what does not say its version

	Components []Found
	Objects    []*fact.Object // the configuration that the components name, files of the node, the machine: as far as it was read
	World      control.World  // all that was read, for controls over several objects; nil where there is none
	Layout     Layout
}

// Found is a component that runs or is to run.
type Found struct {
	Process *component.Process
	Where   string // as people read it
}

// Layout says where things lie on the nodes.
type Layout struct {
	PKI    string // keys and certificates, as kubeadm names them below it; "" for where each component has its own
	Folder string // the documents that are written
	Key    string // for encryption at rest, base64; "" leaves a mark in its place
}

// Result is hardened configuration.
type Result struct {
	Components []*Component
	Documents  []*Document
	Modes      []Mode
	Sysctls    []Sysctl
	Needs      []string // files that the configuration names and nobody has made
}

// Component is one component's configuration.
type Component struct {
	Found
	Plan   *component.Plan
	Before *component.Plan
	Serves map[string][]string // the controls that a line satisfies; by flag or, with a dot before each step, field
	Open   []Open              // what configuration does not settle
	Unread bool                // a configuration file was not read: nothing can be said
	minor  int
}

// Open is a control that still fails, or cannot be judged.
type Open struct {
	Control string
	Message string
}

// maxRounds is how often settings are made: each can bring another control into
// play, as TLS its ciphers.
const maxRounds = 8

// Make hardens.
func Make(in Input) (*Result, error) {
	m := &maker{Input: in, documents: map[string]*Document{}, needs: map[string]bool{}, sysctls: map[string]*Sysctl{}}
	r := &Result{}
	for _, f := range in.Components {
		c, err := m.component(f)
		if err != nil {
			return nil, err
		}
		r.Components = append(r.Components, c)
	}
	for _, name := range slices.Sorted(maps.Keys(m.documents)) {
		r.Documents = append(r.Documents, m.documents[name])
	}
	maps.DeleteFunc(m.needs, func(_ string, needed bool) bool { return !needed })
	if err := m.machine(r); err != nil {
		return nil, err
	}
	r.Sysctls = m.kernel()
	r.Needs = slices.Sorted(maps.Keys(m.needs))
	return r, nil
}

type maker struct {
	Input
	documents map[string]*Document
	needs     map[string]bool
	sysctls   map[string]*Sysctl
}

// component hardens one component.
func (m *maker) component(f Found) (*Component, error) {
	c := &Component{Found: f, Serves: map[string][]string{}, minor: m.Minor}
	if n := f.Process.Minor(); n > 0 {
		c.minor = n
	}
	process := f.Process.At(c.minor)
	c.Before, _ = component.NewPlan(process)
	var known bool
	if c.Plan, known = component.NewPlan(process); !known {
		c.Unread = true
		return c, nil
	}
	if c.Plan.Component == "kubelet" {
		c.ofKubelet()
	}
	for range maxRounds {
		changed, err := m.round(c)
		if err != nil {
			return nil, err
		}
		if !changed {
			break
		}
	}
	if err := m.named(c); err != nil {
		return nil, err
	}
	m.settle(c)
	return c, nil
}

// ofKubelet moves what a kubelet is told on its command line into its file,
// where every flag that has a field is deprecated for it.
func (c *Component) ofKubelet() {
	c.Plan.MoveToFile("/var/lib/kubelet/config.yaml")
	delete(c.Plan.Flags, "config-dir") // its drop-ins are in the file now
	if c.Plan.File["kind"] == nil {
		c.Plan.File["apiVersion"], c.Plan.File["kind"] = "kubelet.config.k8s.io/v1beta1", "KubeletConfiguration"
	}
}

// concerned returns the controls of a component.
func (m *maker) concerned(name string) []*control.Compiled {
	var out []*control.Compiled
	for _, c := range m.Controls {
		if s := &c.Scope; s.Each == control.EachComponent && (s.Component == name || s.Component == "*" && c.Family() != "component") {
			out = append(out, c)
		}
	}
	return out
}

// subject is a component as controls judge it. It keeps which settings were
// looked at.
type subject struct {
	*component.Process
	read func(flag string, field []string)
}

// Flag returns the value in force.
func (s subject) Flag(name string) string {
	s.read(name, nil)
	return s.Process.Flag(name)
}

// FlagSet reports whether the setting is given.
func (s subject) FlagSet(name string) bool {
	s.read(name, nil)
	return s.Process.FlagSet(name)
}

// Setting returns a field of the configuration file.
func (s subject) Setting(path []string) fact.Value {
	s.read("", path)
	return s.Process.Setting(path)
}

// Advisories are none: configuration does not settle them.
func (subject) Advisories() []control.Advisory { return nil }

// Conflicts are none: a plan gives each setting once.
func (subject) Conflicts() []control.Conflict { return nil }

// bench judges one state of a plan by many controls.
type bench struct {
	judge *control.Judge
	read  func(flag string, field []string) // told which settings a control looks at; nil for nobody
}

// bench sets a plan up to be judged.
func (m *maker) bench(plan *component.Plan, minor int) *bench {
	o := plan.Object()
	p, _ := component.FromObject(o)
	b := &bench{judge: control.NewJudge(m.Library, m.World, minor)}
	b.judge.Subject(&control.Subject{Object: o, Component: subject{p.At(minor), func(flag string, field []string) {
		if b.read != nil {
			b.read(flag, field)
		}
	}}})
	return b
}

// wanted returns what a control wants of the plan, nothing where it does not
// fail.
func (b *bench) wanted(ctl *control.Compiled) (out []control.Change, err error) {
	asked := false
	b.judge.Run(ctl, func(o control.Outcome) {
		if o.Verdict == finding.Fail && !asked {
			asked = true
			out, err = b.judge.Changes(ctl)
		}
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", ctl.ID, err)
	}
	return out, err
}

// round makes what the failing controls want and reports whether that changed
// anything.
func (m *maker) round(c *Component) (changed bool, err error) {
	b := m.bench(c.Plan, c.minor)
	for _, ctl := range m.concerned(c.Plan.Component) {
		if len(ctl.Settings) == 0 {
			continue
		}
		wanted, err := b.wanted(ctl)
		if err != nil {
			return false, err
		}
		if len(wanted) == 0 {
			continue
		}
		before := c.Plan.Object().Root
		for i := range wanted {
			m.set(wanted[i].Sysctls, ctl.ID)
			if err := m.apply(c, &wanted[i]); err != nil {
				return false, fmt.Errorf("%s: %w", ctl.ID, err)
			}
		}
		if fact.Equal(before, c.Plan.Object().Root) {
			continue
		}
		changed, b = true, m.bench(c.Plan, c.minor)
		for i := range wanted {
			if line := key(c.Plan, &wanted[i]); line != "" {
				c.serve(line, ctl.ID)
			}
		}
	}
	return changed, nil
}

// key names the line that a change is about.
func key(plan *component.Plan, ch *control.Change) string {
	field := ch.Field
	if ch.Flag != "" {
		field = plan.Field(ch.Flag)
	}
	if len(field) > 0 {
		return pathKey(field)
	}
	return ch.Flag
}

func pathKey(path []string) string { return "." + strings.Join(path, ".") }

func (c *Component) serve(key, id string) {
	if !slices.Contains(c.Serves[key], id) {
		c.Serves[key] = append(c.Serves[key], id)
		slices.Sort(c.Serves[key])
	}
}

// apply makes one change.
func (m *maker) apply(c *Component, ch *control.Change) error {
	switch {
	case ch.Document != "":
		return m.give(c, ch)
	case ch.File != "":
		name := path.Join(cmp.Or(m.Layout.PKI, c.pki()), ch.File)
		m.needs[name] = m.needs[name] || !m.used(name)
		c.Plan.Set(ch.Flag, name)
	default:
		Apply(c.Plan, ch)
	}
	return nil
}

// used reports whether a component uses a file already.
func (m *maker) used(name string) bool {
	return slices.ContainsFunc(m.Components, func(f Found) bool {
		plan, _ := component.NewPlan(f.Process)
		return slices.Contains(slices.Collect(maps.Values(plan.Flags)), name)
	})
}

// Apply makes a change of a plan; a file that is named lies where kubeadm puts
// it, a document where Make writes it.
func Apply(plan *component.Plan, ch *control.Change) {
	switch {
	case ch.Document != "":
		plan.Set(ch.Flag, path.Join(defaultFolder, ch.Document+".yaml"))
	case ch.File != "":
		plan.Set(ch.Flag, path.Join(defaultPKI, ch.File))
	case ch.Unset && ch.Flag != "":
		plan.Unset(ch.Flag)
	case ch.Unset && len(ch.Field) > 0:
		plan.SetField(ch.Field, nil)
	case len(ch.Add)+len(ch.Remove) > 0:
		plan.Change(ch.Flag, ch.Add, ch.Remove)
	case ch.Flag != "":
		plan.Set(ch.Flag, fmt.Sprint(ch.Value))
	case len(ch.Field) > 0:
		plan.SetField(ch.Field, ch.Value)
	}
}

// Where things lie if nothing else is said.
const (
	defaultPKI    = "/etc/kubernetes/pki"
	defaultFolder = "/etc/kubernetes/hardening"
)

// DefaultLayout takes keys and certificates from where each component has its
// own, and a folder of Merlon's for the documents.
func DefaultLayout() Layout { return Layout{Folder: defaultFolder} }

// settle judges the plan that came out: what is open, and which controls each
// line satisfies.
func (m *maker) settle(c *Component) {
	b := m.bench(c.Plan, c.minor)
	looked := map[string]bool{}
	b.read = func(flag string, field []string) {
		if flag != "" {
			field = c.Plan.Field(flag)
		}
		if len(field) > 0 {
			flag = pathKey(field)
		}
		looked[flag] = true
	}
	for _, ctl := range m.concerned(c.Plan.Component) {
		clear(looked)
		v := b.judge.Run(ctl, func(o control.Outcome) { c.Open = append(c.Open, Open{ctl.ID, o.Message}) })
		if v != finding.Pass {
			continue
		}
		for line := range looked {
			c.serve(line, ctl.ID)
		}
	}
}

// Changes counts the settings that differ from before.
func (c *Component) Changes() int {
	n := 0
	for name, v := range c.Plan.Flags {
		if before, ok := c.Before.Flags[name]; (!ok || before != v) && name != "config" {
			n++
		}
	}
	for name := range c.Before.Flags {
		if _, ok := c.Plan.Flags[name]; !ok && c.Plan.Field(name) == nil {
			n++
		}
	}
	return n + differ(fact.Of(c.Before.File), fact.Of(c.Plan.File))
}

// differ counts the fields of two trees that are not the same.
func differ(a, b fact.Value) int {
	if a.Kind() != fact.Map || b.Kind() != fact.Map {
		if fact.Equal(a, b) {
			return 0
		}
		return 1
	}
	n := 0
	for c := range b.Children() {
		n += differ(a.Get(c.Key()), c)
	}
	for c := range a.Children() {
		if !b.Get(c.Key()).Present() {
			n++
		}
	}
	return n
}
