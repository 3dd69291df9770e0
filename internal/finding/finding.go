// Package finding holds what Merlon says: verdicts, findings with their
// evidence and identity, waivers, and the report that carries them.
//
// All types are plain data. A Report is built once by the engine and then only
// read; its JSON form is the documented schema of `merlon scan -o json`, to
// which later versions only add.
package finding

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Severity is what an attacker gains, times what he needs first. The rubric is
// in docs/reference/control-format.md.
type Severity uint8

// Severities in rising order; the zero value is no severity at all.
const (
	None Severity = iota
	Low
	Medium
	High
	Critical
)

var severityNames = [...]string{"none", "low", "medium", "high", "critical"}

// String returns the severity's name in lower case.
func (s Severity) String() string { return severityNames[s] }

// ParseSeverity reads a severity's name, in any case.
func ParseSeverity(name string) (Severity, error) {
	for i, n := range severityNames {
		if strings.EqualFold(name, n) {
			return Severity(i), nil
		}
	}
	return None, fmt.Errorf("unknown severity %q: one of critical, high, medium, low, none", name)
}

// MarshalJSON writes the name.
func (s Severity) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalJSON reads the name.
func (s *Severity) UnmarshalJSON(data []byte) error {
	var name string
	if err := json.Unmarshal(data, &name); err != nil {
		return fmt.Errorf("read severity: %w", err)
	}
	v, err := ParseSeverity(name)
	*s = v
	return err
}

// Verdict is what one control says of one subject.
type Verdict string

// The verdicts. Unknown means that Merlon could not judge, which is never a
// pass; Manual, that only a person can.
const (
	Pass          Verdict = "pass"
	Fail          Verdict = "fail"
	Unknown       Verdict = "unknown"
	NotApplicable Verdict = "not-applicable"
	Manual        Verdict = "manual"
)

// Verdicts that only items of frameworks have. NotAssessed: no control answers
// the item. Guarded, in a coverage view: controls look at the attack and found
// nothing, which is not a pass.
const (
	NotAssessed Verdict = "not-assessed"
	Guarded     Verdict = "guarded"
)

