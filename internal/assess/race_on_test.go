//go:build race

package assess_test

// raced says that the race detector runs, which costs ten times the time and
// memory.
const raced = true
