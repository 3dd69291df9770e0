// Package builtin is the only list of what ships in the binary.
package builtin
