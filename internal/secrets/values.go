package secrets

import "strings"

// What a value is. A value under a name that says secret is one unless it is
// plainly something else: a reference, a template, a path, a switch, a number,
// the name of an object, a placeholder that asks to be replaced.

const maxJudged = 256 // bytes of a value that are looked at; keeps hostile input linear

// plausible reports whether v, carried under a name read as n, can be the
// secret itself. code is set for text that may be program source, where a bare
// word is an identifier.
func plausible(n naming, v string, code bool) bool {
	if len(v) > maxJudged {
		v = v[:maxJudged]
	}
	if from, to, ok := shellDefault(v); ok {
		v = v[from:to]
	}
	if n.auth && isUserPassBase64(v) {
		return true
	}
	if len(v) < 2 || isHarmless(v) {
		return false
	}
	if code && (isCode(v) || n.strength < passwordLike && isCamel(v)) || n.holdsKey && !strings.ContainsAny(v, "0123456789") {
		return false
	}
	switch n.strength {
	case passwordLike:
		return isPassword(v)
	case secretLike:
		return isPassword(v) && isToken(v, 4) && !isObjectName(v)
	case tokenLike:
		return isToken(v, 6) && !isObjectName(v)
	case weak:
		return isRandom(v)
	}
	return false
}

// isHarmless reports values that are no secret under any name.
func isHarmless(v string) bool {
	return isSwitch(v) || isReference(v) || isPlaceholder(v) || isPath(v) || isQuantity(v) || isPublic(v)
}

// isSwitch reports booleans, nulls and type names.
func isSwitch(v string) bool {
	if len(v) > 12 {
		return false
	}
	var b [12]byte
	for i := range len(v) {
		b[i] = lower(v[i])
	}
	switch string(b[:len(v)]) {
	case "true", "false", "yes", "no", "on", "off", "null", "nil", "none", "undefined", "n/a", "na",
		"enabled", "disabled", "enable", "disable", "auto", "automatic", "required", "optional", "always", "never", "inherit", "string", "str", "int",
		"integer", "number", "bool", "boolean", "object", "array", "list", "map", "bytes", "any", "file",
		"opaque", "unset", "empty", "unknown", "redacted", "omitted", "hidden", "masked", "removed", "[redacted]", "(unset)", "todo", "tbd", "fixme":
		return true
	}
	return false
}

// isReference reports values that point to a secret held elsewhere, and
// templates that something else fills in.
func isReference(v string) bool {
	switch v[0] {
	case '$':
		if len(v) > 1 && (v[1] == '(' || v[1] == '{' || v[1] == '$' || v[1] == '[') {
			return true
		}
		if n := identifier(v[1:]); n > 0 && (1+n == len(v) || strings.IndexByte("/:.-,\"'@ ", v[1+n]) >= 0) {
			return true
		}
		if len(v) == 2 { // $1, $@
			return true
		}
	case '<', '{':
		if v[len(v)-1] == '>' || v[len(v)-1] == '}' || strings.HasPrefix(v, "<<") || strings.HasPrefix(v, "{{") {
			return true
		}
	case '%', '@', '_', '#', '[':
		if len(v) > 2 && v[len(v)-1] == closing(v[0]) && identifier(strings.Trim(v, "%@_#[]{}")) > 0 {
			return true
		}
		if v[0] == '%' && (len(v) == 2 || v[1] == '(' || strings.IndexByte(v, '.') == 1+identifier(v[1:])) {
			return true
		}
	case '`':
		return true
	}
	if strings.Contains(v, "${") || strings.Contains(v, "{{") || strings.Contains(v, "$(") || strings.Contains(v, "<%") {
		return true
	}
	if i := strings.IndexByte(v, '<'); i >= 0 && strings.IndexByte(v[i:], '>') > 1 {
		return true
	}
	if i := strings.Index(v, "://"); i > 0 && i < 24 {
		return true // a URL; credentials inside one are found by its own rule
	}
	for _, p := range [...]string{"vault:", "ref+", "arn:", "projects/", "ENC[", "op:/", "secretref:", "secretRef:", "env:", "file:",
		"valueFrom", "secretKeyRef", "AgA", "AgB", "AgC", "AQICAH", "ssm:", "keyvault:", "@Microsoft.KeyVault", "encrypted:", "resolve:", "os.", "process.env", "getenv", "lookup(", "urn:"} {
		if strings.HasPrefix(v, p) {
			return p[0] != 'A' || len(v) >= 160 // sealed and KMS-encrypted values are long
		}
	}
	return false
}

func closing(c byte) byte {
	if c == '[' {
		return ']'
	}
	return c
}

