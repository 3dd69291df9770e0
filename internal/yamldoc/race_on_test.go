//go:build race

package yamldoc

// raced says that the race detector runs, which costs ten times the time and
// memory.
const raced = true
