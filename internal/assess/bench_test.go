package assess

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/merlon-security/merlon/controls"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
	"github.com/merlon-security/merlon/test/bench/corpus"
)

// snapshotOf decodes a made-up cluster.
func snapshotOf(tb testing.TB, c corpus.Corpus) *fact.Snapshot {
	tb.Helper()
	var changes []fact.Change
	for name, data := range c.Files() {
		r := yamldoc.NewReader(bytes.NewReader(data), name, yamldoc.Limits{})
		for {
			d, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				tb.Fatal(err)
			}
			o, ok := fact.NewObject(d.Root, fact.Origin{Source: "bench", File: name, Doc: d.Index})
			if !ok {
				tb.Fatalf("%s: document %d is no object", name, d.Index)
			}
			changes = append(changes, fact.Change{Op: fact.Upsert, Object: &o})
		}
	}
	return (&fact.Snapshot{}).Apply(changes...)
}

// BenchmarkAssess judges clusters of 1,000 workloads by every control that
// ships, with the memory of verdicts and without. Compiling is part of it.
func BenchmarkAssess(b *testing.B) {
	all, err := control.Load(controls.FS, true)
	if err != nil {
		b.Fatal(err)
	}
	for _, different := range []bool{false, true} {
		c := corpus.Corpus{Workloads: 1000, Different: different, Seed: 1}
		s := snapshotOf(b, c)
		for _, noMemo := range []bool{false, true} {
			b.Run(fmt.Sprintf("%s/noMemo=%v", c.Name(), noMemo), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					e := New(control.NewLibrary(), all, Options{Minor: NewestMinor(), Workers: 1, NoMemo: noMemo})
					if _, err := e.Assess(s); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
