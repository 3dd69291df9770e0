package expr

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
)

// pattern is a regular expression that looks for words before it matches. Most
// patterns of controls name what they are after, `xmrig` or `/dev/tcp`, and
// most texts hold none of it: finding that out costs a hundredth of a match.
// The expression itself is compiled when a text first needs it, which for most
// is never. It matches exactly what the regular expression does. Safe for
// concurrent use.
type pattern struct {
	re    func() *regexp.Regexp
	words []string // every match holds one of them; nil when nothing is known
	fold  bool     // in any case; the words are lower case then
}

// compilePattern compiles a regular expression of RE2's syntax.
func compilePattern(text string) (*pattern, error) {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("compile pattern: %w", err)
	}
	p := &pattern{re: sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })}
	p.words, p.fold = needed(tree)
	return p, nil
}

// matches reports whether the text holds a match.
func (p *pattern) matches(text string) bool {
	return p.possible(text) && p.re().MatchString(text)
}

// possible is false only where nothing can match.
func (p *pattern) possible(text string) bool {
	if p.words == nil {
		return true
	}
	if p.fold {
		var buf [256]byte
		low := buf[:0]
		for i := range len(text) {
			c := text[i]
			if c >= 0x80 {
				return true // U+017F folds to s, U+212A to k
			}
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			low = append(low, c)
		}
		return containsAny(string(low), p.words)
	}
	return containsAny(text, p.words)
}

func containsAny(text string, words []string) bool {
	for _, w := range words {
		if strings.Contains(text, w) {
			return true
		}
	}
	return false
}

// maxWords is how many words are looked for at most; beyond it the regular
// expression itself is as fast.
const maxWords = 64

// needed returns words one of which every match of an expression holds, and
// whether in any case; nil when there are none worth looking for.
func needed(re *syntax.Regexp) (words []string, fold bool) {
	switch re.Op {
	case syntax.OpLiteral:
		return literal(re)
	case syntax.OpCapture, syntax.OpPlus:
		return needed(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return needed(re.Sub[0])
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if w, f := needed(sub); better(w, words) {
				words, fold = w, f
			}
		}
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			w, f := needed(sub)
			if w == nil {
				return nil, false
			}
			words, fold = append(words, w...), fold || f
		}
		if len(words) > maxWords {
			return nil, false
		}
		if fold {
			for i := range words {
				words[i] = strings.ToLower(words[i])
			}
		}
	}
	return words, fold
}

func literal(re *syntax.Regexp) ([]string, bool) {
	text, fold := string(re.Rune), re.Flags&syntax.FoldCase != 0
	if len(text) < 2 {
		return nil, false
	}
	for i := range len(text) {
		if text[i] >= 0x80 {
			return nil, false
		}
	}
	if fold {
		text = strings.ToLower(text)
	}
	return []string{text}, fold
}

// better reports whether words tell more than others: the shortest decides.
func better(words, than []string) bool {
	if words == nil || than == nil {
		return words != nil
	}
	if a, b := shortest(words), shortest(than); a != b {
		return a > b
	}
	return len(words) < len(than)
}

func shortest(words []string) int {
	n := len(words[0])
	for _, w := range words {
		n = min(n, len(w))
	}
	return n
}
