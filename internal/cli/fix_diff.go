package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/secrets"
	"github.com/merlon-security/merlon/internal/sink"
	"github.com/merlon-security/merlon/internal/yamldoc"
)

// diffLine is a line of a diff: kept ' ', taken away '-' or new '+', with its
// number in the old or new text, from 1.
type diffLine struct {
	kind     byte
	text     string
	old, new int
}

// diffContext is how many lines around a change are shown.
const diffContext = 3

// writeUnified writes how a text changed, in the unified form. Lines around a change
// that hold a secret, or what a terminal or CI system would obey, are not shown:
// the context ends there, and the patch applies all the same. A changed line with
// a secret is masked, and such a patch does not apply.
func writeUnified(w io.Writer, name string, before, after []byte, color bool) error {
	if bytes.Equal(before, after) {
		return nil
	}
	hidden := [2]map[int]bool{delicate(before), delicate(after)}
	lines := diffLines(before, after)
	cut := func(l *diffLine) bool { return hidden[0][l.old] || hidden[1][l.new] || unsafeLine(l.text) }
	name = sink.Text(strings.TrimLeft(name, "/"))
	out := &strings.Builder{}
	paint := func(code, text string) {
		if color {
			text = "\x1b[" + code + "m" + text + "\x1b[0m"
		}
		out.WriteString(text + "\n")
	}
	paint("1", "--- a/"+name)
	paint("1", "+++ b/"+name)
	for _, h := range hunks(lines, cut) {
		paint("36", header(lines[h.from:h.to], lines[:h.from]))
		for i := h.from; i < h.to; i++ {
			l := &lines[i]
			text := strings.TrimSuffix(l.text, "\n")
			switch {
			case l.kind != ' ' && (hidden[0][l.old] || hidden[1][l.new]):
				text = "‹a line that holds a secret›"
			case unsafeLine(l.text):
				text = sink.Text(text)
			}
			code := map[byte]string{'-': "31", '+': "32"}[l.kind]
			if code == "" {
				out.WriteString(" " + text + "\n")
			} else {
				paint(code, string(l.kind)+text)
			}
			if !strings.HasSuffix(l.text, "\n") {
				out.WriteString("\\ No newline at end of file\n")
			}
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// hunk is a stretch of a diff's lines.
type hunk struct{ from, to int }

// hunks returns the stretches around changes, none of which goes over a kept
// line that is cut.
func hunks(lines []diffLine, cut func(*diffLine) bool) []hunk {
	var out []hunk
	for i := range lines {
		if lines[i].kind == ' ' {
			continue
		}
		h := hunk{i, i + 1}
		for h.from > 0 && i-h.from < diffContext && lines[h.from-1].kind == ' ' && !cut(&lines[h.from-1]) {
			h.from--
		}
		for h.to < len(lines) && h.to-i <= diffContext && lines[h.to].kind == ' ' && !cut(&lines[h.to]) {
			h.to++
		}
		if n := len(out); n > 0 && out[n-1].to >= h.from {
			out[n-1].to = max(out[n-1].to, h.to)
			continue
		}
		out = append(out, h)
	}
	for i := range out {
		out[i].even(lines)
	}
	return out
}

// even trims the longer of the two contexts where a line that is cut has made the
// other shorter: tools that apply diffs take a shorter one for an end of the file.
func (h *hunk) even(lines []diffLine) {
	kept := func(i int) bool { return lines[i].kind == ' ' }
	lead, trail := 0, 0
	for kept(h.from + lead) {
		lead++
	}
	for kept(h.to - 1 - trail) {
		trail++
	}
	if lead < trail && h.from > 0 {
		h.to -= trail - lead
	}
	if trail < lead && h.to < len(lines) {
		h.from += lead - trail
	}
}

// header is the line that begins a hunk.
func header(lines, before []diffLine) string {
	count := func(lines []diffLine, not byte) (n int) {
		for i := range lines {
			if lines[i].kind != not {
				n++
			}
		}
		return n
	}
	part := func(not byte) string {
		n, first := count(lines, not), count(before, not)
		if n > 0 {
			first++
		}
		return fmt.Sprintf("%d,%d", first, n)
	}
	return "@@ -" + part('+') + " +" + part('-') + " @@"
}

// unsafeLine reports whether a line must not go to a terminal or a log as it is.
func unsafeLine(text string) bool {
	text = strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
	return strings.Contains(text, "::") || strings.Contains(text, "##") ||
		strings.ContainsFunc(text, func(r rune) bool {
			return r != '\t' && unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co) && r != '\ufeff'
		})
}

// delicate returns the lines of a file, from 1, that must not be shown: those
// with values that people put secrets into, those that look like one, and what
// stands in the wrong place.
func delicate(data []byte) map[int]bool {
	d := secrets.New()
	out := map[int]bool{}
	i := 0
	for line := range strings.Lines(string(data)) {
		if i++; len(d.Text(line)) > 0 || random(line) {
			out[i] = true
		}
	}
	types := yamldoc.NewTypes()
	docs := yamldoc.NewReader(bytes.NewReader(data), "", yamldoc.Limits{})
	for {
		doc, err := docs.Next()
		var broken *yamldoc.Error
		switch {
		case err == nil:
			delicateValues(d, doc.Root, out, i)
			for _, n := range doc.Notes {
				if _, err := finding.ParseInline(n.Text); err != nil {
					out[int(n.Pos.Line)] = true
				}
			}
			for _, p := range slices.Concat(doc.Problems, types.Check(doc.Root)) { // nobody knows what lies there
				out[int(p.Pos.Line)] = true
			}
			continue
		case errors.As(err, &broken): // nobody knows what it holds
			for line := 1; line <= i; line++ {
				out[line] = true
			}
			continue
		}
		return out
	}
}

// random reports whether a line holds a word that nobody would write by hand: 20
// letters and digits or more, of both cases.
func random(line string) bool {
	word := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '+' || r == '=')
	}
	return slices.ContainsFunc(strings.FieldsFunc(line, word), func(w string) bool {
		return len(w) >= 20 && strings.ContainsAny(w, "0123456789") && strings.ToLower(w) != w && strings.ToUpper(w) != w
	})
}

