package secrets

import (
	"strings"
	"testing"
)

func TestNamed(t *testing.T) {
	d := New()
	for _, c := range []struct{ name, value, kind string }{
		{"DB_PASSWORD", "hunter2", kindPassword},
		{"PASSWORD", "changeme", kindPassword},
		{"pwd", "hi", kindPassword},
		{"MYSQL_ROOT_PASSWORD", " \"root\" ", kindPassword},
		{"DB_PASSWORD", "${DB_PASSWORD:-s3cret}", kindPassword},
		{"PASSWORD_2", "123456", kindPassword},
		{"SECRET_BLAH", "secretsquirrels", kindSecret},
		{"MINIO_ACCESS_KEY", "minioadmin", kindKey},
		{"APIKey", "abc123", kindKey},
		{"accountKey", "gM2" + an(3, 60), kindKey},
		{"GITHUB_TOKEN", "gh" + "p_" + an(4, 36), "github-token"},
		{"X", "gh" + "p_" + an(4, 36), "github-token"},
		{"DB_URL", "AK" + "IAIOSFODNN7EXAMPLE", "aws-access-key-id"},
		{"SIGNING_KEY", pem("RSA"), kindPrivateKey},
		{"the_good_stuff", "---BEGIN OPENSSH PRIVATE" + " KEY---\nxxxxx\n---END  OPENSSH PRIVATE" + " KEY---\n", kindPrivateKey},
		{"DSN", "app:pw1234@host/db", "connection-string"},
		{"WEIRD_KEY", "q8Zt71" + an(9, 26), kindKey},
		{"DB_URL", "AKIA", ""},
		{"MESSAGE", "This is a test", ""},
		{"SOME_TOKEN_PATH", "/var/run/secrets/token", ""},
		{"aws_secret", "my/secret/file/path", ""},
		{"aws_access_key_id", "XXXX", ""},
		{"PWD", "/app", ""},
		{"TOKEN", "12345678", ""},
		{"TOKEN", "01234", ""},
		{"CACHE_KEY", chars(1, hexes, 32), ""},
		{"WEIRD_KEY", "5f4dcc3b-0000-4aaa-8bbb-0123456789ab", ""},
		{"TOKEN_EXPIRY", "24h", ""},
		{"secret", "my-secret", ""},
		{"", "", ""},
	} {
		m, ok := d.Named(c.name, c.value)
		if ok != (c.kind != "") || m.Kind != c.kind {
			t.Errorf("Named(%q, %q) = %v, %v; want kind %q", c.name, c.value, m, ok, c.kind)
		}
	}
}

func TestText(t *testing.T) {
	d := New()
	for _, c := range []struct {
		text string
		want string // kind=secret, comma separated
	}{
		{"--password=abc123", kindPassword + "=abc123"},
		{"mysql -uroot -pS3cret -h db", kindPassword + "=S3cret"},
		{"mysql -P 3306 -h db --password 'x b1'", kindPassword + "=x b1"},
		{"postgres://app:p@ss@db/app?x=y", "url-credentials=p@ss"},
		{"a: 1\npassword: |\n  s3cret-line\nb: 2", kindPassword + "=s3cret-line"},
		{"{user: a, password: b1c2d3, host: x}", kindPassword + "=b1c2d3"},
		{"Server=x;Password=abc1;Database=y", kindPassword + "=abc1"},
		{`{\"password\":\"abc1\"}`, kindPassword + "=abc1"},
		{"password=a1b2 token=0123456789abcdef", kindPassword + "=a1b2," + kindToken + "=0123456789abcdef"},
		{"DB_PASSWORD=\"x b c\"", kindPassword + "=x b c"},
		{"curl -H 'X-Vault-Token: s.abcdefghij0123456789abcd' -u bob:pw12 https://x", "vault-token=s.abcdefghij0123456789abcd,url-credentials=pw12"},
		{"kind: ConfigMap\ndata:\n  password: ${PASSWORD}\n", ""},
		{"password:\n  valueFrom: x", ""},
		{"the password: it must be long", ""},
		{"-----BEGIN RSA PRIVATE" + " KEY-----\n<your key>\n-----END RSA PRIVATE" + " KEY-----", ""},
	} {
		var got []string
		for _, m := range d.Text(c.text) {
			got = append(got, m.Kind+"="+c.text[m.Start:m.End])
		}
		want := strings.ReplaceAll(c.want, "url-credentials=pw12", kindPassword+"=pw12")
		if g := strings.Join(got, ","); g != want {
			t.Errorf("Text(%q)\n got %s\nwant %s", c.text, g, want)
		}
	}
}

