package secrets

import "strings"

// Names and values inside text: key=value, YAML, JSON, INI, XML, flags, headers
// and SQL.

// assignment looks at the separator at i, ':' or '=', and returns the end of
// the secret after it, or 0.
func (sc *scan) assignment(i int) int {
	s := sc.s
	if i == 0 || i+1 >= len(s) || strings.IndexByte("!<>=~", s[i-1]) >= 0 {
		return 0
	}
	next := s[i+1]
	if s[i] == '=' && (next == '=' || next == '~') || s[i] == ':' && (next == '=' || next == ':') {
		return 0
	}
	key, quoted := sc.keyBefore(i)
	if key == "" {
		return 0
	}
	if key == "value" && sc.carriedActive && i-sc.carriedAt < 200 {
		sc.carriedActive = false
		return sc.valueAfter(i, sc.carried, quoted)
	}
	n := nameSays(key)
	if n.strength == none {
		if key == "name" || key == "key" || key == "Name" {
			sc.remember(i)
		}
		return 0
	}
	if key == "key" || key == "auth" && !quoted && s[i] == ':' && next != ' ' {
		sc.remember(i)
	}
	return sc.valueAfter(i, n, quoted)
}

// keyBefore returns the name that ends before i, and whether it was quoted.
func (sc *scan) keyBefore(i int) (key string, quoted bool) {
	s := sc.s
	end := i
	if end > 0 && s[end-1] == ':' { // :=
		end--
	}
	for end > 0 && i-end < 8 && (s[end-1] == ' ' || s[end-1] == '\t' || s[end-1] == '?' || s[end-1] == '+') {
		end--
	}
	if end > 0 && (s[end-1] == '"' || s[end-1] == '\'' || s[end-1] == '`') {
		end--
		quoted = true
		if end > 0 && s[end-1] == '\\' {
			end--
		}
	} else if end > 1 && s[end-1] == ']' && (s[end-2] == '"' || s[end-2] == '\'') { // env["TOKEN"] =
		end -= 2
	}
	start := end
	for start > 0 && end-start < maxName && (isAlnum(s[start-1]) || s[start-1] == '_' || s[start-1] == '-' || s[start-1] == '.') {
		start--
	}
	sc.work += i - start
	if strings.HasSuffix(s[:start], "checksum/") { // the annotation that rolls pods
		return "", false
	}
	return s[start:end], quoted
}

// remember keeps a name carried as a value: name: DB_PASSWORD, whose value
// follows under a key of its own.
func (sc *scan) remember(i int) {
	start, end, _ := sc.literalAfter(i)
	sc.carriedActive = false
	if start < end && end-start < maxName {
		sc.carryName(sc.s[start:end], end)
	}
}

func (sc *scan) carryName(name string, at int) {
	if n := nameSays(name); n.strength != none {
		sc.carried, sc.carriedAt, sc.carriedActive = n, at, true
	}
}

// valueAfter judges what follows the separator at i.
func (sc *scan) valueAfter(i int, n naming, quotedKey bool) int {
	s := sc.s
	if s[i] == ':' && !quotedKey && strings.IndexByte(" \t\n\r\"'\\", s[i+1]) < 0 {
		return 0 // image:tag, host:port
	}
	start, end, quoted := sc.literalAfter(i)
	if start >= end {
		return 0
	}
	if bare := end; n.header || n.auth || n.strength == tokenLike {
		if s[i] == '=' && !quoted && end < len(s) && s[end] == ' ' && end-start < 8 { // AUTH=Basic x
			for end++; end < len(s) && end-start < maxToken && !isBlank(s[end]); end++ {
				sc.work++
			}
		}
		if from, to, ok := credentialAfterScheme(s[start:end]); ok {
			return sc.credential(start+from, start+to)
		}
		end = bare
	}
	v := s[start:end]
	if !quoted && strings.IndexByte(v, ' ') >= 0 {
		end = start + firstOfFlow(v)
		v = s[start:end]
		if v == "" {
			return 0
		}
	}
	return sc.judge(n, start, end, !quoted)
}

