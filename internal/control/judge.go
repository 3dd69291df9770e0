package control

import (
	"fmt"

	"github.com/merlon-security/merlon/internal/control/expr"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
)

// Subject is what a control judges: an object, and the part of it in question.
type Subject struct {
	Object    *fact.Object
	Pod       *fact.PodTemplate
	Container *fact.Container
	Component Component
	Namespace string // scope namespace: its name
	Declared  bool   // scope namespace: whether the input holds the Namespace itself
	Identity  *Identity
}

// Identity is whom a binding can name: what scope subject judges.
type Identity struct{ Kind, Namespace, Name string }

// part returns the value that the subject is about.
func (s *Subject) part() fact.Value {
	switch {
	case s.Container != nil:
		return s.Container.Value
	case s.Pod != nil:
		return s.Pod.Spec
	case s.Object != nil:
		return s.Object.Root
	}
	return fact.Value{}
}

// Outcome is one verdict, with the place it rests on. For a field that is
// missing, At is the map it is missed in.
type Outcome struct {
	Verdict  finding.Verdict
	Message  string
	At       fact.Value
	Missing  string
	Item     string // names the item judged, where it is made by an expression and says its id
	Evidence []finding.Evidence
}

// Path returns the path of the field at fault by which the finding is known.
func (o *Outcome) Path() string {
	path := below(o.At.NamedPath(), o.Missing)
	if o.Item != "" {
		path += "#" + o.Item
	}
	return path
}

// ShownPath returns the path of the field at fault as people read it.
func (o *Outcome) ShownPath() string { return below(o.At.ShownPath(), o.Missing) }

func below(path, missing string) string {
	switch {
	case missing == "":
		return path
	case path == "":
		return missing
	}
	return path + "." + missing
}

// Judge evaluates controls on subjects. It holds the working memory of one
// goroutine and is not safe for concurrent use.
type Judge struct {
	lib     *Library
	frame   *expr.Frame
	subject *Subject
	control *Compiled
	// kubernetes is the version judged for, as expressions read it.
	kubernetes expr.Value
	// Values made for the last object and pod, which several subjects share.
	requestOf *fact.Object
	request   expr.Value
	podOf     *fact.PodTemplate
	pod       expr.Value

	imageOf    string
	imageParts expr.Value

	listOf any // identity of the pod whose containers list holds
	list   expr.Value

	selectingOf *fact.Object
	selected    map[string]expr.Value // by kind

	// Room for what an evaluation reads, and for a message.
	trace, placed expr.Trace
	buf           []byte

	lists map[[2]string]listing // objects of a kind and namespace
}

// NewJudge returns a judge for a Kubernetes minor version. world answers the
// functions that see the whole input; nil where there is none.
func NewJudge(lib *Library, world World, minor int) *Judge {
	j := &Judge{lib: lib, frame: lib.env.NewFrame(), kubernetes: expr.FromGo(map[string]any{"major": 1, "minor": minor})}
	j.frame.World = &view{world: world, judge: j}
	j.frame.Lazy = j.variable
	return j
}

// Subject makes a subject the one that Run judges from now on.
func (j *Judge) Subject(s *Subject) {
	j.subject = s
	j.frame.Reset()
}

// Forget drops the answers of the world that are kept for the subjects that
// follow, so that they ask for themselves.
func (j *Judge) Forget() { j.selectingOf, j.selected = nil, nil }

// variable computes a variable at its first use for a subject.
func (j *Judge) variable(name string) expr.Value {
	s := j.subject
	switch name {
	case "object":
		if s.Object != nil {
			return expr.FromFact(s.Object.Root)
		}
		if s.Namespace != "" {
			return expr.FromGo(map[string]any{"metadata": map[string]any{"name": s.Namespace}})
		}
	case "pod":
		if s.Pod != nil {
			if j.podOf != s.Pod {
				j.podOf, j.pod = s.Pod, podValue(s.Pod)
			}
			return j.pod
		}
	case "container":
		if s.Container != nil {
			return expr.FromFact(s.Container.Value)
		}
	case "containerType":
		if s.Container != nil {
			return expr.StringOf(string(s.Container.Type))
		}
	case "subject":
		if s.Identity != nil {
			return identityValue(*s.Identity)
		}
	case "declared":
		return expr.BoolOf(s.Declared)
	case "params":
		return j.control.params
	case "kubernetes":
		return j.kubernetes
	case "request":
		if s.Object == nil || j.requestOf != s.Object {
			j.requestOf, j.request = s.Object, requestValue(s)
		}
		return j.request
	case "namespaceObject":
		return j.namespaceObject()
	}
	return expr.Value{}
}

func podValue(p *fact.PodTemplate) expr.Value {
	if p.Metadata.Kind() == fact.Map {
		return podShape.Of(expr.FromFact(p.Spec), expr.FromFact(p.Metadata))
	}
	return bareShape.Of(expr.FromFact(p.Spec))
}

var (
	podShape     = expr.NewShape("spec", "metadata")
	bareShape    = expr.NewShape("spec")
	requestShape = expr.NewShape("namespace", "name", "operation", "kind")
	kindShape    = expr.NewShape("group", "version", "kind")
)

