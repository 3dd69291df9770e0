package sink

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
)

// Output is where a sink that makes a document writes it, and how.
type Output struct {
	W      io.Writer
	Color  bool     // W is a terminal that shows colours
	Target []string // what was scanned, as the user wrote it
	// Time is when the scan ran, for the formats that want to know. Those that
	// do not are the same bytes for the same input.
	Time time.Time
}

// Text makes foreign text safe to show on a terminal or in a log: control
// characters and those that turn the direction of writing are spelt out, and
// what a CI system would take for a command of its own is broken up. It never
// holds a line break.
func Text(s string) string {
	plain := true
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] >= 0x7f || s[i] == ':' || s[i] == '#' {
			plain = false
			break
		}
	}
	if plain {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteByte(' ')
		case r < 0x100 && unicode.IsControl(r), r == unicode.ReplacementChar:
			fmt.Fprintf(&b, `\x%02x`, r)
		case unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return apart(apart(b.String()))
}

// apart breaks up what begins a command of a CI system. Of three in a row the
// first pass leaves two, so it runs twice.
func apart(s string) string {
	return strings.NewReplacer("::", ":\u200b:", "##", "#\u200b#").Replace(s)
}
