package yamldoc

import (
	"bytes"
	"io"
)

// splitter cuts a stream into its documents at separator lines, without
// looking into them: `---` or `...` in the first column followed by white space
// ends any scalar and any document (YAML 1.2.2, section 9.1.2, c-forbidden), so
// a line that begins so cannot be part of a value.
type splitter struct {
	r          io.Reader
	limit      int
	buf        []byte
	start, end int // what is not consumed yet is buf[start:end]
	line       int // number of the line on which it begins, from 1
	column     int // bytes of that line already consumed
	offset     int // bytes of the input already consumed
	eof        bool
	binary     bool // a NUL byte was met; it and what follows are not in buf
	afterDots  bool // the last document ended with `...`
	err        error
}

// part is one document as text, or the beginning of one that looks like JSON.
type part struct {
	text      []byte
	line      int  // of the first byte
	column    int  // bytes on that line before the first byte
	first     int  // line of the first byte that is no comment, blank, separator or directive
	json      int  // offset of a brace that may begin a JSON value, or -1; then text is empty
	content   bool // there is something besides comments
	inline    bool // content on the separator line
	directive bool // a %-directive
	unread    bool // after `...` without `---`
	binary    bool
}

const firstBuffer = 16 << 10

func (s *splitter) reset(r io.Reader, limit int) {
	*s = splitter{r: r, limit: limit, buf: s.buf, line: 1}
	if len(s.buf) > 1<<20 { // one large file must not cost its memory for ever
		s.buf = nil
	}
	if s.buf == nil {
		s.buf = make([]byte, firstBuffer)
	}
	for s.more(); s.end < 3 && !s.eof; {
		s.more()
	}
	switch w := s.window(); {
	case bytes.HasPrefix(w, []byte{0xEF, 0xBB, 0xBF}):
		s.start, s.offset = s.start+3, 3
	case bytes.HasPrefix(w, []byte{0xFF, 0xFE}), bytes.HasPrefix(w, []byte{0xFE, 0xFF}):
		s.recode()
	}
}

// recode starts anew with what UTF-16 says. Windows PowerShell writes it, and
// kubectl reads it.
func (s *splitter) recode() {
	raw := bytes.NewReader(append([]byte(nil), s.window()...))
	rest := s.r
	if s.eof {
		rest = bytes.NewReader(nil)
	}
	*s = splitter{r: &utf16Reader{r: io.MultiReader(raw, rest)}, limit: s.limit, buf: s.buf, line: 1, err: s.err}
	s.more()
}

func (s *splitter) window() []byte { return s.buf[s.start:s.end] }
func (s *splitter) atEOF() bool    { return s.eof }

// consume drops n bytes from the window.
func (s *splitter) consume(n int) {
	gone := s.buf[s.start : s.start+n]
	s.start, s.offset = s.start+n, s.offset+n
	if i := bytes.LastIndexByte(gone, '\n'); i >= 0 {
		s.line += bytes.Count(gone, []byte{'\n'})
		s.column = len(gone) - i - 1
	} else {
		s.column += n
	}
}

// more reads more input into the window, which may move.
func (s *splitter) more() {
	if s.eof {
		return
	}
	if s.start > 0 {
		s.end = copy(s.buf, s.buf[s.start:s.end])
		s.start = 0
	}
	if s.end > len(s.buf)/2 {
		s.buf = append(s.buf, make([]byte, len(s.buf))...)
	}
	// The window at least doubles, so that looking at it anew from its beginning
	// costs linear time however small the pieces are in which input comes.
	from, idle := s.end, 0
	for s.end < len(s.buf) && s.end < max(2*from, firstBuffer) {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		if idle++; n > 0 {
			idle = 0
		}
		if err == nil && idle == 100 {
			err = io.ErrNoProgress
		}
		if err != nil {
			s.eof = true
			if err != io.EOF {
				s.err = err
			}
			break
		}
	}
	if i := bytes.IndexByte(s.buf[from:s.end], 0); i >= 0 && !isUTF16(s.buf[:s.end]) {
		s.end, s.eof, s.binary = from+i, true, true
	}
}

func isUTF16(b []byte) bool {
	return len(b) >= 2 && (b[0] == 0xFF && b[1] == 0xFE || b[0] == 0xFE && b[1] == 0xFF)
}

