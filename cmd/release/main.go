// Command release writes the papers of a release beside its binaries: for each a
// bill of materials (CycloneDX 1.6), for all SHA256SUMS and a statement of their
// provenance (in-toto, SLSA 1.0) to sign. The same binaries give the same bytes.
//
//	go run ./cmd/release -version 1.2.3 -commit HASH -licenses internal/cli/licenses.txt dist
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
)

func main() {
	version := flag.String("version", "", "version of the release")
	commit := flag.String("commit", "", "commit that it was built from")
	licenses := flag.String("licenses", "", "file of licences, as internal/cli/licenses.txt")
	flag.Parse()
	if flag.NArg() != 1 || *version == "" || *commit == "" {
		fmt.Fprintln(os.Stderr, "usage: release -version V -commit HASH [-licenses FILE] DIR")
		os.Exit(2)
	}
	if err := papers(flag.Arg(0), *version, *commit, *licenses); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(3)
	}
}

// papers writes them all into the folder of binaries.
func papers(dir, version, commit, licenses string) error {
	spdx, err := licensesOf(licenses)
	if err != nil {
		return err
	}
	binaries, err := filepath.Glob(filepath.Join(dir, "merlon-*"))
	if err != nil {
		return err
	}
	var sums []sum
	var info *debug.BuildInfo
	for _, name := range binaries {
		if strings.HasSuffix(name, ".json") {
			continue
		}
		if info, err = buildinfo.ReadFile(name); err != nil {
			return fmt.Errorf("read build information: %w", err)
		}
		s, err := sumOf(name)
		if err != nil {
			return err
		}
		bom := name + ".cdx.json"
		if err := writeJSON(bom, billOf(filepath.Base(name), version, s.hash, info, spdx)); err != nil {
			return err
		}
		b, err := sumOf(bom)
		if err != nil {
			return err
		}
		sums = append(sums, s, b)
	}
	if info == nil {
		return fmt.Errorf("no binaries merlon-* in %s", dir)
	}
	slices.SortFunc(sums, func(a, b sum) int { return strings.Compare(a.name, b.name) })
	var text strings.Builder
	for _, s := range sums {
		fmt.Fprintf(&text, "%s  %s\n", s.hash, s.name)
	}
	if err := os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(text.String()), 0o644); err != nil {
		return err
	}
	return writeJSON(filepath.Join(dir, "provenance.json"), provenanceOf(sums, version, commit, info))
}

type sum struct{ name, hash string }

func sumOf(name string) (sum, error) {
	f, err := os.Open(name)
	if err != nil {
		return sum{}, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum{}, fmt.Errorf("read %s: %w", name, err)
	}
	return sum{filepath.Base(name), hex.EncodeToString(h.Sum(nil))}, nil
}

// licensesOf reads which licence each module has, by the heads of the texts.
func licensesOf(file string) (map[string]string, error) {
	out := map[string]string{}
	if file == "" {
		return out, nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(data)) {
		if head, ok := strings.CutPrefix(line, "=== "); ok {
			words := strings.Fields(head)
			for _, module := range words[1:] {
				out[module] = words[0]
			}
		}
	}
	return out, nil
}

type object = map[string]any

// billOf is the bill of materials of one binary, from what Go wrote into it.
func billOf(name, version, hash string, info *debug.BuildInfo, spdx map[string]string) object {
	component := func(kind, module, version string) object {
		c := object{"type": kind, "name": module, "version": version, "purl": "pkg:golang/" + module + "@" + version, "bom-ref": "pkg:golang/" + module + "@" + version}
		if id := spdx[module]; id != "" {
			c["licenses"] = []object{{"expression": id}}
		}
		return c
	}
	components := []object{component("library", "std", strings.TrimPrefix(info.GoVersion, "go"))}
	refs := []any{components[0]["bom-ref"]}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		c := component("library", m.Path, m.Version)
		components = append(components, c)
		refs = append(refs, c["bom-ref"])
	}
	main := component("application", info.Main.Path, version)
	main["licenses"] = []object{{"expression": "Apache-2.0"}}
	main["hashes"] = []object{{"alg": "SHA-256", "content": hash}}
	main["properties"] = []object{{"name": "merlon:file", "value": name}}
	return object{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
		"metadata":     object{"component": main},
		"components":   components,
		"dependencies": []object{{"ref": main["bom-ref"], "dependsOn": refs}},
	}
}

// provenanceOf says what the files were built from and how; who signs it vouches
// for that.
func provenanceOf(sums []sum, version, commit string, info *debug.BuildInfo) object {
	var subjects []object
	for _, s := range sums {
		subjects = append(subjects, object{"name": s.name, "digest": object{"sha256": s.hash}})
	}
	return object{
		"_type": "https://in-toto.io/Statement/v1", "subject": subjects, "predicateType": "https://slsa.dev/provenance/v1",
		"predicate": object{
			"buildDefinition": object{
				"buildType":            "make release",
				"externalParameters":   object{"version": version},
				"resolvedDependencies": []object{{"name": "source", "digest": object{"gitCommit": commit}}, {"name": "go", "annotations": object{"version": info.GoVersion}}},
			},
			"runDetails": object{"builder": object{"id": "whoever signs this statement"}},
		},
	}
}

func writeJSON(name string, v any) error {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(data, '\n'), 0o644)
}