// judge adds s[start:end] if it is plausible under n.
func (sc *scan) judge(n naming, start, end int, code bool) int {
	v := sc.s[start:end]
	sc.work += min(len(v), maxJudged)
	if !plausible(n, v, code) && !sc.doubtful(n, v) {
		if n.conn {
			if from, to, ok := userinfo(v[:min(len(v), maxJudged)]); ok {
				sc.add("connection-string", start+from, start+to)
				return start + to
			}
		}
		return 0
	}
	if from, to, ok := shellDefault(v); ok {
		start, end = start+from, start+to
	}
	kind := n.kind
	if format, to := sc.formatAt(start); to >= end-2 && to > 0 {
		kind = format
	} else if strings.HasPrefix(v, "---") && strings.Contains(v[:min(len(v), 64)], "PRIVATE KEY") {
		if to := sc.dashes(start); to > start && len(sc.out) > 0 && sc.out[len(sc.out)-1].End == to {
			return to
		}
	} else if hit := sc.decodedKind(start, end); hit != "" {
		kind = hit
	}
	sc.add(kind, start, end)
	return end
}

// decodedKind returns the kind of what the base64 value at start holds, or "".
func (sc *scan) decodedKind(start, end int) string {
	if sc.decoded || end-start < 20 {
		return ""
	}
	n, done := len(sc.out), sc.b64to
	to := sc.base64(start)
	sc.b64to = done
	if to < end || len(sc.out) == n {
		sc.out = sc.out[:n]
		return ""
	}
	kind := sc.out[n].Kind
	sc.out = sc.out[:n]
	return kind
}

// doubtful decides for redaction where detection would say no.
func (sc *scan) doubtful(n naming, v string) bool {
	return sc.cautious && n.strength > weak && len(v) > 1 && !isSwitch(v) && !isReference(v) && !isPath(v)
}

// literalAfter returns the bounds of the literal after the separator at i and
// whether it was quoted.
func (sc *scan) literalAfter(i int) (start, end int, quoted bool) {
	s := sc.s
	j := i + 1
	if j < len(s) && s[i] == '=' && s[j] == '>' {
		j++
	}
	for j < len(s) && j-i < 24 && (s[j] == ' ' || s[j] == '\t') {
		j++
	}
	if j == len(s) || s[j] == '\n' || s[j] == '\r' {
		return j, j, false
	}
	escaped := s[j] == '\\' && j+1 < len(s) && s[j+1] == '"'
	if escaped {
		j++
	}
	switch q := s[j]; q {
	case '"', '\'':
		end := sc.closingQuote(j+1, q, escaped)
		return j + 1, end, true
	case '|', '>':
		if s[i] == ':' {
			return sc.block(j)
		}
	case '!':
		if s[i] == ':' && strings.HasPrefix(s[j:], "!!") { // a YAML tag
			for j < len(s) && s[j] != ' ' && s[j] != '\n' && j-i < 40 {
				j++
			}
			for j < len(s) && s[j] == ' ' && j-i < 48 {
				j++
			}
		}
	}
	return j, sc.bareEnd(i, j), false
}

// closingQuote returns where a quoted literal ends: at its quote or, without
// one, at the end of the line.
func (sc *scan) closingQuote(j int, q byte, escaped bool) int {
	s := sc.s
	start := j
	stop := min(len(s), j+maxToken)
	line := -1
	for ; j < stop && (s[j] != q); j++ {
		if s[j] == '\\' && j+1 < stop {
			if escaped && s[j+1] == '"' {
				break
			}
			j++
		} else if s[j] == '\n' && line < 0 {
			line = j
			if j-start > 256 { // not a key block: a stray quote
				break
			}
		}
	}
	sc.work += j - start
	if j >= stop && line >= 0 {
		return line
	}
	return min(j, stop)
}

// block returns the first line of a YAML block scalar whose indicator is at j.
func (sc *scan) block(j int) (start, end int, quoted bool) {
	s := sc.s
	k := j + 1
	for k < len(s) && k-j < 4 && (s[k] == '-' || s[k] == '+' || isDigit(s[k])) {
		k++
	}
	if k >= len(s) || s[k] != '\n' && s[k] != '\r' {
		return j, j, false
	}
	for k < len(s) && k-j < 80 && isBlank(s[k]) {
		k++
	}
	end = k
	for end < len(s) && end-k < maxToken && s[end] != '\n' && s[end] != '\r' {
		end++
	}
	sc.work += end - j
	return k, end, true
}

