//go:build race

package e2e

// raced says that the race detector runs, which costs ten times the time and
// memory. What a test holds it holds without; with it, a part of each long table
// shows whether what runs at once gets into its own way.
const raced = true
