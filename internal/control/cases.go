package control

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/yamldoc"
	"go.yaml.in/yaml/v3"
)

// Case is one example of a control: objects and the verdict on them.
type Case struct {
	Name       string
	Verdict    finding.Verdict
	Count      int    // findings expected; 0 means at least one
	At         string // path of the field at fault; "" for any
	Params     map[string]any
	Kubernetes string
	Line       int
	// Short tells from which form the objects were made: "container", "pod", or
	// "" for objects written in full.
	Short   string
	Objects []fact.Value

	snippet *yaml.Node
	written []yaml.Node // the objects, where they were written in full
}

// caseSource keeps the cases' text until somebody asks.
type caseSource struct {
	file string
	data []byte
	line int
}

type caseFile struct {
	Name       string         `yaml:"name"`
	Verdict    string         `yaml:"verdict"`
	Count      int            `yaml:"count"`
	At         string         `yaml:"at"`
	Params     map[string]any `yaml:"params"`
	Kubernetes string         `yaml:"kubernetes"`
	Object     yaml.Node      `yaml:"object"`
	Objects    []yaml.Node    `yaml:"objects"`
	Pod        yaml.Node      `yaml:"pod"`
	Container  yaml.Node      `yaml:"container"`
}

// Cases reads the control's cases. It is an error for a control to have none
// that passes or none that fails.
func (c *Control) Cases() ([]Case, error) {
	src := c.cases
	if len(src.data) == 0 {
		return nil, fmt.Errorf("%s: control has no cases", src.file)
	}
	padded := append(bytes.Repeat([]byte("\n"), src.line), src.data...)
	dec := yaml.NewDecoder(bytes.NewReader(padded))
	dec.KnownFields(true)
	var file struct {
		Cases []yaml.Node `yaml:"cases"`
	}
	if err := dec.Decode(&file); err != nil {
		return nil, fmt.Errorf("%s: read cases: %w", src.file, err)
	}
	seen := map[finding.Verdict]bool{}
	var out []Case
	for i := range file.Cases {
		one, err := readCase(&file.Cases[i])
		if err != nil {
			return nil, fmt.Errorf("%s:%d: case: %w", src.file, file.Cases[i].Line, err)
		}
		seen[one.Verdict] = true
		out = append(out, one)
	}
	if !seen[finding.Pass] || !seen[finding.Fail] {
		return nil, fmt.Errorf("%s: a control needs a case that passes and one that fails", src.file)
	}
	return out, nil
}

func readCase(n *yaml.Node) (Case, error) {
	var f caseFile
	raw, err := yaml.Marshal(n)
	if err != nil {
		return Case{}, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(raw))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		return Case{}, err
	}
	c := Case{Name: f.Name, Verdict: finding.Verdict(f.Verdict), Count: f.Count, At: f.At, Params: f.Params, Kubernetes: f.Kubernetes, Line: n.Line}
	switch c.Verdict {
	case finding.Pass, finding.Fail, finding.Unknown, finding.NotApplicable:
	default:
		return c, fmt.Errorf("verdict %q: one of pass, fail, unknown, not-applicable", f.Verdict)
	}
	if c.Name == "" {
		return c, errors.New("has no name")
	}
	nodes := f.Objects
	switch {
	case !f.Object.IsZero():
		nodes = append(nodes, f.Object)
	case !f.Pod.IsZero():
		c.Short, c.snippet = "pod", &f.Pod
		nodes = []yaml.Node{*wrap("Pod", podSpec(&f.Pod))}
	case !f.Container.IsZero():
		c.Short, c.snippet = "container", &f.Container
		nodes = []yaml.Node{*wrap("Pod", withContainer(&f.Container, "container", false))}
	}
	if c.Short == "" {
		c.written = nodes
	}
	if len(nodes) == 0 {
		return c, errors.New("has no object, objects, pod or container")
	}
	for i := range nodes {
		v, err := toFact(&nodes[i])
		if err != nil {
			return c, err
		}
		c.Objects = append(c.Objects, v)
	}
	return c, nil
}

// toFact reads a part of a case through the same decoder as any manifest.
func toFact(n *yaml.Node) (fact.Value, error) {
	raw, err := yaml.Marshal(n)
	if err != nil {
		return fact.Value{}, err
	}
	doc, err := yamldoc.NewReader(bytes.NewReader(raw), "case", yamldoc.Limits{}).Next()
	if err != nil {
		return fact.Value{}, err
	}
	return doc.Root, nil
}

