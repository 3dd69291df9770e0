// Package node is the source that reads the facts of one machine: the components
// of Kubernetes that run on it, their configuration, files and certificates, and
// the host itself.
//
// It only reads. Nothing of the machine is executed, for who may name a program
// "kubelet" need not be root. What cannot be read is a gap. Paths are followed
// within the tree in which they are meant, the machine's or that of a
// component's own mount namespace, and never out of it.
package node

import (
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/source"
)

// Name is the source's name in facts and gaps.
const Name = "node"

// Kind describes the source.
func Kind() config.Kind[source.Source] {
	return config.Kind[source.Source]{
		Name: Name, Doc: "one machine: components of Kubernetes as they run, their files and certificates, the host", Example: "merlon scan --node",
		New: func(decode func(any) error) (source.Source, error) {
			s := &Source{}
			return s, decode(&s.NodeInput)
		},
	}
}
