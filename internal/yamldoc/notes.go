package yamldoc

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/merlon-security/merlon/internal/fact"
)

// noteWord makes a comment one for Merlon.
const noteWord = "merlon:"

// notes returns the comments addressed to Merlon in a text that begins where p
// begins, those carried from empty documents before it included. spans are the
// quoted and block scalars of a text that holds the word; documents without it,
// nearly all, cost one search.
func (x *Reader) notes(p part, text []byte, spans []span, d Document) []fact.Note {
	if len(x.carried) == 0 && !bytes.Contains(text, []byte(noteWord)) {
		return nil
	}
	out := append([]fact.Note(nil), x.carried...)
	x.carried = x.carried[:0]
	for i := range out {
		out[i].Line = uint32(d.Line)
	}
	lines := valueLines(d.Root)
	slices.Sort(lines)
	for _, n := range comments(p, text, spans) {
		switch {
		case !n.alone:
			n.Line = n.Pos.Line
		default:
			n.Line = nextLine(lines, n.Pos.Line)
		}
		out = append(out, n.Note)
	}
	return out
}

// carry keeps the comments of a document without values for the next one.
func (x *Reader) carry(p part) {
	if bytes.Contains(p.text, []byte(noteWord)) {
		for _, n := range comments(p, p.text, nil) {
			x.carried = append(x.carried, n.Note)
		}
	}
}

// valueLines returns the lines on which values of a document stand.
func valueLines(root fact.Value) []uint32 {
	lines := []uint32{root.Pos().Line}
	var walk func(v fact.Value)
	walk = func(v fact.Value) {
		for c := range v.Children() {
			lines = append(lines, c.Pos().Line)
			walk(c)
		}
	}
	walk(root)
	return lines
}

// nextLine returns the first of lines, which are in order, behind one, or 0.
func nextLine(lines []uint32, behind uint32) uint32 {
	if i, _ := slices.BinarySearch(lines, behind+1); i < len(lines) {
		return lines[i]
	}
	return 0
}

type comment struct {
	fact.Note
	alone bool // on a line without a value
}

// comments returns the comments of a text that hold the word. The parser hands
// comments out without their places, so they are looked for in the text: a `#`
// at the begin of a line or behind white space, outside of quoted and block
// scalars, whose extent is found from where the parser says they begin. Plain
// scalars cannot hold one (YAML 1.2.2, section 7.3.3).
func comments(p part, text []byte, spans []span) []comment {
	var out []comment
	for at, i := 0, 0; at < len(text); i++ {
		end := at + lineLength(text[at:])
		line := bytes.TrimRight(text[at:end], "\r\n")
		if bytes.Contains(line, []byte(noteWord)) {
			if hash := commentStart(line, at, spans); hash >= 0 {
				if body := strings.TrimSpace(string(line[hash+1:])); strings.Contains(body, noteWord) {
					n := comment{alone: len(bytes.TrimSpace(line[:hash])) == 0}
					n.Text = body
					n.Pos = fact.Pos{Line: uint32(p.line + i), Column: uint32(hash + 1)}
					if i == 0 {
						n.Pos.Column += uint32(p.column)
					}
					out = append(out, n)
				}
			}
		}
		at = end
	}
	return out
}

func lineLength(text []byte) int {
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		return i + 1
	}
	return len(text)
}

// commentStart returns the offset in a line of the `#` that begins its comment,
// or -1. The line begins at an offset of the text in which spans are counted.
func commentStart(line []byte, at int, spans []span) int {
	for i, c := range line {
		if c != '#' || i > 0 && line[i-1] != ' ' && line[i-1] != '\t' {
			continue
		}
		n, _ := slices.BinarySearchFunc(spans, at+i+1, func(s span, at int) int { return s.from - at })
		if n == 0 || at+i >= spans[n-1].to {
			return i
		}
	}
	return -1
}

// span is a stretch of the text.
type span struct{ from, to int }

// scalarSpans returns where the quoted and block scalars of a document lie, in
// order; nil where no comment can be a note.
func scalarSpans(text []byte, doc *yaml.Node) []span {
	if !bytes.Contains(text, []byte(noteWord)) {
		return nil
	}
	var places placer
	places.read(text)
	var out []span
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.ScalarNode {
			const block, quoted = yaml.LiteralStyle | yaml.FoldedStyle, yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle
			switch at := places.offset(n.Line, n.Column); {
			case n.Style&block != 0:
				out = append(out, blockSpan(text, at))
			case n.Style&quoted != 0:
				out = append(out, quotedSpan(text, at))
			}
		}
		for _, c := range n.Content {
			walk(c)
		}
	}
	walk(doc)
	return out
}

// blockSpan returns the lines of a block scalar below its header, which stands
// behind at: all that are blank or indented as far as the first that is not.
func blockSpan(text []byte, at int) span {
	from := at + lineLength(text[at:])
	to, indent := from, -1
	for to < len(text) {
		line := text[to : to+lineLength(text[to:])]
		in := len(line) - len(bytes.TrimLeft(line, " "))
		if blank := len(bytes.TrimSpace(line)) == 0; !blank {
			if indent < 0 {
				indent = in
			}
			if in < indent || indent == 0 && line[0] == '#' {
				break
			}
		}
		to += len(line)
	}
	return span{from, to}
}

// quotedSpan returns a quoted scalar; properties such as an anchor may stand
// between at and its quote.
func quotedSpan(text []byte, at int) span {
	for at < len(text) && text[at] != '"' && text[at] != '\'' {
		at++
	}
	if at == len(text) {
		return span{at, at}
	}
	quote := text[at]
	for i := at + 1; i < len(text); i++ {
		switch {
		case quote == '"' && text[i] == '\\':
			i++
		case text[i] == quote && quote == '\'' && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return span{at, i + 1}
		}
	}
	return span{at, len(text)}
}
