package yamldoc

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/merlon-security/merlon/internal/fact"
)

// JSON writes a value as compact JSON with the keys of maps in order, so that
// equal values give equal bytes. The zero Value is null.
func JSON(v fact.Value) []byte { return appendJSON(nil, v) }

func appendJSON(out []byte, v fact.Value) []byte {
	switch v.Kind() {
	case fact.Bool:
		return strconv.AppendBool(out, v.Bool())
	case fact.Int:
		return strconv.AppendInt(out, v.Int(), 10)
	case fact.Float:
		return appendFloat(out, v.Float())
	case fact.String:
		return appendString(out, v.Str())
	case fact.List:
		out = append(out, '[')
		i := 0
		for c := range v.Children() {
			if i++; i > 1 {
				out = append(out, ',')
			}
			out = appendJSON(out, c)
		}
		return append(out, ']')
	case fact.Map:
		out = append(out, '{')
		for i, c := range sorted(v) {
			if i > 0 {
				out = append(out, ',')
			}
			out = append(appendString(out, c.Key().String()), ':')
			out = appendJSON(out, c)
		}
		return append(out, '}')
	}
	return append(out, "null"...)
}

// sorted returns the children of a map by their keys.
func sorted(v fact.Value) []fact.Value {
	children := slices.Collect(v.Children())
	slices.SortFunc(children, func(a, b fact.Value) int { return strings.Compare(a.Key().String(), b.Key().String()) })
	return children
}

// appendFloat writes a float as encoding/json does.
func appendFloat(out []byte, f float64) []byte {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	out = strconv.AppendFloat(out, f, format, -1, 64)
	if n := len(out); format == 'e' && n >= 4 && out[n-4] == 'e' && out[n-3] == '-' && out[n-2] == '0' { // e-09 is e-9
		out[n-2] = out[n-1]
		out = out[:n-1]
	}
	return out
}

func appendString(out []byte, s string) []byte {
	plain := true
	for i := 0; i < len(s) && plain; i++ {
		plain = s[i] >= ' ' && s[i] < 0x7F && s[i] != '"' && s[i] != '\\' && s[i] != '<' && s[i] != '>' && s[i] != '&'
	}
	if plain {
		return append(append(append(out, '"'), s...), '"')
	}
	quoted, err := json.Marshal(s)
	if err != nil { // a string always can
		return append(out, `""`...)
	}
	return append(out, quoted...)
}

// YAML writes a value as YAML in block style, keys in the order they have in
// the document, strings quoted where YAML 1.1 would read them as something
// else. It is for messages and tests; edits of files splice their bytes.
func YAML(v fact.Value) []byte {
	out, err := yaml.Marshal(yamlNode(v))
	if err != nil { // a tree of plain nodes always can
		return JSON(v)
	}
	return out
}

func yamlNode(v fact.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}
	switch v.Kind() {
	case fact.Bool:
		n.Tag, n.Value = "!!bool", v.Text()
	case fact.Int:
		n.Tag, n.Value = "!!int", v.Text()
	case fact.Float:
		n.Tag, n.Value = "!!float", string(appendFloat(nil, v.Float()))
	case fact.String:
		n = stringNode(v.Str())
	case fact.List:
		n = &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for c := range v.Children() {
			n.Content = append(n.Content, yamlNode(c))
		}
		if len(n.Content) == 0 {
			n.Style = yaml.FlowStyle
		}
	case fact.Map:
		n = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for c := range v.Children() {
			n.Content = append(n.Content, stringNode(c.Key().String()), yamlNode(c))
		}
		if len(n.Content) == 0 {
			n.Style = yaml.FlowStyle
		}
	}
	return n
}

func stringNode(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if v := resolvePlain(s); v.kind != fact.String || s == "<<" {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}
