// Package framework holds the items of a standard and rolls verdicts of
// controls up to them.
package framework

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// Framework is a standard: all of its items, those that only a person can
// answer included. It is immutable once parsed.
type Framework struct {
	Name    string `yaml:"name"`
	Title   string `yaml:"title"`
	Version string `yaml:"version"`
	Source  string `yaml:"source"`
	License string `yaml:"license"`
	// View is "coverage" for what nobody can pass: a list of attacks, of which a
	// report tells which are guarded against, and what was found.
	View  string `yaml:"view"`
	Items []Item `yaml:"items"`
}

// Item is one demand of a standard. Controls lists those that answer it besides
// the controls that say so themselves, and Support names the source that says
// they do.
type Item struct {
	ID       string   `yaml:"id"`
	Section  string   `yaml:"section"`
	Title    string   `yaml:"title"`
	Level    string   `yaml:"level"`
	Mode     string   `yaml:"mode"`  // automated, manual, none: no source says that facts answer it
	Since    string   `yaml:"since"` // first and last Kubernetes version that has the item, "1.23"; "" for any
	Until    string   `yaml:"until"`
	Look     string   `yaml:"look"`
	Controls []string `yaml:"controls"`
	Support  string   `yaml:"support"`
}

// coverage is the one view besides that of demands.
const coverage = "coverage"

// Coverage reports whether the framework lists attacks rather than demands.
func (f *Framework) Coverage() bool { return f.View == coverage }

// Load reads every framework of a folder of files.
func Load(files fs.FS) ([]*Framework, error) {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return nil, fmt.Errorf("read frameworks: %w", err)
	}
	var dec yamldoc.Decoder
	var out []*Framework
	var errs []error
	for _, e := range entries {
		if e.IsDir() || path.Ext(e.Name()) != ".yaml" && path.Ext(e.Name()) != ".yml" {
			continue
		}
		data, err := fs.ReadFile(files, e.Name())
		if err != nil {
			errs = append(errs, fmt.Errorf("read framework %s: %w", e.Name(), err))
			continue
		}
		f, err := parse(&dec, e.Name(), data)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out = append(out, f)
	}
	return out, errors.Join(errs...)
}

// Parse reads one framework.
func Parse(file string, data []byte) (*Framework, error) {
	return parse(&yamldoc.Decoder{}, file, data)
}

