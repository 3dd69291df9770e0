//go:build !linux

package node

import (
	"context"
	"errors"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
)

// Source reads nothing but on Linux.
type Source struct{ source.NodeInput }

// Collect says that it cannot.
func (s *Source) Collect(context.Context, func(fact.Change) error) error {
	return errors.New("scan node: only a machine that runs Linux can be read")
}
