package vuln

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Need is one thing that must hold for a component to be open to an advisory:
// its own wording of "am I vulnerable". Exactly one of Flag, Feature, System is
// set. A need with a Component is about that component alone.
type Need struct {
	Component string `json:"component,omitempty"`

	Flag     string   `json:"flag,omitempty"`
	Is       []string `json:"is,omitempty"`       // the value is one of these
	IsNot    []string `json:"isNot,omitempty"`    // the value is none of these
	Contains string   `json:"contains,omitempty"` // the list contains this
	Lacks    string   `json:"lacks,omitempty"`    // the list does not contain this
	AtLeast  *int     `json:"atLeast,omitempty"`  // the value is a number, this or higher

	Feature string `json:"feature,omitempty"` // the feature gate is on
	OnSince int    `json:"onSince,omitempty"` // Kubernetes 1.N in which it came to be on by default; 0 for never

	System string `json:"system,omitempty"` // the node's operating system
}

func (n *Need) check() error {
	set := 0
	for _, s := range [...]string{n.Flag, n.Feature, n.System} {
		if s != "" {
			set++
		}
	}
	if set != 1 {
		return errors.New("exactly one of flag, feature, system")
	}
	if n.Flag != "" && len(n.Is) == 0 && len(n.IsNot) == 0 && n.Contains == "" && n.Lacks == "" && n.AtLeast == nil {
		return fmt.Errorf("flag %s: what about it", n.Flag)
	}
	return nil
}

// Running is a component as it runs, which needs are held against.
type Running interface {
	Name() string
	Minor() int // Kubernetes 1.N, 0 when unknown
	Flag(name string) string
	Known(name string) bool // whether what Flag says is sure
	Place(name string) string
	System() string // "linux", "windows", "" when unknown
}

// Applies reports whether everything that the advisory needs may hold, and when
// not, what does not, with the place that says so. What cannot be known is taken
// to hold.
func (a *Advisory) Applies(c Running) (applies bool, evidence string) {
	for i := range a.Needs {
		n := &a.Needs[i]
		if n.Component != "" && n.Component != c.Name() {
			continue
		}
		if why := n.missing(c); why != "" {
			return false, why
		}
	}
	return true, ""
}

// missing returns what shows that a need does not hold, "" when it may.
func (n *Need) missing(c Running) string {
	switch {
	case n.System != "":
		if s := c.System(); s != "" && s != n.System {
			return fmt.Sprintf("the node runs %s, and only %s is concerned", s, n.System)
		}
		return ""
	case n.Feature != "":
		return n.gateOff(c)
	}
	if !c.Known(n.Flag) {
		return ""
	}
	value := c.Flag(n.Flag)
	if n.flagHolds(value) {
		return ""
	}
	if value == "" {
		return fmt.Sprintf("%s is not set (%s)", n.Flag, c.Place(n.Flag))
	}
	return fmt.Sprintf("%s is %s (%s)", n.Flag, value, c.Place(n.Flag))
}

func (n *Need) flagHolds(value string) bool {
	list := strings.Split(value, ",")
	switch {
	case len(n.Is) > 0 && !slices.Contains(n.Is, value),
		len(n.IsNot) > 0 && slices.Contains(n.IsNot, value),
		n.Contains != "" && !slices.Contains(list, n.Contains),
		n.Lacks != "" && slices.Contains(list, n.Lacks):
		return false
	}
	if n.AtLeast != nil {
		number, err := strconv.Atoi(value)
		return err != nil && value != "" || number >= *n.AtLeast
	}
	return true
}

// gateOff tells that a feature gate is off: by a setting, or by the default of
// the version.
func (n *Need) gateOff(c Running) string {
	if !c.Known("feature-gates") {
		return ""
	}
	set := ""
	for gate := range strings.SplitSeq(c.Flag("feature-gates"), ",") {
		name, value, _ := strings.Cut(gate, "=")
		if name = strings.TrimSpace(name); name == n.Feature || set == "" && (name == "AllAlpha" || name == "AllBeta") && value == "true" {
			set = strings.TrimSpace(value)
		}
	}
	switch {
	case set == "false":
		return fmt.Sprintf("feature gate %s is off (%s)", n.Feature, c.Place("feature-gates"))
	case set != "", c.Minor() == 0, n.OnSince != 0 && c.Minor() >= n.OnSince:
		return ""
	}
	return fmt.Sprintf("feature gate %s is off by default in 1.%d, and nothing turns it on", n.Feature, c.Minor())
}