// next returns the next part without consuming it, io.EOF when there is none.
// With tryJSON it returns early at a document that begins with a brace.
func (s *splitter) next(tryJSON bool) (part, error) {
	p := part{line: s.line, column: s.column, json: -1}
	marker, at := false, 0
	for {
		if tryJSON && !p.content && s.braceAt(at, &p) { // before the line is whole: it may be very long
			return p, nil
		}
		line, err := s.lineAt(at)
		if err != nil {
			return part{}, err
		}
		if len(line) == 0 {
			// What comes before a failure of the input is half a document.
			if p.binary = s.binary; s.err != nil || at == 0 && !p.binary {
				return part{}, s.ending()
			}
			break
		}
		if isMarker(line, '-') {
			if p.content || marker {
				break
			}
			marker, s.afterDots = true, false
			if rest := bytes.TrimLeft(line[3:], " \t\r\n"); len(rest) > 0 && rest[0] != '#' {
				p.content, p.inline, p.first = true, true, p.line+bytes.Count(s.window()[:at], []byte{'\n'})
			}
		} else if isMarker(line, '.') {
			at += len(line)
			p.unread, s.afterDots = s.afterDots && p.content, true
			p.text = s.window()[:at]
			return p, nil
		} else if !p.content {
			indent := len(line) - len(bytes.TrimLeft(line, " \t\r\n"))
			switch {
			case (indent == len(line) || line[indent] == '#') && !hidesBreak(line):
			case line[0] == '%':
				p.directive = true
			case tryJSON && s.braceAt(at, &p):
				return p, nil
			default:
				p.content, p.first = true, p.line+bytes.Count(s.window()[:at], []byte{'\n'})
			}
		}
		if at += len(line); at > s.limit {
			return part{}, s.skipDocument()
		}
	}
	p.unread = s.afterDots && p.content
	p.text = s.window()[:at]
	return p, nil
}

// braceAt notes where a line begins with a brace.
func (s *splitter) braceAt(at int, p *part) bool {
	w := s.window()[at:]
	rest := bytes.TrimLeft(w, " \t\r")
	if len(rest) == 0 || rest[0] != '{' {
		return false
	}
	p.json = at + len(w) - len(rest)
	return true
}

// hidesBreak reports whether what a newline ends is more than one line to YAML,
// so that a document may stand behind a comment.
func hidesBreak(line []byte) bool {
	for i := range bytes.TrimRight(line, "\r\n") {
		if line[i] != '\n' && breakAt(line, i) > 0 {
			return true
		}
	}
	return false
}

// ending is what ends the stream.
func (s *splitter) ending() error {
	if s.err != nil {
		err := s.err
		s.err = nil
		return err
	}
	return io.EOF
}

// lineAt returns the line at an offset of the window with its line break, the
// rest at the end of the input, and nothing behind it.
func (s *splitter) lineAt(at int) ([]byte, error) {
	for {
		w := s.window()
		if i := bytes.IndexByte(w[at:], '\n'); i >= 0 {
			return w[at : at+i+1], nil
		}
		if s.eof {
			return w[at:], nil
		}
		if len(w) > s.limit {
			return nil, s.skipDocument()
		}
		s.more()
	}
}

// isMarker reports whether a line begins with three of c and white space.
func isMarker(line []byte, c byte) bool {
	if len(line) < 3 || line[0] != c || line[1] != c || line[2] != c {
		return false
	}
	return len(line) == 3 || line[3] == ' ' || line[3] == '\t' || line[3] == '\r' || line[3] == '\n'
}

// skipDocument reads past a document that is too large, line by line, and
// returns the error for it.
func (s *splitter) skipDocument() error {
	err := &Error{Kind: TooLarge, Line: s.line, Message: tooLarge(s.limit)}
	first := true // the separator before the document is not the one after it
	for {
		w := s.window()
		i := bytes.IndexByte(w, '\n')
		switch {
		case s.column == 0 && (i >= 0 || s.eof || len(w) > 4) && isMarker(w, '-') && !first:
			return err
		case i >= 0:
			s.consume(i + 1)
			first = false
		case s.eof:
			s.consume(len(w))
			return err
		case len(w) > 4:
			s.consume(len(w))
			first = false
			s.more()
		default:
			s.more()
		}
	}
}

// skipJSON reads past a JSON value that begins at an offset of the window. A
// separator line ends it too: no string goes over a line break.
func (s *splitter) skipJSON(at int) {
	s.consume(at)
	depth, quoted, escaped := 0, false, false
	for {
		w := s.window()
		for i, c := range w {
			switch {
			case c == '-' && depth > 0 && (i > 0 && w[i-1] == '\n' || i == 0 && s.column == 0):
				if len(w)-i < 4 && !s.eof { // the line may go on
					w = w[:i]
				} else if isMarker(w[i:], '-') {
					s.consume(i)
					return
				}
			case escaped:
				escaped = false
			case quoted:
				escaped, quoted = c == '\\', c != '"'
			case c == '"':
				quoted = true
			case c == '{' || c == '[':
				depth++
			case c == '}' || c == ']':
				if depth--; depth == 0 {
					s.consume(i + 1)
					return
				}
			}
			if i >= len(w) {
				break
			}
		}
		s.consume(len(w))
		if s.eof {
			return
		}
		s.more()
	}
}
