package yamldoc

import (
	"bytes"
	"unicode/utf8"
)

// placer turns the parser's places into a file's. The parser counts columns in
// characters and takes five things for line breaks, as YAML 1.1 does; a file
// has bytes and newlines. It is needed only for a text with other bytes than
// ASCII.
type placer struct {
	text  []byte
	lines []lineStart
	marks []uint32 // offset of every markEvery-th character
}

// lineStart is where a line begins as the parser counts lines.
type lineStart struct {
	char   uint32 // characters before it
	line   uint32 // line of the file, from 1
	offset uint32 // where that line of the file begins
}

const markEvery = 64

func (p *placer) read(text []byte) {
	p.text, p.lines, p.marks = text, append(p.lines[:0], lineStart{line: 1}), p.marks[:0]
	char, line, offset := uint32(0), uint32(1), uint32(0)
	for i := 0; i < len(text); {
		size := breakAt(text, i)
		for n := max(size, 1); n > 0; char++ {
			if char%markEvery == 0 {
				p.marks = append(p.marks, uint32(i))
			}
			_, w := utf8.DecodeRune(text[i:])
			if text[i] == '\n' {
				line, offset = line+1, uint32(i)+1
			}
			i, n = i+w, n-w
		}
		if size > 0 {
			p.lines = append(p.lines, lineStart{char, line, offset})
		}
	}
}

// place returns the line and the column in bytes, both from 1.
func (p *placer) place(line, column int) (int, int) {
	if line < 1 || line > len(p.lines) {
		return line, column
	}
	l := p.lines[line-1]
	return int(l.line), p.offset(line, column) - int(l.offset) + 1
}

// offset returns where in the text a place of the parser's lies.
func (p *placer) offset(line, column int) int {
	if line < 1 || line > len(p.lines) {
		return len(p.text)
	}
	char := int(p.lines[line-1].char) + column - 1
	if char/markEvery >= len(p.marks) {
		return len(p.text)
	}
	at := int(p.marks[char/markEvery])
	for range char % markEvery {
		_, size := utf8.DecodeRune(p.text[at:])
		at += size
	}
	return at
}

// breakAt returns the length of the line break at an offset, or 0.
func breakAt(text []byte, i int) int {
	switch c := text[i]; {
	case c == '\n':
		return 1
	case c == '\r':
		if i+1 < len(text) && text[i+1] == '\n' {
			return 2
		}
		return 1
	case c == 0xC2 && i+1 < len(text) && text[i+1] == 0x85:
		return 2
	case c == 0xE2 && i+2 < len(text) && text[i+1] == 0x80 && (text[i+2] == 0xA8 || text[i+2] == 0xA9):
		return 3
	}
	return 0
}

// holdsLoneReturn reports whether there is a carriage return that is no part of
// a line break with a newline.
func holdsLoneReturn(b []byte) bool {
	return bytes.IndexByte(b, '\r') >= 0 && bytes.Count(b, []byte{'\r'}) != bytes.Count(b, []byte("\r\n"))
}

// isASCII reports whether a text has only bytes below 0x80.
func isASCII(b []byte) bool {
	for len(b) >= 8 {
		if (b[0]|b[1]|b[2]|b[3]|b[4]|b[5]|b[6]|b[7])&0x80 != 0 {
			return false
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
