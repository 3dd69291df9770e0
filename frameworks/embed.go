// Package frameworks holds the standards that Merlon reports against, one YAML
// file each: every item of the standard by id, the ones nobody can automate too.
// Which control answers which item is written in the controls.
package frameworks

import "embed"

// FS has the framework files at its root, as NAME.yaml.
//
//go:embed *.yaml
var FS embed.FS
