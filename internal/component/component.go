// Package component says which value of a component's setting is in force, and
// where it comes from: flag over file over the default of its version.
package component

import (
	"path"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// Process is one running or to be run component of Kubernetes, as its command
// line describes it. It is immutable.
type Process struct {
	name  string
	flags map[string]string
}

// FromContainer recognises a component in a container by the program it runs;
// false for any other container.
func FromContainer(c fact.Value) (*Process, bool) {
	var words []string
	for _, field := range [...]string{"command", "args"} {
		for w := range c.Get(fact.K(field)).Children() {
			words = append(words, w.Text())
		}
	}
	for i, w := range words {
		if name := path.Base(w); known(name) && !strings.HasPrefix(w, "-") {
			return &Process{name: name, flags: parse(words[i+1:])}, true
		}
	}
	return nil, false
}

func known(name string) bool {
	switch name {
	case "kube-apiserver", "kube-controller-manager", "kube-scheduler", "cloud-controller-manager", "etcd", "kubelet", "kube-proxy":
		return true
	}
	return false
}

// parse reads flags as pflag does: --name=value, --name value, and --name for
// true. The last one of a name wins.
func parse(words []string) map[string]string {
	flags := map[string]string{}
	for i := 0; i < len(words); i++ {
		name, isFlag := strings.CutPrefix(words[i], "-")
		if !isFlag {
			continue
		}
		name = strings.TrimPrefix(name, "-")
		name, value, given := strings.Cut(name, "=")
		if !given {
			value = "true"
			if i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") {
				i++
				value = words[i]
			}
		}
		flags[name] = value
	}
	return flags
}

// Name returns the component's name.
func (p *Process) Name() string { return p.name }

// Flag returns the value in force: as given, else the component's default, else
// "".
func (p *Process) Flag(name string) string {
	if v, ok := p.flags[name]; ok {
		return v
	}
	return defaults(p.name, name)
}

// FlagSet reports whether the flag is given.
func (p *Process) FlagSet(name string) bool {
	_, ok := p.flags[name]
	return ok
}

// defaults are what a component does when a flag is not given.
func defaults(component, flag string) string {
	return ""
}
