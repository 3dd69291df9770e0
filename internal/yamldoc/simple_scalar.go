package yamldoc

import (
	"strings"
	"unicode/utf8"

	"github.com/merlon-security/merlon/internal/fact"
)

// quotedText is a quoted scalar: a stretch of the text, or what its escapes stand
// for.
type quotedText struct {
	plain   string
	escaped []byte // valid until the next scalar is read
}

func (w quotedText) add(b *fact.Builder, key fact.Key, at fact.Pos) {
	if w.escaped != nil {
		b.Text(key, at, w.escaped)
	} else {
		b.String(key, at, w.plain)
	}
}

// inline reads a value that is no block list or map, and the rest of its line.
func (s *simple) inline(key fact.Key, at fact.Pos, parent int) bool {
	switch s.text[s.at] {
	case '|', '>':
		return parent >= 0 && s.blockScalar(key, at, parent) && s.indent <= parent
	default:
		return s.flowValue(key, at, false) && s.finish(parent)
	}
}

// flowValue reads a scalar of one line, or a flow list or map.
func (s *simple) flowValue(key fact.Key, at fact.Pos, flow bool) bool {
	switch s.peek() {
	case '[':
		return s.flowList(key, at)
	case '{':
		return s.flowMap(key, at)
	case '"', '\'':
		w, ok := s.quoted()
		if ok {
			w.add(s.b, key, at)
			s.values++
		}
		return ok
	}
	text, ok := s.plain(flow)
	return ok && s.addPlain(key, at, text)
}

// flowList reads a flow list from its bracket.
func (s *simple) flowList(key fact.Key, at fact.Pos) bool {
	if s.depth++; s.depth > simpleDepth {
		return false
	}
	s.b.Begin(key, at, fact.List)
	s.values++
	s.at++
	s.skipSpaces()
	for first := true; !first || s.peek() != ']'; first = false {
		if !s.flowValue(fact.Key{}, s.place(s.at), true) {
			return false
		}
		s.skipSpaces()
		if s.peek() == ']' {
			break
		}
		if s.peek() != ',' {
			return false
		}
		s.at++
		s.skipSpaces()
	}
	s.at++
	s.b.End()
	s.depth--
	return true
}

// flowMap reads a flow map from its brace.
func (s *simple) flowMap(key fact.Key, at fact.Pos) bool {
	if s.depth++; s.depth > simpleDepth {
		return false
	}
	s.b.Begin(key, at, fact.Map)
	s.values++
	s.at++
	s.skipSpaces()
	from := len(s.keys)
	for first := true; !first || s.peek() != '}'; first = false {
		place := s.place(s.at)
		name, ok := s.flowKey()
		if !ok || !s.push(name, from) {
			return false
		}
		s.skipSpaces()
		if !s.flowValue(name, place, true) {
			return false
		}
		s.skipSpaces()
		if s.peek() == '}' {
			break
		}
		if s.peek() != ',' {
			return false
		}
		s.at++
		s.skipSpaces()
	}
	s.at++
	s.b.End()
	s.depth--
	return s.pop(from)
}

// flowKey reads a key of a flow map and the colon behind it. Behind a quoted key
// the colon needs no space.
func (s *simple) flowKey() (name fact.Key, ok bool) {
	start := s.at
	switch s.peek() {
	case '"', '\'':
		w, read := s.quoted()
		if !read || s.peek() != ':' || s.at-start > simpleKey {
			return fact.Key{}, false
		}
		name = s.keyOf(w)
	default:
		text, read := s.plain(true)
		if !read || s.peek() != ':' || s.peekAt(s.at+1) != ' ' {
			return fact.Key{}, false
		}
		if name, ok = s.plainKey(text, start); !ok {
			return fact.Key{}, false
		}
	}
	s.at++
	return name, true
}

// quotedKey takes a quoted scalar for a key of a block map.
func (s *simple) quotedKey(w quotedText, start int) (fact.Key, bool) {
	if s.at-start > simpleKey || !ends(s.peekAt(s.at+1)) {
		return fact.Key{}, false
	}
	return s.keyOf(w), true
}

func (s *simple) keyOf(w quotedText) fact.Key {
	if w.escaped != nil {
		return s.b.Key(string(w.escaped))
	}
	return s.b.Key(w.plain)
}

// plainKey takes a plain scalar for a key. Numbers, booleans, null and merge
// keys are the parser's.
func (s *simple) plainKey(text string, start int) (fact.Key, bool) {
	if s.at-start > simpleKey || text == "<<" {
		return fact.Key{}, false
	}
	if v := resolvePlain(text); v.kind != fact.String || v.why != "" {
		return fact.Key{}, false
	}
	return s.b.Key(text), true
}

