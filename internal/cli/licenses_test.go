package cli

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files that this package's tests make")

// The file of licences must hold the text of every module that is linked into
// the binary, as the module has it, and no other.
func TestLicensesAreThoseOfTheModules(t *testing.T) {
	if testing.Short() {
		t.Skip("asks the go command")
	}
	want := renderLicenses(t)
	if *update {
		if err := os.WriteFile("licenses.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if licenseTexts != want {
		t.Error("licenses.txt is not what the linked modules say; renew it: go test ./internal/cli -run Licenses -update")
	}
	for _, n := range notices(licenseTexts) {
		if n.spdx == "unknown" {
			t.Errorf("%s: a licence that Merlon does not know: look at it", strings.Join(n.modules, ", "))
		}
	}
}

func renderLicenses(t *testing.T) string {
	dirs := linkedModules(t)
	byText := map[string]*notice{}
	for _, module := range slices.Sorted(maps.Keys(dirs)) {
		text := licenseOf(t, module, dirs[module])
		if byText[text] == nil {
			byText[text] = &notice{spdx: spdxOf(text), text: text}
		}
		byText[text].modules = append(byText[text].modules, module)
	}
	all := slices.SortedFunc(maps.Values(byText), func(a, b *notice) int {
		return cmp.Or(cmp.Compare(a.spdx, b.spdx), cmp.Compare(a.modules[0], b.modules[0]))
	})
	var b strings.Builder
	for _, n := range all {
		fmt.Fprintf(&b, "%s%s %s\n%s", noticeMark, n.spdx, strings.Join(n.modules, " "), n.text)
	}
	return b.String()
}

// linkedModules returns the folders of the modules that the command links, the
// standard library included. go.mod is read so that go's test cache sees it.
func linkedModules(t *testing.T) map[string]string {
	if _, err := os.ReadFile("../../go.mod"); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-deps", "-f", `{{with .Module}}{{if not .Main}}{{.Path}} {{.Dir}}{{end}}{{end}}`, "../../cmd/merlon")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	dirs := map[string]string{}
	for line := range strings.Lines(string(out)) {
		if path, dir, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			dirs[path] = dir
		}
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	dirs["std"] = strings.TrimSpace(string(root))
	return dirs
}

// licenseOf returns the licence and notice files of a module, one after the
// other, without trailing spaces.
func licenseOf(t *testing.T, module, dir string) string {
	var b strings.Builder
	for _, pattern := range []string{"LICEN[SC]E*", "COPYING*", "NOTICE*"} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, name := range files {
			if info, err := os.Stat(name); err != nil || info.IsDir() {
				continue
			}
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(strings.TrimSpace(string(data)) + "\n") {
				b.WriteString(strings.TrimRight(line, " \t\r\n") + "\n")
			}
		}
	}
	if b.Len() == 0 {
		t.Errorf("%s has no licence file", module)
	}
	return b.String()
}

// spdxOf tells a licence by what only its text says.
func spdxOf(text string) string {
	plain := strings.Join(strings.Fields(text), " ")
	var ids []string
	for _, l := range []struct{ id, says string }{
		{"Apache-2.0", "Apache License, Version 2.0"},
		{"ISC", "Permission to use, copy, modify, and/or distribute this software for any"},
		{"MIT", "to deal in the Software without restriction"},
		{"ISC", "Permission to use, copy, modify, and/or distribute this software for any purpose"},
		{"BSD-3-Clause", "may be used to endorse or promote products derived from"},
	} {
		if strings.Contains(plain, l.says) || l.id == "Apache-2.0" && strings.Contains(plain, "Apache License Version 2.0, January 2004") {
			ids = append(ids, l.id)
		}
	}
	if len(ids) == 0 && strings.Contains(plain, "Redistribution and use in source and binary forms") {
		return "BSD-2-Clause"
	}
	if len(ids) == 0 {
		return "unknown"
	}
	return strings.Join(ids, "-AND-")
}
