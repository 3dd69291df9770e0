package cli

import (
	"encoding/csv"
	"io"
	"strings"
)

// netTable is an answer as rows of text.
type netTable struct {
	titles []string
	rows   [][]string
}

func (t *netTable) add(cells ...string) { t.rows = append(t.rows, cells) }

// write writes the table as table, csv or md.
func (t *netTable) write(w io.Writer, format string) error {
	switch format {
	case "csv":
		c := csv.NewWriter(w)
		lower := make([]string, len(t.titles))
		for i, s := range t.titles {
			lower[i] = strings.ToLower(s)
		}
		c.Write(lower)
		for _, r := range t.rows {
			safe := make([]string, len(r))
			for i, s := range r {
				safe[i] = notFormula(clean(s))
			}
			c.Write(safe)
		}
		c.Flush()
		return c.Error()
	case "md":
		var b strings.Builder
		line := func(cells []string) {
			for _, s := range cells {
				b.WriteString("| " + strings.NewReplacer("|", `\|`, "<", "&lt;", "`", "").Replace(clean(oneLine(s))) + " ")
			}
			b.WriteString("|\n")
		}
		line(t.titles)
		b.WriteString(strings.Repeat("|---", len(t.titles)) + "|\n")
		for _, r := range t.rows {
			line(r)
		}
		_, err := io.WriteString(w, b.String())
		return err
	}
	c := newColumns(t.titles...)
	for _, r := range t.rows {
		c.row(r...)
	}
	return c.write(w)
}

// notFormula keeps a spreadsheet from taking a name for a formula.
func notFormula(s string) string {
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}

// jsonGap is a gap in JSON output.
type jsonGap struct {
	Kind    string `json:"kind"`
	File    string `json:"file,omitempty"`
	Line    uint32 `json:"line,omitempty"`
	Subject string `json:"subject,omitempty"`
	Message string `json:"message"`
}