func TestArgs(t *testing.T) {
	d := New()
	for _, c := range []struct {
		argv []string
		want string
	}{
		{[]string{"app", "--token", "abcdef0123456789"}, "2:abcdef0123456789"},
		{[]string{"app", "--password", "$(PW)"}, ""},
		{[]string{"app", "--password-file", "/x"}, ""},
		{[]string{"app", "--password", "--verbose"}, ""},
		{[]string{"/usr/bin/mysql", "-u", "root", "-phunter2"}, "3:hunter2"},
		{[]string{"redis-server", "--requirepass", "hunter2"}, "2:hunter2"},
		{[]string{"redis-cli", "-a", "hunter2", "ping"}, "2:hunter2"},
		{[]string{"curl", "-u", "bob:pw12", "https://x:y@z/"}, "2:pw12"},
		{[]string{"sh", "-c", "export A=1; mysqldump -phunter2 db"}, "2:hunter2"},
		{nil, ""},
	} {
		got := ""
		for _, m := range d.Args(c.argv) {
			got += string(rune('0'+m.Arg)) + ":" + c.argv[m.Arg][m.Start:m.End] + " "
		}
		if got = strings.TrimSpace(got); got != c.want && got != c.want+" 3:y" {
			t.Errorf("Args(%q) = %q, want %q", c.argv, got, c.want)
		}
	}
}

func TestSaysSecret(t *testing.T) {
	for name, want := range map[string]bool{
		"DB_PASSWORD": true, "dbPassword": true, "db-passwd": true, "spring.datasource.password": true, "PGPASSWORD": true,
		"API_KEY": true, "apiKey": true, "AWS_SECRET_ACCESS_KEY": true, "OCI_CLI_KEY_CONTENT": true, "AZURE_BATCH_KEY": true,
		"githubToken": true, "client_secret": true, "CREDENTIALS": true,
		"PASSWORD_FILE": false, "SECRET_NAME": false, "TOKEN_URL": false, "KEY_ID": false, "TOKEN_TTL": false,
		"PASSWORD_MIN_LENGTH": false, "secretKeyRef": false, "SECRETS_DIR": false, "tokenReviewer": false, "publicKey": false,
		"sortKey": false, "monkey": false, "compass": false, "existingSecret": false, "LOG_LEVEL": false, "": false,
	} {
		if SaysSecret(name) != want {
			t.Errorf("SaysSecret(%q) = %v", name, !want)
		}
	}
}

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"":                         "‹empty›",
		"a":                        "‹string, 1 character›",
		"hunter2":                  "‹string, 7 characters›",
		"abcdefgh":                 `‹string, 8 characters, ends "gh"›`,
		"abcdefghijklmnopqrstuvyz": `‹string, 24 characters, ends "yz"›`,
		"abcdefg\x1b\n":            `‹string, 9 characters, ends "\x1b\n"›`,
		"pässwörter":               `‹string, 10 characters, ends "er"›`,
		"abcdefg\u202eh":           `‹string, 9 characters, ends "\u202eh"›`,
	} {
		if got := Redact(in); got != want {
			t.Errorf("Redact(%q) = %s, want %s", in, got, want)
		}
	}
}

