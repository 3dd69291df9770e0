package component

import (
	"path"

	"github.com/merlon-security/merlon/internal/fact"
)

// NodeKind is the kind of the object by which a source of node facts tells of
// one component as it runs:
//
//	apiVersion: merlon.dev/v1
//	kind: NodeComponent
//	metadata: {name: n1.kubelet}
//	spec:
//	  component: kubelet
//	  version: v1.36.3
//	  system: linux
//	  seen: "2026-11-29"                              # the day on which it was looked at
//	  command: [/usr/bin/kubelet, --config=/var/lib/kubelet/config.yaml]
//	  env: [{name: ETCD_NAME, value: a}]               # of etcd
//	  configuration: [{path: …, content: {…}}]        # in the order in which they are read
//	  unread: [/etc/kubernetes/other.yaml]            # named, and could not be read
//	  effective: true                                 # configuration is what it says itself that it runs with; command is not known
const NodeKind = "merlon.dev/NodeComponent"

var (
	keySpec, keyPath, keyContent = fact.K("spec"), fact.K("path"), fact.K("content")
	keyComponent, keyVersion     = fact.K("component"), fact.K("version")
)

// FromObject returns the component that an object of kind [NodeKind] tells of.
func FromObject(o *fact.Object) (*Process, bool) {
	if o.GroupKind() != NodeKind {
		return nil, false
	}
	spec := o.Root.Get(keySpec)
	p := &Process{
		name: spec.Get(keyComponent).Str(), version: spec.Get(keyVersion).Str(), system: spec.Get(fact.K("system")).Str(),
		lists: [2]fact.Value{spec, spec.Get(keyCommand)},
	}
	if p.name == "" {
		return nil, false
	}
	if p.name != "etcd" {
		p.minor = minorIn(p.version)
	}
	var words []word
	for w := range spec.Get(keyCommand).Children() {
		words = append(words, word{w.Text(), w})
	}
	if _, rest, ok := program(words); ok {
		words = rest
	} else if len(words) > 0 {
		words = words[1:]
	}
	p.flags = parse(p.name, words)
	if p.name == "etcd" {
		p.addEnv(spec.Get(fact.K("env")))
	}
	for f := range spec.Get(fact.K("configuration")).Children() {
		p.files = append(p.files, f)
	}
	p.unread, p.effective = spec.Get(fact.K("unread")).Len() > 0, spec.Get(fact.K("effective")).Bool()
	return p, true
}

// Recognise returns the component that a command line runs, "" for none. Besides
// those of Kubernetes it knows the container runtimes.
func Recognise(argv []string) string {
	words := make([]word, len(argv))
	for i, w := range argv {
		words[i].text = w
	}
	if name, _, ok := program(words); ok {
		return name
	}
	if len(argv) == 0 {
		return ""
	}
	switch base := path.Base(argv[0]); base {
	case "containerd", "crio", "dockerd", "k3s", "rke2":
		return base
	}
	return ""
}

// Flags returns what a command line of a component gives, by flag, as the
// component reads it: for sources, which want to know the files it names.
func Flags(component string, argv []string) map[string]string {
	words := make([]word, len(argv))
	for i, w := range argv {
		words[i].text = w
	}
	if _, rest, ok := program(words); ok {
		words = rest
	} else if len(words) > 0 {
		words = words[1:]
	}
	out := map[string]string{}
	for name, g := range parse(component, words) {
		out[name] = g.value
	}
	return out
}

// ConfigFlag names the flag by which a component takes its configuration file.
func ConfigFlag(component string) string { return configFlag(component) }
