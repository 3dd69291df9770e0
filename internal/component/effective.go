package component

import (
	"fmt"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// answer is what is in force of one setting.
type answer struct {
	value  string
	given  bool // by a flag, the environment or a file, not by default
	known  bool // nothing that was not read can say otherwise
	places []fact.Value
}

// Name returns the component's name.
func (p *Process) Name() string { return p.name }

// Minor returns N of the Kubernetes version 1.N, 0 when it is not known.
func (p *Process) Minor() int { return p.minor }

// Version returns the exact version, "" when it is not known.
func (p *Process) Version() string { return p.version }

// System returns the operating system that the component runs on, "" when it is
// not known.
func (p *Process) System() string { return p.system }

// Flag returns the value in force: as given by flag or file, the way the
// component itself decides, else its default, else "". Booleans are "true" and
// "false" however they are written; a list is joined by commas.
func (p *Process) Flag(name string) string { return p.answer(name).value }

// FlagSet reports whether the setting is given, by flag or in a file.
func (p *Process) FlagSet(name string) bool { return p.answer(name).given }

// Known reports whether Flag is sure: a configuration file that was not read may
// say otherwise.
func (p *Process) Known(name string) bool { return p.answer(name).known }

// Word returns where the value comes from; for one that is not given, the list
// of words that misses it.
func (p *Process) Word(name string) fact.Value { return p.Places(name)[0] }

// Places returns everything that says something of the setting, the one that
// counts first.
func (p *Process) Places(name string) []fact.Value {
	if a := p.answer(name); len(a.places) > 0 {
		return a.places
	}
	for _, f := range slices.Backward(p.files) {
		if fileSettingOf(p.name, name).path != "" {
			return []fact.Value{f}
		}
	}
	for i := len(p.lists) - 1; i >= 0; i-- {
		if p.lists[i].Len() > 0 {
			return []fact.Value{p.lists[i]}
		}
	}
	return []fact.Value{{}}
}

// Place says in words where the value in force comes from.
func (p *Process) Place(name string) string {
	a := p.answer(name)
	if len(a.places) == 0 {
		if p.minor > 0 {
			return fmt.Sprintf("default of 1.%d", p.minor)
		}
		return "default"
	}
	if file, ok := p.fileOf(a.places[0]); ok {
		return file
	}
	return "command line"
}

// fileOf returns the path of the configuration file that a value stands in.
func (p *Process) fileOf(v fact.Value) (string, bool) {
	for _, f := range p.files {
		if v.Within(f) {
			return f.Get(keyPath).Str(), true
		}
	}
	return "", false
}

// answer decides between flag, file and default.
func (p *Process) answer(name string) answer {
	s := settingOf(p.name, name)
	g, flagged := p.flags[name]
	f := fileSettingOf(p.name, name)
	file, inFile := p.inFiles(f.path)
	if name == "feature-gates" {
		return p.gates(g, flagged, file, inFile)
	}
	fileCounts := f.path != "" && (len(p.files) > 0 || p.unread)
	switch {
	case flagged && (!fileCounts || flagsWin(p.name, name)):
		a := answer{value: g.value, given: true, known: true, places: []fact.Value{g.at}}
		if inFile {
			a.places = append(a.places, file)
		}
		return a
	case inFile:
		a := answer{value: shown(file, s.kind), given: true, known: true, places: []fact.Value{file}}
		if flagged {
			a.places = append(a.places, g.at)
		}
		return a
	case fileCounts && p.unread && flagged:
		return answer{value: g.value, given: true, places: []fact.Value{g.at}}
	case len(p.files) > 0 && f.hasFallback:
		return answer{value: f.value(p.minor), known: !p.unread}
	}
	return answer{value: s.value(p.minor), known: (!fileCounts || !p.unread) && (!p.effective || f.path != "")}
}

// gates joins the feature gates of file and flag: each gate counts by itself, and
// the flag's comes last, which is the one that wins.
func (p *Process) gates(g given, flagged bool, file fact.Value, inFile bool) answer {
	a := answer{given: flagged || inFile, known: !p.unread}
	set := map[string]string{}
	var order []string
	add := func(name, value string) {
		if _, ok := set[name]; !ok {
			order = append(order, name)
		}
		set[name] = value
	}
	if inFile {
		for c := range file.Children() {
			add(c.Key().String(), c.Text())
		}
		a.places = append(a.places, file)
	}
	if flagged && (!inFile || flagsWin(p.name, "feature-gates")) {
		for gate := range strings.SplitSeq(g.value, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(gate), "=")
			add(name, canonical(value))
		}
		a.places = slices.Insert(a.places, 0, g.at)
	}
	for i, name := range order {
		if set[name] != "" {
			order[i] = name + "=" + set[name]
		}
	}
	a.value = strings.Join(order, ",")
	return a
}

// inFiles finds a field in the configuration files, that of the last one that
// has it.
func (p *Process) inFiles(path string) (fact.Value, bool) {
	if path == "" {
		return fact.Value{}, false
	}
	for _, f := range slices.Backward(p.files) {
		v := f.Get(keyContent)
		for step := range strings.SplitSeq(path, ".") {
			v = v.Get(fact.K(step))
		}
		if v.Present() && v.Kind() != fact.Null {
			return v, true
		}
	}
	return fact.Value{}, false
}

// Setting returns a field of the configuration files by its path, the last one
// that has it; absent where none has.
func (p *Process) Setting(path []string) fact.Value {
	for _, f := range slices.Backward(p.files) {
		v := f.Get(keyContent)
		for _, step := range path {
			v = v.Get(fact.K(step))
		}
		if v.Present() {
			return v
		}
	}
	return fact.Value{}
}

// Conflict is a setting that flag and file give differently.
type Conflict struct {
	Flag          string
	Winner, Loser string // values
	At            string // place of the winner
	Other         string
}

// Conflicts returns the settings that are given more than once with different
// values, in the order of their names.
func (p *Process) Conflicts() []Conflict {
	var out []Conflict
	for _, f := range fileSettings {
		if f.component != p.name || f.flag == "feature-gates" {
			continue
		}
		a := p.answer(f.flag)
		if len(a.places) < 2 {
			continue
		}
		kind := settingOf(p.name, f.flag).kind
		flag := p.flags[f.flag].value
		file, _ := p.inFiles(f.path)
		c := Conflict{Flag: f.flag, Winner: a.value, Loser: flag, At: p.Place(f.flag), Other: "command line"}
		if c.At == "command line" {
			c.Loser = shown(file, kind)
			c.Other, _ = p.fileOf(file)
		}
		if c.Winner != c.Loser {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b Conflict) int { return strings.Compare(a.Flag, b.Flag) })
	return out
}

// shown writes a value of a file as the flag would be written.
func shown(v fact.Value, k kind) string {
	switch v.Kind() {
	case fact.List:
		words := make([]string, 0, v.Len())
		for c := range v.Children() {
			words = append(words, c.Text())
		}
		return strings.Join(words, ",")
	case fact.Map:
		words := make([]string, 0, v.Len())
		for c := range v.Children() {
			words = append(words, c.Key().String()+"="+c.Text())
		}
		return strings.Join(words, ",")
	}
	if k == boolean {
		return canonical(v.Text())
	}
	return v.Text()
}
