package control

import (
	"fmt"
	"strings"
	"sync"

	"github.com/merlon-security/merlon/internal/control/expr"
)

// Compiled is a control ready to judge: immutable and safe for concurrent use.
type Compiled struct {
	*Control
	env         *expr.Env
	when, items *expr.Program
	require     *expr.Program
	texts       func() (*texts, error)
	ops         func() ([]op, error)   // of the patch
	wants       func() ([]want, error) // of the settings
	params      expr.Value
	hasParams   bool
}

// texts is what only a failing subject needs.
type texts struct {
	message []hole
	at      []*expr.Program
}

// hole is a stretch of a message: text, or an expression to put in its place.
type hole struct {
	text string
	expr *expr.Program
}

// Compile makes a control ready. params replace the control's own settings of
// the same names. An expression that is wrong is an error that names it.
func (c *Control) Compile(lib *Library, params map[string]any) (*Compiled, error) {
	c, err := c.Complete()
	if err != nil {
		return nil, err
	}
	out := &Compiled{Control: c, env: lib.env, params: settings(c.Params, params), hasParams: len(c.Params) > 0}
	fail := func(key string, err error) (*Compiled, error) {
		return nil, fmt.Errorf("%s: %s: %w", c.File, key, err)
	}
	for name := range params {
		if _, ok := c.Params[name]; !ok {
			return fail("params", fmt.Errorf("control %s has no setting %q", c.ID, name))
		}
	}
	for _, v := range c.Variables {
		if out.env, err = out.env.With(v.Name, v.Expression); err != nil {
			return fail("variables", err)
		}
		out.env = fixed(out.env, out.params)
	}
	for _, part := range []struct {
		key, source string
		into        **expr.Program
	}{{"when", c.When, &out.when}, {"items", c.Items, &out.items}, {"require", c.Require, &out.require}} {
		if part.source == "" {
			continue
		}
		if *part.into, err = out.env.Compile(part.source); err != nil {
			return fail(part.key, err)
		}
	}
	out.texts = sync.OnceValues(func() (*texts, error) { return c.texts(out.env) })
	out.ops = sync.OnceValues(func() ([]op, error) { return c.ops(out.env) })
	out.wants = sync.OnceValues(func() ([]want, error) { return c.wants(out.env) })
	if !c.BuiltIn {
		if _, err := out.texts(); err != nil {
			return nil, err
		}
		if _, err := out.ops(); err != nil {
			return nil, err
		}
		if _, err := out.wants(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// fixed computes the variable declared last once and for all when it reads
// nothing but settings: a pattern made of a list of names, for one.
func fixed(env *expr.Env, params expr.Value) *expr.Env {
	p := env.Last()
	for _, path := range p.Footprint() {
		if path.Var != "params" {
			return env
		}
	}
	if p.Whole || !p.Native {
		return env
	}
	f := env.NewFrame()
	f.Begin(env)
	f.Set("params", params)
	v := p.Eval(f)
	if v.Err() != nil {
		return env
	}
	return env.Fixed(v)
}

func (c *Control) texts(env *expr.Env) (*texts, error) {
	t := &texts{}
	var err error
	if t.message, err = holes(env, c.Message); err != nil {
		return nil, fmt.Errorf("%s: message: %w", c.File, err)
	}
	for _, source := range c.At {
		p, err := env.Compile(source)
		if err != nil {
			return nil, fmt.Errorf("%s: at: %w", c.File, err)
		}
		t.at = append(t.at, p)
	}
	return t, nil
}

// Check runs cel-go's type checker over every expression, as the API server
// would.
func (c *Compiled) Check() error {
	if _, err := c.texts(); err != nil {
		return err
	}
	if err := c.checkPatch(); err != nil {
		return err
	}
	if err := c.checkWants(); err != nil {
		return err
	}
	for _, p := range []*expr.Program{c.when, c.items, c.require} {
		if p == nil {
			continue
		}
		if err := c.env.Check(p.Source); err != nil {
			return fmt.Errorf("%s: %w", c.File, err)
		}
	}
	return nil
}

// Whole reports whether the control sees more than its subject, so that any
// change of the input may change its verdict.
func (c *Compiled) Whole() bool {
	for _, p := range []*expr.Program{c.when, c.items, c.require} {
		if p != nil && p.Whole {
			return true
		}
	}
	return c.Scope.Each == EachNamespace || c.Scope.Each == EachInput || c.Scope.Each == EachSubject
}

// Footprint returns everything that the verdict can rest on, as paths of
// variables; false when the control sees more than its subject. Two subjects
// that are equal there get the same verdict.
func (c *Compiled) Footprint() ([]expr.Path, bool) {
	var out []expr.Path
	if c.Whole() {
		return nil, false
	}
	for _, p := range []*expr.Program{c.when, c.items, c.require} {
		if p != nil {
			out = append(out, p.Footprint()...)
		}
	}
	return out, true
}

func settings(own, given map[string]any) expr.Value {
	merged := make(map[string]any, len(own))
	for k, v := range own {
		merged[k] = v
	}
	for k, v := range given {
		merged[k] = v
	}
	return expr.FromGo(merged)
}

// holes cuts a message at its {CEL} holes.
func holes(env *expr.Env, text string) ([]hole, error) {
	var out []hole
	text = strings.TrimSpace(text)
	for text != "" {
		before, rest, found := strings.Cut(text, "{")
		if !found {
			return append(out, hole{text: text}), nil
		}
		if strings.HasPrefix(rest, "{") {
			out, text = append(out, hole{text: before + "{"}), rest[1:]
			continue
		}
		source, after, ok := cutBrace(rest)
		if !ok {
			return nil, fmt.Errorf("a { without }")
		}
		p, err := env.Compile(source)
		if err != nil {
			return nil, err
		}
		out, text = append(out, hole{text: before}, hole{expr: p}), after
	}
	return out, nil
}

// cutBrace finds the brace that closes a hole, past map literals in it.
func cutBrace(s string) (inside, after string, ok bool) {
	depth := 1
	for i, r := range s {
		switch r {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return s[:i], s[i+1:], true
			}
		}
	}
	return "", "", false
}