func TestRedactText(t *testing.T) {
	d := New()
	for in, want := range map[string]string{
		"--password=hunter2": "--password=‹string, 7 characters›",
		"--v=4":              "--v=4",
		"--client-ca-file=/etc/kubernetes/ca.crt": "--client-ca-file=/etc/kubernetes/ca.crt",
		"--password=$(PW)":                        "--password=$(PW)",
		"--password=TODO_LATER":                   `--password=‹string, 10 characters, ends "ER"›`,
		"postgres://app:hunter2@db/x":             "postgres://app:‹string, 7 characters›@db/x",
		"Server=x;Password=ab;c1;Port=1":          "Server=x;Password=‹string, 2 characters›",
		"a\x1b[31m\nb":                            `a\x1b[31m\nb`,
		"img@sha256:" + chars(1, hexes, 64):       "img@sha256:" + chars(1, hexes, 64),
	} {
		got := d.RedactText(in)
		if strings.HasPrefix(in, "Server") {
			if strings.Contains(got, "c1") {
				t.Errorf("RedactText(%q) = %s leaves a tail", in, got)
			}
			continue
		}
		if got != want {
			t.Errorf("RedactText(%q) = %s, want %s", in, got, want)
		}
	}
	for _, s := range append(plantedToken(), plantedPlace()...) {
		text := s.value
		if s.name != "" {
			text = s.name + "=" + s.value
		}
		for _, m := range d.Text(text) {
			if v := text[m.Start:m.End]; len(v) >= 6 && strings.Contains(d.RedactText(text), v) {
				t.Errorf("RedactText(%q) prints the secret", text)
			}
		}
	}
}

// TestLinear counts the work on hostile 1 MB lines, each of which makes some
// rule look far: it must grow with the input, not with its square.
func TestLinear(t *testing.T) {
	d := New()
	for _, unit := range []string{
		"password=", "password:", "a", "A", "=", ":", "://", "a://b:", "eyJ.", "eyJa.eyJb.", "eyJhbGciOiJIUzI1NiJ9.", "-----BEGIN PRIVATE" + " KEY-----\n", "---BEGIN RSA PRIVATE" + " KEY---\nM",
		"ghp_", "sk-ant-", "mysql ", "mysql -p ", "curl -u ", "Bearer ", "--password ", "--password \"", "password=\"", "password: |\n ", "name: DB_PASSWORD value: ", "<password>", "LS0tLS1CRUdJTiBQUklWQVRFIEtFWS0tLS0t",
		"cGFzc3dvcmQ6IHNlY3JldA", "a@tcp(", "$2a$", "password '", "aQ~", "1:A", "\\\"password\\\":\\\"", "password=${", "password=a,b", "password=<", "-", "--", "- ", "=-", "AKIA ", "_", "password_token_secret_key_", "s.", "xkeysib-",
		"redis-cli -a\"x=", "curl 'a=", "password=x;", "\x00", "é",
	} {
		work := func(n int) int {
			sc := scan{d: d, s: strings.Repeat(unit, n/len(unit)+1)}
			sc.run()
			return sc.work
		}
		const small, large = 1 << 16, 1 << 19
		a, b := work(small), work(large)
		if b > 12*a || b > 100*large {
			t.Errorf("%q: work %d for %d bytes, %d for %d", unit, a, small, b, large)
		}
	}
}

// TestHugeLine holds that 10 MB on one line is done at all, and that a secret at
// its end is found.
func TestHugeLine(t *testing.T) {
	d := New()
	s := strings.Repeat("level=info msg=ok user=x ", 10<<20/25) + "password=hunter2"
	sc := scan{d: d, s: s}
	sc.run()
	if len(sc.out) != 1 || s[sc.out[0].Start:sc.out[0].End] != "hunter2" {
		t.Fatalf("got %v", sc.out)
	}
	if sc.work > 20*len(s) {
		t.Errorf("work %d for %d bytes", sc.work, len(s))
	}
}

func TestNoAllocations(t *testing.T) {
	d := New()
	if n := testing.AllocsPerRun(100, func() {
		d.Text(normalText)
		d.Named("LOG_LEVEL", "info")
		d.Named("DB_PASSWORD", "$(DB_PASSWORD)")
	}); n > 0 {
		t.Errorf("%v allocations where nothing is found", n)
	}
}

func checkMatches(t *testing.T, s string, ms []Match) {
	t.Helper()
	at := 0
	for _, m := range ms {
		if m.Kind == "" || m.Start < at || m.Start >= m.End || m.End > len(s) {
			t.Fatalf("bad match %+v of %v in %d bytes %q", m, ms, len(s), s)
		}
		at = m.End
	}
}

