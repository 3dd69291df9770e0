package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/sink"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// configFile is merlon.yaml.
type configFile struct {
	// Scan holds flags of `merlon scan` by their long names.
	Scan map[string]any `yaml:"scan"`
	// Controls holds settings of single controls.
	Controls map[string]struct {
		Params map[string]any `yaml:"params"`
	} `yaml:"controls"`
}

// configName is the configuration file that is looked for in the working folder.
const configName = "merlon.yaml"

// maxSettings is how large a file of settings, waivers may be.
const maxSettings = 16 << 20

func readLimited(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("read %s: larger than %d bytes", name, limit)
	}
	return data, err
}

// decode reads a YAML file of Merlon's own, refusing what it does not know.
func decode(name string, into any) error {
	data, err := readLimited(name, maxSettings)
	if err != nil {
		return err
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: %s", name, plainYAML(err))
	}
	return nil
}

// plainYAML says in a line what the YAML library says, without the names of Go
// types.
func plainYAML(err error) string {
	var typed *yaml.TypeError
	if !errors.As(err, &typed) {
		return strings.TrimPrefix(err.Error(), "yaml: ")
	}
	var out []string
	for _, e := range typed.Errors {
		if before, _, ok := strings.Cut(e, " not found in type "); ok {
			e = before + " is unknown"
		}
		out = append(out, e)
	}
	return strings.Join(out, "; ")
}

// settled is what settle found out.
type settled struct {
	file    string                    // the configuration file that applies, or ""
	params  map[string]map[string]any // settings of single controls
	notices []string                  // what the user should know
}

// settle fills in the flags of a scan that the command line leaves open: from
// the environment, then from the configuration file.
func settle(fl *pflag.FlagSet, f *scanFlags, paths []string) (*settled, error) {
	if err := fromEnvironment(fl); err != nil {
		return nil, err
	}
	out := &settled{file: f.config}
	if out.file == "" {
		if _, err := os.Lstat(configName); err == nil {
			out.file = configName
			if under(configName, paths) && !f.trustTree {
				out.notices = append(out.notices, configName+" lies in what is scanned and was not applied: name it with --config, or use --trust-tree")
				out.file = ""
			}
		}
	}
	var file configFile
	if out.file != "" {
		if err := decode(out.file, &file); err != nil {
			return nil, failed(fmt.Errorf("read configuration: %w", err))
		}
	}
	if err := fromFile(fl, out.file, file.Scan); err != nil {
		return nil, err
	}
	out.params = map[string]map[string]any{}
	for id, c := range file.Controls {
		out.params[id] = c.Params
	}
	return out, nil
}