// identifier returns the length of the [A-Za-z_][A-Za-z0-9_]* that s starts with.
func identifier(s string) int {
	n := 0
	for n < len(s) && (isLetter(s[n]) || s[n] == '_' || n > 0 && isDigit(s[n])) {
		n++
	}
	return n
}

// shellDefault finds the literal in ${NAME:-literal}, ${NAME-literal} and
// ${NAME:literal}, which a shell or Spring uses when NAME is not set.
func shellDefault(v string) (from, to int, ok bool) {
	if len(v) < 6 || v[0] != '$' || v[1] != '{' || v[len(v)-1] != '}' {
		return 0, 0, false
	}
	from, to = 2, len(v)-1
	for from < to && (isAlnum(v[from]) || v[from] == '_' || v[from] == '.') {
		from++
	}
	if from == 2 || from == to {
		return 0, 0, false
	}
	switch {
	case strings.HasPrefix(v[from:], ":-"), strings.HasPrefix(v[from:], ":="):
		from += 2
	case v[from] == ':' && v[from+1] != '?' && v[from+1] != '+', v[from] == '-':
		from++
	default:
		return 0, 0, false
	}
	if from >= to || strings.IndexByte(v[from:to], '$') >= 0 {
		return 0, 0, false
	}
	return from, to, true
}

// isPlaceholder reports values that ask to be replaced. "changeme" and
// "password" are not among them: they are the passwords of running systems.
func isPlaceholder(v string) bool {
	if one := strings.Trim(v, v[:1]); one == "" && (len(v) > 2 || !isAlnum(v[0])) {
		return strings.IndexByte("xX*.-_?#0 ~", v[0]) >= 0
	}
	if strings.Contains(v, "***") || strings.Contains(v, "...") || strings.Contains(v, "…") || strings.Contains(v, "xxxx") || strings.Contains(v, "XXXX") ||
		strings.Contains(v, "OMITTED") || strings.Contains(v, "REDACTED") {
		return true
	}
	if len(v) > 80 {
		return false
	}
	for i := range len(v) {
		switch lower(v[i]) {
		case 'r':
			if asks(v[i:], "replace", "me", "this", "with", "by", "") {
				return true
			}
		case 'y':
			if i == 0 || !isAlnum(v[i-1]) {
				if asks(v[i:], "your", "") {
					return true
				}
			}
		case 'c':
			if asks(v[i:], "change_me", "") || asks(v[i:], "change-this", "") || asks(v[i:], "change_this", "") {
				return true
			}
		case 'i':
			if i == 0 && (asks(v, "insert_", "") || asks(v, "insert-", "") || asks(v, "insert ", "")) {
				return true
			}
		case 'p':
			if asks(v[i:], "placeholder", "") {
				return true
			}
		case 't':
			if i == 0 && (asks(v, "todo:", "") || asks(v, "todo_", "")) {
				return true
			}
		case 'e':
			if i == 0 && (asks(v, "enter_", "") || asks(v, "enter-", "") || asks(v, "enter ", "")) {
				return true
			}
		}
	}
	return false
}

// asks reports whether s starts, in any case, with stem and one of the tails,
// an underscore, dash or blank between them not counting.
func asks(s, stem string, tails ...string) bool {
	if len(s) < len(stem) || !strings.EqualFold(s[:len(stem)], stem) {
		return false
	}
	s = s[len(stem):]
	if s != "" && (s[0] == '_' || s[0] == '-' || s[0] == ' ') {
		s = s[1:]
	}
	for _, t := range tails {
		if t == "" && stem == "replace" {
			return s == ""
		}
		if len(s) >= len(t) && strings.EqualFold(s[:len(t)], t) {
			return true
		}
	}
	return false
}

