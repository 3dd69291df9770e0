package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// row is one line of a map file: a foreign check and what answers it.
type row struct {
	file     string
	line     int
	id       string
	controls []string // ids; none: not answered, for the reason in note
	options  options
	note     string
}

// place names the row for a message.
func (r *row) place() string { return fmt.Sprintf("%s:%d", r.file, r.line) }

// table is what is known of one oracle's checks: the rows of the oracle's own
// file, those of its family, and those of the family's other oracles.
type table [3]map[string][]*row

// rows returns the rows of a check, from the nearest file that has any. Several
// rows are several conditions, any of which fails the check.
func (t *table) rows(id string) []*row {
	for _, m := range t {
		if rows, ok := m[id]; ok {
			return rows
		}
	}
	return nil
}

// all returns every row.
func (t *table) all() []*row {
	var out []*row
	for _, m := range t {
		for _, rows := range m {
			out = append(out, rows...)
		}
	}
	slices.SortFunc(out, func(a, b *row) int {
		if n := strings.Compare(a.file, b.file); n != 0 {
			return n
		}
		return a.line - b.line
	})
	return out
}

// loadTable reads the map files of an oracle: ORACLE.tsv, FAMILY.tsv and
// FAMILY-*.tsv. Errors are for single lines; the others are there.
func loadTable(files fs.FS, oracle, family string) (*table, error) {
	t := &table{{}, {}, {}}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return t, fmt.Errorf("read maps: %w", err)
	}
	var errs []error
	from := map[string]string{} // level and check → the file that has it
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".tsv")
		level := levelOf(name, oracle, family)
		if !ok || level < 0 {
			continue
		}
		rows, err := loadRows(files, e.Name())
		errs = append(errs, err)
		for _, r := range rows {
			key := fmt.Sprint(level, r.id)
			if other := from[key]; other != "" && other != r.file {
				errs = append(errs, fmt.Errorf("%s: %s is in %s too", r.place(), r.id, other))
				continue
			}
			from[key] = r.file
			t[level][r.id] = append(t[level][r.id], r)
		}
	}
	return t, errors.Join(errs...)
}

// levelOf tells how near a map file is to an oracle; -1 when it is none of its.
func levelOf(name, own, family string) int {
	switch {
	case name == own:
		return 0
	case slices.ContainsFunc(oracles(), func(o oracle) bool { return o.name == name && o.family == family }):
		return 2
	case name == family || strings.HasPrefix(name, family+"-"):
		return 1
	}
	return -1
}

func loadRows(files fs.FS, name string) ([]*row, error) {
	text, err := fs.ReadFile(files, name)
	if err != nil {
		return nil, fmt.Errorf("read map %s: %w", path.Base(name), err)
	}
	var rows []*row
	var errs []error
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimRight(line, "\r ")
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
			continue
		}
		r, err := parseRow(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", name, i+1, err))
			continue
		}
		r.file, r.line = name, i+1
		rows = append(rows, r)
	}
	return rows, errors.Join(errs...)
}

func parseRow(line string) (*row, error) {
	cells := strings.Split(line, "\t")
	if len(cells) < 2 || strings.TrimSpace(cells[0]) == "" {
		return nil, errors.New("a row is: check, tab, controls, tab, options, tab, note")
	}
	for len(cells) < 4 {
		cells = append(cells, "")
	}
	r := &row{id: strings.TrimSpace(cells[0]), note: strings.TrimSpace(strings.Join(cells[3:], " "))}
	if list := strings.TrimSpace(cells[1]); list != "-" {
		for id := range strings.SplitSeq(list, ",") {
			if id = strings.TrimSpace(id); id == "" {
				return nil, errors.New("no control named; `-` says that there is none")
			}
			r.controls = append(r.controls, id)
		}
	}
	var err error
	r.options, err = parseOptions(cells[2])
	return r, err
}

// options narrow or shape what the findings of a row's controls mean.
type options struct {
	kinds      []string       // findings on these kinds only
	containers []string       // findings on these types of container only
	severity   []string       // findings of these severities only
	not        []string       // findings on objects named like this do not count
	params     map[string]any // settings of the controls
	config     []taken        // a case's own settings and the controls' settings that take them
	when       []string       // the row holds only for cases with these settings
	unless     []string       // the row holds only for cases without these settings
	minor      int            // Kubernetes minor version to judge for
	derive     string         // subjects, bindings, workloads
	roleRef    string         // with derive=bindings: kind of the role that a finding must come from
	count      string         // what is counted: findings, objects, containers
	subjects   string         // what is counted as passed or failed: pods, objects
	only       string         // counted is only that on which this control fails
	noPass     bool           // passed is not counted
	redundant  string         // field of a container without which an unused waiver is not reported
	first      bool           // only the first object that the controls apply to
	noPaths    bool           // paths are not compared
	naPasses   bool           // what the controls do not apply to counts as passed
}

// taken is a setting of a case that becomes one of a control.
type taken struct{ key, param string }

func parseOptions(text string) (options, error) {
	o := options{params: map[string]any{}}
	for part := range strings.SplitSeq(text, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		key, value, _ := strings.Cut(part, "=")
		if err := o.set(strings.TrimSpace(key), strings.TrimSpace(value)); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (o *options) set(key, value string) error {
	head, name, dotted := strings.Cut(key, ".")
	if dotted {
		return o.setNamed(head, name, value)
	}
	list := strings.Split(value, ",")
	switch key {
	case "kinds":
		o.kinds = list
	case "containers":
		o.containers = list
	case "severity":
		o.severity = list
	case "not":
		o.not = list
	case "minor":
		if _, err := fmt.Sscanf(value, "%d", &o.minor); err != nil {
			return fmt.Errorf("minor=%s is no number", value)
		}
	case "derive":
		o.derive = value
		return oneOf(key, value, "subjects", "bindings", "workloads")
	case "roleref":
		o.roleRef = value
	case "count":
		o.count = value
		return oneOf(key, value, "findings", "objects", "containers")
	case "subjects":
		o.subjects = value
		return oneOf(key, value, "pods", "objects")
	case "only":
		o.only = value
	case "nopass":
		o.noPass = true
	case "redundant":
		o.redundant = value
	case "first":
		o.first = true
	case "nopaths":
		o.noPaths = true
	case "na":
		o.naPasses = value == "pass"
		return oneOf(key, value, "pass")
	default:
		return fmt.Errorf("unknown option %q", key)
	}
	return nil
}

func (o *options) setNamed(head, name, value string) error {
	switch head {
	case "param":
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			return fmt.Errorf("param.%s=%s is not JSON: %w", name, value, err)
		}
		o.params[name] = v
	case "config":
		if slices.ContainsFunc(o.config, func(t taken) bool { return t.param == value }) {
			return fmt.Errorf("two settings of the case are to be %s: write two rows", value)
		}
		o.config = append(o.config, taken{name, value})
	case "when":
		o.when = append(o.when, name)
	case "unless":
		o.unless = append(o.unless, name)
	default:
		return fmt.Errorf("unknown option %q", head+"."+name)
	}
	return nil
}

func oneOf(key, value string, allowed ...string) error {
	if !slices.Contains(allowed, value) {
		return fmt.Errorf("%s=%s: one of %s", key, value, strings.Join(allowed, ", "))
	}
	return nil
}
