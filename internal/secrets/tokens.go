package secrets

import "strings"

// Published token formats: a literal prefix, the alphabet of the rest and its
// length. The formats are facts published by the providers; most are collected
// in gitleaks' rule set (MIT), which was read for them.

// byteClass says what a byte can be part of.
type byteClass uint16

const (
	digit   byteClass = 1 << iota
	upper             // A-Z
	lowerAZ           // a-z
	hexLow            // a-f
	hexUp             // A-F
	dash              // -
	under             // _
	dot               // .
	plus              // + and /
	equals            // =
	starts            // can start or continue a word: letters, digits
	trigger           // is looked at in the middle of text
)

const (
	alnum  = digit | upper | lowerAZ
	hexLC  = digit | hexLow
	hexAny = digit | hexLow | hexUp
	word   = alnum | dash | under
	b64    = alnum | plus | equals
	b64url = alnum | dash | under | plus | equals
)

func classOf(c byte) byteClass {
	var k byteClass
	switch {
	case isDigit(c):
		k = digit | starts
	case isUpper(c):
		k = upper | starts
	case isLower(c):
		k = lowerAZ | starts
	}
	switch {
	case c >= 'a' && c <= 'f':
		k |= hexLow
	case c >= 'A' && c <= 'F':
		k |= hexUp
	}
	switch c {
	case '-':
		k |= dash | trigger
	case '_':
		k |= under
	case '.':
		k |= dot
	case '+', '/':
		k |= plus
	case '=':
		k |= equals | trigger
	case ':', '>', '\'', '@', '~', '$':
		k |= trigger
	}
	return k
}

// literal is something a word can start with: a token format or a command.
type literal struct {
	prefix   string
	kind     string
	form     form
	set      byteClass // for formPlain: alphabet and length of the rest
	min, max int
}

// form tells how what follows a literal is read.
type form uint8

const (
	formPlain form = iota
	formCommand
	formJWT
	formWebhook
	formPuTTY
	formOracle
	formHidden
)

func plain(prefix, kind string, set byteClass, min, max int) literal {
	return literal{prefix: prefix, kind: kind, set: set, min: min, max: max}
}

func special(prefix, kind string, form form) literal {
	return literal{prefix: prefix, kind: kind, form: form}
}

