package cli

import (
	_ "embed"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
)

// licenseTexts is the licence of every module that the binary may hold, each
// text once, below the modules that it is of. A test makes it from the modules
// themselves.
//
//go:embed licenses.txt
var licenseTexts string

// noticeMark begins the head of a text: mark, SPDX id, modules.
const noticeMark = "=== "

// notice is one licence text and what it is of.
type notice struct {
	spdx    string
	modules []string
	text    string
}

func notices(file string) []notice {
	var out []notice
	for line := range strings.Lines(file) {
		if head, ok := strings.CutPrefix(line, noticeMark); ok {
			words := strings.Fields(head)
			out = append(out, notice{spdx: words[0], modules: words[1:]})
		} else if len(out) > 0 {
			out[len(out)-1].text += line
		}
	}
	return out
}

// writeLicenses lists the modules in this very binary, then their licences.
func writeLicenses(w io.Writer) error {
	all := notices(licenseTexts)
	of := map[string]string{}
	for _, n := range all {
		for _, m := range n.modules {
			of[m] = n.spdx
		}
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return failed(fmt.Errorf("read build information: the binary has none"))
	}
	fmt.Fprintln(w)
	t := newColumns("MODULE", "VERSION", "LICENCE")
	t.row("std", info.GoVersion, of["std"])
	held := map[string]bool{"std": true}
	for _, m := range info.Deps {
		held[m.Path] = true
		license := of[m.Path]
		if license == "" {
			license = "unknown"
		}
		t.row(m.Path, m.Version, license)
	}
	if err := t.write(w); err != nil {
		return err
	}
	for _, n := range all {
		var modules []string
		for _, m := range n.modules {
			if held[m] {
				modules = append(modules, m)
			}
		}
		if len(modules) > 0 {
			fmt.Fprintf(w, "\n%s%s: %s\n%s", noticeMark, n.spdx, strings.Join(modules, ", "), n.text)
		}
	}
	return nil
}
