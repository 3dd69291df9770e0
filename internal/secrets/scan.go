package secrets

import (
	"encoding/base64"
	"strings"
)

// scan is one pass over one text. At the start of every word the literals are
// looked up by two bytes; separators look back for a name and forward for a
// value. Every look is bounded (maxName, maxJudged, maxToken) or moves the pass
// on, so the work is linear; work counts it for the test that holds this.
type scan struct {
	d   *Detector
	s   string
	out []Match

	first    bool // stop after the first match
	cautious bool // redaction: take every value under a name that says secret
	decoded  bool // s was base64: do not decode again
	work     int
	b64to    int // end of the last base64 run looked at

	// The last unquoted literal read (bareEnd), so that separators inside it do
	// not read it again.
	bareFrom, bareTo int
	bareSpaces       bool

	// The last "name: X" whose X says secret: its "value: Y" may follow.
	carried       naming
	carriedAt     int
	carriedActive bool
}

func (sc *scan) add(kind string, start, end int) {
	sc.out = append(sc.out, Match{kind, start, end})
}

// run walks the text once.
func (sc *scan) run() {
	s, class := sc.s, &sc.d.class
	for i := 0; i < len(s); {
		c := class[s[i]]
		if c&(starts|trigger) == 0 {
			i++
			continue
		}
		end := 0
		if c&starts != 0 {
			if end = sc.word(i); end == 0 {
				for i++; i < len(s) && class[s[i]]&(alnum|under) != 0; i++ {
				}
				continue
			}
		} else {
			end = sc.separator(i)
		}
		if end <= i {
			i++
			continue
		}
		i = end
		if sc.first && len(sc.out) > 0 {
			return
		}
	}
	sc.work += len(s)
}

// word looks at the start of a word and returns where to go on, or 0.
func (sc *scan) word(i int) int {
	s := sc.s
	if i+shortestSecret > len(s) {
		return 0
	}
	if found := sc.d.literalsAt(s[i], s[i+1]); len(found) > 0 && (i == 0 || s[i-1] != '-' && s[i-1] != '_') {
		if end := sc.literal(found, i); end > 0 {
			return end
		}
	}
	if i >= sc.b64to && !sc.decoded {
		return sc.base64(i)
	}
	return 0
}

// literal tries the literals that may start at i.
func (sc *scan) literal(found []literal, i int) int {
	tried := false // a command may stand in the table more than once
	for k := range found {
		l := &found[k]
		sc.work++
		if !strings.HasPrefix(sc.s[i:], l.prefix) {
			continue
		}
		if l.form == formCommand {
			if !tried {
				tried = true
				if end, ok := sc.command(i); ok {
					return end
				}
			}
			continue
		}
		if start, end := sc.apply(l, i); end > 0 {
			sc.add(l.kindAt(sc.s[start:]), start, end)
			return end
		}
	}
	return 0
}

// formatAt returns the kind of the token that starts at i, and its end, or -1.
func (sc *scan) formatAt(i int) (kind string, end int) {
	s := sc.s
	if i+shortestSecret > len(s) {
		return "", -1
	}
	found := sc.d.literalsAt(s[i], s[i+1])
	for k := range found {
		if l := &found[k]; l.form != formCommand && strings.HasPrefix(s[i:], l.prefix) {
			if start, end := sc.apply(l, i); end > 0 && start == i {
				return l.kindAt(s[start:]), end
			}
		}
	}
	return "", -1
}

// kindAt returns the kind of the token at the start of s.
func (l *literal) kindAt(s string) string {
	if l.form == formHidden {
		kind, _ := hiddenAt(s)
		return kind
	}
	return l.kind
}

func (sc *scan) apply(l *literal, i int) (start, end int) {
	switch l.form {
	case formJWT:
		return sc.jwt(i)
	case formWebhook:
		return sc.webhook(l, i)
	case formPuTTY:
		return sc.putty(i)
	case formOracle:
		return sc.oracleThin(l, i)
	case formHidden:
		if _, end := hiddenAt(sc.s[i:]); end > 0 {
			return i, i + end
		}
		return i, -1
	}
	end = sc.d.token(l, sc.s, i)
	sc.work += min(l.max, len(sc.s)-i)
	return i, end
}

// separator looks at punctuation that may stand between a name and a secret.
func (sc *scan) separator(i int) int {
	s := sc.s
	switch s[i] {
	case ':':
		if strings.HasPrefix(s[i:], "://") {
			return sc.url(i)
		}
		if end := sc.telegram(i); end > 0 {
			return end
		}
		return sc.assignment(i)
	case '=':
		return sc.assignment(i)
	case '>':
		return sc.element(i)
	case '-':
		return sc.dashes(i)
	case '\'':
		return sc.sql(i)
	case '@':
		return sc.driverDSN(i)
	case '~':
		return sc.azure(i)
	case '$':
		return sc.crypt(i)
	}
	return 0
}