// literals is read-only; a longer prefix stands before a shorter one it starts with.
var literals = [...]literal{
	// cloud
	plain("AKIA", "aws-access-key-id", digit|upper, 16, 16),
	plain("ASIA", "aws-access-key-id", digit|upper, 16, 16),
	plain("ABIA", "aws-access-key-id", digit|upper, 16, 16),
	plain("ACCA", "aws-access-key-id", digit|upper, 16, 16),
	plain("ABSK", "aws-bedrock-key", b64, 109, 280),
	plain("AIza", "gcp-api-key", word, 35, 35),
	plain("GOCSPX-", "gcp-oauth-secret", word, 24, 32),
	plain("ya29.", "gcp-oauth-token", word|dot, 30, 2048),
	plain("LTAI", "alibaba-access-key-id", alnum, 20, 20),
	plain("dop_v1_", "digitalocean-token", hexLC, 64, 64),
	plain("doo_v1_", "digitalocean-token", hexLC, 64, 64),
	plain("dor_v1_", "digitalocean-token", hexLC, 64, 64),
	plain("HRKU-", "heroku-api-key", word, 36, 64),
	plain("fo1_", "fly-token", word, 43, 43),
	plain("fm2_", "fly-token", b64, 100, 2048),
	plain("hvs.", "vault-token", word, 24, 120),
	plain("hvb.", "vault-token", word, 100, 300),
	plain("hvr.", "vault-token", word, 24, 120),
	plain("s.", "vault-token", alnum, 24, 24),
	plain("pul-", "pulumi-token", hexLC, 40, 40),
	plain("dapi", "databricks-token", hexLC, 32, 32),
	plain("pscale_tkn_", "planetscale-token", word|dot|equals, 32, 64),
	plain("pscale_pw_", "planetscale-password", word|dot|equals, 32, 64),
	plain("pscale_oauth_", "planetscale-token", word|dot|equals, 32, 64),
	plain("sha256~", "openshift-token", word, 43, 43),
	plain("tskey-", "tailscale-key", word, 20, 80),
	plain("v1.0-", "cloudflare-origin-ca-key", hexLC|dash, 171, 171),
	plain("sbp_", "supabase-token", hexLC, 40, 40),
	plain("AKCp", "artifactory-key", alnum, 69, 69),
	plain("cmVmd", "artifactory-token", alnum, 59, 59),
	plain("dp.pt.", "doppler-token", alnum, 40, 44),
	plain("dp.st.", "doppler-token", word|dot, 40, 80),
	plain("ops_eyJ", "1password-token", b64, 250, 4096),
	plain("AGE-SECRET-KEY-1", "age-secret-key", upper|digit, 58, 58),

	// code and packages
	plain("github_pat_", "github-token", alnum|under, 82, 82),
	plain("ghp_", "github-token", alnum, 36, 255),
	plain("gho_", "github-token", alnum, 36, 255),
	plain("ghu_", "github-token", alnum, 36, 255),
	plain("ghs_", "github-token", word|dot, 36, 1024),
	plain("ghr_", "github-token", alnum, 36, 255),
	plain("glpat-", "gitlab-token", word|dot, 20, 310),
	plain("gldt-", "gitlab-token", word, 20, 64),
	plain("glptt-", "gitlab-token", hexLC, 40, 40),
	plain("glrt-", "gitlab-token", word|dot, 20, 310),
	plain("glcbt-", "gitlab-token", word, 20, 32),
	plain("glft-", "gitlab-token", word, 20, 64),
	plain("glsoat-", "gitlab-token", word, 20, 64),
	plain("glimt-", "gitlab-token", word, 25, 64),
	plain("glagent-", "gitlab-token", word, 50, 64),
	plain("gloas-", "gitlab-token", word, 64, 64),
	plain("glffct-", "gitlab-token", word, 20, 64),
	plain("GR1348941", "gitlab-token", word, 20, 24),
	plain("npm_", "npm-token", alnum, 36, 36),
	plain("pypi-AgEIcHlwaS5vcmc", "pypi-token", word, 50, 1000),
	plain("rubygems_", "rubygems-key", hexLC, 48, 48),
	plain("dckr_pat_", "docker-token", word, 27, 36),
	plain("dckr_oat_", "docker-token", word, 27, 48),
	plain("oy2", "nuget-key", lowerAZ|digit, 43, 43),
	plain("CLOJARS_", "clojars-token", alnum, 60, 60),
	plain("ATATT3", "atlassian-token", word|equals, 100, 260),
	plain("ATBB", "bitbucket-token", alnum, 24, 40),
	plain("ATCTT3", "bitbucket-token", word|equals, 100, 260),
	plain("lin_api_", "linear-key", alnum, 40, 40),
	plain("PMAK-", "postman-key", hexAny|dash, 59, 59),
	plain("squ_", "sonarqube-token", hexLC, 40, 40),
	plain("sqp_", "sonarqube-token", hexLC, 40, 40),
	plain("sqa_", "sonarqube-token", hexLC, 40, 40),
	plain("sgp_", "sourcegraph-token", hexAny|under, 40, 60),
	plain("bkua_", "buildkite-token", hexLC, 40, 40),
	plain("CCIPAT_", "circleci-token", alnum|under, 40, 80),

	// messages, payment, mail
	plain("xoxb-", "slack-token", word, 17, 100),
	plain("xoxp-", "slack-token", word, 40, 120),
	plain("xoxa-", "slack-token", word, 8, 120),
	plain("xoxr-", "slack-token", word, 8, 120),
	plain("xoxs-", "slack-token", word, 20, 120),
	plain("xoxe-", "slack-token", word, 100, 250),
	plain("xoxe.xox", "slack-token", word, 100, 250),
	plain("xapp-", "slack-token", word, 30, 150),
	special("hooks.slack.com/", "slack-webhook", formWebhook),
	special("discord.com/api/webhooks/", "discord-webhook", formWebhook),
	special("discordapp.com/api/webhooks/", "discord-webhook", formWebhook),
	plain("sk_live_", "stripe-key", alnum, 10, 110),
	plain("sk_test_", "stripe-key", alnum, 10, 110),
	plain("rk_live_", "stripe-key", alnum, 10, 110),
	plain("rk_test_", "stripe-key", alnum, 10, 110),
	plain("whsec_", "stripe-webhook-secret", b64, 24, 64),
	plain("sq0atp-", "square-token", word, 22, 60),
	plain("sq0csp-", "square-secret", word, 43, 60),
	plain("EAAA", "square-token", word, 56, 64),
	plain("shpat_", "shopify-token", hexAny, 32, 32),
	plain("shpca_", "shopify-token", hexAny, 32, 32),
	plain("shppa_", "shopify-token", hexAny, 32, 32),
	plain("shpss_", "shopify-token", hexAny, 32, 32),
	plain("access_token$production$", "paypal-token", alnum|dot, 40, 60),
	plain("FLWSECK", "flutterwave-key", word, 12, 48),
	plain("shippo_live_", "shippo-token", hexAny, 40, 40),
	plain("shippo_test_", "shippo-token", hexAny, 40, 40),
	plain("duffel_live_", "duffel-token", word, 43, 43),
	plain("duffel_test_", "duffel-token", word, 43, 43),
	plain("EZAK", "easypost-key", alnum, 54, 54),
	plain("EZTK", "easypost-key", alnum, 54, 54),
	plain("SG.", "sendgrid-key", word|dot, 64, 68),
	plain("key-", "mailgun-key", hexLC, 32, 32),
	plain("xkeysib-", "brevo-key", hexLC|alnum|dash, 81, 81),
	plain("SK", "twilio-api-key", hexLC, 32, 32),

	// models and observation
	plain("sk-ant-", "anthropic-key", word, 40, 120),
	plain("sk-proj-", "openai-key", word, 40, 180),
	plain("sk-svcacct-", "openai-key", word, 40, 180),
	plain("sk-admin-", "openai-key", word, 40, 180),
	plain("sk-or-v1-", "openrouter-key", hexLC, 64, 64),
	plain("sk-", "openai-key", alnum, 40, 64),
	plain("hf_", "huggingface-token", alnum, 34, 40),
	plain("api_org_", "huggingface-token", alnum, 34, 34),
	plain("pplx-", "perplexity-key", alnum, 40, 60),
	plain("gsk_", "groq-key", alnum, 40, 60),
	plain("r8_", "replicate-token", alnum, 37, 37),
	plain("xai-", "xai-key", alnum, 70, 90),
	plain("glsa_", "grafana-token", alnum|under, 41, 41),
	plain("glc_", "grafana-token", b64, 32, 400),
	plain("eyJrIjoi", "grafana-key", b64, 70, 400),
	plain("NRAK-", "newrelic-key", alnum, 27, 27),
	plain("NRII-", "newrelic-key", alnum|dash, 32, 32),
	plain("NRJS-", "newrelic-key", hexLC, 19, 19),
	plain("dt0c01.", "dynatrace-token", alnum|dot, 80, 92),
	plain("dt0s", "dynatrace-token", alnum|dot, 80, 100),
	plain("sntrys_", "sentry-token", word|b64, 60, 500),
	plain("sntryu_", "sentry-token", hexLC, 64, 64),
	plain("phx_", "posthog-key", alnum, 40, 50),
	plain("ntn_", "notion-token", alnum, 43, 48),
	plain("figd_", "figma-token", word, 40, 44),
	plain("rdme_", "readme-key", lowerAZ|digit, 70, 70),
	plain("dnkey-", "defined-networking-key", word|equals, 70, 90),
	plain("pnu_", "prefect-key", alnum, 36, 36),
	plain("AQVN", "yandex-key", word, 35, 38),
	plain("mdb_sa_sk_", "mongodb-atlas-secret", word, 30, 60),
	plain("EAACEdEose0cBA", "facebook-token", alnum, 20, 300),
	plain("EAAM", "facebook-token", alnum, 100, 300),

	// forms
	special("eyJ", "jwt", formJWT),
	special("PuTTY-User-Key-File-", kindPrivateKey, formPuTTY),
	special("jdbc:oracle:thin:", "url-credentials", formOracle),
}

