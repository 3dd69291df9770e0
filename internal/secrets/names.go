package secrets

// What a name says about the value it carries. The words of a name are read in
// snake, kebab, dotted and camel case; the word that carries the meaning is the
// last one of carrier role, what stands before it qualifies it (api KEY), what
// stands after it may turn it into the name of a thing (PASSWORD_FILE).

// strength orders how little a value must show before it is taken for a secret.
type strength uint8

const (
	none         strength = iota
	weak                  // only a value that looks random
	tokenLike             // a literal that no person would choose as a name
	secretLike            // a literal that is not the name of a Secret object
	passwordLike          // any literal
)

// naming is the reading of one name.
type naming struct {
	strength strength
	kind     string
	conn     bool // a connection string: the password is inside
	auth     bool // may be base64 of user:password
	header   bool // an Authorization header: scheme, then credential
	holdsKey bool // commonly holds the name of a key: words alone are no secret
}

const (
	kindPassword   = "password-assignment"
	kindSecret     = "secret-assignment"
	kindToken      = "token-assignment"
	kindKey        = "key-assignment"
	kindCredential = "credential-assignment"
	kindPrivateKey = "private-key"
)

// SaysSecret reports whether a name announces that its value is a secret,
// whatever that value is: DB_PASSWORD, clientSecret, api-key; not
// PASSWORD_FILE, secretName, publicKey.
func SaysSecret(name string) bool { return nameSays(name).strength > weak }

const (
	maxName  = 96 // bytes of a name that are read, from its end
	maxWords = 16
)

// nameWords is a name cut into lower-case words, without allocation.
type nameWords struct {
	buf  [maxName]byte
	from [maxWords]uint8
	to   [maxWords]uint8
	n    int
}

func (w *nameWords) word(i int) []byte { return w.buf[w.from[i]:w.to[i]] }

// split cuts a name. Digits stay with the word before them and are dropped at
// its end, so PASSWORD_2 and password2 read as password.
func (w *nameWords) split(name string) {
	if len(name) > maxName {
		name = name[len(name)-maxName:]
	}
	start := -1
	for i := 0; i <= len(name); i++ {
		if i < len(name) && isAlnum(name[i]) {
			c := name[i]
			upper := isUpper(c)
			hump := start >= 0 && upper && (!isUpper(name[i-1]) || i+1 < len(name) && isLower(name[i+1]) && i > start+1)
			if hump {
				w.add(start, i)
				start = i
			}
			if start < 0 {
				start = i
			}
			if upper {
				c += 'a' - 'A'
			}
			w.buf[i] = c
			continue
		}
		if start >= 0 {
			w.add(start, i)
			start = -1
		}
	}
}

func (w *nameWords) add(from, to int) {
	for to > from && isDigit(w.buf[to-1]) {
		to--
	}
	if to == from {
		return
	}
	if w.n == maxWords { // keep the last words: they decide
		copy(w.from[:], w.from[1:])
		copy(w.to[:], w.to[1:])
		w.n--
	}
	w.from[w.n], w.to[w.n] = uint8(from), uint8(to)
	w.n++
}

// role is what one word does in a name.
type role uint8

const (
	roleNone role = iota
	rolePassword
	rolePass
	roleSecret
	roleSecrets
	roleToken
	roleTokens
	roleKey
	roleAPIKey
	roleCredential
	roleAuth
	roleAuthorization
	roleConnection
	roleCookie
	roleThing   // after a carrier: the value is a thing about the secret
	roleNeutral // after a carrier: changes nothing
	roleSwitch  // before a carrier: the value is a choice or a reference
)

// nameSays reads a name.
func nameSays(name string) naming {
	if !mayCarry(name) {
		return naming{}
	}
	var w nameWords
	w.split(name)
	at, carrier := -1, roleNone
	var roles [maxWords]role
	for i := range w.n {
		r := roleOf(w.word(i))
		roles[i] = r
		if r >= rolePassword && r <= roleCookie && !qualifies(&w, roles[:], i) {
			at, carrier = i, r
		}
	}
	if at < 0 {
		return naming{}
	}
	for i := range at {
		if roles[i] == roleSwitch || string(w.word(i)) == "checksum" {
			return naming{}
		}
	}
	tail := false // words that say neither thing nor nothing
	for i := at + 1; i < w.n; i++ {
		switch roles[i] {
		case roleThing:
			return naming{}
		case roleNeutral:
			if endsIn(w.word(i), "ash") && carrier != rolePassword { // a hash of a token tells nothing
				return naming{}
			}
		default:
			tail = true
		}
	}
	n := weigh(&w, roles[:], at, carrier, tail)
	n.holdsKey = name == "secretKey" // ExternalSecret, SecretProviderClass
	return n
}

