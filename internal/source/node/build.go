//go:build linux

package node

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/secrets"
	"github.com/merlon-security/merlon/internal/yamldoc"
	"github.com/pelletier/go-toml/v2"
)

// parse reads a configuration file: YAML and JSON, or TOML. Secrets in it are
// replaced.
func (s *Source) parse(text []byte, name string, isTOML bool) ([]fact.Value, error) {
	if isTOML {
		var v map[string]any
		if err := toml.Unmarshal(text, &v); err != nil {
			return nil, err
		}
		return []fact.Value{s.redacted(fact.Of(plain(v)))}, nil
	}
	var out []fact.Value
	docs := yamldoc.NewReader(bytes.NewReader(text), name, yamldoc.Limits{Document: maxConfig, Values: 200_000})
	for {
		doc, err := docs.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		out = append(out, s.redacted(doc.Root))
	}
}

// plain turns what the TOML decoder gives into what build takes.
func plain(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k := range x {
			x[k] = plain(x[k])
		}
	case []any:
		for i := range x {
			x[i] = plain(x[i])
		}
	}
	return v
}

const hidden = "(secret, not kept)"

// redacted copies a tree without the secrets in it: values whose name says that
// they are secret, and what looks like one.
func (s *Source) redacted(v fact.Value) fact.Value {
	var b fact.Builder
	b.Positions = true
	s.copy(&b, fact.Key{}, v, "")
	return b.Tree().Root()
}

func (s *Source) copy(b *fact.Builder, key fact.Key, v fact.Value, name string) {
	switch v.Kind() {
	case fact.Map, fact.List:
		b.Begin(key, v.Pos(), v.Kind())
		for c := range v.Children() {
			k, n := c.Key(), name
			if v.Kind() == fact.Map {
				n = k.String()
			}
			s.copy(b, k, c, n)
		}
		b.End()
	case fact.String:
		if s.secret(name, v.Str()) {
			b.String(key, v.Pos(), hidden)
			return
		}
		b.Copy(key, v)
	default:
		b.Copy(key, v)
	}
}

// secret reports whether a value must not be kept. A key of encryption at rest
// is called "secret" and can be any text; a path is none.
func (s *Source) secret(name, value string) bool {
	if value == "" || value[0] == '/' {
		return false
	}
	if secrets.SaysSecret(name) {
		return true
	}
	_, found := s.detect.Named(name, value)
	return found
}

// words returns a command line without the secrets in it.
func (s *Source) words(argv []string) []string {
	out := slices.Clone(argv)
	for _, m := range s.detect.Args(argv) {
		if out[m.Arg] == argv[m.Arg] {
			out[m.Arg] = argv[m.Arg][:m.Start] + hidden
		}
	}
	return out
}
