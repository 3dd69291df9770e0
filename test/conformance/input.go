package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
	"github.com/merlon-security/merlon/internal/source/manifest"
)

// document is one file of a case.
type document struct {
	name string
	text []byte
}

// input is what a case gives to the engine, read as `merlon scan` reads files.
type input struct {
	documents []document
	snapshot  *fact.Snapshot
	byFile    map[string]*fact.Object
}

// objects returns what was read, in the order of the files.
func (in *input) objects() []*fact.Object { return in.snapshot.Objects() }

// broken reports whether some of the input could not be read.
func (in *input) broken() bool { return len(in.snapshot.Gaps()) > 0 }

// only is an input of one of the objects.
func (in *input) only(o *fact.Object) *input {
	return &input{documents: in.documents, byFile: in.byFile, snapshot: (&fact.Snapshot{}).Apply(fact.Change{Op: fact.Upsert, Object: o})}
}

// read makes one input of some files. Each object gets a file name of its own,
// which is how findings are led back to their object: cases hold many objects
// of one name.
func read(documents []document) (*input, error) {
	documents = withFacts(documents)
	in := &input{documents: documents, byFile: map[string]*fact.Object{}}
	var changes []fact.Change
	for _, d := range documents {
		src := &manifest.Source{Input: source.Input{Paths: []string{"-"}, Stdin: bytes.NewReader(d.text)}}
		err := src.Collect(context.Background(), func(c fact.Change) error {
			c.Gap.File = d.name
			if c.Op == fact.Upsert {
				o := *c.Object
				o.Origin.File = fmt.Sprintf("%s#%d", d.name, len(in.byFile))
				c.Object = &o
				in.byFile[o.Origin.File] = &o
			}
			changes = append(changes, c)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", d.name, err)
		}
	}
	in.snapshot = (&fact.Snapshot{}).Apply(changes...)
	return in, nil
}

// oneManifest is the input of most oracles: one text.
func oneManifest(c *testCase) ([]document, error) {
	var text string
	err := c.decode("input", &text)
	return []document{{"input", []byte(text)}}, err
}

// oneObject is an input that is a JSON object itself.
func oneObject(c *testCase) ([]document, error) {
	return []document{{"input", c.fields["input"]}}, nil
}

// manyFiles is an input of several named files.
func manyFiles(c *testCase) ([]document, error) { return namedFiles(c, "input") }

// namedFiles reads a field that maps names of files to their text.
func namedFiles(c *testCase, field string) ([]document, error) {
	var files map[string]string
	if err := c.decode(field, &files); err != nil {
		return nil, err
	}
	var out []document
	for _, name := range slices.Sorted(maps.Keys(files)) {
		out = append(out, document{name, []byte(files[name])})
	}
	return out, nil
}

// splitArray turns a file that is one JSON array of objects, a form that some
// tools use between themselves, into one document for each.
func splitArray(d document) []document {
	if text := bytes.TrimSpace(d.text); len(text) == 0 || text[0] != '[' {
		return []document{d}
	}
	var list []json.RawMessage
	if json.Unmarshal(d.text, &list) != nil {
		return []document{d}
	}
	out := make([]document, 0, len(list))
	for i, o := range list {
		out = append(out, document{fmt.Sprintf("%s[%d]", d.name, i), o})
	}
	return out
}
