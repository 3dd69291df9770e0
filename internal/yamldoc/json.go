package yamldoc

import (
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"

	"github.com/merlon-security/merlon/internal/fact"
)

// jsonScanner reads one JSON value into the builder as it goes. It is written
// by hand because no reader of tokens gives lines, and because what it reads
// may be an unfinished part of a stream.
type jsonScanner struct {
	b        *fact.Builder
	w        []byte
	i        int
	line     uint32
	begin    int // offset at which the line begins, may be negative
	left     int // values still allowed
	keys     []fact.Key
	places   []fact.Pos
	seen     map[fact.Key]struct{}
	scratch  []byte
	doubled  bool // a map has a key twice
	problems []Problem
}

// jsonError is why a value could not be read.
type jsonError struct {
	Error
	offset        int  // in the window
	atEnd         bool // the window ended within the value
	looksLikeJSON bool // not YAML in flow style
}

// scan reads the value at an offset of a window that begins at line and column
// and returns where it ends.
func (s *jsonScanner) scan(w []byte, at, line, column, values int) (int, *jsonError) {
	s.w, s.i, s.line, s.begin, s.left = w, 0, uint32(line), -column, values
	s.keys, s.places, s.problems, s.doubled = s.keys[:0], s.places[:0], s.problems[:0], false
	for ; s.i < at; s.i++ {
		if w[s.i] == '\n' {
			s.line, s.begin = s.line+1, s.i+1
		}
	}
	if err := s.value(fact.Key{}, s.pos()); err != nil {
		i := at + 1
		for i < len(w) && (w[i] == ' ' || w[i] == '\n' || w[i] == '\t' || w[i] == '\r') {
			i++
		}
		err.looksLikeJSON = i < len(w) && (w[i] == '"' || w[i] == '}')
		return 0, err
	}
	return s.i, nil
}

// embedded reads a value that is all of raw into the tree that is being built.
func (s *jsonScanner) embedded(key fact.Key, raw []byte) *jsonError {
	from := len(s.keys)
	s.w = append(append([]byte(nil), raw...), '\n') // nothing can follow a number
	s.i, s.line, s.begin, s.left = 0, 1, 0, defaultValues
	s.space()
	if err := s.value(key, fact.Pos{}); err != nil {
		return err
	}
	s.keys, s.places = s.keys[:from], s.places[:from]
	if s.space(); s.i < len(s.w) {
		return s.fail(InvalidJSON, "something follows the value")
	}
	return nil
}

func (s *jsonScanner) pos() fact.Pos {
	return fact.Pos{Line: s.line, Column: uint32(s.i - s.begin + 1)}
}

func (s *jsonScanner) fail(kind, message string) *jsonError {
	at := s.pos()
	return &jsonError{
		Error:  Error{Kind: kind, Line: int(at.Line), Column: int(at.Column), Message: message},
		offset: s.i, atEnd: s.i >= len(s.w),
	}
}

func (s *jsonScanner) space() {
	for ; s.i < len(s.w); s.i++ {
		switch s.w[s.i] {
		case ' ', '\t', '\r':
		case '\n':
			s.line, s.begin = s.line+1, s.i+1
		default:
			return
		}
	}
}

// peek returns the next byte, 0 at the end of the window.
func (s *jsonScanner) peek() byte {
	if s.i < len(s.w) {
		return s.w[s.i]
	}
	return 0
}

func (s *jsonScanner) value(key fact.Key, at fact.Pos) *jsonError {
	if s.left--; s.left < 0 {
		return s.fail(TooLarge, "the document holds too many values")
	}
	switch c := s.peek(); {
	case c == '"':
		text, err := s.text()
		if err == nil {
			s.b.String(key, at, text)
		}
		return err
	case c == '{':
		return s.object(key, at)
	case c == '[':
		return s.array(key, at)
	case c == '-' || c >= '0' && c <= '9':
		return s.number(key, at)
	case c == 't':
		if err := s.literal("true"); err != nil {
			return err
		}
		s.b.Bool(key, at, true)
	case c == 'f':
		if err := s.literal("false"); err != nil {
			return err
		}
		s.b.Bool(key, at, false)
	case c == 'n':
		if err := s.literal("null"); err != nil {
			return err
		}
		s.b.Null(key, at)
	default:
		return s.fail(InvalidJSON, "a value is expected here")
	}
	return nil
}

func (s *jsonScanner) literal(word string) *jsonError {
	for j := 0; j < len(word); j++ {
		if s.peek() != word[j] {
			return s.fail(InvalidJSON, "a value is expected here")
		}
		s.i++
	}
	return nil
}

func (s *jsonScanner) object(key fact.Key, at fact.Pos) *jsonError {
	if s.b.Depth() >= fact.MaxDepth {
		return s.fail(TooDeep, fmt.Sprintf("the document nests deeper than %d", fact.MaxDepth))
	}
	s.b.Begin(key, at, fact.Map)
	s.i++
	from := len(s.keys)
	s.space()
	if s.peek() == '}' {
		s.i++
		s.b.End()
		return nil
	}
	for {
		at := s.pos()
		if s.peek() != '"' {
			return s.fail(InvalidJSON, "a key in double quotes is expected here")
		}
		text, err := s.text()
		if err != nil {
			return err
		}
		k := s.b.Key(text)
		s.keys, s.places = append(s.keys, k), append(s.places, at)
		s.space()
		if s.peek() != ':' {
			return s.fail(InvalidJSON, "a colon is expected here")
		}
		s.i++
		s.space()
		if err := s.value(k, at); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.i++
			s.space()
		case '}':
			s.i++
			s.duplicates(from)
			s.keys, s.places = s.keys[:from], s.places[:from]
			s.b.End()
			return nil
		default:
			return s.fail(InvalidJSON, "a comma or a closing brace is expected here")
		}
	}
}

