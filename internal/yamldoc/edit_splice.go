package yamldoc

import (
	"bytes"
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/merlon-security/merlon/internal/fact"
)

var errOddPlace = errors.New("the place is written in a way that is not edited")

// addEntry adds a field to a map.
func (d *editor) addEntry(n *yaml.Node, field string, v fact.Value, flow bool) ([][]splice, error) {
	if n.Kind != yaml.MappingNode {
		return nil, errOddPlace
	}
	key := d.style.word(field)
	if len(n.Content) > 0 && n.Content[0].Style&yaml.DoubleQuotedStyle != 0 {
		key = string(appendString(nil, field))
	}
	if flow || n.Style&yaml.FlowStyle != 0 {
		colon := d.colon(n)
		return [][]splice{d.intoFlow(n, key+colon+d.flowText(n, v, colon))}, nil
	}
	if len(n.Content) == 0 {
		return nil, errOddPlace
	}
	column, _ := d.indent(d.at(n.Content[0]))
	text := strings.Repeat(" ", column) + d.style.entry(key, v, column)
	var ways [][]splice
	for i := len(n.Content) - 1; i > 0 && len(ways) < 4; i -= 2 {
		_, to := d.span(n.Content[i])
		ways = append(ways, []splice{d.newLine(to, text)})
	}
	return ways, nil
}

// newLine puts a line behind the one at an offset.
func (d *editor) newLine(at int, text string) splice {
	at = max(at, 0)
	next := d.nextLine(at)
	if next == len(d.text) && (next == 0 || d.text[next-1] != '\n') {
		return splice{next, next, d.style.eol + text}
	}
	return splice{next, next, text + d.style.eol}
}

// colon returns what stands between a key and its value in a map in flow style.
func (d *editor) colon(n *yaml.Node) string {
	if len(n.Content) >= 2 {
		_, from := d.span(n.Content[0])
		to := d.at(n.Content[1])
		if from < to && strings.Trim(string(d.text[from:to]), ": ") == "" {
			return string(d.text[from:to])
		}
	}
	return ": "
}

// flowText writes a value the way a list or map in flow style is written: in
// JSON's way where its keys are.
func (d *editor) flowText(n *yaml.Node, v fact.Value, colon string) string {
	s := d.style
	if n.Kind == yaml.MappingNode && len(n.Content) > 0 && n.Content[0].Style&yaml.DoubleQuotedStyle != 0 {
		s.json = true
	}
	return s.flow(v, colon)
}

// intoFlow adds an item to a list or map in flow style.
func (d *editor) intoFlow(n *yaml.Node, item string) []splice {
	from, to := d.span(n)
	if len(n.Content) == 0 {
		open := d.pastProperties(from, n)
		return []splice{{open + 1, to - 1, item}}
	}
	_, last := d.span(n.Content[len(n.Content)-1])
	rest := d.text[last:max(last, to-1)]
	comma := bytes.IndexByte(rest, ',')
	if hash := bytes.IndexByte(rest, '#'); hash >= 0 && hash < comma {
		comma = -1
	}
	start := d.itemStart(n, len(n.Content)-1)
	column, alone := d.indentOf(start)
	if !alone || bytes.IndexByte(rest, '\n') < 0 { // in one line
		gap := ", "
		if d.text[max(last-1, 0)] != ' ' && d.tight(n) {
			gap = ","
		}
		if comma >= 0 {
			return []splice{{last + comma + 1, last + comma + 1, strings.TrimPrefix(gap, ",") + item}}
		}
		return []splice{{last, last, gap + item}}
	}
	line := d.style.eol + column + item
	end := d.lineEnd(last)
	if comma >= 0 {
		end = d.lineEnd(last + comma)
		return []splice{{end, end, line + ","}}
	}
	return []splice{{last, last, ","}, {end, end, line}}
}

// indentOf returns the white space before an offset on its line, tabs included,
// and whether there is nothing else.
func (d *editor) indentOf(at int) (string, bool) {
	before := string(d.text[d.lineStart(at):at])
	return before, strings.Trim(before, " \t") == ""
}

// tight reports whether the items of a list or map in flow style stand without
// spaces behind their commas.
func (d *editor) tight(n *yaml.Node) bool {
	step := 1
	if n.Kind == yaml.MappingNode {
		step = 2
	}
	if len(n.Content) > step {
		_, to := d.span(n.Content[step-1])
		return d.at(n.Content[step]) == to+1
	}
	return d.style.json && n.Kind == yaml.MappingNode && d.colon(n) == ":"
}

// itemStart returns where the item with the last of its nodes at i begins.
func (d *editor) itemStart(n *yaml.Node, i int) int {
	if n.Kind == yaml.MappingNode {
		i--
	}
	return d.at(n.Content[i])
}

// addElement adds an element to a list that has some.
func (d *editor) addElement(s spot, v fact.Value) ([][]splice, error) {
	n := s.node
	if s.flow || n.Style&yaml.FlowStyle != 0 {
		return [][]splice{d.intoFlow(n, d.flowText(n, v, ": "))}, nil
	}
	dash, ok := d.dash(n.Content[0])
	if !ok {
		return nil, errOddPlace
	}
	column, _ := d.indent(dash)
	_, to := d.span(n.Content[len(n.Content)-1])
	text := strings.Repeat(" ", column) + d.style.element(v, column)
	return [][]splice{{d.newLine(to, text)}}, nil
}

