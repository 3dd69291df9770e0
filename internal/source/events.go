package source

import (
	"context"
	"io"

	"github.com/merlon-security/merlon/internal/fact"
)

// Events is a source of what has happened: a stream, and not part of a
// snapshot. What cannot be read is a gap, and the rest goes on. An error of event
// or gap ends the reading; both are called from one goroutine at a time.
type Events interface {
	Read(ctx context.Context, event func(*fact.AuditEvent) error, gap func(fact.Gap) error) error
}

// EventInput is what a person names on the command line for a source of events.
type EventInput struct {
	Paths []string  // files and folders; "-" is standard input
	Stdin io.Reader // for "-"
}
