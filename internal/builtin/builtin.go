// Package builtin is the only list of what ships in the binary.
package builtin

import (
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/sink"
	"github.com/merlon-security/merlon/internal/sink/json"
	"github.com/merlon-security/merlon/internal/sink/sarif"
	"github.com/merlon-security/merlon/internal/sink/table"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/merlon-security/merlon/internal/source/audit"
	"github.com/merlon-security/merlon/internal/source/cluster"
	"github.com/merlon-security/merlon/internal/source/manifest"
	"github.com/merlon-security/merlon/internal/source/node"
)

// Sources lists where facts come from.
func Sources() []config.Kind[source.Source] {
	return []config.Kind[source.Source]{manifest.Kind(), cluster.Kind(), node.Kind()}
}

// Events lists where events come from.
func Events() []config.Kind[source.Events] {
	return []config.Kind[source.Events]{audit.Kind()}
}

// Sinks lists where reports go.
func Sinks() []config.Kind[sink.Sink] {
	return []config.Kind[sink.Sink]{table.Kind(), json.Kind(), sarif.Kind()}
}