// dash returns the offset of the dash that begins an element of a block list: on
// its line, or on one above, with nothing but comments between.
func (d *editor) dash(element *yaml.Node) (int, bool) {
	end := d.at(element)
	for {
		start := d.lineStart(end)
		line := d.text[start:end]
		if hash := bytes.LastIndex(line, []byte(" #")); hash >= 0 && end != d.at(element) {
			line = line[:hash]
		} else if bytes.HasPrefix(line, []byte{'#'}) {
			line = nil
		}
		line = bytes.TrimRight(line, " \t\r")
		if n := len(line); n > 0 || start == 0 {
			return start + n - 1, n > 0 && line[n-1] == '-'
		}
		end = start - 1
	}
}

// replace puts a value in the place of another.
func (d *editor) replace(s spot, v fact.Value) ([][]splice, error) {
	if s.parent == nil {
		return nil, errOddPlace
	}
	from, to := d.span(s.node)
	if s.flow {
		text := d.flowText(s.parent, v, d.colon(s.parent))
		if from > 0 && from == to && d.text[from-1] == ':' {
			text = " " + text
		}
		return [][]splice{{{from, to, text}}}, nil
	}
	start, ok := d.indicator(s)
	if !ok {
		return nil, errOddPlace
	}
	below := s.node.Kind != yaml.ScalarNode && s.node.Kind != yaml.AliasNode && s.node.Style&yaml.FlowStyle == 0 && bytes.IndexByte(d.text[start:max(start, from)], '\n') >= 0
	if s.parent.Kind == yaml.SequenceNode || short(v) {
		text := d.style.flow(v, ": ")
		switch {
		case below: // the value goes, a comment behind the key stays
			end := d.lineEnd(start)
			return [][]splice{{{start, start, " " + text}, {end, to, ""}}}, nil
		case from == to && from <= start:
			return [][]splice{{{start, start, " " + text}}}, nil
		}
		// Behind an old block list or map that begins on the line of its dash
		// nothing of it stays.
		return [][]splice{{{from, to, text}}}, nil
	}
	column, _ := d.indent(d.at(s.parent.Content[s.index]))
	text := d.style.eol + d.style.block(v, column)
	if below {
		end := d.lineEnd(start)
		return [][]splice{{{end, to, text}}}, nil
	}
	to = max(to, start)
	end := d.lineEnd(to)
	if end == to {
		return [][]splice{{{start, to, text}}}, nil
	}
	return [][]splice{{{start, to, ""}, {end, end, text}}}, nil
}

// indicator returns the offset behind the colon or dash that a value in block
// style stands behind.
func (d *editor) indicator(s spot) (int, bool) {
	if s.parent.Kind == yaml.SequenceNode {
		at, ok := d.dash(s.node)
		return at + 1, ok
	}
	_, at := d.span(s.parent.Content[s.index])
	for at < len(d.text) && (d.text[at] == ' ' || d.text[at] == '\t') {
		at++
	}
	return at + 1, at < len(d.text) && d.text[at] == ':'
}

// remove takes an entry or an element away.
func (d *editor) remove(s spot) ([][]splice, error) {
	if s.parent == nil {
		return nil, errOddPlace
	}
	p := s.parent
	step := 1
	if p.Kind == yaml.MappingNode {
		step = 2
	}
	if len(p.Content) == step {
		return d.empty(p)
	}
	from := d.at(p.Content[s.index])
	_, to := d.span(s.node)
	if s.flow || p.Style&yaml.FlowStyle != 0 {
		if next := s.index + step; next < len(p.Content) {
			return [][]splice{{{from, d.at(p.Content[next]), ""}}}, nil
		}
		_, before := d.span(p.Content[s.index-1])
		return [][]splice{{{before, to, ""}}}, nil
	}
	if p.Kind == yaml.SequenceNode {
		dash, ok := d.dash(s.node)
		if !ok {
			return nil, errOddPlace
		}
		from, to = dash, max(to, dash+1)
	} else if to <= from {
		_, to = d.span(p.Content[s.index])
	}
	if _, first := d.indent(from); !first { // behind a dash: the next entry takes its place
		next := d.nextLine(to)
		for next < len(d.text) && strings.IndexByte(" \t\r\n", d.text[next]) >= 0 {
			next++
		}
		return [][]splice{{{from, next, ""}}}, nil
	}
	start, end := d.lineStart(from), d.nextLine(to)
	if end == len(d.text) && d.text[end-1] != '\n' && start > 0 { // the file ends without a line break, as before
		start = d.lineEnd(d.lineStart(start - 1))
	}
	return [][]splice{{{start, end, ""}}}, nil
}

// empty leaves nothing in a list or map.
func (d *editor) empty(n *yaml.Node) ([][]splice, error) {
	text := "{}"
	if n.Kind == yaml.SequenceNode {
		text = "[]"
	}
	from, to := d.span(n)
	open := d.pastProperties(from, n)
	if n.Style&yaml.FlowStyle != 0 {
		return [][]splice{{{open, to, text}}}, nil
	}
	holder, at := d.holder(d.root, n)
	if holder == nil {
		return nil, errOddPlace
	}
	v := fact.Map
	if n.Kind == yaml.SequenceNode {
		v = fact.List
	}
	var b fact.Builder
	b.Begin(fact.Key{}, fact.Pos{}, v)
	b.End()
	s := spot{node: n, parent: holder, index: at}
	if n.Anchor != "" {
		return [][]splice{{{open, to, text}}}, nil
	}
	return d.replace(s, b.Tree().Root())
}

// holder finds the list or map that holds a node, and where.
func (d *editor) holder(in, n *yaml.Node) (*yaml.Node, int) {
	for i, c := range in.Content {
		if c == n {
			if in.Kind == yaml.MappingNode {
				i--
			}
			return in, i
		}
		if h, at := d.holder(c, n); h != nil {
			return h, at
		}
	}
	return nil, 0
}
