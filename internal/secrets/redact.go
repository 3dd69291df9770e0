package secrets

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// minShown is the number of characters below which none is shown: two of six
// would be a third of a password.
const minShown = 8

// Redact is the only form in which a possibly secret value may be printed: its
// length in characters and, from eight on, the last two, control characters
// escaped. Nothing else of the value can be told from it.
//
//	‹string, 24 characters, ends "yz"›
func Redact(value string) string {
	n := utf8.RuneCountInString(value)
	switch {
	case n == 0:
		return "‹empty›"
	case n == 1:
		return "‹string, 1 character›"
	case n < minShown:
		return "‹string, " + strconv.Itoa(n) + " characters›"
	}
	_, last := utf8.DecodeLastRuneInString(value)
	_, before := utf8.DecodeLastRuneInString(value[:len(value)-last])
	return "‹string, " + strconv.Itoa(n) + " characters, ends " + strconv.Quote(value[len(value)-last-before:]) + "›"
}

// RedactText returns a text, such as a command-line argument, that may be
// printed: what is secret in it replaced by Redact, what is harmless kept,
// control characters escaped. It errs towards replacing: also what Text would
// leave alone under a name that says secret, the rest of a word of which a part
// is secret, and every long word that looks random.
//
//	--password=‹string, 7 characters›
func (d *Detector) RedactText(s string) string {
	sc := scan{d: d, s: s, cautious: true}
	sc.run()
	var b strings.Builder
	at := 0
	for _, m := range sc.out {
		if m.Start < at {
			continue
		}
		d.keep(&b, s[at:m.Start])
		at = wordEnd(s, m.End)
		b.WriteString(Redact(s[m.Start:at]))
	}
	d.keep(&b, s[at:])
	return b.String()
}

// wordEnd extends a match to the end of its word, so that no tail of a secret
// that was cut at a punctuation mark is left: a@b of "x;a@b". A mark that
// starts a further key, or the host of a URL, ends it.
func wordEnd(s string, end int) int {
	if end < len(s) && strings.IndexByte("@&;,", s[end]) >= 0 {
		if s[end] == '@' {
			return end
		}
		k := end + 1
		for k < len(s) && k-end < maxName && (isAlnum(s[k]) || strings.IndexByte("_-. ", s[k]) >= 0) {
			k++
		}
		if k == end+1 || k < len(s) && (s[k] == '=' || s[k] == ':') {
			return end
		}
	}
	for end < len(s) && !isBlank(s[end]) && strings.IndexByte("\"'`<>)}]", s[end]) < 0 {
		end++
	}
	return end
}

// keep writes a part in which nothing was found, but not its random words.
func (d *Detector) keep(b *strings.Builder, s string) {
	for s != "" {
		n := 0
		for n < len(s) && d.class[s[n]]&(b64url) != 0 && s[n] != '=' {
			n++
		}
		if n == 0 {
			for n < len(s) && (d.class[s[n]]&b64url == 0 || s[n] == '=') {
				n++
			}
			writeEscaped(b, s[:n])
		} else if w := s[:n]; n >= 20 && isRandom(w) && !isPath(w) && !isDigest(b, n) {
			b.WriteString(Redact(w))
		} else {
			b.WriteString(w)
		}
		s = s[n:]
	}
}

// isDigest reports whether a run of n bytes follows the name of a hash.
func isDigest(b *strings.Builder, n int) bool {
	before := b.String()
	return n >= 32 && (strings.HasSuffix(before, "sha256:") || strings.HasSuffix(before, "sha512:"))
}

// writeEscaped writes s with what does not print escaped.
func writeEscaped(b *strings.Builder, s string) {
	q := strconv.Quote(s)
	q = q[1 : len(q)-1]
	q = strings.ReplaceAll(q, `\"`, `"`)
	b.WriteString(strings.ReplaceAll(q, `\\`, `\`))
}
