// Package corpus makes up clusters: N workloads with what stands around them,
// as YAML files. The same seed gives the same bytes, and a workload is the same
// in a corpus of any size, so that costs at two sizes can be compared.
//
// There are two kinds. The realistic one has the repetition of real clusters:
// every workload has its own name, labels and image, and shares with many the
// few security contexts, resources and probes that a company writes down once.
// In the different one no two workloads share a value that a control could
// read, wherever the field's type allows it; it has the same shapes. An engine
// that remembers verdicts gains from the first and nothing from the second.
package corpus

import (
	"bytes"
	"fmt"
	"iter"
	"os"
	"path/filepath"
)

// Corpus describes a made-up cluster. The zero value is empty.
type Corpus struct {
	Workloads int
	Different bool // no two workloads alike in what controls read
	Seed      uint64
}

// Size is what a corpus holds.
type Size struct{ Files, Documents, Bytes int }

// perFile is how many workloads lie in one file, perNamespace in one namespace.
const (
	perFile      = 200
	perNamespace = 20
)

// Name returns a name for people.
func (c Corpus) Name() string {
	if c.Different {
		return "all-different"
	}
	return "realistic"
}

// Files yields the corpus as files of many documents.
func (c Corpus) Files() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for from := 0; from < c.Workloads; from += perFile {
			p := &page{}
			for i := from; i < min(from+perFile, c.Workloads); i++ {
				p.workload(c.workload(i))
			}
			if !yield(fmt.Sprintf("part-%04d.yaml", from/perFile), p.text.Bytes()) {
				return
			}
		}
	}
}

// Write puts the files into a folder, which it makes.
func (c Corpus) Write(dir string) (Size, error) {
	var s Size
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return s, fmt.Errorf("make folder of corpus: %w", err)
	}
	for name, data := range c.Files() {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return s, fmt.Errorf("write corpus: %w", err)
		}
		s.Files++
		s.Bytes += len(data)
		s.Documents += bytes.Count(data, []byte(separator))
	}
	return s, nil
}

const separator = "---\n"

// page is a file in the making.
type page struct{ text bytes.Buffer }

// document adds one object: its head, then what follows as it stands.
func (p *page) document(apiVersion, kind string, meta block, rest ...block) {
	p.text.WriteString(separator)
	fmt.Fprintf(&p.text, "apiVersion: %s\nkind: %s\nmetadata:\n%s", apiVersion, kind, meta.indented(2))
	for _, b := range rest {
		p.text.WriteString(string(b))
	}
}

// block is lines of YAML, each with its line break, from the left margin on.
type block string

func text(format string, args ...any) block { return block(fmt.Sprintf(format, args...)) }

// under returns the block as the value of a key; nothing when it is empty. A
// list is not indented, which is how kubectl and Helm write it.
func (b block) under(key string) block {
	if b == "" {
		return ""
	}
	if b[0] == '-' {
		return block(key) + ":\n" + b
	}
	return block(key) + ":\n" + b.indented(2)
}

// item returns the block as one element of a list.
func (b block) item() block {
	if b == "" {
		return ""
	}
	return "- " + b.indented(2)[2:]
}

func (b block) indented(n int) block {
	out := make([]byte, 0, len(b)+len(b)/4)
	start := true
	for i := range len(b) {
		if start {
			for range n {
				out = append(out, ' ')
			}
		}
		out = append(out, b[i])
		start = b[i] == '\n'
	}
	return block(out)
}