func parse(dec *yamldoc.Decoder, file string, data []byte) (*Framework, error) {
	f := &Framework{}
	if err := dec.Decode(data, f); err != nil {
		return nil, fmt.Errorf("%s: %s", file, strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors:\n  ", ""))
	}
	if f.Name == "" || f.Title == "" || len(f.Items) == 0 {
		return nil, fmt.Errorf("%s: a framework needs name, title and items", file)
	}
	if f.View != "" && f.View != coverage {
		return nil, fmt.Errorf("%s: view is %q, not %s", file, f.View, coverage)
	}
	seen := map[string]bool{}
	for _, it := range f.Items {
		if it.ID == "" || it.Title == "" {
			return nil, fmt.Errorf("%s: item %q needs id and title", file, it.ID)
		}
		if seen[it.ID] {
			return nil, fmt.Errorf("%s: item %s stands twice", file, it.ID)
		}
		seen[it.ID] = true
	}
	return f, nil
}

// AnsweredBy reports whether a control answers an item of the framework, given
// what it says itself.
func (f *Framework) AnsweredBy(id string, maps map[string][]string) bool {
	return len(maps[f.Name]) > 0 || slices.ContainsFunc(f.Items, func(it Item) bool { return slices.Contains(it.Controls, id) })
}

// Result is how one control stood over all its subjects.
type Result struct {
	Control    string
	Frameworks map[string][]string
	Pass       int
	Fail       int
	Unknown    int
	Run        bool // false: left out by choice
	Unseen     bool // what it is about is there, and not in the input
}

// RollUp answers every item of the framework from the results of controls. An
// item passes only if every control that answers it ran and passed and nothing
// was left unseen.
// minor is the Kubernetes version that was judged for, 1.minor.
func (f *Framework) RollUp(results []Result, gaps, minor int) finding.Framework {
	byItem := map[string][]*Result{}
	byID := map[string]*Result{}
	for i := range results {
		r := &results[i]
		byID[r.Control] = r
		for _, item := range r.Frameworks[f.Name] {
			byItem[item] = append(byItem[item], r)
		}
	}
	out := finding.Framework{Name: f.Name, Title: f.Title, Version: f.Version, View: f.View, Totals: map[string]int{}}
	for _, it := range f.Items {
		answering := byItem[it.ID]
		for _, id := range it.Controls {
			if r := byID[id]; r != nil && !slices.Contains(answering, r) {
				answering = append(answering, r)
			}
		}
		item := it.judge(answering, gaps)
		if f.Coverage() {
			item.Verdict, item.Why = cover(&item, answering, gaps)
		}
		if !it.In(minor) {
			item.Verdict, item.Findings, item.Why = finding.NotApplicable, 0, fmt.Sprintf("not part of the standard for Kubernetes 1.%d", minor)
		}
		out.Items = append(out.Items, item)
		out.Totals[string(item.Verdict)]++
	}
	out.Verdict = overall(out.Totals, len(out.Items))
	return out
}

// cover tells how far controls look at an attack. It never says pass: who
// attacks is not bound to what controls look at.
func cover(item *finding.Item, answering []*Result, gaps int) (finding.Verdict, string) {
	ran := slices.ContainsFunc(answering, func(r *Result) bool { return r.Run })
	unsure := slices.ContainsFunc(answering, func(r *Result) bool { return r.Unknown > 0 })
	switch {
	case item.Findings > 0:
		return finding.Fail, ""
	case len(answering) == 0:
		return finding.NotAssessed, "no control looks at it"
	case !ran:
		return finding.NotAssessed, "the controls that look at it were left out of this scan"
	case unsure:
		return finding.Unknown, "a control could not be judged"
	case gaps > 0:
		return finding.Unknown, "parts of the input could not be read"
	}
	return finding.Guarded, "controls look at it and found nothing; that is no proof that it cannot happen"
}

// In reports whether the standard has the item for Kubernetes 1.minor.
func (it *Item) In(minor int) bool {
	within := func(version string, otherwise int) int {
		_, m, _ := strings.Cut(version, ".")
		if n, err := strconv.Atoi(m); err == nil {
			return n
		}
		return otherwise
	}
	return minor >= within(it.Since, 0) && minor <= within(it.Until, minor)
}

func overall(totals map[string]int, items int) finding.Verdict {
	switch {
	case totals[string(finding.Fail)] > 0:
		return finding.Fail
	case totals[string(finding.Pass)]+totals[string(finding.NotApplicable)] == items && totals[string(finding.Pass)] > 0:
		return finding.Pass
	}
	return finding.Unknown
}

func (it *Item) judge(answering []*Result, gaps int) finding.Item {
	out := finding.Item{ID: it.ID, Section: it.Section, Title: it.Title}
	var pass, unknown, idle, unseen int
	for _, r := range answering {
		out.Controls = append(out.Controls, r.Control)
		out.Findings += r.Fail
		pass += r.Pass
		unknown += r.Unknown
		if !r.Run {
			idle++
		}
		if r.Unseen {
			unseen++
		}
	}
	slices.Sort(out.Controls)
	switch {
	case out.Findings > 0:
		out.Verdict = finding.Fail
	case len(answering) == 0 && it.Mode == "manual":
		out.Verdict, out.Why = finding.Manual, strings.TrimSpace(it.Look)
	case len(answering) == 0:
		out.Verdict, out.Why = finding.NotAssessed, strings.TrimSpace("no control answers it. "+it.Look)
	case unknown > 0:
		out.Verdict, out.Why = finding.Unknown, "a control could not be judged"
	case idle > 0:
		out.Verdict, out.Why = finding.Unknown, "a control that answers it was left out of this scan"
	case gaps > 0:
		out.Verdict, out.Why = finding.Unknown, "parts of the input could not be read"
	case unseen > 0:
		out.Verdict, out.Why = finding.Unknown, "no API tells it: merlon scan --node on the machines does, where there are any to reach"
	case pass > 0:
		out.Verdict = finding.Pass
	default:
		out.Verdict, out.Why = finding.NotApplicable, "nothing in the input that it is about"
	}
	return out
}