// url matches the password of scheme://user:password@host.
func (sc *scan) url(i int) int {
	from := i + 3
	rest := sc.s[from:min(len(sc.s), from+maxJudged)]
	sc.work += len(rest) / 8
	start, end, ok := userinfo(rest)
	if !ok {
		return 0
	}
	kind := "url-credentials"
	if format, to := sc.formatAt(from + start); to == from+end {
		kind = format
	}
	sc.add(kind, from+start, from+end)
	return from + end
}

// userinfo finds the password in user:password@host at the start of s.
func userinfo(s string) (start, end int, ok bool) {
	colon := -1
	for i := range len(s) {
		switch c := s[i]; c {
		case ':':
			if colon < 0 {
				colon = i
			}
			continue
		case '@':
			if colon < 0 || i == colon+1 || i+1 == len(s) || isBlank(s[i+1]) {
				return 0, 0, false
			}
			end = i
			for j := i + 1; j < len(s) && strings.IndexByte(" \t\r\n\"'/?#<>", s[j]) < 0; j++ {
				if s[j] == '@' { // a password may hold an unescaped @
					end = j
				}
			}
			v := s[colon+1 : end]
			if from, to, ok := shellDefault(v); ok {
				return colon + 1 + from, colon + 1 + to, true
			}
			return colon + 1, end, !isReference(v) && !isPlaceholder(v) && !isSwitch(v)
		case ' ', '\t', '\n', '\r', '"', '\'', '`', '<', '>', '/', '?', '#', '\\':
			if c != '\\' && (c == '/' || c == '#' || c == '?') && colon > 0 && !allDigits(s[colon+1:i]) {
				continue // a password may hold an unescaped one
			}
			return 0, 0, false
		}
	}
	return 0, 0, false
}

// driverDSN matches user:password@tcp(host), the form of Go's MySQL driver.
func (sc *scan) driverDSN(i int) int {
	s := sc.s
	if !strings.HasPrefix(s[i:], "@tcp(") && !strings.HasPrefix(s[i:], "@unix(") {
		return 0
	}
	from := max(0, i-maxName)
	sc.work += i - from
	back := strings.LastIndexAny(s[from:i], " \t\r\n\"'=")
	colon := strings.IndexByte(s[from+back+1:i], ':')
	start := from + back + 1 + colon + 1
	if colon < 1 || start == i || isReference(s[start:i]) || isPlaceholder(s[start:i]) {
		return 0
	}
	sc.add("connection-string", start, i)
	return i
}

// telegram matches a bot token: digits, a colon, 35 characters of which the
// first is A.
func (sc *scan) telegram(i int) int {
	s := sc.s
	if i < 5 || i+36 > len(s) || s[i+1] != 'A' || !isDigit(s[i-1]) {
		return 0
	}
	from := i
	for from > 0 && i-from < 17 && isDigit(s[from-1]) {
		from--
	}
	end := sc.runOf(word, i+1)
	if n := i - from; n < 6 || n > 16 || end-i != 36 || distinct(s[i:end]) < 12 {
		return 0
	}
	sc.add("telegram-bot-token", from, end)
	return end
}

// azure matches an Entra ID client secret: three characters, a digit, Q~ and 31
// to 34 characters.
func (sc *scan) azure(i int) int {
	s := sc.s
	if i < 5 || s[i-1] != 'Q' || !isDigit(s[i-2]) || i > 5 && isAlnum(s[i-6]) {
		return 0
	}
	end := i + 1
	for end < len(s) && end-i <= 36 && (isAlnum(s[end]) || strings.IndexByte("_~.-", s[end]) >= 0) {
		end++
	}
	if n := end - i - 1; n < 31 || n > 34 {
		return 0
	}
	sc.add("azure-client-secret", i-5, end)
	return end
}

// crypt matches password hashes in modular crypt form.
func (sc *scan) crypt(i int) int {
	s := sc.s
	if i+20 > len(s) || s[i+1] == '{' || s[i+1] == '(' {
		return 0
	}
	for _, p := range [...]string{"$2a$", "$2b$", "$2y$", "$apr1$", "$6$", "$5$", "$1$", "$y$", "$argon2id$", "$argon2i$"} {
		if !strings.HasPrefix(s[i:], p) {
			continue
		}
		end := i + len(p)
		for end < len(s) && end-i < 200 && (isAlnum(s[end]) || strings.IndexByte("./$=,+", s[end]) >= 0) {
			end++
		}
		if end-i-len(p) >= 28 || p[1] != '2' && end-i-len(p) >= 24 {
			sc.add("password-hash", i, end)
			return end
		}
	}
	return 0
}