// bareEnd returns the end of an unquoted literal. After '=' it is a shell or
// properties word; after ':' it is the rest of the line, which may turn out to
// be prose or a flow of more keys (firstOfFlow).
func (sc *scan) bareEnd(sep, j int) int {
	s := sc.s
	start := j
	stop := min(len(s), j+maxToken)
	spaces := s[sep] == ':'
	if sc.bareFrom < j && j < sc.bareTo && sc.bareSpaces == spaces {
		return sc.bareTo
	}
	if strings.HasPrefix(s[j:], "${") { // its default may hold what ends a word
		if n := strings.IndexByte(s[j:min(stop, j+maxJudged)], '}'); n > 0 {
			j += n + 1
		}
	}
loop:
	for ; j < stop; j++ {
		switch c := s[j]; c {
		case '\n', '\r', '\t', '"', '`':
			break loop
		case '\'':
			if j > start {
				break loop
			}
		case ' ':
			if !spaces || j+1 < stop && s[j+1] == '#' {
				break loop
			}
		case ';':
			break loop
		case ',', '}', '&', '|', ')', '<':
			if j > start && sc.endsBare(c, j) {
				break loop
			}
		case '\\':
			if j+1 < stop && (s[j+1] == 'n' || s[j+1] == '"' || s[j+1] == 'r' || s[j+1] == '\n') {
				break loop
			}
		}
	}
	sc.work += j - start
	for j > start && s[j-1] == ' ' {
		j--
	}
	sc.bareFrom, sc.bareTo, sc.bareSpaces = start, j, spaces
	return j
}

// endsBare reports whether a punctuation mark at j ends an unquoted literal: a
// password may hold one, but not before a blank or a further key.
func (sc *scan) endsBare(c byte, j int) bool {
	s := sc.s
	if j+1 == len(s) || isBlank(s[j+1]) {
		return c != '&'
	}
	switch c {
	case '}', ')':
		return strings.IndexByte(",;)}\"'", s[j+1]) >= 0
	case '<':
		return s[j+1] == '/'
	}
	k := j + 1
	for k < len(s) && k-j < 40 && (isAlnum(s[k]) || strings.IndexByte("_-. ", s[k]) >= 0) {
		k++
	}
	return k > j+1 && k < len(s) && (s[k] == '=' || s[k] == ':') || s[j+1] == '"'
}

// firstOfFlow returns the length of the value at the start of a line of several
// words: of all words when they may be a passphrase, of the first when the
// second is a further key or a comment, 0 when it is prose.
func firstOfFlow(v string) int {
	first, rest, _ := strings.Cut(v, " ")
	rest = strings.TrimLeft(rest, " ")
	word, _, _ := strings.Cut(rest, " ")
	if strings.HasSuffix(word, ":") || strings.IndexByte(word, '=') > 0 || strings.HasPrefix(word, "#") || strings.HasPrefix(word, "-") && len(word) > 1 ||
		strings.HasPrefix(word, "|") || strings.HasPrefix(word, ">") || strings.HasPrefix(word, "&") {
		return len(strings.TrimRight(first, ",;"))
	}
	return 0
}

// credentialAfterScheme finds the credential in "Bearer x" and the like.
func credentialAfterScheme(v string) (from, to int, ok bool) {
	scheme, _, found := strings.Cut(v[:min(len(v), 24)], " ")
	if !found {
		return 0, 0, false
	}
	switch strings.ToLower(scheme) {
	case "bearer", "basic", "token", "apikey", "api-key", "key", "splunk", "negotiate", "genie_key", "genielkey", "geniekey":
	default:
		return 0, 0, false
	}
	from = len(scheme)
	for from < len(v) && v[from] == ' ' {
		from++
	}
	to = from
	for to < len(v) && strings.IndexByte(" \t\r\n\"'\\,;", v[to]) < 0 {
		to++
	}
	return from, to, to > from
}

