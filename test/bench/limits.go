package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// limitCommand, as first argument, makes this binary one of the limits: it
// then reads, or decodes, a folder, and does nothing else.
const limitCommand = "limit"

// runLimit is a child process: `bench limit read|decode DIR`.
func runLimit(what, dir string, stdout, stderr io.Writer) int {
	visit := readOnly
	if what == "decode" {
		visit = decode
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("no YAML in %s", dir)
	}
	total := 0
	for _, name := range names {
		var n int
		if n, err = visit(name); err != nil {
			break
		}
		total += n
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 3
	}
	fmt.Fprintln(stdout, total)
	return 0
}

// readOnly reads a file and returns its bytes' number.
func readOnly(name string) (int, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("read: %w", err)
	}
	return len(data), nil
}

// decode decodes a file and returns the number of its documents. Nodes are
// dropped at once: what holds for one file holds for a thousand.
func decode(name string) (int, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return 0, fmt.Errorf("read: %w", err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for n := 0; ; n++ {
		var node yaml.Node
		if err := dec.Decode(&node); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, fmt.Errorf("decode %s: %w", name, err)
		}
	}
}