func (s *jsonScanner) array(key fact.Key, at fact.Pos) *jsonError {
	if s.b.Depth() >= fact.MaxDepth {
		return s.fail(TooDeep, fmt.Sprintf("the document nests deeper than %d", fact.MaxDepth))
	}
	s.b.Begin(key, at, fact.List)
	s.i++
	s.space()
	if s.peek() == ']' {
		s.i++
		s.b.End()
		return nil
	}
	for {
		if err := s.value(fact.Key{}, s.pos()); err != nil {
			return err
		}
		s.space()
		switch s.peek() {
		case ',':
			s.i++
			s.space()
		case ']':
			s.i++
			s.b.End()
			return nil
		default:
			return s.fail(InvalidJSON, "a comma or a closing bracket is expected here")
		}
	}
}

// number reads a number as kubectl passes it on: what is written without a
// point and fits 64 bits is an integer, and so is a float without a fraction.
func (s *jsonScanner) number(key fact.Key, at fact.Pos) *jsonError {
	from, v, integer := s.i, int64(0), true
	if s.peek() == '-' {
		s.i++
	}
	first := s.i
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		v = v*10 + int64(c-'0')
		s.i++
	}
	digits := s.i - first
	if digits == 0 || digits > 1 && s.w[first] == '0' {
		return s.fail(InvalidJSON, "a number is malformed")
	}
	if s.peek() == '.' {
		integer = false
		s.i++
		if !s.digits() {
			return s.fail(InvalidJSON, "a number is malformed")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		integer = false
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			return s.fail(InvalidJSON, "a number is malformed")
		}
	}
	if s.i == len(s.w) { // more digits may follow
		return s.fail(InvalidJSON, "the document ends within a value")
	}
	text := s.str(from, s.i)
	switch {
	case integer && digits <= 18 && first > from:
		s.b.Int(key, at, -v)
		return nil
	case integer && digits <= 18:
		s.b.Int(key, at, v)
		return nil
	case integer:
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			s.b.Int(key, at, i)
			return nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return s.fail(InvalidJSON, "a number is out of range")
	}
	if n := floatScalar(f); n.kind == fact.Int {
		s.b.Int(key, at, n.i)
	} else {
		s.b.Float(key, at, f)
	}
	return nil
}

func (s *jsonScanner) digits() bool {
	from := s.i
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.i++
	}
	return s.i > from
}

// str views bytes of the window as a string. It is good until the window moves:
// the builder copies what it keeps.
func (s *jsonScanner) str(from, to int) string {
	return view(s.w[from:to])
}

// view gives bytes as a string without copying them. The bytes must not change
// while it is in use.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// text reads a string; the result is good until the next call.
func (s *jsonScanner) text() (string, *jsonError) {
	s.i++
	from := s.i
	for s.i < len(s.w) {
		switch c := s.w[s.i]; {
		case c == '"':
			s.i++
			return s.str(from, s.i-1), nil
		case c == '\\' || c >= utf8.RuneSelf:
			s.scratch = append(s.scratch[:0], s.w[from:s.i]...)
			return s.slowText()
		case c < ' ':
			return "", s.fail(InvalidJSON, "a string holds a control character")
		}
		s.i++
	}
	return "", s.fail(InvalidJSON, "the document ends within a string")
}

// slowText reads the rest of a string that holds escapes or more than ASCII.
func (s *jsonScanner) slowText() (string, *jsonError) {
	for s.i < len(s.w) {
		switch c := s.w[s.i]; {
		case c == '"':
			s.i++
			return view(s.scratch), nil
		case c == '\\':
			if err := s.escape(); err != nil {
				return "", err
			}
		case c < ' ':
			return "", s.fail(InvalidJSON, "a string holds a control character")
		case c < utf8.RuneSelf:
			s.scratch = append(s.scratch, c)
			s.i++
		default:
			if !utf8.FullRune(s.w[s.i:]) {
				s.i = len(s.w)
				return "", s.fail(InvalidJSON, "the document ends within a string")
			}
			r, size := utf8.DecodeRune(s.w[s.i:])
			s.scratch = utf8.AppendRune(s.scratch, r)
			s.i += size
		}
	}
	return "", s.fail(InvalidJSON, "the document ends within a string")
}

func (s *jsonScanner) escape() *jsonError {
	s.i++
	c := s.peek()
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		return s.unicode()
	default:
		return s.fail(InvalidJSON, "a string holds an unknown escape")
	}
	s.scratch = append(s.scratch, c)
	s.i++
	return nil
}

// unicode reads \uXXXX and, behind the first half of a pair, the second. A half
// that stands alone becomes U+FFFD, as in encoding/json.
func (s *jsonScanner) unicode() *jsonError {
	r, err := s.hex()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(r) {
		if s.i+1 >= len(s.w) {
			s.i = len(s.w)
			return s.fail(InvalidJSON, "the document ends within a string")
		}
		back := s.i
		half := r
		r = utf8.RuneError
		if s.w[s.i] == '\\' && s.w[s.i+1] == 'u' {
			s.i++
			low, err := s.hex()
			if err != nil {
				return err
			}
			if r = utf16.DecodeRune(half, low); r == utf8.RuneError {
				s.i = back
			}
		}
	}
	s.scratch = utf8.AppendRune(s.scratch, r)
	return nil
}

// hex reads u and four digits.
func (s *jsonScanner) hex() (rune, *jsonError) {
	s.i++
	var r rune
	for range 4 {
		switch c := s.peek(); {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, s.fail(InvalidJSON, "a string holds an unknown escape")
		}
		s.i++
	}
	return r, nil
}