// token applies a format at the end of its prefix and returns the token's end,
// or 0. The body must not be a run of few distinct characters (xxxx…).
func (d *Detector) token(l *literal, s string, at int) int {
	from := at + len(l.prefix)
	end := from
	stop := min(len(s), from+l.max+1)
	for end < stop && d.class[s[end]]&l.set != 0 {
		end++
	}
	if l.set&dot != 0 { // a full stop ends a sentence, not a token
		for end > from && s[end-1] == '.' {
			end--
		}
	}
	n := end - from
	if n < l.min || n > l.max || end < len(s) && d.class[s[end]]&alnum != 0 {
		return 0
	}
	if distinct(s[from:end]) < min(6, 2+n/6) || isPlaceholder(s[from:end]) {
		return 0
	}
	if (len(l.prefix) == 2 || s[from-1] == '-') && l.set&lowerAZ != 0 && countDigits(s[from:end]) < 2 {
		return 0 // dashed words, a member of s
	}
	return end
}

func countDigits(s string) int {
	n := 0
	for i := range len(s) {
		n += boolInt(isDigit(s[i]))
	}
	return n
}

// distinct counts different bytes in the first 64.
func distinct(s string) int {
	if len(s) > 64 {
		s = s[:64]
	}
	var seen [4]uint64
	n := 0
	for i := range len(s) {
		c := s[i]
		if seen[c>>6]&(1<<(c&63)) == 0 {
			seen[c>>6] |= 1 << (c & 63)
			n++
		}
	}
	return n
}

