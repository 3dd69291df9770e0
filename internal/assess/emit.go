package assess

import (
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// blockSize is how many findings lie in one block.
const blockSize = 128

// emit makes a finding of a verdict that is not a pass.
func (k *worker) emit(c *control.Compiled, o control.Outcome) {
	s := &k.subject
	f := finding.Finding{
		Control: c.ID, Family: c.Family(), Title: c.Title, Severity: c.Level(), Verdict: o.Verdict,
		Evidence: o.Evidence, Message: o.Message, Count: 1, Frameworks: c.Frameworks(), Why: c.Why, Fix: c.Fix,
	}
	owner := owner{root: k.world.root}
	switch {
	case s.Object != nil:
		owner.group = s.Object.Group
		f.Subject = finding.Subject{APIVersion: s.Object.APIVersion(), Kind: s.Object.Kind, Namespace: s.Object.Namespace, Name: s.Object.KnownAs()}
		f.Pods, f.ManagedBy = s.Object.Pods, managers(s.Object)
		at, line := s.Object.At(o.At)
		f.Location, owner.root = written(at), at.Root
		if r := s.Object.Rendering; r != nil {
			f.Rendered, owner.known = &finding.Rendered{File: s.Object.Origin.File, Line: line, Values: at.Values}, r.Known
		}
	case s.Identity != nil:
		owner.group, f.Subject = subjectOf(s.Identity)
		f.Location = k.placed(o.At)
	case s.Namespace != "":
		f.Subject = finding.Subject{APIVersion: "v1", Kind: "Namespace", Name: s.Namespace}
		f.Location = namedAt(k.witness)
	default:
		f.Subject = finding.Subject{Kind: "Input", Name: "input"}
	}
	if s.Container != nil {
		f.Subject.Container = s.Container.Value.Get(fact.K("name")).Str()
	}
	f.Subject.Cluster = k.engine.options.Cluster
	if k.world.root != "" {
		f.Worlds = []string{k.world.name}
	}
	k.identify(&f, c, owner, o.Path())
	last := len(k.findings) - 1
	if last < 0 || len(k.findings[last]) == blockSize {
		k.findings = append(k.findings, make([]finding.Finding, 0, blockSize))
		last++
	}
	k.findings[last] = append(k.findings[last], f)
	if amend := k.engine.options.Amend; amend != nil && o.Verdict == finding.Fail && len(c.Patch) > 0 {
		a, err := k.judge.Amend(c)
		amend(&k.findings[last][len(k.findings[last])-1], s.Object, a, err)
	}
}

// owner is how a finding's id knows the owner of the field at fault.
type owner struct {
	group string
	root  string   // chart or overlay where it was written
	known fact.Ref // what it is called there, if that is another name
}

// identify gives a finding its id.
func (k *worker) identify(f *finding.Finding, c *control.Compiled, w owner, path string) {
	namespace, name := f.Subject.Namespace, f.Subject.Name
	if o := k.subject.Object; o != nil {
		namespace = o.InNamespace()
	}
	if w.known != (fact.Ref{}) {
		namespace, name = w.known.Namespace, w.known.Name
	}
	f.ID = finding.ID(c.Identity(), f.Subject.Cluster+w.root, w.group, f.Subject.Kind, namespace, name, f.Subject.Container, path)
}

// written is a place as findings have it.
func written(at fact.Written) finding.Location {
	return finding.Location{File: at.File, Line: at.Pos.Line, Column: at.Pos.Column}
}

// namedAt returns where an object names its namespace, or, when it leaves that
// open, its metadata.
func namedAt(o *fact.Object) finding.Location {
	if o == nil {
		return finding.Location{}
	}
	at := o.Root.Get(keyMetadata)
	if ns := at.Get(fact.K("namespace")); ns.Present() {
		at = ns
	}
	place, _ := o.At(at)
	return written(place)
}
