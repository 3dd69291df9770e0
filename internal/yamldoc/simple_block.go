package yamldoc

import (
	"strings"

	"github.com/merlon-security/merlon/internal/fact"
)

// blockScalar reads a block scalar from its header. Its lines are indented as
// the header says, or as far as the first one that is not blank, which must be
// deeper than the block that the scalar lies in. An empty one is left to the
// parser.
func (s *simple) blockScalar(key fact.Key, at fact.Pos, parent int) bool {
	start, folded := s.at, s.text[s.at] == '>'
	chomp, indent, ok := s.blockHeader(parent)
	if !ok || indent <= parent {
		return false
	}
	f := folder{out: s.scratch[:0], folded: folded}
	end := s.at // of what was taken: at the break of the last line
	for s.at < len(s.text) {
		line, state := s.blockLine(indent)
		if state == lineBroken {
			return false
		}
		if state == lineBeyond {
			break
		}
		f.line(line, state == lineBlank)
		s.skipLine()
		f.broken = s.at < len(s.text)
		s.line++
		end = s.at
	}
	if !f.begun {
		return false
	}
	s.at = end
	s.scratch = f.finish(chomp)
	s.b.Text(key, at, s.scratch)
	s.values++
	if s.wantSpan {
		s.spans = append(s.spans, blockSpan(s.source, start))
	}
	return s.next()
}

// blockHeader reads the line on which a block scalar begins, and returns how far
// its text is indented.
func (s *simple) blockHeader(parent int) (chomp byte, indent int, ok bool) {
	s.at++
	for range 2 {
		switch c := s.peek(); {
		case chomp == 0 && (c == '-' || c == '+'):
			chomp = c
		case indent == 0 && c >= '1' && c <= '9':
			indent = parent + int(c-'0')
		default:
			continue
		}
		s.at++
	}
	if !s.endLine() {
		return 0, 0, false
	}
	if indent == 0 {
		indent = s.blockIndent()
	}
	return chomp, indent, true
}

// blockIndent returns the indentation of a block scalar's first line that is not
// blank; -1 where blank ones before it are longer, or a tab is in the way.
func (s *simple) blockIndent() int {
	longest := 0
	for i := s.at; i < len(s.text); {
		i++ // the line break
		from := i
		for s.peekAt(i) == ' ' {
			i++
		}
		switch s.peekAt(i) {
		case '\r':
			i++
			fallthrough
		case '\n':
			longest = max(longest, i-from)
			continue
		case '\t', 0:
			return -1
		}
		if i-from < longest {
			return -1
		}
		return i - from
	}
	return -1
}

// States of a line below the header of a block scalar.
const (
	lineText   = iota
	lineBlank  // shorter than the indentation and empty
	lineBeyond // not part of the scalar
	lineBroken // a tab stands in the indentation
)

// blockLine looks at the line behind the break that s.at is at, and goes to
// where its text begins.
func (s *simple) blockLine(indent int) (line string, state int) {
	i := s.at + 1
	from := i
	for i-from < indent && s.peekAt(i) == ' ' {
		i++
	}
	short := i-from < indent
	end := len(s.text)
	if n := strings.IndexByte(s.text[min(i, end):], '\n'); n >= 0 {
		end = i + n
	}
	line = strings.TrimSuffix(s.text[min(i, end):end], "\r")
	switch {
	case line == "" && i == len(s.text):
		state = lineBeyond
	case line == "":
		state = lineBlank
	case short && line != "" && line[0] == '\t':
		state = lineBroken
	case short:
		state = lineBeyond
	}
	if state <= lineBlank {
		s.at = i
	}
	return line, state
}

// folder puts the lines of a block scalar together, as the parser's
// scan_block_scalar does.
type folder struct {
	out     []byte
	folded  bool
	begun   bool // there was a line
	broken  bool // the last line ended with a line break
	blanks  int  // blank lines since then
	leading bool // the last line began with white space
}

func (f *folder) line(line string, blank bool) {
	if blank {
		f.blanks++
		return
	}
	white := line[0] == ' ' || line[0] == '\t'
	if f.begun {
		if f.folded && !f.leading && !white {
			if f.blanks == 0 {
				f.out = append(f.out, ' ')
			}
		} else {
			f.out = append(f.out, '\n')
		}
	}
	f.breaks()
	f.out = append(f.out, line...)
	f.begun, f.leading = true, white
}

func (f *folder) breaks() {
	for ; f.blanks > 0; f.blanks-- {
		f.out = append(f.out, '\n')
	}
}

// finish returns the scalar, its end trimmed as the header asks.
func (f *folder) finish(chomp byte) []byte {
	if chomp != '-' && f.broken {
		f.out = append(f.out, '\n')
	}
	if chomp == '+' {
		f.breaks()
	}
	return f.out
}