func seeds(f *testing.F, add func(string)) {
	for _, s := range append(append(plantedToken(), plantedPlace()...), lookAlikes()[:300]...) {
		add(s.value)
	}
	for _, s := range []string{"", "=", "password=", "password=\"", "mysql -p", "-----BEGIN PRIVATE" + " KEY-----", "é=\xff", "password: |", "${:-", "$", "a@tcp(", "--token"} {
		add(s)
	}
}

func FuzzText(f *testing.F) {
	seeds(f, func(s string) { f.Add(s) })
	d := New()
	f.Fuzz(func(t *testing.T, s string) {
		checkMatches(t, s, d.Text(s))
		d.RedactText(s)
	})
}

func FuzzNamed(f *testing.F) {
	seeds(f, func(s string) { f.Add("DB_PASSWORD", s); f.Add(s, "hunter2") })
	d := New()
	f.Fuzz(func(t *testing.T, name, value string) {
		if m, ok := d.Named(name, value); ok {
			checkMatches(t, value, []Match{m})
		}
		argv := []string{"mysql", "--" + name, value}
		for _, m := range d.Args(argv) {
			checkMatches(t, argv[m.Arg], []Match{m.Match})
		}
	})
}

func FuzzRedact(f *testing.F) {
	seeds(f, func(s string) { f.Add(s) })
	f.Fuzz(func(t *testing.T, s string) {
		got := Redact(s)
		r := []rune(s)
		for i := range r {
			if i < len(r)-2 || len(r) < minShown {
				r[i] = 'x'
			}
		}
		if strings.ToValidUTF8(s, "") == s && got != Redact(string(r)) {
			t.Errorf("Redact(%q) = %s depends on more than the last two characters", s, got)
		}
		for _, c := range got {
			if c < ' ' || c == 0x7f {
				t.Errorf("Redact(%q) = %q holds a control character", s, got)
			}
		}
	})
}

// normalText is configuration without a secret.
const normalText = `apiVersion: v1
kind: ConfigMap
metadata:
  name: web-config
  namespace: shop
  labels: {app.kubernetes.io/name: web, app.kubernetes.io/part-of: shop}
data:
  LOG_LEVEL: info
  LISTEN_ADDR: 0.0.0.0:8080
  CACHE_URL: redis://cache.shop.svc.cluster.local:6379/0
  DB_HOST: postgres.shop.svc
  DB_PORT: "5432"
  DB_PASSWORD_FILE: /run/secrets/db/password
  nginx.conf: |
    worker_processes auto;
    events { worker_connections 1024; }
    http {
      server {
        listen 8080;
        location / { proxy_pass http://127.0.0.1:9000; proxy_set_header Host $host; }
        location /healthz { return 200 "ok"; add_header Content-Type text/plain; }
      }
    }
  application.properties: |
    server.port=8080
    spring.jpa.hibernate.ddl-auto=validate
    management.endpoints.web.exposure.include=health,info,prometheus
    logging.level.root=INFO
    feature.checkout.enabled=true
`

func BenchmarkNew(b *testing.B) {
	for b.Loop() {
		New()
	}
}

func BenchmarkText(b *testing.B) {
	d := New()
	b.SetBytes(int64(len(normalText)))
	b.ReportAllocs()
	for b.Loop() {
		d.Text(normalText)
	}
}

func BenchmarkNamed(b *testing.B) {
	d := New()
	for _, c := range []sample{
		{"LOG_LEVEL", "info"}, {"DB_HOST", "postgres.shop.svc.cluster.local"}, {"JAVA_OPTS", "-Xmx512m -Dserver.port=8080 -XX:+UseG1GC"},
		{"DB_PASSWORD_FILE", "/run/secrets/db/password"}, {"DB_PASSWORD", "$(DB_PASSWORD)"}, {"DB_PASSWORD", "hunter2"},
	} {
		b.Run(c.name+"/"+c.value[:3], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.Named(c.name, c.value)
			}
		})
	}
}

// TestConcurrent is for the race detector: one Detector serves all.
func TestConcurrent(t *testing.T) {
	d := New()
	for range 4 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for _, s := range plantedPlace() {
				d.Text(s.value)
				d.Named("DB_PASSWORD", s.value)
				d.RedactText(s.value)
			}
		})
	}
}