const maxToken = 8192 // bytes of the longest token looked for

// jwt matches three dotted base64url parts, the first two JSON objects.
func (sc *scan) jwt(at int) (int, int) {
	i := sc.runOf(word, at)
	if i-at < 20 || i+3 >= len(sc.s) || sc.s[i] != '.' {
		return 0, 0
	}
	if !strings.HasPrefix(sc.s[i+1:], "ey") && !isAlnum(sc.s[i+1]) {
		return 0, 0
	}
	body := sc.runOf(word, i+1)
	if body-i < 12 || body >= len(sc.s) || sc.s[body] != '.' || distinct(sc.s[at:i]) < 8 {
		return 0, 0
	}
	end := sc.runOf(b64url, body+1)
	if end < len(sc.s) && sc.s[end] == '.' && end-body > 4 { // JWE has five
		end = sc.runOf(word, end+1)
		if end < len(sc.s) && sc.s[end] == '.' {
			end = sc.runOf(word, end+1)
		}
	}
	return at, end
}

// runOf returns the end of the run of bytes of a class, at most maxToken long.
func (sc *scan) runOf(set byteClass, i int) int {
	start := i
	stop := min(len(sc.s), i+maxToken)
	for i < stop && sc.d.class[sc.s[i]]&set != 0 {
		i++
	}
	sc.work += i - start
	return i
}

// webhook matches a URL whose path is the secret.
func (sc *scan) webhook(l *literal, at int) (int, int) {
	from := at + len(l.prefix)
	end := sc.runOf(word|plus, from)
	if end-from < 40 || distinct(sc.s[from:end]) < 14 {
		return 0, 0
	}
	return at, end
}

// putty matches from the header to the end of the private lines.
func (sc *scan) putty(at int) (int, int) {
	i := strings.Index(sc.s[at:min(len(sc.s), at+maxToken)], "Private-Lines")
	if i < 0 {
		return 0, 0
	}
	return at, min(len(sc.s), at+maxToken)
}

// oracleThin matches the password of jdbc:oracle:thin:user/password@host.
func (sc *scan) oracleThin(l *literal, at int) (int, int) {
	from := at + len(l.prefix)
	rest := sc.s[from:min(len(sc.s), from+maxJudged)]
	host := strings.IndexByte(rest, '@')
	slash := strings.IndexByte(rest, '/')
	if slash < 1 || host < slash+2 || isHarmless(rest[slash+1:host]) {
		return 0, 0
	}
	return from + slash + 1, from + host
}
