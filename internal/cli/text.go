package cli

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"text/tabwriter"
	"unicode"
)

// quoted is what the YAML library quotes from a file in its errors: a file that
// somebody named by mistake may hold secrets.
var quoted = regexp.MustCompile("(cannot unmarshal \\S+) `[^`]*`|(unknown anchor|anchor) '[^']*'")

// clean makes foreign text safe for a terminal and a log: control characters
// are shown, not sent, and values that the YAML library quotes are left out.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r >= 0x80 && r < 0xa0 ||
			unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co) {
			return '\uFFFD'
		}
		return r
	}, quoted.ReplaceAllString(s, "$1$2"))
}

// columns is a table of plain text. The last column is not padded.
type columns struct{ text strings.Builder }

func newColumns(titles ...string) *columns {
	c := &columns{}
	c.row(titles...)
	return c
}

func (c *columns) row(cells ...string) {
	for i, cell := range cells {
		if i > 0 {
			c.text.WriteByte('\t')
		}
		c.text.WriteString(strings.ReplaceAll(clean(oneLine(cell)), "\t", " "))
	}
	c.text.WriteByte('\n')
}

func (c *columns) write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(t, c.text.String()); err != nil {
		return err
	}
	return t.Flush()
}

// oneLine joins the lines of a text.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// indented writes a block of text behind a margin, without its last line ends.
func indented(w io.Writer, margin, text string) {
	for line := range strings.Lines(strings.Trim(clean(text), "\n")) {
		if line = strings.TrimRight(line, " \n"); line != "" {
			line = margin + line
		}
		fmt.Fprintln(w, line)
	}
}

// plural writes a count of things.
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