// Subject is what a finding is about: the owner that a person would edit.
type Subject struct {
	Cluster    string `json:"cluster,omitempty"`
	APIVersion string `json:"apiVersion,omitempty"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	Container  string `json:"container,omitempty"`
}

// Location is the place of the field at fault in a file. Line and Column count
// from 1; they are 0 when the place is not known for certain.
type Location struct {
	File   string `json:"file,omitempty"`
	Line   uint32 `json:"line,omitempty"`
	Column uint32 `json:"column,omitempty"`
}

// Evidence is one thing that was seen: the path of a field and its value, or
// the form of its value where that may be secret. An absent field has the value
// "(not set)".
type Evidence struct {
	Path  string `json:"path"`
	Value string `json:"value"`
}

// Finding is a verdict worth telling.
type Finding struct {
	ID         string              `json:"id"`
	Control    string              `json:"control"`
	Family     string              `json:"family"`
	Title      string              `json:"title"`
	Severity   Severity            `json:"severity"`
	Verdict    Verdict             `json:"verdict"`
	Subject    Subject             `json:"subject"`
	Location   Location            `json:"location"`
	Evidence   []Evidence          `json:"evidence,omitempty"`
	Message    string              `json:"message"`
	Count      int                 `json:"count"`
	Pods       int                 `json:"pods,omitempty"`      // that exist because of the subject
	ManagedBy  []Manager           `json:"managedBy,omitempty"` // what would write the subject anew
	Also       []Location          `json:"also,omitempty"`      // further places of the same finding
	Worlds     []string            `json:"worlds,omitempty"`    // charts and overlays that have it
	Rendered   *Rendered           `json:"rendered,omitempty"`  // of what a chart or overlay renders to
	Frameworks map[string][]string `json:"frameworks,omitempty"`
	Why        string              `json:"why,omitempty"` // it matters
	Fix        string              `json:"fix,omitempty"`
	Waived     *Waived             `json:"waived,omitempty"`
	Baseline   bool                `json:"baseline,omitempty"` // known from an earlier report
}

// Rendered says where a finding stands in what a chart or an overlay renders to.
// Its Location is where a person wrote that: with a line where it was traced for
// certain, else the file alone.
type Rendered struct {
	File   string `json:"file,omitempty"`   // template or file that the object comes from
	Line   uint32 `json:"line,omitempty"`   // in the rendered text
	Values string `json:"values,omitempty"` // key of the chart's values that the line shows, where it is one
}

// Open reports whether the finding still asks to be mended: neither waived nor
// known from a baseline.
func (f *Finding) Open() bool { return f.Waived == nil && !f.Baseline }

// Waived says who accepted a finding, why and until when.
type Waived struct {
	By     string `json:"by,omitempty"`
	Reason string `json:"reason"`
	Until  string `json:"until"` // date, YYYY-MM-DD; the waiver ends with that day
	Source string `json:"source"`
}

// Manager is the Helm release or GitOps application that an object belongs to:
// where a person mends it.
type Manager struct {
	Tool      string `json:"tool"` // helm, argocd, flux
	Kind      string `json:"kind"` // Release, Application, Kustomization, HelmRelease
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// Gap is something that could not be seen.
type Gap struct {
	Kind     string   `json:"kind"`
	Source   string   `json:"source"`
	Location Location `json:"location"`
	Subject  string   `json:"subject,omitempty"`
	Message  string   `json:"message"`
	Worlds   []string `json:"worlds,omitempty"` // charts and overlays that it concerns
}

// Item is one item of a standard and how it stands.
type Item struct {
	ID       string   `json:"id"`
	Section  string   `json:"section,omitempty"`
	Title    string   `json:"title"`
	Verdict  Verdict  `json:"verdict"`
	Why      string   `json:"why,omitempty"` // what a verdict that is neither pass nor fail rests on
	Controls []string `json:"controls,omitempty"`
	Findings int      `json:"findings"`
}

// Framework is a standard and how the subject of the report stands against it.
type Framework struct {
	Name    string         `json:"name"`
	Title   string         `json:"title"`
	Version string         `json:"version,omitempty"`
	View    string         `json:"view,omitempty"` // "coverage": attacks that controls look at, never passed
	Verdict Verdict        `json:"verdict"`        // pass only if every item passed and there is no gap
	Totals  map[string]int `json:"totals"`
	Items   []Item         `json:"items"`
}

// Summary counts the report.
type Summary struct {
	Objects    int            `json:"objects"`
	Files      int            `json:"files"`
	Controls   int            `json:"controls"`
	Findings   int            `json:"findings"` // open ones
	Severities map[string]int `json:"severities"`
	Waived     int            `json:"waived"`
	Baseline   int            `json:"baseline"`
	Gaps       int            `json:"gaps"`
}

// Schema is the version of the report's JSON form.
const Schema = "merlon.report/v1"

// Report is the result of one assessment.
type Report struct {
	Schema     string      `json:"schema"`
	Merlon     string      `json:"merlon"`     // version of the binary
	Kubernetes string      `json:"kubernetes"` // version judged for
	Target     []string    `json:"target"`
	Cluster    *Cluster    `json:"cluster,omitempty"` // where a cluster was read
	Summary    Summary     `json:"summary"`
	Findings   []Finding   `json:"findings"`
	Gaps       []Gap       `json:"gaps"`
	Frameworks []Framework `json:"frameworks"`
	Notices    []string    `json:"notices,omitempty"` // expired and unused waivers, and the like

	// Patches are what would mend findings, for reports that people open; others
	// have merlon fix.
	Patches []Patch `json:"-"`
}

// Patch is a change of one file, proven to mend findings in it.
type Patch struct {
	File string
	Diff string // unified, without secrets
}

// Cluster says which cluster was read, and when.
type Cluster struct {
	UID     string `json:"uid,omitempty"` // of the namespace kube-system
	Server  string `json:"server"`
	Version string `json:"version"` // of the API server
	Context string `json:"context,omitempty"`
	Time    string `json:"time"` // when all was read, RFC 3339
}

// ID is the identity of a finding over time: it survives moved lines, new API
// versions, changed texts and severities. path is the path of the field with
// list elements by their merge key. See the glossary.
func ID(control, cluster, group, kind, namespace, name, container, path string) string {
	buf := make([]byte, 0, 512)
	for _, part := range [...]string{control, cluster, group, kind, namespace, name, container, path} {
		buf = strconv.AppendInt(buf, int64(len(part)), 10)
		buf = append(append(buf, ':'), part...)
	}
	sum := sha256.Sum256(buf)
	return hex.EncodeToString(sum[:16])
}
