// Package source holds what a source of facts is. Each source lies in a package
// of its own below this one.
package source

import (
	"context"
	"io"
	"time"

	"github.com/merlon-security/merlon/internal/fact"
)

// Source reports changes: Upsert, Delete, GapOpened, GapClosed, Synced. A
// one-shot source returns after Synced; a watching one goes on until ctx ends.
// Nothing that rests on absence is judged before Synced. emit is called from
// one goroutine at a time; an error of emit ends the collection.
type Source interface {
	Collect(ctx context.Context, emit func(fact.Change) error) error
}

// Input is what a person names on the command line for a source to read.
type Input struct {
	Paths   []string  // files and folders; "-" is standard input
	Exclude []string  // patterns of files to leave out, in the form of .gitignore
	Stdin   io.Reader // for "-"
	Watch   bool      // go on and report changes until the context ends
}

// NodeInput is what a source of node facts reads.
type NodeInput struct {
	Root string    // where the machine's root is mounted; "" for the machine that Merlon runs on
	Now  time.Time // for how long certificates still hold

	// ProbeSecret is namespace/name of a Secret of which etcd is asked how it holds
	// it; "" for none.
	ProbeSecret string

	Watch bool             // go on and report changes until the context ends
	Every time.Duration    // how often to look; 0 for twice a minute
	Clock func() time.Time // of Now at each look; nil: Now stays
}

// Counter is a Source that reads files and tells how many the last Collect read.
type Counter interface{ Files() int }
