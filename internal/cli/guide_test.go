package cli

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// shown is a command of a page and the output that the page shows for it.
type shown struct {
	place, command string
	lines          []string
}

// TestGuidesShowRealOutput runs the commands that pages show and that need
// nothing but the repository, and compares. A line "…" stands for any lines, and
// one that ends in " …" for what begins so. Counts of controls and of verdicts
// may lag behind, so that adding a control touches one file.
func TestGuidesShowRealOutput(t *testing.T) {
	t.Chdir("../..")
	pages, err := filepath.Glob("docs/guide/*.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, page := range append(pages, "README.md", "CONTRIBUTING.md") {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range commandsOf(page, string(data)) {
			args := strings.Fields(strings.TrimPrefix(s.command, "merlon "))
			if !standsAlone(args) {
				continue
			}
			ran++
			var out bytes.Buffer
			Main(args, Streams{In: strings.NewReader(""), Out: &out, Err: io.Discard})
			if line := missing(s.lines, strings.Split(out.String(), "\n")); line != "" {
				t.Errorf("%s: %s does not print %q any more", s.place, s.command, line)
			}
		}
	}
	if ran < 6 {
		t.Errorf("only %d commands of pages were run", ran)
	}
}

// standsAlone reports whether a command needs no file of the reader's.
func standsAlone(args []string) bool {
	switch args[0] {
	case "frameworks", "controls", "explain":
		for _, a := range args {
			if a == "--controls" || a == "--frameworks" || a == "--report" || a == "NAME" || a == "test" {
				return false
			}
		}
		return true
	case "scan":
		return strings.HasPrefix(args[1], "examples/")
	}
	return false
}

func commandsOf(page, text string) []shown {
	var out []shown
	var now *shown
	margin := "" // of the block, in a list
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if trimmed := strings.TrimLeft(line, " "); strings.HasPrefix(trimmed, "```") {
			margin, line = line[:len(line)-len(trimmed)], trimmed
		}
		line = strings.TrimPrefix(line, margin)
		switch command, ok := strings.CutPrefix(line, "$ "); {
		case ok && strings.HasPrefix(command, "merlon "):
			out = append(out, shown{place: page, command: command})
			now = &out[len(out)-1]
		case ok, strings.HasPrefix(line, "```"):
			now = nil
		case now != nil:
			now.lines = append(now.lines, line)
		}
	}
	return out
}

// missing returns the first line of a page that an output does not have in its
// place; "" when there is none.
func missing(page, output []string) string {
	anywhere := false
	for _, want := range page {
		if want == "…" {
			anywhere = true
			continue
		}
		for {
			if len(output) == 0 {
				return want
			}
			got := output[0]
			output = output[1:]
			want, got = counted(want), counted(got)
			begin, open := strings.CutSuffix(want, " …")
			if got == want || open && strings.HasPrefix(got, begin) {
				break
			}
			if !anywhere {
				return want
			}
		}
		anywhere = false
	}
	return ""
}

var counts = regexp.MustCompile(`\d+ (control|pass|fail|guarded|unknown|manual|not-applicable|not-assessed|answered|critical|high|medium|low|by a person)|^\d+ items: |\d+ +\d+ +\d+ +\d+`)

// counted replaces the numbers that change with every control.
func counted(line string) string {
	return counts.ReplaceAllStringFunc(line, func(s string) string { return number.ReplaceAllString(s, "N") })
}

var number = regexp.MustCompile(`\d+`)

func TestMissing(t *testing.T) {
	output := []string{"a", "b", "c d", "e"}
	for _, c := range []struct{ page, want string }{
		{"a|b", ""}, {"a|…|e", ""}, {"…|c …", ""}, {"a|c d", "c d"}, {"…|x", "x"}, {"b", "b"}, {"a|…|e|f", "f"},
	} {
		if got := missing(strings.Split(c.page, "|"), output); got != c.want {
			t.Errorf("%s: %q, want %q", c.page, got, c.want)
		}
	}
}
