//go:build !race

package yamldoc

const raced = false
