package control

import (
	"errors"
	"fmt"
	"strings"

	"github.com/merlon-security/merlon/internal/control/expr"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
	"go.yaml.in/yaml/v3"
)

// Setting is one line of what satisfies a control: of a component, one flag, or
// one field of its configuration file that no flag gives, and what becomes of
// it; of a file of a node, its mode or owner; of the machine, its kernel
// settings. The form is in docs/reference/control-format.md.
type Setting struct {
	Flag    string   `yaml:"flag"`
	Field   []string `yaml:"field"`
	Mode    string   `yaml:"mode"`    // CEL: the mode that may not be gone beyond
	Owner   string   `yaml:"owner"`   // CEL: user:group
	Sysctls string   `yaml:"sysctls"` // CEL: a map of kernel settings

	Value      literal `yaml:"value"`
	Expression string  `yaml:"expression"` // CEL in the place of a value
	Add        words   `yaml:"add"`        // elements of the list that the flag is
	Remove     words   `yaml:"remove"`
	Unset      bool    `yaml:"unset"`
	File       string  `yaml:"file"`     // one that must exist, below the folder of keys and certificates
	Document   string  `yaml:"document"` // one that merlon harden writes, by its name
	When       string  `yaml:"when"`     // CEL; the setting is left out where it is false
}

// words are one word or a list of them.
type words []string

// UnmarshalYAML reads a word or a list of words.
func (w *words) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*w = words{n.Value}
		return nil
	}
	return n.Decode((*[]string)(w))
}

// FromFact is UnmarshalYAML for [yamldoc.Decoder].
func (w *words) FromFact(v fact.Value, decode func(fact.Value, any) bool) bool {
	if v.Kind() == fact.String {
		*w = words{v.Str()}
		return true
	}
	return decode(v, (*[]string)(w))
}

// literal is a value that a control's author wrote for an object's field.
type literal struct{ fact.Value }

// UnmarshalYAML reads the value as that of a manifest.
func (l *literal) UnmarshalYAML(n *yaml.Node) (err error) {
	l.Value, err = toFact(n)
	return err
}

// FromFact is UnmarshalYAML for [yamldoc.Decoder].
func (l *literal) FromFact(v fact.Value, _ func(fact.Value, any) bool) bool {
	l.Value = fact.Of(v)
	return true
}

// Change is a setting with its value computed: Value, Add and Remove, Unset,
// File or Document, whichever is there.
type Change struct {
	Flag        string
	Field       []string
	Value       any // as plain Go values; nil for none
	Add, Remove []string
	Unset       bool
	File        string
	Document    string

	Mode, Owner string
	Sysctls     map[string]any
}

// check holds a setting to its form.
func (s *Setting) check(component bool) error {
	count := func(list ...bool) (n int) {
		for _, is := range list {
			if is {
				n++
			}
		}
		return n
	}
	given := count(s.Value.Present(), s.Expression != "", len(s.Add)+len(s.Remove) > 0, s.Unset, s.File != "", s.Document != "")
	ofFlag := s.Flag != "" || len(s.Field) > 0
	switch {
	case count(s.Flag != "", len(s.Field) > 0, s.Mode != "", s.Owner != "", s.Sysctls != "") != 1:
		return errors.New("a setting is of one of flag, field, mode, owner, sysctls")
	case ofFlag && !component:
		return errors.New("only a component has flags and fields")
	case !ofFlag && given > 0:
		return errors.New("mode, owner and sysctls are their own value")
	case ofFlag && given != 1:
		return errors.New("a setting needs one of value, expression, add and remove, unset, file, document")
	case s.Flag == "" && (len(s.Add)+len(s.Remove) > 0 || s.File != "" || s.Document != ""):
		return errors.New("a field takes a value, an expression or unset")
	}
	return nil
}

// checkSettings holds the settings of a control to their form.
func (c *Control) checkSettings() error {
	component := c.Scope.Each == EachComponent
	if len(c.Settings) > 0 && !component && c.Scope.Each != EachObject {
		return errors.New("settings: only a control of components or objects has them")
	}
	for i := range c.Settings {
		if err := c.Settings[i].check(component); err != nil {
			return fmt.Errorf("settings: %d: %w", i+1, err)
		}
	}
	return nil
}

