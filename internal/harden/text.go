package harden

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
	"go.yaml.in/yaml/v3"
)

// yamlText writes a tree as YAML, with the controls of a line above it. Maps of
// Go are written with their keys in order, apiVersion and kind first.
func yamlText(v any, comments func([]fact.Step) []string) string {
	root := nodeOf(fact.Of(v), nil, comments)
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := errors.Join(e.Encode(root), e.Close()); err != nil { // a tree of plain nodes always can
		return string(yamldoc.YAML(fact.Of(v)))
	}
	return b.String()
}

func nodeOf(v fact.Value, at []fact.Step, comments func([]fact.Step) []string) *yaml.Node {
	n := &yaml.Node{}
	switch v.Kind() {
	case fact.Map:
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		for _, c := range inOrder(v) {
			path := append(slices.Clone(at), fact.Field(c.Key().String()))
			key := scalar(fact.Of(c.Key().String()))
			key.HeadComment = strings.Join(comments(path), ", ")
			n.Content = append(n.Content, key, nodeOf(c, path, comments))
		}
	case fact.List:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		plain, i := true, 0
		for c := range v.Children() {
			path := append(slices.Clone(at), fact.Element(i))
			i++
			e := nodeOf(c, path, comments)
			e.HeadComment = strings.Join(comments(path), ", ")
			if e.Kind == yaml.MappingNode && e.HeadComment == "" && len(e.Content) > 0 { // above the dash, not behind it
				e.HeadComment, e.Content[0].HeadComment = e.Content[0].HeadComment, ""
			}
			plain = plain && e.Kind == yaml.ScalarNode && e.HeadComment == ""
			n.Content = append(n.Content, e)
		}
		if plain {
			n.Style = yaml.FlowStyle
		}
	default:
		return scalar(v)
	}
	if len(n.Content) == 0 {
		n.Style = yaml.FlowStyle
	}
	return n
}

// scalar writes a value that is no map or list as YAML reads it.
func scalar(v fact.Value) *yaml.Node {
	var doc yaml.Node
	if err := yaml.Unmarshal(yamldoc.YAML(v), &doc); err != nil || len(doc.Content) == 0 {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	}
	return doc.Content[0]
}

// inOrder returns the children of a map: what says what it is first, then by
// their keys.
func inOrder(v fact.Value) []fact.Value {
	rank := func(c fact.Value) int {
		if i := slices.Index([]string{"apiVersion", "kind", "metadata", "name", "level"}, c.Key().String()); i >= 0 {
			return i
		}
		return 99
	}
	out := slices.Collect(v.Children())
	slices.SortFunc(out, func(a, b fact.Value) int {
		if r := rank(a) - rank(b); r != 0 {
			return r
		}
		return strings.Compare(a.Key().String(), b.Key().String())
	})
	return out
}

// tomlText writes a tree as TOML: scalars and lists first, then the tables, each
// with its whole name.
func tomlText(m map[string]any, serves map[string][]string) string {
	var b strings.Builder
	tomlTable(&b, m, nil, serves)
	return b.String()
}

func tomlTable(b *strings.Builder, m map[string]any, at []string, serves map[string][]string) {
	keys := slices.Sorted(maps.Keys(m))
	for _, k := range keys {
		if _, table := m[k].(map[string]any); table {
			continue
		}
		if ids := serves[pathKey(append(slices.Clone(at), k))]; len(ids) > 0 {
			fmt.Fprintf(b, "# %s\n", strings.Join(ids, ", "))
		}
		fmt.Fprintf(b, "%s = %s\n", tomlKey(k), tomlValue(m[k]))
	}
	for _, k := range keys {
		below, table := m[k].(map[string]any)
		if !table {
			continue
		}
		path := append(slices.Clone(at), k)
		var names []string
		for _, p := range path {
			names = append(names, tomlKey(p))
		}
		fmt.Fprintf(b, "\n[%s]\n", strings.Join(names, "."))
		tomlTable(b, below, path, serves)
	}
}

// tomlKey quotes a key that is not bare.
func tomlKey(k string) string {
	if k != "" && strings.Trim(k, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == "" {
		return k
	}
	return tomlValue(k)
}

// tomlValue writes what stands behind an equals sign. JSON's strings are TOML's
// basic strings.
func tomlValue(v any) string {
	switch x := v.(type) {
	case map[string]any:
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(x)) {
			parts = append(parts, tomlKey(k)+" = "+tomlValue(x[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case []any:
		var parts []string
		for _, e := range x {
			parts = append(parts, tomlValue(e))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		text, err := json.Marshal(x)
		if err != nil {
			return `""`
		}
		return string(text)
	case float64:
		s := strconv.FormatFloat(x, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	case nil:
		return `""`
	}
	return fmt.Sprint(v)
}
