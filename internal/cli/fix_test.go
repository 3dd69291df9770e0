package cli

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReplaceFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.yaml")
	if err := os.WriteFile(name, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := replaceFile(dir, name, []byte("older"), []byte("new")); err == nil || !strings.Contains(err.Error(), "has changed since it was read") {
		t.Errorf("a file that has changed: %v", err)
	}
	if err := replaceFile(dir, filepath.Join(filepath.Dir(dir), "b.yaml"), nil, nil); err == nil || !strings.Contains(err.Error(), "leads out") {
		t.Errorf("a file outside: %v", err)
	}
	if err := replaceFile(dir, name, []byte("old"), []byte("new")); err != nil {
		t.Error(err)
	}
	data, err := os.ReadFile(name)
	if err != nil || string(data) != "new" {
		t.Errorf("%q, %v", data, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// The lines of a diff are both texts, and its hunks hold every change once.
func TestDiffs(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	text := func() string {
		var b strings.Builder
		for range r.IntN(30) {
			fmt.Fprintf(&b, "line %d\n", r.IntN(6))
		}
		return strings.TrimSuffix(b.String(), strings.Repeat("\n", r.IntN(2)))
	}
	for range 2000 {
		before, after := text(), text()
		lines := diffLines([]byte(before), []byte(after))
		var old, new strings.Builder
		changes := 0
		for _, l := range lines {
			if l.kind != '+' {
				old.WriteString(l.text)
			}
			if l.kind != '-' {
				new.WriteString(l.text)
			}
			if l.kind != ' ' {
				changes++
			}
		}
		if old.String() != before || new.String() != after {
			t.Fatalf("%q, %q: %v", before, after, lines)
		}
		at := 0
		for _, h := range hunks(lines, func(l *diffLine) bool { return l.text == "line 3\n" }) {
			if h.from < at {
				t.Fatalf("hunks overlap: %q, %q", before, after)
			}
			at = h.to
			for i := h.from; i < h.to; i++ {
				if lines[i].kind != ' ' {
					changes--
				} else if lines[i].text == "line 3\n" {
					t.Fatalf("a line that is cut is shown: %q, %q", before, after)
				}
			}
		}
		if changes != 0 {
			t.Fatalf("%d changes are in no hunk: %q, %q", changes, before, after)
		}
	}
}
