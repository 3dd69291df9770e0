package yamldoc

import (
	"bytes"
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/merlon-security/merlon/internal/fact"
)

// spot is a place in the text: a node, and where it hangs.
type spot struct {
	node   *yaml.Node
	parent *yaml.Node // the map or list that holds it; nil for the root
	index  int        // of its key in a map's Content, of itself in a list's
	flow   bool       // it lies in a list or map in flow style

	override bool // the path goes through an alias here, or
	merged   bool // through a merge key of the map that node is
}

// find goes down a path as far as there are nodes, and tells how many steps it
// went.
func (d *editor) find(path []fact.Step) (s spot, done int, err error) {
	s.node = d.root
	for i, step := range path {
		if s.node.Kind == yaml.AliasNode {
			if !d.shared {
				s.override = true
				return s, i, nil
			}
			s.node = s.node.Alias
		}
		n := s.node
		flow := s.flow || n.Style&yaml.FlowStyle != 0
		switch {
		case step.Element && n.Kind == yaml.SequenceNode && step.Index < len(n.Content):
			s = spot{node: n.Content[step.Index], parent: n, index: step.Index, flow: flow}
		case !step.Element && n.Kind == yaml.MappingNode:
			holder, at, merged := d.entry(n, step.Field, 0)
			switch {
			case at < 0:
				return s, i, nil
			case merged && !d.shared:
				s.override, s.merged = true, true
				return s, i + 1, nil
			}
			s = spot{node: holder.Content[at+1], parent: holder, index: at, flow: s.flow || holder.Style&yaml.FlowStyle != 0}
		case d.isNull(n) && !step.Element:
			return s, i, nil
		default:
			return s, i, errors.New("the place is not where the document's tree has it")
		}
	}
	if s.node.Kind == yaml.AliasNode && d.shared {
		s.node = s.node.Alias
	}
	return s, len(path), nil
}

// entry finds the entry of a map that counts under a key: the last, merged ones
// included, as the converter takes them. It returns the map that holds it and
// the index of its key.
func (d *editor) entry(n *yaml.Node, field string, depth int) (holder *yaml.Node, at int, merged bool) {
	at = -1
	if depth > 20 {
		return nil, -1, false
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.ScalarNode && isMerge(k) {
			for _, m := range sources(v) {
				if h, j, _ := d.entry(m, field, depth+1); j >= 0 {
					holder, at, merged = h, j, true
				}
			}
		} else if keyOf(k) == field {
			holder, at, merged = n, i, false
		}
	}
	return holder, at, merged
}

// sources returns the maps that a merge key takes in, in the order in which they
// are taken.
func sources(v *yaml.Node) []*yaml.Node {
	if v.Kind == yaml.AliasNode {
		v = v.Alias
	}
	switch v.Kind {
	case yaml.MappingNode:
		return []*yaml.Node{v}
	case yaml.SequenceNode:
		var out []*yaml.Node
		for i := len(v.Content) - 1; i >= 0; i-- {
			out = append(out, sources(v.Content[i])...)
		}
		return out
	}
	return nil
}

// keyOf returns the text of a key as the converter interns it.
func keyOf(k *yaml.Node) string {
	for k.Kind == yaml.AliasNode {
		k = k.Alias
	}
	if k.Kind != yaml.ScalarNode || k.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return k.Value
	}
	v := resolvePlain(k.Value)
	text, why := v.keyText()
	if why != "" {
		return k.Value
	}
	return text
}

// isNull reports whether a node is a null, written or not.
func (d *editor) isNull(n *yaml.Node) bool {
	if n.Kind != yaml.ScalarNode || n.Style&^yaml.TaggedStyle != 0 {
		return false
	}
	return resolvePlain(n.Value).kind == fact.Null
}

func (d *editor) at(n *yaml.Node) int { return d.places.offset(n.Line, n.Column) }

