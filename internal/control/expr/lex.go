package expr

import "strings"

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenIdent
	tokenNumber
	tokenString
	tokenOp
)

// lexer cuts an expression into tokens for the quick parser. What it does not
// know makes the expression not simple.
type lexer struct {
	s    string
	at   int
	kind tokenKind
	text string // of strings, the value
}

func (l *lexer) next() {
	for l.at < len(l.s) && strings.IndexByte(" \t\r\n\f", l.s[l.at]) >= 0 {
		l.at++
	}
	if l.at == len(l.s) {
		l.kind, l.text = tokenEnd, ""
		return
	}
	switch c := l.s[l.at]; {
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_':
		l.word()
	case c >= '0' && c <= '9':
		l.number()
	case c == '"' || c == '\'':
		l.quoted(c)
	default:
		l.operator()
	}
}

func letter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

func (l *lexer) word() {
	start := l.at
	for l.at < len(l.s) && letter(l.s[l.at]) {
		l.at++
	}
	l.kind, l.text = tokenIdent, l.s[start:l.at]
	if l.at < len(l.s) && (l.s[l.at] == '"' || l.s[l.at] == '\'') {
		panic(errNotSimple) // a raw string or bytes
	}
	if l.text == "in" {
		l.kind = tokenOp
	}
}

func (l *lexer) number() {
	start := l.at
	for l.at < len(l.s) && l.s[l.at] >= '0' && l.s[l.at] <= '9' {
		l.at++
	}
	if l.at+1 < len(l.s) && l.s[l.at] == '.' && l.s[l.at+1] >= '0' && l.s[l.at+1] <= '9' {
		for l.at++; l.at < len(l.s) && l.s[l.at] >= '0' && l.s[l.at] <= '9'; {
			l.at++
		}
	}
	if l.at < len(l.s) && letter(l.s[l.at]) {
		panic(errNotSimple) // unsigned, hexadecimal, with exponent
	}
	l.kind, l.text = tokenNumber, l.s[start:l.at]
}

// digitAhead reports whether a number follows the current token at once, so
// that a minus is its sign.
func (l *lexer) digitAhead() bool {
	rest := strings.TrimLeft(l.s[l.at:], " \t\r\n\f")
	return rest != "" && rest[0] >= '0' && rest[0] <= '9'
}

func (l *lexer) quoted(quote byte) {
	if strings.HasPrefix(l.s[l.at:], strings.Repeat(string(quote), 3)) {
		panic(errNotSimple)
	}
	l.at++
	start := l.at
	for l.at < len(l.s) && l.s[l.at] != quote && l.s[l.at] != '\\' && l.s[l.at] != '\n' && l.s[l.at] != '\r' {
		l.at++
	}
	if l.at < len(l.s) && l.s[l.at] == quote {
		l.kind, l.text = tokenString, l.s[start:l.at]
		l.at++
		return
	}
	l.escaped(start, quote)
}

// escaped reads the rest of a string that has escapes.
func (l *lexer) escaped(start int, quote byte) {
	b := []byte(l.s[start:l.at])
	for l.at < len(l.s) {
		c := l.s[l.at]
		l.at++
		switch {
		case c == quote:
			l.kind, l.text = tokenString, string(b)
			return
		case c == '\n' || c == '\r':
			panic(errNotSimple)
		case c == '\\':
			i := -1
			if l.at < len(l.s) {
				i = strings.IndexByte(`\"'nrt`+"`?", l.s[l.at])
			}
			if i < 0 {
				panic(errNotSimple)
			}
			b = append(b, "\\\"'\n\r\t`?"[i])
			l.at++
		default:
			b = append(b, c)
		}
	}
	panic(errNotSimple)
}

func (l *lexer) operator() {
	rest := l.s[l.at:]
	for _, op := range [...]string{"&&", "||", "==", "!=", "<=", ">="} {
		if strings.HasPrefix(rest, op) {
			l.kind, l.text = tokenOp, op
			l.at += 2
			return
		}
	}
	if strings.HasPrefix(rest, "//") || strings.IndexByte("<>!?:.,()[]{}+-*/%", rest[0]) < 0 {
		panic(errNotSimple)
	}
	l.kind, l.text = tokenOp, rest[:1]
	l.at++
}