// addPlain writes a plain scalar.
func (s *simple) addPlain(key fact.Key, at fact.Pos, text string) bool {
	v := resolvePlain(text)
	if v.why != "" {
		return false
	}
	switch v.kind {
	case fact.Null:
		s.b.Null(key, at)
	case fact.Bool:
		s.b.Bool(key, at, v.b)
	case fact.Int:
		s.b.Int(key, at, v.i)
	case fact.Float:
		s.b.Float(key, at, v.f)
	case fact.String:
		s.b.String(key, at, v.s)
	}
	s.values++
	return true
}

// Bytes at which the reading of a plain scalar stops to think.
const (
	inBlock = 1 << iota
	inFlow
)

var plainStops = func() (stops [256]uint8) {
	for _, c := range "\n\r\t:#" {
		stops[c] = inBlock | inFlow
	}
	for _, c := range ",?[]{}" {
		stops[c] = inFlow
	}
	return stops
}()

// plain reads a plain scalar of one line, up to what ends it: the line, a
// comment, a colon that makes a key of it, in flow style an indicator.
func (s *simple) plain(flow bool) (string, bool) {
	if !s.beginsPlain(flow) {
		return "", false
	}
	stop := uint8(inBlock)
	if flow {
		stop = inFlow
	}
	text, start, i := s.text, s.at, s.at
loop:
	for ; i < len(text); i++ {
		c := text[i]
		if plainStops[c]&stop == 0 {
			continue
		}
		switch next := s.peekAt(i + 1); c {
		case '\t', '?':
			return "", false
		case '#':
			if text[i-1] == ' ' {
				break loop
			}
		case ':':
			if ends(next) {
				break loop
			}
			if next == '\t' || flow && plainStops[next]&inFlow != 0 {
				return "", false
			}
		default:
			break loop
		}
	}
	s.at = i
	for text[i-1] == ' ' {
		i--
	}
	return text[start:i], true
}

// beginsPlain reports whether a plain scalar, and nothing else, begins here.
func (s *simple) beginsPlain(flow bool) bool {
	next := s.peekAt(s.at + 1)
	switch s.peek() {
	case 0, '\n', '\r', '\t', '?', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`':
		return false
	case '-':
		return !ends(next) && next != '\t' && (!flow || plainStops[next]&inFlow == 0)
	case ':':
		return !flow && !ends(next) && next != '\t'
	}
	return true
}

// quoted reads a quoted scalar of one line.
func (s *simple) quoted() (w quotedText, ok bool) {
	start, quote := s.at, s.text[s.at]
	from := start + 1
	for i := from; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == quote && quote == '\'' && s.peekAt(i+1) == '\'', c == '\\' && quote == '"':
			if i, ok = s.unescape(from, i, quote); !ok {
				return quotedText{}, false
			}
			w.escaped = s.scratch
		case c == quote:
			w.plain = s.text[from:i]
		default:
			if c == '\n' || c == '\r' {
				return quotedText{}, false
			}
			continue
		}
		s.at = i + 1
		if s.wantSpan {
			s.spans = append(s.spans, span{start, s.at})
		}
		return w, true
	}
	return quotedText{}, false
}

// unescape writes a quoted scalar with escapes, the first of them at i, into
// scratch and returns where its closing quote stands.
func (s *simple) unescape(from, i int, quote byte) (end int, ok bool) {
	s.scratch = append(s.scratch[:0], s.text[from:i]...)
	for i < len(s.text) {
		c := s.text[i]
		switch {
		case c == '\n' || c == '\r':
			return 0, false
		case c == '\'' && quote == '\'':
			if s.peekAt(i+1) != '\'' {
				return i, true
			}
			s.scratch = append(s.scratch, c)
			i += 2
		case c == '"' && quote == '"':
			return i, true
		case c == '\\' && quote == '"':
			n := s.escape(i + 1)
			if n == 0 {
				return 0, false
			}
			i += 1 + n
		default:
			s.scratch = append(s.scratch, c)
			i++
		}
	}
	return 0, false
}

// escapes are those of one letter.
const escapes = "0\x00a\x07b\x08t\tn\nv\x0bf\x0cr\re\x1b  \"\"''\\\\"

// escape appends what the escape whose letter is at i stands for, and returns
// its length without the backslash; 0 for one that is the parser's.
func (s *simple) escape(i int) int {
	c := s.peekAt(i)
	for j := 0; j < len(escapes); j += 2 {
		if escapes[j] == c {
			s.scratch = append(s.scratch, escapes[j+1])
			return 1
		}
	}
	digits := 0
	switch c {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	}
	r := rune(0)
	for k := 1; k <= digits; k++ {
		d := strings.IndexByte("0123456789abcdef", s.peekAt(i+k)|0x20)
		if d < 0 || r > utf8.MaxRune>>4 {
			return 0
		}
		r = r<<4 | rune(d)
	}
	if digits == 0 || !utf8.ValidRune(r) {
		return 0
	}
	s.scratch = utf8.AppendRune(s.scratch, r)
	return 1 + digits
}