// span returns where a node begins, its anchor and tag included, and the end of
// its content: of the last character, line breaks behind it left out.
func (d *editor) span(n *yaml.Node) (from, to int) {
	from = d.at(n)
	switch n.Kind {
	case yaml.AliasNode:
		return from, min(from+1+len(n.Value), len(d.text))
	case yaml.ScalarNode:
		return from, d.scalarEnd(n, from)
	}
	to = d.pastProperties(from, n)
	opened := byte(0)
	if n.Style&yaml.FlowStyle != 0 && to < len(d.text) && (d.text[to] == '[' || d.text[to] == '{') {
		opened = d.text[to]
		to++
	}
	if len(n.Content) > 0 {
		_, to = d.span(n.Content[len(n.Content)-1])
	}
	if opened == 0 {
		return from, to
	}
	for to < len(d.text) {
		switch c := d.text[to]; {
		case c == opened+2: // ']' and '}' stand two behind their brackets
			return from, to + 1
		case c == '#':
			to = d.lineEnd(to)
		default:
			to++
		}
	}
	return from, to
}

// pastProperties returns the offset behind an anchor and a tag.
func (d *editor) pastProperties(at int, n *yaml.Node) int {
	for at < len(d.text) && (d.text[at] == '&' || d.text[at] == '!') {
		for at < len(d.text) && strings.IndexByte(" \t\r\n", d.text[at]) < 0 && (n.Style&yaml.FlowStyle == 0 || strings.IndexByte(",]}", d.text[at]) < 0) {
			at++
		}
		if n.Kind == yaml.ScalarNode && n.Value == "" && n.Style&^yaml.TaggedStyle == 0 {
			return at
		}
		at = d.pastSpace(at)
	}
	return at
}

// pastSpace returns the offset of the next character that is neither white space
// nor in a comment.
func (d *editor) pastSpace(at int) int {
	for at < len(d.text) {
		switch {
		case strings.IndexByte(" \t\r\n", d.text[at]) >= 0:
			at++
		case d.text[at] == '#':
			at = d.lineEnd(at)
		default:
			return at
		}
	}
	return at
}

func (d *editor) scalarEnd(n *yaml.Node, from int) int {
	at := d.pastProperties(from, n)
	switch style := n.Style &^ yaml.TaggedStyle; {
	case style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		return quotedSpan(d.text, at).to
	case style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		return d.blockEnd(n, at)
	}
	// A plain scalar over several lines is folded, which changes white space and
	// nothing else.
	for _, c := range []byte(n.Value) {
		if strings.IndexByte(" \t\r\n", c) >= 0 {
			continue
		}
		for at < len(d.text) && d.text[at] != c {
			at++
		}
		at++
	}
	return min(at, len(d.text))
}

// blockEnd returns the end of a block scalar's last line; blank lines behind it
// belong to it only where its header says so.
func (d *editor) blockEnd(n *yaml.Node, at int) int {
	head := d.lineEnd(at)
	if strings.Trim(n.Value, "\n") == "" {
		return head
	}
	end := blockSpan(d.text, at).to
	if !bytes.ContainsRune(d.text[at:head], '+') {
		end = len(bytes.TrimRight(d.text[:end], " \t\r\n"))
	}
	return max(head, d.lineEnd(max(end-1, at)))
}

// lineEnd returns the end of the line at an offset, before its line break.
func (d *editor) lineEnd(at int) int {
	i := bytes.IndexByte(d.text[min(at, len(d.text)):], '\n')
	if i < 0 {
		return len(d.text)
	}
	if end := at + i; end > at && d.text[end-1] == '\r' {
		return end - 1
	}
	return at + i
}

// nextLine returns where the next line begins.
func (d *editor) nextLine(at int) int {
	if i := bytes.IndexByte(d.text[at:], '\n'); i >= 0 {
		return at + i + 1
	}
	return len(d.text)
}

func (d *editor) lineStart(at int) int { return bytes.LastIndexByte(d.text[:at], '\n') + 1 }

// indent returns the white space at the begin of a line, and whether nothing
// else stands before an offset of it.
func (d *editor) indent(at int) (column int, first bool) {
	start := d.lineStart(at)
	return at - start, len(bytes.Trim(d.text[start:at], " ")) == 0
}