// isPath reports file paths and file names. Base64 may hold slashes too, so
// every segment of a path must read like one.
func isPath(v string) bool {
	slash := strings.IndexByte(v, '/')
	if slash < 0 {
		if strings.HasPrefix(v, `C:\`) || strings.HasPrefix(v, `c:\`) {
			return true
		}
		dot := strings.LastIndexByte(v, '.')
		return dot > 0 && isFileSuffix(v[dot+1:])
	}
	segments := 0
	for _, seg := range strings.Split(v, "/") {
		if seg == "" || seg == "." || seg == ".." || seg == "~" {
			continue
		}
		segments++
		for i := range len(seg) {
			if c := seg[i]; !isAlnum(c) && strings.IndexByte("._-${}~:@%", c) < 0 {
				return false
			}
		}
		if len(seg) > 12 && looksMixed(seg) {
			return false
		}
	}
	if slash == 0 || v[0] == '.' || v[0] == '~' {
		return true
	}
	return segments >= 2 && !hasBase64Shape(v)
}

// hasBase64Shape reports a slash-holding value that mixes cases and digits the
// way base64 does.
func hasBase64Shape(v string) bool {
	return len(v) >= 16 && looksMixed(v) && !strings.ContainsAny(v, ".-_ ")
}

// looksMixed reports upper case, lower case and digits in one run of text.
func looksMixed(s string) bool {
	var up, low, dig bool
	for i := range len(s) {
		c := s[i]
		up, low, dig = up || isUpper(c), low || isLower(c), dig || isDigit(c)
	}
	return up && low && dig
}

func isFileSuffix(s string) bool {
	switch s {
	case "key", "pem", "crt", "cert", "cer", "p12", "pfx", "jks", "json", "yaml", "yml", "txt", "conf", "cfg", "ini",
		"properties", "env", "sh", "xml", "toml", "pub", "gpg", "asc", "keystore", "truststore", "kubeconfig", "log", "sock", "py", "js", "go":
		return true
	}
	return false
}

// isQuantity reports durations, sizes, versions and dates: digits with short units.
func isQuantity(v string) bool {
	if (v[0] == '^' || v[0] == '~') && isVersion(v[1:]) {
		return true
	}
	if !isDigit(v[0]) && v[0] != '-' && v[0] != '+' && v[0] != 'v' || len(v) > 32 {
		return false
	}
	digits, letters, run := 0, 0, 0
	for i := range len(v) {
		switch c := v[i]; {
		case isDigit(c):
			digits++
			run = 0
		case isLetter(c):
			letters++
			if run++; run > 2 {
				return false
			}
		case strings.IndexByte(".:-+", c) < 0:
			return false
		default:
			run = 0
		}
	}
	if letters == 0 {
		return digits < len(v) // a bare number is judged by the name's strength
	}
	last := v[len(v)-1]
	return digits > 0 && letters <= 4 && strings.IndexByte("smhdwysiBMKGTzZ", last) >= 0 && (letters <= 2 || last == 'Z' || strings.Contains(v, "h") || strings.Contains(v, "m")) && len(v) <= 10+10*boolInt(strings.Contains(v, "-"))
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// isPublic reports material that is meant to be seen.
func isPublic(v string) bool {
	for _, p := range [...]string{"sha256:", "sha512:", "sha1:", "sha1-", "sha256-", "sha384-", "sha512-", "md5:", "ssh-rsa ", "ssh-ed25519 ", "ecdsa-sha2-", "age1", "pk_live_", "pk_test_", "LS0tLS1CRUdJTiBDRVJU", "LS0tLS1CRUdJTiBQVUJM", "-----BEGIN CERT", "-----BEGIN PUBLIC", "-----BEGIN RSA PUBLIC"} {
		if strings.HasPrefix(v, p) {
			return true
		}
	}
	return false
}

// isCode reports an unquoted value that reads as program source: a call, a
// member, a bare identifier in camel case.
func isCode(v string) bool {
	switch v[0] {
	case '(', '[', '{', '&', '*', '|', '>', '<', '!', '=', ')', ']', '}', ',', ';', '\\', '?', '+':
		return true
	}
	if strings.IndexByte(v, '(') > 0 || strings.IndexByte(v, '[') > 0 || identifier(v) > 0 && v[len(v)-1] == '{' {
		return true
	}
	switch v {
	case "range", "new", "New-Object", "func", "function", "await", "return", "lambda", "make", "if", "this", "self", "not", "input":
		return true
	}
	if dot := strings.LastIndexByte(v, '.'); dot > 0 && identifier(v) > 0 && dot+1 < len(v) && isUpper(v[dot+1]) && identifier(v[dot+1:]) == len(v)-dot-1 && !looksMixed(v[dot+1:]) {
		return true // a package's member: v1.Secret
	}
	dot, hump, other := 0, false, false
	for i := range len(v) {
		switch c := v[i]; {
		case c == '.':
			dot++
		case isUpper(c) && i > 0 && isLower(v[i-1]):
			hump = true
		case !isLetter(c) && c != '_':
			other = true
		}
	}
	if other {
		return false
	}
	return dot > 0 && v[len(v)-1] != '.' || hump && nameSays(v).strength > weak
}

// trimLiteral returns the bounds of v without blanks around it and without one
// pair of quotes.
func trimLiteral(v string) (start, end int) {
	end = len(v)
	for start < end && isBlank(v[start]) {
		start++
	}
	for end > start && isBlank(v[end-1]) {
		end--
	}
	if end-start >= 2 && (v[start] == '"' || v[start] == '\'') && v[end-1] == v[start] {
		return start + 1, end - 1
	}
	return start, end
}
