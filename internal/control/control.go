// Package control holds one rule about what should be: its form as a file, its
// meaning, and its verdict on one subject.
//
// A control is a value. It is parsed from YAML (docs/reference/control-format.md
// is the form), compiled once, and then judges subjects without touching
// anything but what it is given.
package control

import (
	"strings"

	"github.com/merlon-security/merlon/internal/finding"
)

// Each says what a control is judged for.
type Each string

// The scopes.
const (
	EachContainer Each = "container"
	EachPod       Each = "pod"
	EachObject    Each = "object"
	EachNamespace Each = "namespace"
	EachComponent Each = "component"
	EachInput     Each = "input"
	EachSubject   Each = "subject"
)

// Scope narrows what a control is judged for.
type Scope struct {
	Each       Each     `yaml:"each"`
	Kinds      []string `yaml:"kinds"`      // "Kind" or "group/Kind"; owners for pods and containers
	Containers []string `yaml:"containers"` // container types; all when empty
	Component  string   `yaml:"component"`
}

// Mapping says which items of a framework a control answers, and who says so.
type Mapping struct {
	Items  []string `yaml:"items"`
	Source string   `yaml:"source"`
}

// Variable is an expression that a control names.
type Variable struct {
	Name       string `yaml:"name"`
	Expression string `yaml:"expression"`
}

// Control is one rule. It is immutable once parsed.
type Control struct {
	ID      string `yaml:"-"` // family/name
	File    string `yaml:"-"` // where it was read from
	BuiltIn bool   `yaml:"-"`

	Title     string             `yaml:"title"`
	Aliases   []string           `yaml:"aliases"`
	Severity  string             `yaml:"severity"`
	Since     string             `yaml:"since"`
	Maps      map[string]Mapping `yaml:"maps"`
	Threat    string             `yaml:"threat"`
	Why       string             `yaml:"why"`
	Fix       string             `yaml:"fix"`
	Price     string             `yaml:"price"`
	Scope     Scope              `yaml:"scope"`
	Params    map[string]any     `yaml:"params"`
	Variables []Variable         `yaml:"variables"`
	When      string             `yaml:"when"`
	Items     string             `yaml:"items"`
	Require   string             `yaml:"require"`
	Message   string             `yaml:"message"`
	At        []string           `yaml:"at"`
	Redact    bool               `yaml:"redact"`
	Running   bool               `yaml:"running"` // about what runs: in files it would only repeat what other controls say
	Written   bool               `yaml:"written"` // about how a person wrote it, which an API server does not keep
	Patch     []PatchStep        `yaml:"patch"`
	Settings  []Setting          `yaml:"settings"` // what of a component's configuration satisfies it

	severity   finding.Severity
	frameworks map[string][]string
	rest       func() (*Control, error) // nil when all is read
	cases      caseSource
}

// Family returns the part of the id before the slash.
func (c *Control) Family() string {
	family, _, _ := strings.Cut(c.ID, "/")
	return family
}

// Identity returns the id by which findings are known: the first that the
// control ever had, so that renaming it leaves baselines and waivers valid.
func (c *Control) Identity() string {
	if len(c.Aliases) > 0 {
		return c.Aliases[0]
	}
	return c.ID
}

// Level returns the severity.
func (c *Control) Level() finding.Severity { return c.severity }

// Hygiene reports whether the control is one of good order rather than of
// security: off unless asked for.
func (c *Control) Hygiene() bool { return c.Family() == "hygiene" }

// Rights reports whether the control tells of somebody's rights, which merlon
// rbac risky lists: a scan judges the roles and bindings that give them.
func (c *Control) Rights() bool { return c.Family() == "rights" }

// Frameworks returns the items that the control answers, by framework. The
// caller does not change the map.
func (c *Control) Frameworks() map[string][]string { return c.frameworks }