// delicateValues notes the lines of a document's values.
func delicateValues(d *secrets.Detector, root fact.Value, out map[int]bool, last int) {
	var all []fact.Value
	var walk func(v fact.Value)
	walk = func(v fact.Value) {
		all = append(all, v)
		for c := range v.Children() {
			walk(c)
		}
	}
	walk(root)
	for i, v := range all {
		if v.Kind() != fact.String || !delicateValue(d, v) {
			continue
		}
		from, to := int(v.Pos().Line), last
		if i+1 < len(all) {
			to = max(from, int(all[i+1].Pos().Line)-1)
		}
		for line := from; line <= to; line++ {
			out[line] = true
		}
	}
}

func delicateValue(d *secrets.Detector, v fact.Value) bool {
	path, key := v.Path(), v.Key().String()
	for _, part := range []string{"data.", "stringData.", "binaryData.", "data[", "stringData[", "binaryData[", "annotations"} {
		if strings.HasPrefix(path, part) || strings.Contains(path, "."+part) {
			return true
		}
	}
	if strings.Contains(path, "env[") && key == "value" || secrets.SaysSecret(key) {
		return true
	}
	if _, named := d.Named(key, v.Str()); named || len(d.Text(v.Str())) > 0 {
		return true
	}
	return (strings.Contains(path, "command") || strings.Contains(path, "args")) && d.RedactText(v.Str()) != v.Str()
}

// diffLines compares two texts line by line, by Myers' algorithm, after what they
// have in common at both ends.
func diffLines(before, after []byte) []diffLine {
	a, b := slices.Collect(strings.Lines(string(before))), slices.Collect(strings.Lines(string(after)))
	head := 0
	for head < len(a) && head < len(b) && a[head] == b[head] {
		head++
	}
	tail := 0
	for tail < len(a)-head && tail < len(b)-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	var out []diffLine
	i, j := 0, 0
	put := func(kind byte) {
		l := diffLine{kind: kind}
		if kind != '+' {
			l.text, l.old = a[i], i+1
			i++
		}
		if kind != '-' {
			l.text, l.new = b[j], j+1
			j++
		}
		out = append(out, l)
	}
	for range head {
		put(' ')
	}
	for _, kind := range script(a[head:len(a)-tail], b[head:len(b)-tail]) {
		put(kind)
	}
	for range tail {
		put(' ')
	}
	return out
}

// maxDistance bounds the work of comparing: texts further apart are shown as
// replaced.
const maxDistance = 3000

// script returns the steps that lead from a to b.
func script(a, b []string) []byte {
	n, m := len(a), len(b)
	limit := min(n+m, maxDistance)
	v := make([]int, 2*limit+3)
	at := func(k int) int { return k + limit + 1 }
	var trace [][]int
	for d := 0; d <= limit; d++ {
		trace = append(trace, slices.Clone(v[at(-d-1):at(d+1)+1]))
		for k := -d; k <= d; k += 2 {
			x := 0
			if k == -d || k != d && v[at(k-1)] < v[at(k+1)] {
				x = v[at(k+1)]
			} else {
				x = v[at(k-1)] + 1
			}
			for x < n && x-k < m && a[x] == b[x-k] {
				x++
			}
			if v[at(k)] = x; x >= n && x-k >= m {
				return backtrack(trace, n, m)
			}
		}
	}
	return append(bytes.Repeat([]byte{'-'}, n), bytes.Repeat([]byte{'+'}, m)...)
}

// backtrack reads the steps from the furthest points of each distance, which lie
// from -d-1 on.
func backtrack(trace [][]int, x, y int) []byte {
	var out []byte
	for d := len(trace) - 1; d >= 0; d-- {
		v := func(k int) int { return trace[d][k+d+1] }
		k := x - y
		down := k == -d || k != d && v(k-1) < v(k+1)
		before, step := k-1, byte('-')
		if down {
			before, step = k+1, '+'
		}
		px := v(before)
		py := px - before
		for x > px && y > py {
			out = append(out, ' ')
			x, y = x-1, y-1
		}
		if d > 0 {
			out = append(out, step)
			x, y = px, py
		}
	}
	slices.Reverse(out)
	return out
}
