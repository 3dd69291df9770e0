// Package controls carries the built-in controls: one file each, in the folder
// of its family.
package controls

import "embed"

// FS holds the files.
//
//go:embed */*.yaml
var FS embed.FS
