// Package pace has the garbage collector wait until the libraries that Merlon is
// linked with have initialised themselves. They allocate five megabytes for tables
// of which most commands need nothing; to collect twice while they do costs a
// fifth of what `merlon version` takes.
//
// Go initialises packages that are ready in the order of their paths: this one
// needs hardly anything, and comes before those that allocate most.
package pace

import (
	"os"
	"runtime/debug"
)

var _ = begin()

// begin sets the pace of a scan of usual size; commands that run for long set
// their own. A user's GOGC stands.
func begin() bool {
	if os.Getenv("GOGC") != "" {
		return false
	}
	debug.SetGCPercent(400)
	return true
}
