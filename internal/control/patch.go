package control

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/merlon-security/merlon/internal/control/expr"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// PatchStep is one line of a control's patch: one verb with the place that it
// works on, or a remark. The form is in docs/reference/control-format.md.
type PatchStep struct {
	Set            string `yaml:"set"`
	Remove         string `yaml:"remove"`
	AddToList      string `yaml:"addToList"`
	RemoveFromList string `yaml:"removeFromList"`
	Ask            string `yaml:"ask"`  // text with {CEL} holes: what only a person can decide
	Test           string `yaml:"test"` // text with {CEL} holes: what to try before the fix goes out

	Value      literal `yaml:"value"`      // of set, addToList, removeFromList
	Expression string  `yaml:"expression"` // CEL in its place; of removeFromList, a list of the elements
	When       string  `yaml:"when"`       // CEL; the step is left out where it is false
}

// Amendment is what a control's patch makes of one failing subject: edits of the
// subject's own object. Where a person has to decide, Asks says what, and there
// are no edits.
type Amendment struct {
	Edits []fact.Edit
	Asks  []string
	Tests []string
}

// Mends reports whether the control has a patch that does more than ask.
func (c *Control) Mends() bool {
	return slices.ContainsFunc(c.Patch, func(s PatchStep) bool { return s.Ask == "" && s.Test == "" })
}

// verb returns the step's verb and the place or text behind it.
func (s *PatchStep) verb() (name, rest string, err error) {
	for _, v := range [...]struct{ name, rest string }{
		{"set", s.Set}, {"remove", s.Remove}, {"addToList", s.AddToList},
		{"removeFromList", s.RemoveFromList}, {"ask", s.Ask}, {"test", s.Test},
	} {
		if v.rest == "" {
			continue
		}
		if name != "" {
			return "", "", fmt.Errorf("%s and %s in one step", name, v.name)
		}
		name, rest = v.name, v.rest
	}
	valued := name == "set" || name == "addToList" || name == "removeFromList"
	given := 0
	if s.Value.Present() {
		given++
	}
	if s.Expression != "" {
		given++
	}
	switch {
	case name == "":
		return "", "", errors.New("a step needs one of set, remove, addToList, removeFromList, ask, test")
	case valued && given != 1:
		return "", "", fmt.Errorf("%s needs a value or an expression", name)
	case !valued && given > 0:
		return "", "", fmt.Errorf("%s takes no value", name)
	}
	return name, rest, nil
}

// Text says in a sentence what the step does.
func (s *PatchStep) Text() string {
	verb, rest, err := s.verb()
	if err != nil {
		return "(" + err.Error() + ")"
	}
	value := s.Expression
	if s.Value.Present() {
		value = string(yamldoc.JSON(s.Value.Value))
	}
	rest = strings.TrimSpace(rest)
	where := ""
	if s.When != "" {
		where = ", where " + strings.Join(strings.Fields(s.When), " ")
	}
	switch verb {
	case "set":
		return "set " + rest + " to " + value + where
	case "addToList":
		return "add " + value + " to " + rest + where
	case "removeFromList":
		return "remove " + value + " from " + rest + where
	}
	if verb == "remove" {
		return "remove " + rest + where
	}
	return verb + where + ": " + rest
}

// op is a step ready to be made.
type op struct {
	verb       string
	root       string
	origin     *expr.Program // the variable the path begins with
	path       []pathStep
	value      fact.Value
	expression *expr.Program
	when       *expr.Program
	text       []hole
}

// pathStep is a field, or an expression that gives a field's name or an
// element's number.
type pathStep struct {
	field string
	expr  *expr.Program
}

// ops compiles the patch.
func (c *Control) ops(env *expr.Env) ([]op, error) {
	var out []op
	for i := range c.Patch {
		o, err := c.Patch[i].compile(env)
		if err != nil {
			return nil, fmt.Errorf("%s: patch: step %d: %w", c.File, i+1, err)
		}
		out = append(out, o)
	}
	return out, nil
}

func (s *PatchStep) compile(env *expr.Env) (o op, err error) {
	verb, rest, err := s.verb()
	if err != nil {
		return o, err
	}
	o.verb = verb
	if s.When != "" {
		if o.when, err = env.Compile(s.When); err != nil {
			return o, fmt.Errorf("when: %w", err)
		}
	}
	if s.Expression != "" {
		if o.expression, err = env.Compile(s.Expression); err != nil {
			return o, fmt.Errorf("expression: %w", err)
		}
	}
	o.value = s.Value.Value
	if verb == "ask" || verb == "test" {
		o.text, err = holes(env, rest)
		return o, err
	}
	if o.root, o.path, err = readPath(env, rest); err != nil {
		return o, fmt.Errorf("%s: %w", verb, err)
	}
	if o.root != "pod" {
		o.origin, err = env.Compile(o.root)
	}
	return o, err
}

// readPath reads a place: a variable, and fields below it; in brackets an
// expression for a field's name or an element's number.
func readPath(env *expr.Env, text string) (root string, path []pathStep, err error) {
	rest := text
	for rest != "" {
		if inside, ok := strings.CutPrefix(rest, "["); ok {
			source, after, ok := cutBracket(inside)
			if !ok {
				return "", nil, errors.New("a [ without ]")
			}
			p, err := env.Compile(source)
			if err != nil {
				return "", nil, err
			}
			path, rest = append(path, pathStep{expr: p}), after
			continue
		}
		rest = strings.TrimPrefix(rest, ".")
		n := strings.IndexAny(rest, ".[")
		if n < 0 {
			n = len(rest)
		}
		if n == 0 {
			return "", nil, fmt.Errorf("%q is no place", text)
		}
		path, rest = append(path, pathStep{field: rest[:n]}), rest[n:]
	}
	root = path[0].field
	switch root {
	case "container", "item":
	case "object", "pod":
		if len(path) < 2 {
			return "", nil, fmt.Errorf("%s as a whole is not edited", root)
		}
	default:
		return "", nil, fmt.Errorf("%q: a place begins with container, pod, object or item", text)
	}
	if first := path[min(1, len(path)-1)].field; root == "pod" && first != "spec" && first != "metadata" {
		return "", nil, fmt.Errorf("%q: a pod has spec and metadata", text)
	}
	return root, path[1:], nil
}

// cutBracket finds the bracket that closes an expression, past strings and
// brackets in it.
func cutBracket(s string) (inside, after string, ok bool) {
	depth, quote := 1, rune(0)
	for i, r := range s {
		switch {
		case quote != 0:
			if r == quote {
				quote = 0
			}
		case r == '"' || r == '\'':
			quote = r
		case r == '[':
			depth++
		case r == ']':
			if depth--; depth == 0 {
				return s[:i], s[i+1:], true
			}
		}
	}
	return "", "", false
}

// checkPatch runs the type checker over the patch's expressions.
func (c *Compiled) checkPatch() error {
	ops, err := c.ops()
	if err != nil {
		return err
	}
	for i := range ops {
		all := []*expr.Program{ops[i].when, ops[i].expression}
		for _, s := range ops[i].path {
			all = append(all, s.expr)
		}
		for _, h := range ops[i].text {
			all = append(all, h.expr)
		}
		for _, p := range all {
			if p == nil {
				continue
			}
			if err := c.env.Check(p.Source); err != nil {
				return fmt.Errorf("%s: patch: %w", c.File, err)
			}
		}
	}
	return nil
}
