package yamldoc

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/merlon-security/merlon/internal/fact"
)

// simple reads YAML as people and their tools write it: block maps and lists,
// scalars and flow lists and maps of one line each, block scalars, comments. It
// goes over the text once and writes straight into the builder, at several
// times the speed of the parser.
//
// It is a short cut, not a second parser: at the first thing that it does not
// know for certain it gives up, and the parser reads the document as if nothing
// had been tried. So it never reports an error, and whatever it accepts must be
// what the parser makes of the same text, down to the place of every value;
// FuzzSimple and its neighbours hold it to that. Where a comment speaks of the
// parser, it is the scanner of go.yaml.in/yaml/v3.
//
// Its methods return false to give up. They leave the reader at the first word
// of the line after what they read.
type simple struct {
	b       *fact.Builder
	source  []byte
	text    string // the same; one copy, so that no scalar needs one
	at      int    // offset of what is looked at
	line    uint32 // of the file, on which it stands
	begin   int    // offset of that line
	indent  int    // spaces before the line's first word; -1 at the end of the document
	started bool   // past what may stand before the document
	depth   int

	keys     []fact.Key // stack of the keys of the maps being read
	seen     map[fact.Key]struct{}
	values   int
	scratch  []byte // a scalar that is not in the text as it stands
	wantSpan bool   // some comment may be a note, so that spans are needed
	spans    []span // the quoted and block scalars so far
}

// Documents beyond these bounds are left to the parser, whose own limits are
// near or whose errors are wanted.
const (
	simpleDepth = 100
	simpleKey   = 1000 // bytes; the parser takes no key of more than 1024 characters
)

// read writes a part into the builder, or reports false and leaves it as it was.
func (s *simple) read(p part, limits Limits) bool {
	if p.inline || p.directive || p.column != 0 || !isSimpleText(p.text) || mayHold(p.text) > limits.Values {
		return false
	}
	*s = simple{b: s.b, keys: s.keys[:0], seen: s.seen, scratch: s.scratch[:0], spans: s.spans[:0]}
	s.source, s.text, s.at, s.line = p.text, string(p.text), -1, uint32(p.line-1)
	s.wantSpan = bytes.Contains(p.text, []byte(noteWord))
	ok := s.next() && s.indent >= 0
	if ok {
		s.started = true
		// The parser's values are counted with their keys, and the root twice.
		ok = s.block(fact.Key{}, s.place(s.at), -1) && s.indent < 0 && s.values < limits.Values
	}
	if !ok {
		s.b.Reset()
	}
	s.source, s.text = nil, ""
	return ok
}

// isSimpleText reports whether a text is UTF-8 without what YAML refuses or
// takes for a line break besides newlines and pairs of carriage return and
// newline.
func isSimpleText(b []byte) bool {
	for i := 0; i < len(b); {
		c := b[i]
		switch {
		case c >= ' ' && c < 0x7F || c == '\n' || c == '\t':
			i++
		case c == '\r':
			if i++; i == len(b) || b[i] != '\n' {
				return false
			}
		case c < utf8.RuneSelf:
			return false
		default:
			r, size := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && size == 1 || r < 0xA0 || r == 0x2028 || r == 0x2029 || r == 0xFEFF || r == 0xFFFE || r == 0xFFFF {
				return false
			}
			i += size
		}
	}
	return true
}

// next goes on to the next line that holds more than a comment. What is left of
// the line must have been looked at.
func (s *simple) next() bool {
	for s.at < len(s.text) {
		s.at++ // the line break
		s.line++
		s.begin = s.at
		for s.peek() == ' ' {
			s.at++
		}
		switch s.peek() {
		case 0:
			s.indent = -1
			return true
		case '\n':
			continue
		case '\r':
			s.at++
			continue
		case '#':
			s.skipLine()
			continue
		case '-', '.':
			if s.at == s.begin && isMarker([]byte(s.text[s.at:min(len(s.text), s.at+4)]), s.text[s.at]) {
				if s.text[s.at] == '-' && !s.started {
					s.at += 3
					if s.endLine() {
						continue
					}
					return false
				}
				return s.dots()
			}
		}
		s.indent = s.at - s.begin
		return true
	}
	s.indent = -1
	return true
}

// dots takes a line of three dots, which ends the document and its text.
func (s *simple) dots() bool {
	rest := s.text[s.at:]
	s.indent = -1
	return rest == "..." || rest == "...\n" || rest == "...\r\n"
}

// peek returns the byte that is looked at, 0 at the end of the text.
func (s *simple) peek() byte { return s.peekAt(s.at) }

func (s *simple) peekAt(i int) byte {
	if i < len(s.text) {
		return s.text[i]
	}
	return 0
}

// place returns the place of an offset on the line.
func (s *simple) place(at int) fact.Pos {
	return fact.Pos{Line: s.line, Column: uint32(at - s.begin + 1)}
}

func (s *simple) skipSpaces() {
	for s.at < len(s.text) && s.text[s.at] == ' ' {
		s.at++
	}
}

// skipLine goes to the line break or the end of the text.
func (s *simple) skipLine() {
	if i := strings.IndexByte(s.text[s.at:], '\n'); i >= 0 {
		s.at += i
	} else {
		s.at = len(s.text)
	}
}

// endLine reports whether there is nothing more on the line but a comment, and
// if so goes to its end.
func (s *simple) endLine() bool {
	s.skipSpaces()
	switch s.peek() {
	case '\n', 0:
		return true
	case '\r':
		s.at++
		return true
	case '#':
		if s.at > s.begin && s.text[s.at-1] == ' ' {
			s.skipLine()
			return true
		}
	}
	return false
}

