package yamldoc

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/merlon-security/merlon/internal/fact"
)

// style is how a document is written, as far as new text must know.
type style struct {
	eol    string
	indent int  // of a map below a map
	list   int  // of a list below a map
	json   bool // the document is JSON, or like it
}

// styleOf looks how the document is written: what most of it does counts.
func (d *editor) styleOf() style {
	s := style{eol: "\n", indent: 2, list: -1}
	if i := bytes.IndexByte(d.text, '\n'); i > 0 && d.text[i-1] == '\r' {
		s.eol = "\r\n"
	}
	trimmed := bytes.TrimLeft(d.text, " \t\r\n")
	s.json = len(trimmed) > 0 && trimmed[0] == '{' && len(d.root.Content) > 0 && d.root.Content[0].Style&yaml.DoubleQuotedStyle != 0
	maps, lists := map[int]int{}, map[int]int{}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for i, c := range n.Content {
			if n.Kind == yaml.MappingNode && i%2 == 1 && c.Style&yaml.FlowStyle == 0 && c.Line > n.Content[i-1].Line {
				switch by := c.Column - n.Content[i-1].Column; {
				case c.Kind == yaml.MappingNode && c.Anchor == "":
					maps[by]++
				case c.Kind == yaml.SequenceNode && c.Anchor == "":
					lists[by]++
				}
			}
			walk(c)
		}
	}
	walk(d.root)
	s.indent = most(maps, 2)
	s.list = most(lists, s.indent)
	return s
}

func most(counts map[int]int, otherwise int) int {
	best, n := otherwise, 0
	for v, c := range counts {
		if v >= 0 && v < 20 && (c > n || c == n && v < best) {
			best, n = v, c
		}
	}
	return best
}

// short reports whether a value is written behind its key, on its line.
func short(v fact.Value) bool { return v.Len() == 0 }

// entry writes `key: value` for a block map at an indentation, without the
// indentation of its first line and the last line break.
func (s *style) entry(key string, v fact.Value, indent int) string {
	if short(v) {
		return key + ": " + s.scalar(v)
	}
	return key + ":" + s.eol + s.block(v, indent)
}

// block writes a list or map that has children, below a key at an indentation.
func (s *style) block(v fact.Value, indent int) string {
	var lines []string
	if v.Kind() == fact.List {
		at := indent + s.list
		for c := range v.Children() {
			lines = append(lines, strings.Repeat(" ", at)+s.element(c, at))
		}
		return strings.Join(lines, s.eol)
	}
	at := indent + max(s.indent, 1)
	for c := range v.Children() {
		lines = append(lines, strings.Repeat(" ", at)+s.entry(s.word(c.Key().String()), c, at))
	}
	return strings.Join(lines, s.eol)
}

// element writes an element of a block list whose dash stands at an indentation.
func (s *style) element(v fact.Value, indent int) string {
	switch {
	case short(v):
		return "- " + s.scalar(v)
	case v.Kind() == fact.List:
		return "- " + s.flow(v, ": ")
	}
	var lines []string
	for c := range v.Children() {
		lines = append(lines, s.entry(s.word(c.Key().String()), c, indent+2))
	}
	return "- " + strings.Join(lines, s.eol+strings.Repeat(" ", indent+2))
}

// flow writes a value in one line; colon is what stands between key and value.
func (s *style) flow(v fact.Value, colon string) string {
	comma := ", "
	if colon == ":" {
		comma = ","
	}
	var parts []string
	for c := range v.Children() {
		part := s.flow(c, colon)
		if v.Kind() == fact.Map {
			part = s.word(c.Key().String()) + colon + part
		}
		parts = append(parts, part)
	}
	switch {
	case v.Len() == 0:
		return s.scalar(v)
	case v.Kind() == fact.List:
		return "[" + strings.Join(parts, comma) + "]"
	}
	return "{" + strings.Join(parts, comma) + "}"
}

// scalar writes a scalar, or an empty list or map.
func (s *style) scalar(v fact.Value) string {
	switch v.Kind() {
	case fact.String:
		return s.word(v.Str())
	case fact.Float:
		return string(appendFloat(nil, v.Float()))
	}
	return string(appendJSON(nil, v)) // of no string and no children: the same in YAML
}

// word writes a string, plain where every reader of YAML takes it for one.
func (s *style) word(text string) string {
	if !s.json && plainWord(text) && resolvePlain(text).kind == fact.String {
		return text
	}
	return string(appendString(nil, text))
}

// plainWord reports whether a text needs no quotes in block and in flow style.
func plainWord(text string) bool {
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '/':
		case i > 0 && (c == '.' || c == '-'):
		default:
			return false
		}
	}
	return text != ""
}
