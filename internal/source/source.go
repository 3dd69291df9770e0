// Package source holds what a source of facts is, and what the sources of files
// share: the survey of the paths that a person named. Each source lies in a
// package of its own below this one.
package source

import (
	"context"
	"io"
	"time"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/sandbox"
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

	// Watcher knows what was read before, for those who read again; nil: once.
	Watcher *Watcher

	// Survey is what lies in Paths, where several sources share it; a source that
	// is given none makes its own. Those that come first claim files, and the
	// source of plain manifests reads what is left.
	Survey *Survey

	Rendering Rendering
}

// Rendering says how charts and overlays are rendered.
type Rendering struct {
	Runner  *sandbox.Runner // nil: not at all, which is a gap
	Values  []string        // files of values for charts, later ones over earlier
	Set     []string        // key=value, over the files
	Release string          // name of the release; "" for that of `helm template`
	Minor   int             // Kubernetes 1.Minor
	Deploys []Deploy        // render these and nothing else
	Charts  func(Revisable) // is told each chart; may be nil
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
