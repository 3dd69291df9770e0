package secrets

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// A hidden value stands in the place of one that may not be kept: its kind,
// where it looks like a secret, and its length in characters. The detector takes
// the first for a secret of that kind and the second for none, so that what is
// judged by the detector is judged alike before and after.
//
//	merlon-hidden:aws-access-key-id:20
//	merlon-hidden-text:12
const (
	hiddenSecret = "merlon-hidden:"
	hiddenText   = "merlon-hidden-text:"
)

func hidden(kind, value string) string {
	n := strconv.Itoa(utf8.RuneCountInString(value))
	if kind == "" {
		return hiddenText + n
	}
	return hiddenSecret + kind + ":" + n
}

// hiddenAt reads a hidden secret at the start of s; its end is 0 for none.
func hiddenAt(s string) (kind string, end int) {
	rest, ok := strings.CutPrefix(s, hiddenSecret)
	if !ok {
		return "", 0
	}
	n := 0
	for n < len(rest) && n < 64 && (isLower(rest[n]) || isDigit(rest[n]) || rest[n] == '-') {
		n++
	}
	digits := n + 1
	for digits < len(rest) && isDigit(rest[digits]) {
		digits++
	}
	if n == 0 || n >= len(rest) || rest[n] != ':' || digits == n+1 {
		return "", 0
	}
	return rest[:n], len(hiddenSecret) + digits
}

// Hide returns a value that may be kept in place of one that lies under a name,
// "" for none: every secret in it is hidden, and with all of them every long
// word that looks random. It finds in it what it found before.
func (d *Detector) Hide(name, value string) string {
	if value == "" || strings.HasPrefix(value, hiddenText) {
		return value
	}
	matches := d.Text(value)
	m, byName := Match{}, false
	if name != "" {
		m, byName = d.Named(name, value)
	}
	if byName && (len(matches) == 0 || m.Start < matches[0].Start || m.End > matches[0].End) {
		matches = []Match{m} // what the name says is all of the value
	}
	out := d.replace(value, matches)
	if d.alike(name, value, out) {
		return out
	}
	kind := m.Kind
	if !byName && len(matches) > 0 {
		kind = matches[0].Kind
	}
	return hidden(kind, value)
}

// HideAll returns a value's form and nothing of it.
func (d *Detector) HideAll(name, value string) string {
	if m, ok := d.Named(name, value); ok {
		return hidden(m.Kind, value)
	}
	return hidden("", value)
}

// HideArgs hides what is secret in an argument vector.
func (d *Detector) HideArgs(argv []string) []string {
	out := make([]string, len(argv))
	found := map[int][]Match{}
	for _, m := range d.Args(argv) {
		found[m.Arg] = append(found[m.Arg], m.Match)
	}
	for i, arg := range argv {
		out[i] = d.replace(arg, found[i])
	}
	// A word is judged with its neighbours: what reads otherwise now is hidden
	// as a whole.
	after := map[int][]Match{}
	for _, m := range d.Args(out) {
		after[m.Arg] = append(after[m.Arg], m.Match)
	}
	for i := range out {
		if sameKinds(found[i], after[i]) {
			continue
		}
		kind := ""
		if len(found[i]) > 0 {
			kind = found[i][0].Kind
		}
		out[i] = hidden(kind, argv[i])
	}
	return out
}

func (d *Detector) alike(name, before, after string) bool {
	x, xok := d.Named(name, before)
	y, yok := d.Named(name, after)
	return xok == yok && x.Kind == y.Kind && sameKinds(d.Text(before), d.Text(after))
}

func sameKinds(a, b []Match) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Kind != b[i].Kind {
			return false
		}
	}
	return true
}

// replace hides matches, and between them the words that look random.
func (d *Detector) replace(s string, matches []Match) string {
	var b strings.Builder
	at := 0
	for _, m := range matches {
		if m.Start < at {
			continue
		}
		d.hideRandom(&b, s[at:m.Start])
		b.WriteString(hidden(m.Kind, s[m.Start:m.End]))
		at = m.End
	}
	d.hideRandom(&b, s[at:])
	return b.String()
}

func (d *Detector) hideRandom(b *strings.Builder, s string) {
	for s != "" {
		n := 0
		for n < len(s) && d.class[s[n]]&b64url != 0 && s[n] != '=' {
			n++
		}
		if w := s[:n]; n >= 20 && isRandom(w) && !isPath(w) && !isDigest(b, n) {
			b.WriteString(hidden("", w))
		} else {
			b.WriteString(w)
		}
		rest := n
		for rest < len(s) && (d.class[s[rest]]&b64url == 0 || s[rest] == '=') {
			rest++
		}
		b.WriteString(s[n:rest])
		s = s[rest:]
	}
}
