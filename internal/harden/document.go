package harden

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// Document is a configuration file that is an object of Kubernetes.
type Document struct {
	Name   string // of the file
	Root   fact.Value
	Serves map[string][]string // controls by path of the line, as fact.PathText has it
	Open   []Open
	Secret bool // it holds a key
}

// kindOfDocument is a document that controls can ask for: by its name, with the
// flag of the API server that names it.
type kindOfDocument struct {
	name, flag, kind string
	seed             func(m *maker, minor int) map[string]any
}

var kindsOfDocument = []kindOfDocument{
	{"admission", "admission-control-config-file", "apiserver.config.k8s.io/AdmissionConfiguration", (*maker).admission},
	{"audit-policy", "audit-policy-file", "audit.k8s.io/Policy", (*maker).auditPolicy},
	{"authentication", "authentication-config", "apiserver.config.k8s.io/AuthenticationConfiguration", (*maker).authentication},
	{"encryption", "encryption-provider-config", "apiserver.config.k8s.io/EncryptionConfiguration", (*maker).encryption},
}

// Documents lists the names of the documents that a control can ask for.
func Documents() []string {
	var out []string
	for _, k := range kindsOfDocument {
		out = append(out, k.name)
	}
	return out
}

// give writes the document that a control wants, unless the component names one
// already.
func (m *maker) give(c *Component, ch *control.Change) error {
	i := slices.IndexFunc(kindsOfDocument, func(k kindOfDocument) bool { return k.name == ch.Document })
	if i < 0 {
		return fmt.Errorf("no document is called %q: there are %v", ch.Document, Documents())
	}
	if c.Plan.Flags[ch.Flag] != "" {
		return nil
	}
	k := &kindsOfDocument[i]
	d, err := m.document(k, fact.Of(k.seed(m, c.minor)), c.minor)
	if err != nil {
		return err
	}
	c.Plan.Set(ch.Flag, path.Join(m.Layout.Folder, d.Name))
	return nil
}

// named mends the documents that a component names already, as far as they were
// read and a control has a patch for them. Each that is changed lies in a file of
// its own afterwards; the one in use is not touched.
func (m *maker) named(c *Component) error {
	for i := range kindsOfDocument {
		k := &kindsOfDocument[i]
		file := c.Plan.Flags[k.flag]
		if file == "" || path.Dir(file) == m.Layout.Folder && m.documents[strings.TrimSuffix(path.Base(file), ".yaml")] != nil {
			continue
		}
		found := slices.IndexFunc(m.Objects, func(o *fact.Object) bool {
			return o.GroupKind() == k.kind && path.Base(o.Origin.File) == path.Base(file)
		})
		if found < 0 {
			continue
		}
		root := m.Objects[found].Root
		mended, open, err := m.mend(root, c.minor)
		if err != nil {
			return err
		}
		for _, o := range open {
			o.Message = file + ": " + o.Message
			c.Open = append(c.Open, o)
		}
		if fact.Equal(root, mended) || k.name == "encryption" { // whose keys were not read
			continue
		}
		d, err := m.document(k, mended, c.minor)
		if err != nil {
			return err
		}
		d.Open = nil // told already
		c.Plan.Set(k.flag, path.Join(m.Layout.Folder, d.Name))
	}
	return nil
}

// document makes a document and judges it.
func (m *maker) document(k *kindOfDocument, root fact.Value, minor int) (*Document, error) {
	root, open, err := m.mend(root, minor)
	if err != nil {
		return nil, err
	}
	name := k.name
	for n := 2; m.documents[name] != nil && !fact.Equal(m.documents[name].Root, root); n++ { // of another API server
		name = fmt.Sprintf("%s-%d", k.name, n)
	}
	d := &Document{Name: name + ".yaml", Root: root, Open: open, Serves: map[string][]string{}, Secret: k.name == "encryption" && m.Layout.Key != ""}
	m.lines(d, minor)
	m.documents[name] = d
	return d, nil
}

