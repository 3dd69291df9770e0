package secrets

import (
	"math"
	"strings"
)

// The shapes of values: what a password, a token, a random key and the name of
// an object look like.

// isCamel reports a bare identifier in camel case.
func isCamel(v string) bool {
	hump := false
	for i := range len(v) {
		if !isLetter(v[i]) {
			return false
		}
		hump = hump || i > 0 && isUpper(v[i]) && isLower(v[i-1])
	}
	return hump && len(v) < 24
}

// isPassword is the test for names that say password: anything a person could
// type, but sentences and names of variables.
func isPassword(v string) bool {
	if allDigits(v) {
		return len(v) >= 4
	}
	if isConstantName(v) {
		return false
	}
	if words := strings.Count(v, " "); words > 0 {
		return words <= 5 && !strings.ContainsAny(v, "\n:,()") && !isProse(v)
	}
	return strings.IndexByte(v, '\n') < 0
}

// isProse reports text about a secret in place of one.
func isProse(v string) bool {
	for _, w := range strings.Fields(v) {
		switch strings.ToLower(strings.Trim(w, ".,;:!?\"'")) {
		case "the", "a", "an", "is", "to", "for", "of", "your", "must", "enter", "please", "password", "secret", "token", "in", "not", "from", "and", "or", "with", "user", "set", "this", "be", "will", "used":
			return true
		}
	}
	return false
}

// isConstantName reports SCREAMING_SNAKE words: the name of a variable.
func isConstantName(v string) bool {
	under := false
	for i := range len(v) {
		switch c := v[i]; {
		case c == '_':
			under = true
		case !isUpper(c):
			return false
		}
	}
	return under
}

// isToken is the test for names that say token or key: one word of some length
// that is neither a number nor a plain noun of the field.
func isToken(v string, atLeast int) bool {
	if len(v) < atLeast || allDigits(v) || isConstantName(v) || strings.ContainsAny(v, " \t\n,()<>") || isKeyBlock(v) {
		return isKeyBlock(v)
	}
	letters, digits := 0, 0
	for i := range len(v) {
		letters += boolInt(isLetter(v[i]))
		digits += boolInt(isDigit(v[i]))
	}
	if digits == 0 && letters == len(v) {
		if len(v) < 8 && atLeast > 4 || isNoun(v) {
			return false
		}
		return true
	}
	if isVersion(v) {
		return false
	}
	if nameSays(v).strength > weak && digits == 0 && !strings.ContainsAny(v, "!@#$%^&*+=/~?") { // api_key under api_key
		return atLeast <= 4 && strings.IndexByte(v, '_') < 0 && strings.IndexByte(v, '.') < 0
	}
	return len(v) >= 8 || digits > 0 && letters > 0
}

// isKeyBlock reports a PEM private key.
func isKeyBlock(v string) bool {
	return strings.HasPrefix(v, "-----BEGIN") && strings.Contains(v, "PRIVATE KEY")
}

func isVersion(v string) bool {
	for i := range len(v) {
		if c := v[i]; !isDigit(c) && c != '.' && c != '-' && !(i == 0 && c == 'v') {
			return false
		}
	}
	return true
}

// isNoun reports words of the field that stand under token-like names without
// being one.
func isNoun(v string) bool {
	if len(v) > 24 {
		return false
	}
	switch strings.ToLower(v) {
	case "authorization", "authentication", "serviceaccount", "kubernetes", "generated", "external", "internal",
		"password", "username", "accesstoken", "apikey", "secret", "secretkey", "token", "tokens", "key", "accesskey", "credentials",
		"projected", "anonymous", "certificate", "example", "placeholder", "superuser", "default", "database", "postgres", "application", "environment",
		"openid", "bearer", "basic", "header", "cookie", "session", "production", "development", "privatekey", "clientsecret", "idtoken", "refreshtoken", "changeit", "random", "uniquekey":
		return true
	}
	return false
}

// isObjectName reports a dashed, dotted or underscored lower-case name as objects
// and keys carry: my-secret, vault.default.svc, not one with a random part.
func isObjectName(v string) bool {
	sep, digits := 0, 0
	for i := range len(v) {
		switch c := v[i]; {
		case c == '-' || c == '.' || c == '_':
			sep++
		case isDigit(c):
			digits++
		case !isLower(c):
			return false
		}
	}
	return sep > 0 && (digits <= 3 || digits <= len(v)/6)
}

// isRandom reports one word that no person made up: long, mixed, of high
// entropy, and not shaped like a UUID, a digest or an object's name.
func isRandom(v string) bool {
	if len(v) < 16 || isUUID(v) || isObjectName(v) {
		return false
	}
	letters, digits, dashes := 0, 0, 0
	for i := range len(v) {
		switch c := v[i]; {
		case isLetter(c):
			letters++
		case isDigit(c):
			digits++
		case c == '-' || c == '_' || c == '.':
			dashes++
		case strings.IndexByte("+/=~!@#$%^&*", c) < 0:
			return false
		}
	}
	return letters >= 4 && digits >= 2 && dashes <= len(v)/8 && entropy(v) >= 3.2
}

// isUUID reports the 8-4-4-4-12 form.
func isUUID(v string) bool {
	if len(v) != 36 {
		return false
	}
	for i := range len(v) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash != (v[i] == '-') || !dash && !isHex(v[i]) {
			return false
		}
	}
	return true
}

// entropy is Shannon's, in bits a byte, of at most the first 128 bytes.
func entropy(v string) float64 {
	if len(v) > 128 {
		v = v[:128]
	}
	var count [256]uint8
	for i := range len(v) {
		count[v[i]]++
	}
	e, n := 0.0, float64(len(v))
	for _, c := range count {
		if c > 0 {
			p := float64(c) / n
			e -= p * math.Log2(p)
		}
	}
	return e
}

func allDigits(v string) bool {
	for i := range len(v) {
		if !isDigit(v[i]) {
			return false
		}
	}
	return true
}

func isBlank(c byte) bool  { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
func isDigit(c byte) bool  { return c-'0' < 10 }
func isLower(c byte) bool  { return c-'a' < 26 }
func isUpper(c byte) bool  { return c-'A' < 26 }
func isLetter(c byte) bool { return (c|0x20)-'a' < 26 }
func isAlnum(c byte) bool  { return isDigit(c) || isLetter(c) }
func isHex(c byte) bool    { return isDigit(c) || (c|0x20)-'a' < 6 }
func lower(c byte) byte {
	if isUpper(c) {
		return c + 'a' - 'A'
	}
	return c
}
