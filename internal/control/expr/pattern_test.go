package expr

import (
	"regexp"
	"slices"
	"testing"
)

func TestPatternKnowsItsWords(t *testing.T) {
	for _, c := range []struct {
		pattern string
		words   []string
		fold    bool
	}{
		{`(^|\s)sudo\s`, []string{"sudo"}, false},
		{`(?i)\bSocat\b.*\b(exec|system):`, []string{"socat"}, true},
		{`(^|/)(sshd|dropbear)(\s|$)`, []string{"sshd", "dropbear"}, false},
		{`a?b*`, nil, false},
		{`^$`, nil, false},
		{`foo|`, nil, false},
		{`(abc){2,}x`, []string{"abc"}, false},
		{`(abc){0,2}`, nil, false},
		{`Abc|(?i:DEF)`, []string{"abc", "def"}, true},
		{`straße`, nil, false},
	} {
		p, err := compilePattern(c.pattern)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(p.words, c.words) || p.fold != c.fold {
			t.Errorf("%s: %q, %v, want %q, %v", c.pattern, p.words, p.fold, c.words, c.fold)
		}
	}
	if _, err := compilePattern(`(`); err == nil {
		t.Error("no error for a pattern that is none")
	}
}

// Looking for words first never changes the answer.
func FuzzPattern(f *testing.F) {
	for _, p := range []string{`(?i)\b(sh|bash)\s+-i\b[^;\n]*/dev/(tcp|udp)/`, `(^|[/_-])(xmrig|minerd)([^a-z]|$)`, `(?i)kube|x`, `(?i)stratum[0-9]?\+(tcp|ssl)://`} {
		for _, s := range []string{"", "bash -i >& /dev/tcp/x", "BASH -I /DEV/TCP/", "a/xmrig", "\u212aube", "STRATUM+TCP://", "x\xff"} {
			f.Add(p, s)
		}
	}
	f.Fuzz(func(t *testing.T, text, s string) {
		re, err := regexp.Compile(text)
		if err != nil {
			return
		}
		p, err := compilePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := p.matches(s), re.MatchString(s); got != want {
			t.Errorf("%q on %q: %v, want %v", text, s, got, want)
		}
	})
}
