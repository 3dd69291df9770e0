package sink

import (
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// JSON writes v as a JSON document that is safe to show on a terminal and in a
// log of a CI system, with the same meaning: control characters, those that turn
// the direction of writing, and what would be taken for a command are written as
// escapes. Markup is escaped too, for a document within a page.
func JSON(w io.Writer, v any, indent string) error {
	enc := json.NewEncoder(plainJSON{w})
	enc.SetIndent("", indent)
	return enc.Encode(v)
}

// AppendJSON appends v as JSON in the same safe form, without line breaks.
func AppendJSON(dst []byte, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return dst, err
	}
	return appendPlain(dst, text), nil
}

// plainJSON escapes what passes through it. All that it changes can only stand
// within strings. The encoder writes each document in one piece, so that no
// character is cut.
type plainJSON struct{ w io.Writer }

func (p plainJSON) Write(data []byte) (int, error) {
	if _, err := p.w.Write(appendPlain(make([]byte, 0, len(data)+len(data)/16), data)); err != nil {
		return 0, err
	}
	return len(data), nil
}

func appendPlain(out, data []byte) []byte {
	for i := 0; i < len(data); {
		c := data[i]
		switch {
		case (c == ':' || c == '#') && i+1 < len(data) && data[i+1] == c:
			out = fmt.Appendf(append(out, c), `\u%04x`, c)
			i += 2
			continue
		case c < 0x7f:
			out = append(out, c)
			i++
			continue
		}
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case !unicode.IsControl(r) && !unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co):
			out = append(out, data[i:i+size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		i += size
	}
	return out
}