// credential judges what followed an authentication scheme.
func (sc *scan) credential(start, end int) int {
	v := sc.s[start:min(end, start+maxJudged)]
	if isHarmless(v) || isCode(v) || !isUserPassBase64(v) && !isToken(v, 6) || isObjectName(v) {
		return 0
	}
	kind := "authorization-header"
	if format, to := sc.formatAt(start); to == end {
		kind = format
	}
	sc.add(kind, start, end)
	return end
}

// element matches <password>x</password>, and remembers <name>DB_PASSWORD</name>.
func (sc *scan) element(i int) int {
	s := sc.s
	key, _ := sc.keyBefore(i)
	start := i - len(key)
	if key == "" || start == 0 || s[start-1] != '<' {
		return 0
	}
	end := i + 1
	for end < len(s) && end-i < maxJudged && s[end] != '<' && s[end] != '\n' {
		end++
	}
	sc.work += end - i
	if !strings.HasPrefix(s[end:], "</") || end == i+1 {
		return 0
	}
	switch n := nameSays(key); {
	case key == "name":
		sc.carriedActive = false
		sc.carryName(s[i+1:end], end)
	case key == "value" && sc.carriedActive && i-sc.carriedAt < 200:
		sc.carriedActive = false
		return sc.judge(sc.carried, i+1, end, false)
	case n.strength != none:
		return sc.judge(n, i+1, end, false)
	}
	return 0
}

// flag matches "--password x": the dashes stand at i, the name starts at from.
func (sc *scan) flag(i, from int) int {
	s := sc.s
	end := from
	for end < len(s) && end-from < maxName && (isAlnum(s[end]) || s[end] == '-' || s[end] == '_' || s[end] == '.') {
		end++
	}
	sc.work += end - i
	if end-from < 3 || end == len(s) {
		return 0
	}
	at := end
	for at < len(s) && at-end < 8 && strings.IndexByte(" \t\"',", s[at]) >= 0 {
		at++
	}
	if at == end || at == len(s) || s[at] == '-' {
		return 0
	}
	n := nameSays(s[from:end])
	if n.strength <= weak {
		return 0
	}
	start, stop, quoted := sc.shellWord(at)
	quoted = quoted || s[at-1] == '"' || s[at-1] == '\''
	if start == stop || !quoted && isFlagProse(s[start:stop]) {
		return 0
	}
	if !quoted && n.strength < passwordLike && !strings.ContainsAny(s[start:stop], "0123456789") {
		return 0 // most likely the next word of a sentence
	}
	return sc.judge(n, start, stop, !quoted)
}

// shellWord returns the bounds of the word at i, without its quotes.
func (sc *scan) shellWord(i int) (start, end int, quoted bool) {
	s := sc.s
	if s[i] == '"' || s[i] == '\'' {
		return i + 1, sc.closingQuote(i+1, s[i], false), true
	}
	end = i
	for end < len(s) && end-i < maxToken && strings.IndexByte(" \t\r\n\"';|&)", s[end]) < 0 {
		end++
	}
	sc.work += end - i
	return i, end, false
}

// isFlagProse reports words that follow a flag in a sentence about it.
func isFlagProse(w string) bool {
	switch strings.TrimRight(w, ".,:;") {
	case "flag", "flags", "option", "options", "is", "are", "to", "for", "and", "or", "must", "from", "value", "argument", "instead", "with",
		"in", "when", "the", "a", "an", "if", "on", "was", "will", "can", "should", "of", "as", "not", "has", "only", "parameter", "because", "file", "stdin":
		return true
	}
	return false
}

// sql matches PASSWORD 'x' and IDENTIFIED BY 'x'.
func (sc *scan) sql(i int) int {
	s := sc.s
	from := max(0, i-16)
	before := strings.ToLower(strings.TrimRight(s[from:i], " ("))
	if i == from || s[i-1] != ' ' && s[i-1] != '(' || !strings.HasSuffix(before, "password") && !strings.HasSuffix(before, "identified by") && !strings.HasSuffix(before, "with_password") {
		return 0
	}
	end := sc.closingQuote(i+1, '\'', false)
	if end <= i+1 || end >= len(s) || s[end] != '\'' {
		return 0
	}
	return sc.judge(naming{strength: passwordLike, kind: kindPassword}, i+1, end, false)
}
