//go:build !race

package assess_test

const raced = false