// judges returns the controls of a kind of object.
func (m *maker) judges(kind string) []*control.Compiled {
	var out []*control.Compiled
	for _, c := range m.Controls {
		if c.Scope.Each == control.EachObject && slices.Contains(c.Scope.Kinds, kind) {
			out = append(out, c)
		}
	}
	return out
}

// objectOf makes an object of a document.
func objectOf(root fact.Value) (*fact.Object, error) {
	o, ok := fact.NewObject(root, fact.Origin{Source: "plan"})
	if !ok {
		return nil, fmt.Errorf("a document has no kind")
	}
	return &o, nil
}

// mend applies the patches of the controls that fail on a document until none
// changes it, and tells what is still open.
func (m *maker) mend(root fact.Value, minor int) (fact.Value, []Open, error) {
	for range maxRounds {
		before := root
		o, err := objectOf(root)
		if err != nil {
			return root, nil, err
		}
		for _, ctl := range m.judges(o.GroupKind()) {
			var edits []fact.Edit
			m.judgeObject(root, minor, ctl, func(j *control.Judge, out control.Outcome) {
				if a, err := j.Amend(ctl); err == nil && out.Verdict == finding.Fail {
					edits = append(edits, a.Edits...)
				}
			})
			for _, e := range fact.Compose(edits) {
				if root, err = e.Apply(root); err != nil {
					return root, nil, fmt.Errorf("%s: patch: %w", ctl.ID, err)
				}
			}
		}
		if fact.Equal(before, root) {
			break
		}
	}
	var open []Open
	o, err := objectOf(root)
	if err != nil {
		return root, nil, err
	}
	for _, ctl := range m.judges(o.GroupKind()) {
		m.judgeObject(root, minor, ctl, func(_ *control.Judge, out control.Outcome) {
			open = append(open, Open{ctl.ID, out.Message})
		})
	}
	return root, open, nil
}

func (m *maker) judgeObject(root fact.Value, minor int, ctl *control.Compiled, each func(*control.Judge, control.Outcome)) finding.Verdict {
	o, err := objectOf(root)
	if err != nil {
		return finding.Unknown
	}
	j := control.NewJudge(m.Library, m.World, minor)
	j.Subject(&control.Subject{Object: o})
	return j.Run(ctl, func(out control.Outcome) {
		if each != nil {
			each(j, out)
		}
	})
}

// lines finds what each line of a document is for: the controls that stop passing
// without it.
func (m *maker) lines(d *Document, minor int) {
	o, err := objectOf(d.Root)
	if err != nil {
		return
	}
	var passing []*control.Compiled
	for _, ctl := range m.judges(o.GroupKind()) {
		if m.judgeObject(d.Root, minor, ctl, nil) == finding.Pass {
			passing = append(passing, ctl)
		}
	}
	var walk func(v fact.Value, at []fact.Step) []string
	walk = func(v fact.Value, at []fact.Step) []string {
		var below []string
		i := 0
		for c := range v.Children() {
			step := fact.Element(i)
			if v.Kind() == fact.Map {
				step = fact.Field(c.Key().String())
			}
			below = append(below, walk(c, append(slices.Clone(at), step))...)
			i++
		}
		if len(at) == 0 || at[0].Field == "apiVersion" || at[0].Field == "kind" {
			return nil
		}
		without, err := (&fact.Edit{Op: fact.Remove, Path: at}).Apply(d.Root)
		if err != nil {
			return below
		}
		all := below
		for _, ctl := range passing {
			if slices.Contains(below, ctl.ID) {
				continue
			}
			if v := m.judgeObject(without, minor, ctl, nil); v == finding.Fail || v == finding.Unknown {
				d.Serves[fact.PathText(at)] = append(d.Serves[fact.PathText(at)], ctl.ID)
				all = append(all, ctl.ID)
			}
		}
		return all
	}
	walk(d.Root, nil)
}
