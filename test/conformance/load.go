package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// testCase is one line of an oracle: what it says, still undecoded.
type testCase struct {
	ID     string
	fields map[string]json.RawMessage
}

// text returns a field that is a string, "" where there is none.
func (c *testCase) text(field string) string {
	var s string
	if json.Unmarshal(c.fields[field], &s) != nil {
		return ""
	}
	return s
}

// decode reads a field into v. A field that is not there leaves v as it is.
func (c *testCase) decode(field string, v any) error {
	raw, ok := c.fields[field]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("case %s: read %s: %w", c.ID, field, err)
	}
	return nil
}

// data is a folder of oracles and what belongs to it.
type data struct{ dir string }

// names returns the oracles of the folder, sorted.
func (d data) names() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(d.dir, "oracles", "*.jsonl"))
	if err != nil {
		return nil, fmt.Errorf("list oracles: %w", err)
	}
	out := make([]string, 0, len(files))
	for _, f := range files {
		out = append(out, strings.TrimSuffix(filepath.Base(f), ".jsonl"))
	}
	slices.Sort(out)
	return out, nil
}

// cases reads one oracle.
func (d data) cases(oracle string) ([]*testCase, error) {
	text, err := os.ReadFile(filepath.Join(d.dir, "oracles", oracle+".jsonl"))
	if err != nil {
		return nil, fmt.Errorf("read oracle: %w", err)
	}
	var out []*testCase
	line := 0
	for l := range bytes.Lines(text) {
		line++
		if len(bytes.TrimSpace(l)) == 0 {
			continue
		}
		c := &testCase{}
		if err := json.Unmarshal(l, &c.fields); err != nil {
			return nil, fmt.Errorf("read oracle %s, line %d: %w", oracle, line, err)
		}
		if c.ID = c.text("id"); c.ID == "" {
			return nil, fmt.Errorf("read oracle %s, line %d: case without id", oracle, line)
		}
		out = append(out, c)
	}
	return out, nil
}

// reference reads a file of the folder's reference tables. What is not there is
// no error: another folder of the same form may do without.
func (d data) reference(name string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(d.dir, "reference", filepath.FromSlash(name)))
	if err != nil && !os.IsNotExist(err) {
		return nil, fmt.Errorf("read reference: %w", err)
	}
	return text, nil
}