// qualifies reports whether the carrier at i only qualifies what follows, or
// follows a stronger carrier it belongs to: PASSWORD_AUTH is about auth.
func qualifies(w *nameWords, roles []role, i int) bool {
	return i > 0 && roles[i] == roleAuth && roles[i-1] != roleNone
}

// weigh turns the carrier at index at and its neighbours into a reading.
func weigh(w *nameWords, roles []role, at int, carrier role, tail bool) naming {
	var before role
	var beforeWord []byte
	if at > 0 {
		before, beforeWord = roles[at-1], w.word(at-1)
	}
	lower := func(s strength) strength {
		if tail {
			return min(s, weak)
		}
		return s
	}
	switch carrier {
	case rolePassword:
		return naming{strength: passwordLike, kind: kindPassword}
	case rolePass:
		if string(beforeWord) == "proxy" || tail {
			return naming{}
		}
		return naming{strength: passwordLike, kind: kindPassword}
	case roleSecret:
		if before == rolePassword || holdsObject(beforeWord) {
			return naming{strength: weak, kind: kindSecret}
		}
		if at > 0 && ownsSecret(beforeWord) {
			return naming{strength: passwordLike - 1 + boolStrength(!tail), kind: kindSecret}
		}
		return naming{strength: secretLike, kind: kindSecret}
	case roleSecrets, roleTokens:
		return naming{strength: weak, kind: kindSecret}
	case roleToken:
		return naming{strength: lower(tokenLike), kind: kindToken}
	case roleAPIKey:
		return naming{strength: lower(tokenLike), kind: kindKey}
	case roleKey:
		return naming{strength: lower(keyStrength(before, beforeWord)), kind: kindKey}
	case roleCredential:
		return naming{strength: lower(secretLike), kind: kindCredential, auth: true}
	case roleAuth:
		return naming{strength: weak, kind: kindCredential, auth: true, conn: true}
	case roleAuthorization:
		return naming{strength: weak, kind: kindCredential, auth: true, header: true}
	case roleConnection:
		return naming{strength: weak, kind: "connection-string", conn: true}
	case roleCookie:
		if string(beforeWord) == "erlang" {
			return naming{strength: secretLike, kind: kindSecret}
		}
	}
	return naming{}
}

// boolStrength is 1 for true.
func boolStrength(b bool) strength {
	if b {
		return 1
	}
	return 0
}

// keyStrength tells which keys are secrets by the word before: an API key is,
// a sort key is not, of an unknown one the value decides.
func keyStrength(before role, word []byte) strength {
	switch before {
	case roleSecret, roleAuth, roleToken, roleCookie:
		return tokenLike
	case rolePassword, roleSecrets:
		return weak
	}
	switch string(word) {
	case "api", "access", "private", "encryption", "encrypt", "decryption", "decrypt",
		"signing", "sign", "signature", "master", "account", "storage", "shared",
		"ssh", "deploy", "deployment", "license", "licence", "service", "subscription", "client", "hmac",
		"jwt", "aes", "rsa", "crypto", "cipher", "session", "app", "application", "admin",
		"function", "batch", "write", "integration", "ingest", "ingestion", "security",
		"wireguard", "wg", "gpg", "pgp", "unseal", "recovery", "appinsights", "instrumentation",
		"cosmos", "cosmosdb", "maps", "search", "webhook", "stripe", "openai", "cli", "tls", "ssl", "server":
		return tokenLike
	case "public", "pub", "sort", "partition", "foreign", "primary", "cache", "row", "hash", "map",
		"host", "registry", "label", "annotation", "topic", "routing", "object", "bucket",
		"group", "lookup", "index", "config", "idempotency", "dedup", "env", "topology",
		"affinity", "toleration", "taint", "selector", "field", "metadata", "property",
		"shard", "sharding", "column", "order", "unique", "composite", "translation", "":
		return none
	}
	return weak
}

// holdsObject names what is commonly the name of a Secret object, not a secret.
func holdsObject(word []byte) bool {
	switch string(word) {
	case "tls", "pull", "cert", "certificate", "ca", "ssl", "registry", "image", "issuer", "ref", "user", "db", "database", "backup", "bucket", "root", "volume", "sealed", "external", "kubernetes", "kube", "k8s":
		return true
	}
	return false
}

// ownsSecret names what has a secret of its own, so that even a value of plain
// words under it is one.
func ownsSecret(word []byte) bool {
	switch string(word) {
	case "client", "jwt", "session", "cookie", "app", "application", "shared", "webhook", "signing",
		"hmac", "consumer", "oauth", "oidc", "api", "nextauth", "encryption", "csrf", "access",
		"hash", "flask", "django", "turn", "cron", "refresh", "state", "rpc":
		return true
	}
	return false
}