// ends reports whether a byte ends a word: white space or the end. It is false
// for a tab, so that what comes before one is never taken for an indicator; the
// readers of scalars give up at the tab itself.
func ends(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == 0 }

// dash reports whether an item of a block list begins here.
func (s *simple) dash() bool { return s.peek() == '-' && ends(s.peekAt(s.at+1)) }

// block reads the value that begins at the first word of a line, or behind the
// dash of a list's item: the only places where block lists and maps may begin.
// parent is the column of the block that it lies in.
func (s *simple) block(key fact.Key, at fact.Pos, parent int) bool {
	if s.depth++; s.depth > simpleDepth {
		return false
	}
	defer func() { s.depth-- }()
	start := s.at
	column := start - s.begin
	if s.dash() {
		return s.list(key, at, column, false)
	}
	var name fact.Key
	switch s.text[start] {
	case '[', '{', '|', '>':
		return s.inline(key, at, parent)
	case '"', '\'':
		word, ok := s.quoted()
		if !ok {
			return false
		}
		if s.peek() != ':' {
			word.add(s.b, key, at)
			s.values++
			return s.finish(parent)
		}
		if name, ok = s.quotedKey(word, start); !ok {
			return false
		}
	default:
		word, ok := s.plain(false)
		if !ok {
			return false
		}
		if s.peek() != ':' {
			return s.addPlain(key, at, word) && s.finish(parent)
		}
		if name, ok = s.plainKey(word, start); !ok {
			return false
		}
	}
	s.at++
	return s.mapping(key, at, column, name, s.place(start))
}

// finish ends a value of one line. A line that is indented below its parent's
// would go on with it, or be an error. A document of a scalar is left to the
// parser: it may be null, which is no document.
func (s *simple) finish(parent int) bool {
	return parent >= 0 && s.endLine() && s.next() && s.indent <= parent
}

// mapping reads a block map from behind the colon of its first key.
func (s *simple) mapping(key fact.Key, at fact.Pos, column int, name fact.Key, place fact.Pos) bool {
	s.b.Begin(key, at, fact.Map)
	s.values++
	from := len(s.keys)
	for {
		if !s.push(name, from) || !s.value(name, place, column) {
			return false
		}
		if s.indent < column {
			break
		}
		if s.indent > column || s.dash() {
			return false
		}
		place = s.place(s.at)
		var ok bool
		if name, ok = s.key(); !ok {
			return false
		}
	}
	s.b.End()
	return s.pop(from)
}

// key reads a key of a block map and the colon behind it.
func (s *simple) key() (name fact.Key, ok bool) {
	start := s.at
	switch s.text[start] {
	case '[', '{', '|', '>':
		return fact.Key{}, false
	case '"', '\'':
		word, read := s.quoted()
		if !read {
			return fact.Key{}, false
		}
		name, ok = s.quotedKey(word, start)
	default:
		word, read := s.plain(false)
		if !read {
			return fact.Key{}, false
		}
		name, ok = s.plainKey(word, start)
	}
	ok = ok && s.peek() == ':' && ends(s.peekAt(s.at+1))
	s.at++
	return name, ok
}

// push notes a key of the map whose keys begin at from on the stack. Keys that
// stand twice are the parser's to complain of.
func (s *simple) push(name fact.Key, from int) bool {
	s.values++
	if len(s.keys)-from < manyKeys {
		for _, k := range s.keys[from:] {
			if k == name {
				return false
			}
		}
	}
	s.keys = append(s.keys, name)
	return true
}

// pop takes the keys of a map from the stack, and looks for duplicates where
// push did not.
func (s *simple) pop(from int) bool {
	keys := s.keys[from:]
	s.keys = s.keys[:from]
	if len(keys) <= manyKeys {
		return true
	}
	if s.seen == nil {
		s.seen = make(map[fact.Key]struct{})
	}
	clear(s.seen)
	for _, k := range keys {
		s.seen[k] = struct{}{}
	}
	return len(s.seen) == len(keys)
}

// value reads what stands behind the colon of a key.
func (s *simple) value(key fact.Key, at fact.Pos, column int) bool {
	if !s.endLine() {
		return s.inline(key, at, column)
	}
	switch {
	case !s.next():
		return false
	case s.indent > column:
		return s.block(key, at, column)
	case s.indent == column && s.dash():
		return s.list(key, at, column, true)
	}
	s.b.Null(key, at)
	s.values++
	return true
}

// list reads a block list. flush says that it stands at the column of the map
// that it lies in.
func (s *simple) list(key fact.Key, at fact.Pos, column int, flush bool) bool {
	if s.depth++; s.depth > simpleDepth {
		return false
	}
	s.b.Begin(key, at, fact.List)
	s.values++
	for {
		s.at++
		empty := s.place(s.at) // an item that is not there stands behind its dash
		if !s.item(empty, column) {
			return false
		}
		if s.indent < column {
			break
		}
		if s.indent > column {
			return false
		}
		if !s.dash() {
			if flush {
				break
			}
			return false
		}
	}
	s.b.End()
	s.depth--
	return true
}

func (s *simple) item(empty fact.Pos, column int) bool {
	if !s.endLine() {
		return s.block(fact.Key{}, s.place(s.at), column)
	}
	if !s.next() {
		return false
	}
	if s.indent > column {
		return s.block(fact.Key{}, s.place(s.at), column)
	}
	s.b.Null(fact.Key{}, empty)
	s.values++
	return true
}
