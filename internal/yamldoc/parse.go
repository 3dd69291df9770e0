package yamldoc

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// parse hands a part to the YAML parser. Only the first document of a part is
// read, which is what kubectl does; the separators that the parser knows and
// the splitter does not are exotic line breaks.
func (x *Reader) parse(p part) (node *yaml.Node, err error) {
	defer func() {
		if recover() != nil { // the parser's own faults are the document's
			node, err = nil, &Error{Kind: InvalidYAML, Line: p.first, Message: "the YAML parser gave up on the document"}
		}
	}()
	if mayHold(p.text) > x.limits.Values {
		return nil, &Error{Kind: TooLarge, Line: p.first, Message: fmt.Sprintf("the document may hold more than %d values and was not read", x.limits.Values)}
	}
	node = &yaml.Node{}
	if err := yaml.Unmarshal(p.text, node); err != nil {
		return nil, parseError(p, err)
	}
	return node, nil
}

// mayHold estimates from above how many values a large text holds, before the
// parser spends 300 bytes on each: every value but the first stands behind a
// line break, a comma, a colon or a bracket.
func mayHold(text []byte) (n int) {
	if len(text) < 1<<20 {
		return 0
	}
	for _, c := range []string{"\n", "\r", ",", ": ", "[", "{"} {
		n += bytes.Count(text, []byte(c))
	}
	return n
}

// parseError turns the parser's error into ours: with a line of the file, and
// without anything that was read.
func parseError(p part, err error) *Error {
	message := strings.TrimPrefix(err.Error(), "yaml: ")
	e := &Error{Kind: InvalidYAML, Line: p.first}
	if rest, ok := strings.CutPrefix(message, "line "); ok {
		if number, text, ok := strings.Cut(rest, ": "); ok {
			if n, err := strconv.Atoi(number); err == nil {
				e.Line, message = p.line+n-1, text
			}
		}
	}
	if parserMessage(message) {
		e.Line = stopLine(p)
	}
	if at := badByte(p.text); at >= 0 && (strings.Contains(message, "UTF-8") || strings.Contains(message, "control characters")) {
		e.Kind = BadEncoding
		e.Line, e.Column = p.placeOf(p.text[:at])
	}
	switch {
	case strings.HasPrefix(message, "unknown anchor"):
		// The name may be a secret that someone forgot to quote.
		message = "an alias refers to an anchor that the document does not have"
	case strings.HasPrefix(message, "exceeded max depth"):
		e.Kind, message = TooDeep, "the document nests too deep"
	case !knownMessage(message):
		message = "the document is not valid YAML"
	}
	e.Message = message
	return e
}

// parserMessage reports whether a message comes from the grammar, not from the
// scanner: the line with it is that of the enclosing list or map, and off by
// one.
func parserMessage(m string) bool {
	switch m {
	case "did not find expected node content", "did not find expected key", "did not find expected '-' indicator",
		"did not find expected ',' or ']'", "did not find expected ',' or '}'", "did not find expected <document start>":
		return true
	}
	return false
}

// stopLine returns the line at which the parser gives up: the last that it has
// asked for when it is fed line by line.
func stopLine(p part) int {
	r := &lineReader{text: p.text}
	func() {
		defer func() { _ = recover() }() // it gave up in some way before, too
		_ = yaml.NewDecoder(r).Decode(&yaml.Node{})
	}()
	return p.line + max(r.lines, 1) - 1
}

// lineReader gives a line at a time and counts them.
type lineReader struct {
	text, rest []byte
	lines      int
}

func (r *lineReader) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		if len(r.text) == 0 {
			return 0, io.EOF
		}
		n := lineLength(r.text)
		r.rest, r.text = r.text[:n], r.text[n:]
		r.lines++
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// errBadByte stands for the parser where there is nothing for it to parse.
const errBadByte = constError("control characters are not allowed")

type constError string

func (e constError) Error() string { return string(e) }

// knownMessage reports whether a message is one of the parser's fixed ones.
// Anything else might quote the document.
func knownMessage(m string) bool {
	for _, prefix := range []string{
		"mapping values are not allowed in this context", "mapping keys are not allowed in this context",
		"block sequence entries are not allowed in this context",
		"did not find expected ", "could not find expected ", "did not find the expected '>'", "did not find URI escaped octet",
		"found character that cannot start any token", "found a tab character ", "found an indentation indicator equal to 0",
		"found unknown escape character", "found unknown directive name", "found unexpected non-alphabetical character",
		"found unexpected end of stream", "found unexpected document indicator", "found undefined tag handle",
		"found invalid Unicode character escape code", "found incompatible YAML document", "found extremely long version number",
		"found duplicate %YAML directive", "found duplicate %TAG directive", "found an incorrect ",
		"control characters are not allowed", "invalid leading UTF-8 octet", "invalid trailing UTF-8 octet",
		"incomplete UTF-8 octet sequence", "invalid length of a UTF-8 sequence", "invalid Unicode character",
	} {
		if strings.HasPrefix(m, prefix) {
			return true
		}
	}
	return false
}

// badByte returns the offset of the first byte that no YAML text may hold, or
// -1.
func badByte(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r == utf8.RuneError && size == 1,
			r < 0x20 && r != '\t' && r != '\n' && r != '\r',
			r >= 0x7F && r < 0xA0 && r != 0x85:
			return i
		}
		i += size
	}
	return -1
}

// placeOf returns line and column of what stands behind the first bytes of a
// part.
func (p *part) placeOf(before []byte) (line, column int) {
	line, column = p.line, p.column
	for _, c := range before {
		if column++; c == '\n' {
			line, column = line+1, 0
		}
	}
	return line, column + 1
}

func tooLarge(limit int) string {
	return fmt.Sprintf("the document is larger than %d MiB and was not read", limit>>20)
}