// Text says in a sentence what the setting asks for.
func (s *Setting) Text() string {
	name := "--" + s.Flag
	if s.Flag == "" {
		name = strings.Join(s.Field, ".")
	}
	var what []string
	switch {
	case s.Mode != "":
		name, what = "the file's mode", []string{"is within " + s.Mode}
	case s.Owner != "":
		name, what = "the file's owner", []string{"is " + s.Owner}
	case s.Sysctls != "":
		name, what = "the kernel's settings", []string{"are " + s.Sysctls}
	case s.Value.Present():
		what = append(what, "is "+s.Value.Text())
		if s.Value.Text() == "" {
			what = []string{"is " + string(yamldoc.JSON(s.Value.Value))}
		}
	case s.Expression != "":
		what = append(what, "is "+strings.Join(strings.Fields(s.Expression), " "))
	case s.Unset:
		what = append(what, "is not given")
	case s.File != "":
		what = append(what, "names the file "+s.File)
	case s.Document != "":
		what = append(what, "names the document "+s.Document+", which merlon harden writes")
	}
	if len(s.Add) > 0 {
		what = append(what, "has "+strings.Join(s.Add, ", "))
	}
	if len(s.Remove) > 0 {
		what = append(what, "lacks "+strings.Join(s.Remove, ", "))
	}
	if s.When != "" {
		what = append(what, "where "+strings.Join(strings.Fields(s.When), " "))
	}
	return name + " " + strings.Join(what, ", ")
}

// want is a setting ready to be computed.
type want struct {
	setting              *Setting
	value                any
	expression, when     *expr.Program
	mode, owner, sysctls *expr.Program
}

// programs are the expressions of a setting, where it has them.
func (w *want) programs() []*expr.Program {
	return []*expr.Program{w.when, w.expression, w.mode, w.owner, w.sysctls}
}

// wants compiles the settings.
func (c *Control) wants(env *expr.Env) ([]want, error) {
	var out []want
	for i := range c.Settings {
		w := want{setting: &c.Settings[i]}
		fail := func(err error) ([]want, error) {
			return nil, fmt.Errorf("%s: settings: %d: %w", c.File, i+1, err)
		}
		for _, part := range []struct {
			source string
			into   **expr.Program
		}{{w.setting.Expression, &w.expression}, {w.setting.When, &w.when}, {w.setting.Mode, &w.mode}, {w.setting.Owner, &w.owner}, {w.setting.Sysctls, &w.sysctls}} {
			if part.source == "" {
				continue
			}
			var err error
			if *part.into, err = env.Compile(part.source); err != nil {
				return fail(err)
			}
		}
		if w.setting.Value.Present() {
			w.value = w.setting.Value.Go()
		}
		out = append(out, w)
	}
	return out, nil
}

// checkWants runs the type checker over the settings' expressions.
func (c *Compiled) checkWants() error {
	wants, err := c.wants()
	if err != nil {
		return err
	}
	for i := range wants {
		for _, p := range wants[i].programs() {
			if p == nil {
				continue
			}
			if err := c.env.Check(p.Source); err != nil {
				return fmt.Errorf("%s: settings: %w", c.File, err)
			}
		}
	}
	return nil
}

// Changes computes what a control wants of the component that is the subject: as
// Amend, from within emit of Run or Again, or right after Run.
func (j *Judge) Changes(c *Compiled) ([]Change, error) {
	wants, err := c.wants()
	if err != nil {
		return nil, err
	}
	var out []Change
	for i := range wants {
		w := &wants[i]
		if w.when != nil {
			v := w.when.Eval(j.frame)
			if v.Kind() != expr.Bool {
				return nil, errors.New("a condition of the settings could not be judged")
			}
			if !v.True() {
				continue
			}
		}
		s := w.setting
		ch := Change{Flag: s.Flag, Field: s.Field, Value: w.value, Add: s.Add, Remove: s.Remove, Unset: s.Unset, File: s.File, Document: s.Document}
		var mode, owner, sysctls any
		for _, part := range []struct {
			program *expr.Program
			into    *any
		}{{w.expression, &ch.Value}, {w.mode, &mode}, {w.owner, &owner}, {w.sysctls, &sysctls}} {
			if err := j.compute(part.program, part.into); err != nil {
				return nil, err
			}
		}
		ch.Mode, _ = mode.(string)
		ch.Owner, _ = owner.(string)
		ch.Sysctls, _ = sysctls.(map[string]any)
		out = append(out, ch)
	}
	return out, nil
}

// compute evaluates an expression of a setting, where there is one.
func (j *Judge) compute(p *expr.Program, into *any) error {
	if p == nil {
		return nil
	}
	v := p.Eval(j.frame)
	if v.Err() != nil || v.Kind() == expr.Unset {
		return errors.New("a value of the settings could not be computed")
	}
	f, err := asFact(v)
	if err != nil {
		return err
	}
	*into = f.Go()
	return nil
}

// Param returns a setting of the control itself, as the user has it, as plain Go
// values; nil where there is none.
func (c *Compiled) Param(name string) any {
	v, ok := c.params.Field(name)
	if !ok {
		return nil
	}
	f, err := asFact(v)
	if err != nil {
		return nil
	}
	return f.Go()
}