// variable is the name of a flag in the environment.
func variable(flag string) string {
	return "MERLON_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment sets the flags that the environment names. One that can be
// given several times takes several values with commas between them.
func fromEnvironment(flags *pflag.FlagSet) error {
	var err error
	flags.VisitAll(func(f *pflag.Flag) {
		v, ok := os.LookupEnv(variable(f.Name))
		if f.Changed || f.Name == "help" || !ok || v == "" || err != nil {
			return
		}
		values := []string{v}
		if f.Value.Type() == "stringArray" {
			values = strings.Split(v, ",")
		}
		for _, one := range values {
			if e := flags.Set(f.Name, strings.TrimSpace(one)); e != nil {
				err = usage("%s: %v", variable(f.Name), e)
			}
		}
	})
	return err
}

// fromFile sets the flags that are still open from a configuration file.
func fromFile(flags *pflag.FlagSet, file string, scan map[string]any) error {
	var known []string
	flags.VisitAll(func(f *pflag.Flag) {
		switch f.Name {
		case "config", "trust-tree", "help", "cluster", "context", "kubeconfig": // they say what is scanned, or whether the file is read at all
		default:
			known = append(known, f.Name)
		}
	})
	for _, key := range slices.Sorted(maps.Keys(scan)) {
		if !slices.Contains(known, key) {
			return unknown("setting", key, known, "merlon scan --help").(*exitError).in(file + ": scan: ")
		}
	}
	for _, key := range slices.Sorted(maps.Keys(scan)) {
		f := flags.Lookup(key)
		if f.Changed {
			continue
		}
		for _, v := range list(scan[key]) {
			if e := flags.Set(key, fmt.Sprint(v)); e != nil {
				return usage("%s: scan: %s: %v", file, key, e)
			}
		}
	}
	return nil
}

func list(v any) []any {
	switch x := v.(type) {
	case nil:
		return nil
	case []any:
		return x
	}
	return []any{v}
}

// readWaivers reads a file of waivers.
func readWaivers(name string) ([]finding.Waiver, error) {
	var file struct {
		Waivers []yaml.Node `yaml:"waivers"`
	}
	if err := decode(name, &file); err != nil {
		return nil, fmt.Errorf("read waivers: %w", err)
	}
	var out []finding.Waiver
	for i := range file.Waivers {
		n := &file.Waivers[i]
		w := finding.Waiver{}
		err := knownKeys(n, "control", "id", "kind", "namespace", "name", "container", "file", "by", "reason", "until")
		if err == nil {
			err = n.Decode(&w)
		}
		if err == nil {
			err = w.Check(true)
		}
		if err != nil {
			return nil, fmt.Errorf("read waivers: %s:%d: %w", name, n.Line, err)
		}
		w.Source, w.Line = name, n.Line
		out = append(out, w)
	}
	return out, nil
}

// knownKeys refuses a mapping with a key that means nothing: a narrowing that is
// misspelt must not widen a waiver.
func knownKeys(n *yaml.Node, known ...string) error {
	if n.Kind != yaml.MappingNode {
		return errors.New("not a mapping")
	}
	for i := 0; i < len(n.Content); i += 2 {
		if key := n.Content[i].Value; !slices.Contains(known, key) {
			return unknown("key", key, known, "docs/guide/waivers.md")
		}
	}
	return nil
}

// readReport reads an earlier report; what says what it is for.
func readReport(what, name string) (*finding.Report, error) {
	data, err := readLimited(name, 1<<30)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	r := &finding.Report{}
	if err := json.Unmarshal(data, r); err != nil {
		return nil, fmt.Errorf("read %s %s: not a report of merlon scan -o json: %w", what, name, err)
	}
	if !strings.HasPrefix(r.Schema, "merlon.report/") {
		return nil, fmt.Errorf("read %s %s: not a report of merlon scan -o json", what, name)
	}
	return r, nil
}

// annotation is the annotation that waives findings of its object: one waiver a
// line.
const annotation = "merlon/waive"

// inlineWaivers reads the waivers that stand in manifests. One that cannot be
// read is told, and waives nothing.
func inlineWaivers(s *fact.Snapshot) (out []finding.Waiver, notices []string) {
	for _, o := range s.Objects() {
		w, n := waiversIn(o)
		out, notices = append(out, w...), append(notices, n...)
	}
	return out, notices
}

// waiversIn reads the waivers that stand in one object.
func waiversIn(o *fact.Object) (out []finding.Waiver, notices []string) {
	for _, n := range o.Waivers {
		w, err := finding.ParseInline(n.Text)
		at := o.Line(n.Pos.Line)
		if err != nil {
			notices = append(notices, fmt.Sprintf("%s: %v", sink.Place(finding.Location{File: at.File, Line: at.Pos.Line}), err))
			continue
		}
		w.Source, w.Line, w.File, w.Lines = at.File, int(at.Pos.Line), "", o.Covers(n.Line)
		out = append(out, only(w, o))
	}
	note := o.Root.At("metadata", "annotations", annotation)
	for line := range strings.Lines(note.Str()) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		w, err := finding.ParseWaiver(line)
		at, _ := o.At(note)
		if err != nil {
			notices = append(notices, fmt.Sprintf("%s: annotation %s: %v", sink.Place(finding.Location{File: at.File, Line: at.Pos.Line}), annotation, err))
			continue
		}
		w.Source, w.Line = at.File, int(at.Pos.Line)
		out = append(out, only(w, o))
	}
	return out, notices
}

// only narrows a waiver to one object of one file, taken literally.
func only(w finding.Waiver, o *fact.Object) finding.Waiver {
	literal := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace
	w.Kind, w.Namespace, w.Name, w.File = literal(o.Kind), literal(o.Namespace), literal(o.Name), literal(o.Origin.File)
	return w
}
