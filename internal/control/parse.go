package control

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/yamldoc"
	"go.yaml.in/yaml/v3"
)

// maxFile is how large a control's file may be.
const maxFile = 1 << 20

// plainScope is a scope in its long form.
type plainScope Scope

// UnmarshalYAML reads the short form, a scope's name, or the long one.
func (s *Scope) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		s.Each = Each(n.Value)
		return nil
	}
	return n.Decode((*plainScope)(s))
}

// FromFact is UnmarshalYAML for [yamldoc.Decoder].
func (s *Scope) FromFact(v fact.Value, decode func(fact.Value, any) bool) bool {
	if v.Kind() == fact.String {
		s.Each = Each(v.Str())
		return true
	}
	return decode(v, (*plainScope)(s))
}

// Load reads every control of a tree of files: family/name.yaml. What is wrong
// with one is an error that names file and line; the others are still returned.
func Load(files fs.FS, builtIn bool) ([]*Control, error) { return load(files, builtIn, parse) }

// LoadHeads reads of every control only what tells whether it is needed: title,
// severity, scope, mappings. The rest is read by [Control.Complete], so that a
// scan of one file does not pay for all there is.
func LoadHeads(files fs.FS, builtIn bool) ([]*Control, error) { return load(files, builtIn, parseHead) }

func load(files fs.FS, builtIn bool, parse func(*yamldoc.Decoder, string, []byte) (*Control, error)) ([]*Control, error) {
	var dec yamldoc.Decoder
	var out []*Control
	var errs []error
	err := fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() || path.Ext(name) != ".yaml" && path.Ext(name) != ".yml" {
			return nil
		}
		data, err := fs.ReadFile(files, name)
		if err != nil {
			errs = append(errs, fmt.Errorf("read control %s: %w", name, err))
			return nil
		}
		c, err := parse(&dec, name, data)
		if err != nil {
			errs = append(errs, err)
			return nil
		}
		c.BuiltIn = builtIn
		out = append(out, c)
		return nil
	})
	if err != nil {
		errs = append(errs, fmt.Errorf("read controls: %w", err))
	}
	return out, errors.Join(errs...)
}

// Parse reads one control. Its id is the file's path without the extension; a
// file that lies in no folder is of the family "custom".
func Parse(file string, data []byte) (*Control, error) { return parse(&yamldoc.Decoder{}, file, data) }

func parse(dec *yamldoc.Decoder, file string, data []byte) (*Control, error) {
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s: larger than %d bytes", file, maxFile)
	}
	head, cases, line := splitCases(data)
	c := &Control{File: file, ID: idOf(file), cases: caseSource{file: file, data: cases, line: line}}
	if err := dec.Decode(head, c); err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("empty file")
		}
		return nil, fmt.Errorf("%s: %s", file, strings.ReplaceAll(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors:\n  ", ""))
	}
	if err := c.complete(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// parseHead reads the head of a control and leaves the rest for later.
func parseHead(dec *yamldoc.Decoder, file string, data []byte) (*Control, error) {
	head := headOf(data)
	if head == nil {
		return parse(dec, file, data)
	}
	c := &Control{}
	if err := dec.Decode(head, c); err != nil {
		return parse(dec, file, data) // which says what is wrong, and where
	}
	level, err := finding.ParseSeverity(c.Severity)
	if err != nil || c.Scope.complete() != nil || c.mapped() != nil {
		return parse(dec, file, data)
	}
	c.File, c.ID, c.severity = file, idOf(file), level
	c.rest = sync.OnceValues(func() (*Control, error) {
		full, err := parse(dec, file, data)
		if full != nil {
			full.BuiltIn = c.BuiltIn
		}
		return full, err
	})
	return c, nil
}

// Complete returns the whole control.
func (c *Control) Complete() (*Control, error) {
	if c.rest == nil {
		return c, nil
	}
	return c.rest()
}

// headOf cuts the sections of a control's head out of its file: the keys at the
// left margin with the lines below them. Nil when the file is too odd for that.
func headOf(data []byte) []byte {
	var head []byte
	keep := false
	for line := range bytes.Lines(data) {
		switch first := line[0]; {
		case first >= 'a' && first <= 'z':
			key, _, ok := bytes.Cut(line, []byte(":"))
			if !ok {
				return nil
			}
			if string(key) == "cases" {
				return head
			}
			keep = slices.Contains([]string{"title", "aliases", "severity", "maps", "scope", "written", "running"}, string(key))
		case first != ' ' && first != '\n' && first != '#' && first != '-':
			return nil
		}
		if keep {
			head = append(head, line...)
		}
	}
	return head
}

func idOf(file string) string {
	id := strings.TrimSuffix(strings.TrimSuffix(file, ".yaml"), ".yml")
	parts := strings.Split(id, "/")
	if len(parts) == 1 {
		return "custom/" + id
	}
	return strings.Join(parts[len(parts)-2:], "/")
}

// splitCases cuts a file before its cases, which are read only by those who run
// them: a scan never needs them.
func splitCases(data []byte) (head, cases []byte, line int) {
	at := 0
	for l := range bytes.Lines(data) {
		if bytes.HasPrefix(l, []byte("cases:")) {
			return data[:at], data[at:], line
		}
		at += len(l)
		line++
	}
	return data, nil, 0
}

// complete checks what every control must have.
func (c *Control) complete() error {
	var missing []string
	for name, v := range map[string]string{"title": c.Title, "severity": c.Severity, "why": c.Why, "fix": c.Fix, "require": c.Require, "message": c.Message} {
		if strings.TrimSpace(v) == "" {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("control has no %s", strings.Join(missing, ", "))
	}
	level, err := finding.ParseSeverity(c.Severity)
	if err != nil {
		return err
	}
	if level == finding.None {
		return errors.New("severity none: a control that matters to nobody")
	}
	c.severity = level
	if err := c.mapped(); err != nil {
		return err
	}
	if err := c.Scope.complete(); err != nil {
		return err
	}
	return c.checkSettings()
}

// mapped checks the mappings and keeps their items by framework.
func (c *Control) mapped() error {
	for name, m := range c.Maps {
		if len(m.Items) == 0 || strings.TrimSpace(m.Source) == "" {
			return fmt.Errorf("maps: %s: a mapping needs items and a source", name)
		}
		if c.frameworks == nil {
			c.frameworks = make(map[string][]string, len(c.Maps))
		}
		c.frameworks[name] = m.Items
	}
	return nil
}

func (s *Scope) complete() error {
	switch s.Each {
	case EachContainer, EachPod, EachNamespace, EachInput, EachSubject:
	case EachObject:
		if len(s.Kinds) == 0 {
			return errors.New("scope object needs kinds")
		}
	case EachComponent:
		if s.Component == "" {
			return errors.New("scope component needs component")
		}
	case "":
		return errors.New("control has no scope")
	default:
		return fmt.Errorf("unknown scope %q: one of container, pod, object, namespace, component, input, subject", s.Each)
	}
	for _, t := range s.Containers {
		if !slices.Contains([]string{"container", "init", "sidecar", "ephemeral"}, t) {
			return fmt.Errorf("unknown container type %q: one of container, init, sidecar, ephemeral", t)
		}
	}
	return nil
}