// dashes looks at a run of dashes: the head of a PEM block, a flag, or a rule.
func (sc *scan) dashes(i int) int {
	s := sc.s
	end := i
	for end < len(s) && s[end] == '-' {
		end++
	}
	if end-i >= 3 {
		if strings.HasPrefix(s[end:], "BEGIN ") {
			if to := sc.privateKey(i, end+len("BEGIN ")); to > 0 {
				return to
			}
		}
		return end
	}
	if i == 0 || strings.IndexByte(" \t\n\r\"'`,[(=", s[i-1]) >= 0 {
		if to := sc.flag(i, end); to > 0 {
			return to
		}
	}
	return end
}

// privateKey matches a PEM-like block from its head at i; label is where the
// label starts. A head alone, as in a grep pattern, is none: some body must
// follow that is not a template.
func (sc *scan) privateKey(i, label int) int {
	s := sc.s
	n := label
	for n < len(s) && n-label < 64 && (isUpper(s[n]) || isDigit(s[n]) || s[n] == ' ') {
		n++
	}
	name := s[label:n]
	if !strings.HasSuffix(name, "PRIVATE KEY") && !strings.HasSuffix(name, "PRIVATE KEY BLOCK") || !strings.HasPrefix(s[n:], "---") {
		return 0
	}
	for n < len(s) && s[n] == '-' {
		n++
	}
	body := n
	for body < len(s) && body-n < 64 && (isBlank(s[body]) || s[body] == '\\' || s[body] == '"' && body > n && s[body-1] == '\\') {
		if s[body] == '\\' && body+1 < len(s) && (s[body+1] == 'n' || s[body+1] == 'r') {
			body++
		}
		body++
	}
	if body == n || body >= len(s) || !isAlnum(s[body]) && s[body] != '/' && s[body] != '+' {
		return 0
	}
	window := s[body:min(len(s), body+16384)]
	sc.work += len(window)
	end := body + len(window)
	if e := strings.Index(window, "---END"); e >= 0 {
		end = body + e + len("---END")
		for end < len(s) && (isAlnum(s[end]) || s[end] == ' ') {
			end++
		}
		for end < len(s) && s[end] == '-' {
			end++
		}
	}
	sc.add(kindPrivateKey, i, end)
	return end
}

// base64 decodes a run that starts at i, if it decodes to text, and matches the
// whole run when that text holds a secret. Returns 0 when there is none.
func (sc *scan) base64(i int) int {
	s := sc.s
	for _, ahead := range [...]int{19, 13, 8} { // most words end before
		if i+ahead >= len(s) || sc.d.class[s[i+ahead]]&(alnum|plus) == 0 {
			return 0
		}
	}
	end := i
	for end < len(s) && sc.d.class[s[end]]&(alnum|plus) != 0 {
		end++
	}
	sc.b64to = end
	sc.work += end - i
	if end-i < 20 || i > 0 && sc.d.class[s[i-1]]&(b64|word) != 0 && s[i-1] != '=' {
		return 0
	}
	var head [15]byte
	if n, err := base64.RawStdEncoding.Decode(head[:], []byte(s[i:i+20])); err != nil || !isText(head[:n]) {
		return 0
	}
	run := s[i:min(end, i+1<<20)]
	if len(run)%4 == 1 {
		run = run[:len(run)-1]
	}
	text, err := base64.RawStdEncoding.DecodeString(run)
	if err != nil || !isText(text[:min(len(text), 64)]) {
		return 0
	}
	inner := scan{d: sc.d, s: string(text), first: true, decoded: true, cautious: sc.cautious}
	inner.run()
	sc.work += inner.work
	if len(inner.out) == 0 {
		return 0
	}
	for end < len(s) && s[end] == '=' {
		end++
	}
	sc.add(inner.out[0].Kind, i, end)
	return end
}

func isText(b []byte) bool {
	for _, c := range b {
		if c < ' ' && !isBlank(c) || c > '~' {
			return false
		}
	}
	return len(b) > 0
}

// isUserPassBase64 reports base64 of user:password, as Docker and npm store it.
func isUserPassBase64(v string) bool {
	v = strings.TrimRight(v, "=")
	if len(v) < 6 || len(v) > 256 {
		return false
	}
	b, err := base64.RawStdEncoding.DecodeString(v)
	if err != nil || !isText(b) {
		return false
	}
	user, pass, ok := strings.Cut(string(b), ":")
	return ok && user != "" && len(pass) > 1 && !strings.ContainsAny(user, " \t\n") && !isReference(pass) && !isPlaceholder(pass)
}
