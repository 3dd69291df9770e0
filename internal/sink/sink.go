// Package sink holds what a sink of reports is. Each sink lies in a package of
// its own below this one.
package sink

import (
	"context"

	"github.com/merlon-security/merlon/internal/finding"
)

// Sink publishes a report. It does not filter, rank or judge, and it escapes
// what it writes for the place it writes to.
type Sink interface {
	Publish(ctx context.Context, r *finding.Report) error
}