// Wrapped returns the case's objects for another kind that carries pods, or for
// another type of container; false when the case is not in the short form.
func (c *Case) Wrapped(kind, containerType string) (fact.Value, bool, error) {
	var spec *yaml.Node
	switch {
	case c.Short == "pod" && containerType == "container":
		spec = podSpec(c.snippet)
	case c.Short == "container":
		spec = withContainer(c.snippet, containerType, c.Verdict != finding.Fail)
	default:
		return fact.Value{}, false, nil
	}
	v, err := toFact(wrap(kind, spec))
	return v, err == nil, err
}

// goodContainer is what a case's pod holds besides what the case is about.
const goodContainer = `{name: app, image: "registry.example.com/app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}`

func parsed(text string) *yaml.Node {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		panic("control: bad template: " + err.Error())
	}
	return n.Content[0]
}

func child(m *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i+1]
		}
	}
	return nil
}

func set(m *yaml.Node, key string, v *yaml.Node) {
	m.Content = append(m.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: key}, v)
}

// podSpec fills in the one container that a pod must have.
func podSpec(snippet *yaml.Node) *yaml.Node {
	spec := *snippet
	spec.Content = append([]*yaml.Node(nil), snippet.Content...)
	if child(&spec, "containers") == nil {
		set(&spec, "containers", &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{parsed(goodContainer)}})
	}
	return &spec
}

// completed fills in what a container must have.
func completed(snippet *yaml.Node) *yaml.Node {
	container := *snippet
	container.Content = append([]*yaml.Node(nil), snippet.Content...)
	good := parsed(goodContainer)
	for i := 0; i+1 < len(good.Content); i += 2 {
		if child(&container, good.Content[i].Value) == nil {
			set(&container, good.Content[i].Value, good.Content[i+1])
		}
	}
	return &container
}

func renamed(snippet *yaml.Node, name string) *yaml.Node {
	container := completed(snippet)
	for i := 0; i+1 < len(container.Content); i += 2 {
		if container.Content[i].Value == "name" {
			container.Content[i+1] = &yaml.Node{Kind: yaml.ScalarNode, Value: name}
		}
	}
	return container
}

// withContainer makes a pod whose container, of a type, is the snippet.
// A pod needs a container of the ordinary type too: alike makes it another copy
// of the snippet, else it is a good one.
func withContainer(snippet *yaml.Node, containerType string, alike bool) *yaml.Node {
	container := *completed(snippet)
	spec := &yaml.Node{Kind: yaml.MappingNode}
	field := map[string]string{"container": "containers", "init": "initContainers", "sidecar": "initContainers", "ephemeral": "ephemeralContainers"}[containerType]
	if containerType == "sidecar" {
		set(&container, "restartPolicy", &yaml.Node{Kind: yaml.ScalarNode, Value: "Always"})
	}
	set(spec, field, &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{&container}})
	if containerType != "container" {
		main := parsed(strings.Replace(goodContainer, "name: app", "name: main", 1))
		if alike {
			main = renamed(snippet, "main")
		}
		set(spec, "containers", &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{main}})
	}
	return spec
}

// WrapKinds are the kinds that a pod's case is run in.
var WrapKinds = [...]string{"Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob", "PodTemplate"}

// wrap puts a pod's spec into an object of a kind.
func wrap(kind string, spec *yaml.Node) *yaml.Node {
	form := map[string]string{
		"Pod":                   `{apiVersion: v1, kind: Pod, metadata: {name: case, namespace: case}}`,
		"PodTemplate":           `{apiVersion: v1, kind: PodTemplate, metadata: {name: case, namespace: case}, template: {metadata: {labels: {app: case}}}}`,
		"ReplicationController": `{apiVersion: v1, kind: ReplicationController, metadata: {name: case, namespace: case}, spec: {selector: {app: case}, template: {metadata: {labels: {app: case}}}}}`,
		"Job":                   `{apiVersion: batch/v1, kind: Job, metadata: {name: case, namespace: case}, spec: {template: {metadata: {labels: {app: case}}}}}`,
		"CronJob":               `{apiVersion: batch/v1, kind: CronJob, metadata: {name: case, namespace: case}, spec: {schedule: "0 3 * * *", jobTemplate: {spec: {template: {metadata: {labels: {app: case}}}}}}}`,
	}[kind]
	if form == "" {
		form = `{apiVersion: apps/v1, kind: ` + kind + `, metadata: {name: case, namespace: case}, spec: {selector: {matchLabels: {app: case}}, template: {metadata: {labels: {app: case}}}}}`
	}
	object := parsed(form)
	at := object
	for _, step := range map[string][]string{"Pod": {}, "PodTemplate": {"template"}, "CronJob": {"spec", "jobTemplate", "spec", "template"}}[kind] {
		at = child(at, step)
	}
	if kind != "Pod" && kind != "PodTemplate" && kind != "CronJob" {
		at = child(child(object, "spec"), "template")
	}
	set(at, "spec", spec)
	return object
}
