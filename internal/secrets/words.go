package secrets

// The vocabulary of names. One switch, so that it costs no start-up and reads
// as a table.

// mayCarry is the cheap test before a name is cut into words: every carrier
// holds one of these letter groups.
func mayCarry(name string) bool {
	if len(name) > maxName {
		name = name[len(name)-maxName:]
	}
	for i := 0; i+2 < len(name); i++ {
		switch name[i] | 0x20 {
		case 'p', 's', 't', 'k', 'c', 'a', 'd', 'm', 'b':
		default:
			continue
		}
		switch uint32(name[i]|0x20)<<16 | uint32(name[i+1]|0x20)<<8 | uint32(name[i+2]|0x20) {
		case 'p'<<16 | 'a'<<8 | 's', 'p'<<16 | 'w'<<8 | 'd', 's'<<16 | 'e'<<8 | 'c', 't'<<16 | 'o'<<8 | 'k',
			'k'<<16 | 'e'<<8 | 'y', 'c'<<16 | 'r'<<8 | 'e', 'a'<<16 | 'u'<<8 | 't', 'd'<<16 | 's'<<8 | 'n',
			'c'<<16 | 'o'<<8 | 'n', 'c'<<16 | 'o'<<8 | 'o', 'p'<<16 | 's'<<8 | 'w', 'b'<<16 | 'e'<<8 | 'a', 'm'<<16 | 'd'<<8 | 'p':
			return true
		}
	}
	return false
}

// roleOf looks a lower-case word up.
func roleOf(word []byte) role {
	if len(word) > 32 {
		word = word[len(word)-32:]
	}
	switch string(word) {
	case "password", "passwd", "passphrase", "pwd", "passcode", "requirepass", "masterauth", "sshpass",
		"dbpass", "pgpass", "userpass", "rootpass", "adminpass", "mdp", "contrasena", "passwort", "pswd", "psw":
		return rolePassword
	case "pass":
		return rolePass
	case "secret":
		return roleSecret
	case "secrets":
		return roleSecrets
	case "token", "bearer":
		return roleToken
	case "tokens":
		return roleTokens
	case "key", "keys":
		return roleKey
	case "apikey", "appkey", "authkey", "secretkey", "accesskey", "privatekey", "accountkey", "apikeys", "masterkey", "sharedaccesskey":
		return roleAPIKey
	case "credential", "credentials", "cred", "creds":
		return roleCredential
	case "auth", "userpwd", "basicauth":
		return roleAuth
	case "authorization":
		return roleAuthorization
	case "dsn", "conn", "connection", "connectionstring", "connstr", "connstring":
		return roleConnection
	case "cookie":
		return roleCookie

	case "existing", "use", "uses", "using", "enable", "enables", "require", "requires", "allow", "allows",
		"automount", "mount", "has", "is", "no", "show", "disable", "skip", "without", "with",
		"if", "should", "can", "supports", "expose", "create", "csi":
		return roleSwitch

	case "file", "files", "filename", "path", "paths", "dir", "directory", "folder", "location", "url", "urls", "uri", "uris",
		"endpoint", "endpoints", "host", "hostname", "port", "name", "names", "id", "ids", "identifier", "ref", "refs", "reference",
		"ttl", "expiry", "expiration", "expires", "expire", "expired", "duration", "timeout", "interval",
		"period", "age", "lifetime", "lifespan", "length", "len", "size", "min", "max", "minimum", "maximum", "count",
		"limit", "limits", "enabled", "disabled", "required", "optional", "type", "types", "kind", "mode",
		"method", "methods", "algorithm", "algorithms", "alg", "algo", "provider", "providers", "policy", "policies",
		"rotation", "rotate", "version", "issuer", "audience", "audiences", "scope", "scopes", "header", "headers", "field",
		"fields", "prefix", "suffix", "format", "encoding", "regex", "regexp", "pattern", "class", "store",
		"backend", "source", "mounts", "mounted", "volume", "volumes", "manager", "reviewer", "review", "reviews",
		"reader", "label", "labels", "annotation", "annotations", "selector", "namespace", "namespaces",
		"seconds", "minutes", "hours", "days", "millis", "ms", "sec", "bits", "strength", "complexity", "history",
		"attempts", "retries", "retry", "request", "requests", "response", "generator", "generation", "controller",
		"operator", "webhook", "injector", "sync", "syncer", "driver", "plugin", "service", "server",
		"account", "role", "group", "user", "username", "users", "email", "alias", "aliases", "arn", "region", "vault",
		"exchange", "validation", "validator", "verification", "verify", "check", "checks", "rule", "rules", "help",
		"description", "hint", "prompt", "message", "error", "errors", "reset", "change", "changed", "changes", "update",
		"updated", "created", "creation", "fingerprint", "digest", "checksum", "thumbprint", "crt", "cert", "certificate",
		"ca", "pub", "public", "json", "yaml", "yml", "conf", "config", "configuration", "properties", "ini",
		"xml", "toml", "sh", "template", "tmpl", "tpl", "schema", "spec", "env", "image", "repository", "tag",
		"index", "slot", "usage", "usages", "ops", "op", "args", "arg", "command", "cmd", "script", "helper",
		"param", "parameter", "params", "property", "claim", "claims", "cache", "caching", "lookup", "resolver",
		"allowed", "denied", "separator", "delimiter", "char", "chars", "character", "characters", "charset", "bytes",
		"strategy", "level", "status", "state", "info", "metadata", "list", "map", "mapping", "resource", "resources",
		"engine", "agent", "client", "domain", "domains", "realm", "pair", "set", "ring", "rotator",
		"input", "form", "page", "grant", "flow", "endpointurl", "protected", "protection", "less", "free", "only",
		"pool", "idle", "keepalive", "bucket", "replacement", "through", "throughs", "aud", "iss", "exp", "details", "detail", "encoder", "encoders", "hashing", "hasher":
		return roleThing

	case "content", "contents", "data", "value", "values", "base", "b64", "pem", "string", "str", "text", "txt", "raw",
		"literal", "plain", "plaintext", "cleartext", "prod", "production", "dev", "development", "staging", "stage", "test",
		"testing", "local", "old", "new", "current", "previous", "secondary", "default", "main", "backup",
		"hash", "hashed", "encoded", "override", "live", "sandbox", "a", "b", "the", "my":
		return roleNeutral
	}
	return suffixRole(word)
}

// suffixRole reads words written together: pgpassword, githubtoken, mysqlpwd.
func suffixRole(word []byte) role {
	switch {
	case endsIn(word, "password"), endsIn(word, "passwd"), endsIn(word, "passphrase"), endsIn(word, "pwd"):
		return rolePassword
	case endsIn(word, "secret"):
		return roleSecret
	case endsIn(word, "token"):
		return roleToken
	case endsIn(word, "apikey"), endsIn(word, "secretkey"), endsIn(word, "accesskey"),
		endsIn(word, "privatekey"), endsIn(word, "accountkey"):
		return roleAPIKey
	case endsIn(word, "credential"), endsIn(word, "credentials"):
		return roleCredential
	}
	return roleNone
}

// endsIn is bytes.HasSuffix for a longer word and a literal.
func endsIn(word []byte, suffix string) bool {
	return len(word) > len(suffix) && string(word[len(word)-len(suffix):]) == suffix
}