func requestValue(s *Subject) expr.Value {
	if s.Object == nil {
		return expr.FromGo(map[string]any{"namespace": s.Namespace, "name": s.Namespace, "operation": "CREATE"})
	}
	o := s.Object
	kind := kindShape.Of(expr.StringOf(o.Group), expr.StringOf(o.Version), expr.StringOf(o.Kind))
	return requestShape.Of(expr.StringOf(o.InNamespace()), expr.StringOf(o.Name), expr.StringOf("CREATE"), kind)
}

func (j *Judge) namespaceObject() expr.Value {
	w := j.frame.World.(*view).world
	if w != nil && j.subject.Object != nil {
		if ns := w.Find("Namespace", "", j.subject.Object.InNamespace()); ns != nil {
			return expr.FromFact(ns.Root)
		}
	}
	return expr.MapOf(nil, nil)
}

// Again judges the subject by a control that is known to fail on it, for the
// evidence: what Run does, without finding out first whether it fails.
func (j *Judge) Again(c *Compiled, emit func(Outcome)) {
	if c.items != nil {
		j.Run(c, emit)
		return
	}
	j.begin(c)
	emit(j.failed(expr.Value{}))
}

// begin makes the frame ready for a control.
func (j *Judge) begin(c *Compiled) {
	j.control = c
	if c.hasParams {
		j.frame.Set("params", c.params)
	}
	j.frame.Begin(c.env)
}

// Run judges the subject by one control and calls emit for each verdict that is
// not a pass. It returns how the control stands on the subject as a whole: the
// worst of fail, unknown, pass; or not applicable.
func (j *Judge) Run(c *Compiled, emit func(Outcome)) finding.Verdict {
	j.begin(c)
	if c.when != nil {
		switch v := c.when.Eval(j.frame); {
		case v.Kind() == expr.Bool && !v.True():
			return finding.NotApplicable
		case v.Kind() != expr.Bool:
			emit(j.unknown("when", v))
			return finding.Unknown
		}
	}
	if c.items == nil {
		return j.one(expr.Value{}, emit)
	}
	list := c.items.Eval(j.frame)
	if list.Kind() != expr.List {
		emit(j.unknown("items", list))
		return finding.Unknown
	}
	worst := finding.NotApplicable
	list.Each(func(_, item expr.Value) bool {
		j.frame.Set("item", item)
		j.frame.Begin(c.env) // variables may read item
		worst = worse(worst, j.one(item, emit))
		return true
	})
	return worst
}

func worse(a, b finding.Verdict) finding.Verdict {
	for _, v := range []finding.Verdict{finding.Fail, finding.Unknown, finding.Pass} {
		if a == v || b == v {
			return v
		}
	}
	return finding.NotApplicable
}

func (j *Judge) one(item expr.Value, emit func(Outcome)) finding.Verdict {
	v := j.control.require.Eval(j.frame)
	if v.True() {
		return finding.Pass
	}
	if v.Kind() != expr.Bool {
		emit(j.unknown("require", v))
		return finding.Unknown
	}
	emit(j.failed(item))
	return finding.Fail
}

// unknown is the outcome of an expression that could not be evaluated.
func (j *Judge) unknown(key string, v expr.Value) Outcome {
	why := "is not a boolean"
	if key == "items" {
		why = "is not a list"
	}
	if err := v.Err(); err != nil {
		why = j.lib.secrets.clean(err.Error())
	}
	return Outcome{Verdict: finding.Unknown, At: j.subject.part(), Message: fmt.Sprintf("could not be judged: %s: %s", key, why)}
}

// failed evaluates once more, watching what is read, to find the field at fault
// and the evidence.
func (j *Judge) failed(item expr.Value) Outcome {
	trace := &j.trace
	trace.Reads = trace.Reads[:0]
	j.frame.Begin(j.control.env)
	j.frame.Trace = trace
	j.control.require.Eval(j.frame)
	j.frame.Trace = nil
	t, err := j.control.texts()
	if err != nil {
		return Outcome{Verdict: finding.Fail, Message: err.Error(), At: j.subject.part()}
	}
	o := Outcome{Verdict: finding.Fail, Message: j.text(t.message)}
	o.At, o.Missing = j.place(t.at, trace, item)
	o.Item = itemID(item)
	o.Evidence = j.evidence(trace, &o)
	return o
}

func (j *Judge) text(message []hole) string {
	b := j.buf[:0]
	for _, h := range message {
		if h.expr == nil {
			b = append(b, h.text...)
			continue
		}
		v := h.expr.Eval(j.frame)
		if v.Err() != nil {
			b = append(b, '?')
			continue
		}
		b = append(b, j.lib.secrets.shown(v.Node(), v.Text(), false)...)
	}
	j.buf = b
	return string(b)
}

// itemID returns the id of an item that is no part of an object, such as an
// advisory: several of them may be at fault at one place.
func itemID(item expr.Value) string {
	if item.Kind() != expr.Map || item.Node().Present() {
		return ""
	}
	id, ok := item.Field("id")
	if !ok || id.Kind() != expr.String {
		return ""
	}
	return id.Str()
}
