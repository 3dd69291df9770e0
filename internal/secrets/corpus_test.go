package secrets

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// sample is one value as it stands in a manifest. name is "" for free text.
type sample struct{ name, value string }

// chars makes n characters of an alphabet, the same for the same seed. Planted
// secrets are assembled at run time so that no scanner objects to this file.
func chars(seed uint64, alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		seed = seed*6364136223846793005 + 1442695040888963407
		b[i] = alphabet[(seed>>33)%uint64(len(alphabet))]
	}
	return string(b)
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
	hexes   = "0123456789abcdef"
)

func an(seed uint64, n int) string { return chars(seed, letters+digits, n) }

func pem(label string) string {
	body := ""
	for i := range 6 {
		body += an(uint64(i+7), 64) + "\n"
	}
	return "-----BEGIN " + label + " PRIVATE" + " KEY-----\n" + body + "-----END " + label + " PRIVATE" + " KEY-----\n"
}

func b64s(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func plantedToken() []sample {
	jwt := strings.TrimRight(b64s(`{"alg":"RS256","typ":"JWT"}`), "=") + "." + strings.TrimRight(b64s(`{"iss":"kubernetes/serviceaccount","sub":"x"}`), "=") + "." + an(1, 86)
	return []sample{
		{"", "AK" + "IA" + chars(2, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)},
		{"SOME_VAR", "AS" + "IA" + chars(3, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)},
		{"", "token is gh" + "p_" + an(4, 36) + " please rotate"},
		{"", "github" + "_pat_" + an(5, 22) + "_" + an(6, 59)},
		{"", "git clone https://oauth2:gl" + "pat-" + an(7, 20) + "@gitlab.com/a/b.git"},
		{"", "xo" + "xb-" + chars(8, digits, 12) + "-" + chars(9, digits, 12) + "-" + an(10, 24)},
		{"", "curl https://hooks.sl" + "ack.com/services/T" + an(11, 8) + "/B" + an(12, 8) + "/" + an(13, 24)},
		{"", "sk" + "_live_" + an(14, 24)},
		{"STRIPE", "rk" + "_test_" + an(15, 24)},
		{"", "//registry.npmjs.org/:_authToken=np" + "m_" + an(16, 36)},
		{"", "py" + "pi-AgEIcHlwaS5vcmc" + an(17, 120)},
		{"", "dck" + "r_pat_" + an(18, 27)},
		{"", "SG" + "." + an(19, 22) + "." + an(20, 43)},
		{"", "account S" + "K" + chars(21, hexes, 32)},
		{"", "hv" + "s." + an(22, 95)},
		{"", "do" + "p_v1_" + chars(23, hexes, 64)},
		{"", "hf" + "_" + chars(24, letters, 34)},
		{"", "sk" + "-proj-" + an(25, 74) + "T3Blbk" + "FJ" + an(26, 74)},
		{"", "sk" + "-ant-api03-" + an(27, 93) + "AA"},
		{"", "AI" + "za" + an(28, 35)},
		{"", jwt},
		{"", "glsa" + "_" + an(29, 32) + "_" + chars(30, hexes, 8)},
		{"", "bot " + chars(31, digits, 10) + ":A" + an(32, 34)},
		{"", "shp" + "at_" + chars(33, hexes, 32)},
		{"", "secret " + an(34, 3) + "7Q" + "~" + an(35, 32)},
		{"HEROKU_API_KEY", "01234567-89ab-4def-8" + chars(36, hexes, 3) + "-" + chars(37, hexes, 12)},
		{"", pem("RSA")},
		{"", pem("OPENSSH")},
		{"", strings.ReplaceAll(pem("EC"), "\n", `\n`)},
		{"", `{"type":"service_account","private_key":"` + strings.ReplaceAll(strings.ReplaceAll(pem("X"), " X ", " "), "\n", `\n`) + `"}`},
		{"", "-----BEGIN PGP PRIVATE" + " KEY BLOCK-----\n\n" + an(38, 64) + "\n-----END PGP PRIVATE" + " KEY BLOCK-----"},
		{"", "users:\n- user:\n    client-key-data: " + b64s(pem("RSA"))},
		{"", "users:\n- user:\n    token: " + jwt},
	}
}

func plantedPlace() []sample {
	return []sample{
		{"DB_PASSWORD", "hunt" + "er2"},
		{"MYSQL_ROOT_PASSWORD", "change" + "me"},
		{"POSTGRES_PASSWORD", "pass" + "word"},
		{"GF_SECURITY_ADMIN_PASSWORD", "adm" + "in"},
		{"spring.datasource.password", "ro" + "ot"},
		{"dbPassword", "Tr0ub" + "4dor&3"},
		{"pgpassword", "s3cr" + "et!"},
		{"JWT_SECRET", "super" + "secret"},
		{"clientSecret", an(40, 32)},
		{"AWS_SECRET_ACCESS_KEY", "wJal/XUt" + an(41, 32)},
		{"DATADOG_API_KEY", chars(42, hexes, 32)},
		{"azure-storage-account-key", an(43, 86) + "=="},
		{"SLACK_TOKEN", an(44, 24)},
		{"RABBITMQ_ERLANG_COOKIE", "swu" + "gfa8dhg"},
		{"PIN_PASSWORD", "123" + "456"},
		{"SENTRY_DSN_X", "postgres://app:" + an(45, 12) + "@db:5432/app"},
		{"CONFIG", "redis://:" + an(46, 16) + "@cache:6379/0"},
		{"DATABASE", "mongodb+srv://root:exam" + "ple@cluster0.x.net/?retryWrites=true"},
		{"CELERY_BROKER_URL", "amqp://guest:gue" + "st@rabbit:5672//"},
		{"MYSQL_DSN", "app:" + an(47, 10) + "@tcp(db:3306)/app"},
		{"ConnectionStrings__Default", "Server=db;Database=a;User Id=sa;Password=" + an(48, 12) + ";"},
		{"AZURE", "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=" + an(49, 86) + "==;EndpointSuffix=core.windows.net"},
		{"SB", "Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey=" + an(50, 43) + "="},
		{"", "jdbc:mysql://db/app?user=app&password=" + an(51, 10) + "&useSSL=false"},
		{"", "jdbc:oracle:thin:scott/ti" + "ger1@db:1521/x"},
		{"", "--password=" + an(52, 9)},
		{"", "--token " + an(53, 20)},
		{"", "-Djavax.net.ssl.keyStorePassword=change" + "it"},
		{"", "mysql -h db -u root -p" + "S3cr" + "tPw -e 'select 1'"},
		{"", "sshpass -p '" + an(54, 9) + "' ssh root@x"},
		{"", "redis-cli -a " + an(55, 9) + " ping"},
		{"", "curl -u admin:" + an(56, 9) + " https://x/"},
		{"", "curl -H 'Authorization: Bearer " + an(57, 32) + "' https://x"},
		{"", "Authorization: Basic " + b64s("admin:"+an(58, 8))},
		{"", "docker login -u x -p " + an(59, 12) + " registry.io"},
		{"", `{"auths":{"registry.io":{"auth":"` + b64s("bot:"+an(60, 12)) + `"}}}`},
		{"", "spring:\n  datasource:\n    username: app\n    password: " + an(61, 10) + "\n    url: jdbc:x\n"},
		{"", "[mysqld]\nuser = app\npassword = \"" + an(62, 10) + "\"\n"},
		{"", "db.url=x\ndb.password=" + an(63, 10) + "\ndb.pool=4\n"},
		{"", `{"db":{"host":"x","passwd":"` + an(64, 10) + `"}}`},
		{"", `[{"name":"DB_PASSWORD","value":"` + an(65, 10) + `"}]`},
		{"", "- name: API_TOKEN\n  value: " + an(66, 20) + "\n"},
		{"", "<configuration><property><name>javax.jdo.option.ConnectionPassword</name>\n<value>" + an(67, 8) + "</value></property>"},
		{"", "<server><username>x</username><password>" + an(68, 8) + "</password></server>"},
		{"", "export VAULT_TOKEN=" + an(69, 26) + "\nvault status"},
		{"", "psql -c \"ALTER USER app WITH PASSWORD '" + an(70, 9) + "'\""},
		{"", "CREATE USER x IDENTIFIED BY '" + an(71, 9) + "';"},
		{"", "requirepass " + an(72, 12) + "\nmaxmemory 1gb\n"},
		{"", "machine git.x login bot password " + an(73, 12) + "\n"},
		{"", "PASS=${DB_PASSWORD:-" + an(74, 9) + "}"},
		{"", "kubectl create secret generic x --from-literal=password=" + an(75, 9)},
		{"", b64s("db:\n  user: app\n  password: " + an(76, 11) + "\n")},
		{"application.yaml", "a: b\nsecret_key: " + an(77, 40) + "\n"},
		{"", "admin:$" + "apr1$" + an(78, 8) + "$" + an(79, 22)},
		{"MINIO_ACCESS_KEY", "minio" + "admin"},
		{"", "X-Api-Key: " + an(80, 32)},
		{"NEXTAUTH_SECRET", an(81, 43) + "="},
		{"ADMIN_PASS", "let" + "mein"},

		// written after the detector; of 30, 7 were missed at first, 4 still are
		{"", "SPRING_DATASOURCE_PASSWORD: s3cr3tPw"}, {"", "env:\n  - name: ADMIN_TOKEN\n    value: \"7f3c9a1b2d4e6f80\"\n"}, {"", "  POSTGRES_PASSWORD: 'Sup3r$ecret'\n"},
		{"SECRET_KEY_BASE", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}, {"LDAP_BIND_PASSWORD", "admin"}, {"KAFKA_SASL_JAAS", "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"a\" password=\"b1secret\";"},
		{"", "{\"apiKey\": \"d41d8cd98f00b204e9800998ecf8427e\"}"}, {"", "./run.sh --db-pass=qwerty123 --x"}, {"", "echo 'root:toor99' | chpasswd"}, {"", "wget --password=abc123 http://x"},
		{"", "pgpass: s3cr3t!!"}, {"", "token = \"abcd1234efgh5678\""}, {"", "ARG NPM_TOKEN=abcd1234efgh5678"}, {"", "ldapsearch -x -D cn=admin -w s3cret -b dc=x"}, {"", "mongodb://u:p%40ss@h1:27017,h2:27017/db"},
		{"ENCRYPTION_KEY", "0123456789abcdef0123456789abcdef"}, {"", "smtp_pass: 'mail3r'"}, {"HTTP_PROXY", "http://proxyuser:pr0xy@proxy:3128"}, {"", "openssl enc -k mypassword1 -in x"}, {"", "GRAFANA_ADMIN_PASSWORD=admin"},
		{"WEBHOOK_SECRET", "whoknows"}, {"", "kubectl --token=abcdef123456 get po"}, {"", "AUTH=Basic " + b64s("u:passw0rd")}, {"KEYSTORE_PASS", "changeit"}, {"", "user:\n  name: x\n  password: 12345678"},
		{"", "mysql --user=root --password=\"r00t pass\" -e x"}, {"", "server { auth_basic_user_file x; set $api_key \"a1b2c3d4e5\"; }"}, {"", "password \"x1y2z3\";"}, {"jdbc.properties", "jdbc.user=a\njdbc.password=b1c2\n"},
	}
}

// lookAlikes are generated from patterns of real manifests.
func lookAlikes() []sample {
	var out []sample
	add := func(name, value string) { out = append(out, sample{name, value}) }
	carriers := []string{"DB_PASSWORD", "API_TOKEN", "CLIENT_SECRET", "STRIPE_API_KEY", "adminPassword", "auth.token", "private-key"}
	for _, c := range carriers {
		for _, v := range []string{"", " ", "$(DB_SECRET)", "${DB_SECRET}", "{{ .Values.auth.password }}", "<password>", "<your-token>", "xxxx", "XXXXXXXX", "REPLACE_ME", "replace-with-yours",
			"***", "********", "null", "none", "true", "false", "/run/secrets/db", "/etc/app/token", "$DB_SECRET", "%SECRET%", "__SECRET__", "@secret@", "{{secret}}", "YOUR_API_KEY_HERE",
			"your-password", "vault:secret/data/db#password", "ref+vault://secret/db#/password", "arn:aws:secretsmanager:eu-west-1:1:secret:x", "...", "ENC[AES256_GCM,data:xx,iv:yy]",
			"https://vault.example.com/v1", "PLACEHOLDER", "<REDACTED>", "file:///run/secret", "./secret.txt", "secrets/db/password.txt", "${file:/etc/x}", "#{secret}#"} {
			add(c, v)
		}
	}
	for _, c := range carriers {
		for _, tail := range []string{"_FILE", "_PATH", "_DIR", "_NAME", "_TTL", "_MIN_LENGTH", "_URL", "_ENABLED", "_TYPE", "_HEADER", "_EXPIRATION_SECONDS", "Name", "Ref", "-id", ".policy", "_ROTATION_INTERVAL"} {
			for _, v := range []string{"my-thing", "3600", "/var/run/x", "X-Auth"} {
				add(c+tail, v)
			}
		}
	}
	for _, n := range []string{"secretName", "existingSecret", "SECRET_NAME", "tokenReviewer", "secretKeyRef", "SECRETS_DIR", "imagePullSecrets", "tlsSecret", "KEY_ID", "publicKey", "sortKey", "cache_key", "partition-key",
		"MAX_TOKENS", "keyspace", "monkey", "KEYCLOAK_HOST", "author", "authority", "compass", "passenger", "BYPASS_CACHE", "tokenizer", "secretariat", "passwordKey", "userSecret", "automountServiceAccountToken", "USE_PASSWORD"} {
		for _, v := range []string{"my-app", "true", "redis-password", "42", "default", "5f4dcc3b-0000-4aaa-8bbb-0123456789ab"} {
			add(n, v)
		}
	}
	for i := range 40 {
		add("IMAGE", fmt.Sprintf("registry.k8s.io/app-%d@sha256:%s", i, chars(uint64(i), hexes, 64)))
		add("", fmt.Sprintf("app-%s-%s", chars(uint64(i), hexes, 10), chars(uint64(i+1), hexes, 5)))
		add("TRACE_ID", chars(uint64(i), hexes, 32))
	}
	for _, t := range []string{
		"--token-auth-file=/etc/x", "--service-account-private-key-file=/etc/kubernetes/pki/sa.key", "--tls-private-key-file=/x.key", "--use-service-account-credentials=true", "--enable-bootstrap-token-auth=true",
		"--client-secret=$(CLIENT_SECRET)", "--password-file /etc/pw", "--token=${TOKEN}", "export PASSWORD=$(cat /run/secrets/pw)", "PASSWORD=\"$(cat /run/pw)\"", "mysql -u root -p\"$MYSQL_ROOT_PASSWORD\" -e 'x'",
		"mysqladmin ping -h localhost", "curl -u \"$USER:$PASS\" https://x", "redis-cli -a $REDIS_PASSWORD ping", "grep -q 'BEGIN RSA PRIVATE KEY' f", "grep -- '-----BEGIN PRIVATE KEY-----' f",
		"docker run -p 8080:80 nginx", "curl -H \"Authorization: Bearer $TOKEN\" https://x", "curl -H \"Authorization: Bearer ${TOKEN}\" x", "Authorization: Bearer <token>", "use the --token flag to pass it", "set password: see the docs for more",
		"http://user@host/path", "https://example.com:8443/a@b", "postgres://$(USER):$(PASS)@db/x", "postgres://{{ .user }}:{{ .pass }}@db", "redis://cache:6379/0", "image: vault-token:1.2.3", "quay.io/x/secret-manager:v0.1",
		"-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJ\n-----END CERTIFICATE-----", "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkq\n-----END PUBLIC KEY-----",
		"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQC7 user@host", "password: type: string", "token: string", `{"password":{"type":"string"}}`, "password:\n  secretKeyRef:\n    name: db\n    key: password\n",
		"String password = config.getPassword();", "token := r.Header.Get(\"X-Token\")", "if password == \"x\" {", "password = os.environ[\"DB_PASSWORD\"]", "const token = process.env.TOKEN", "password: ${DB_PASSWORD}", "passwordSecret: db-credentials",
		"rule: has(self.token) ? self.token : self.password", "audience: vault\nexpirationSeconds: 3600\npath: token\n", "resources: [\"secrets\"]", "verbs: [\"get\"]\nresources: [\"secrets\", \"tokenreviews\"]", "key: password\nname: mysql-secret", "kind: Secret\nmetadata:\n  name: my-secret",
		"secretName: my-tls", "checksum/config: 01ba4719c80b6fe911b091a7c05124b64eeef5a2c3b4d5e6f708192a3b4c5d6e", "token_ttl = 1h", "min.password.length=8", "password.encoder=bcrypt", "ssl.key.password=", "ssl_certificate_key /etc/nginx/tls.key;", "proxy_pass http://backend:8080;", "proxy_set_header Authorization $http_authorization;",
		"keys: a, b, c", "primary_key: id", "foreign_key = user_id", "sort-key: created_at", "- key: app\n  operator: In\n  values: [a]", "topologyKey: kubernetes.io/hostname", "key: node-role.kubernetes.io/control-plane", "tokens: 4096", "max_tokens=2048",
		"auth: true", "auth_type: basic", "authorization:\n  mode: RBAC", "basic_auth:\n  username: x\n", "bearer_token_file: /var/run/secrets/kubernetes.io/serviceaccount/token", "credentials_file: /etc/x", "password_file: /etc/x",
		"pass: 12", "pass through", "compass: north", "author: jane@example.com", "pwd=/home/app", "cd $PWD; echo $PASSWORD", "echo password", "Enter password:", "wget -q -O- http://x:80/", "sk-this-is-only-a-dashed-name-of-some-length-here", "EAAA", "AKIA", "ghp_", "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
		"# password: the database password\n# token: the API token to use\n", "description: The secret key of the Secret to select from", "jsonPath: .spec.token", "pattern: ^[a-z]+$\ntoken: {type: string}", "args: [\"--password\", \"$(PASSWORD)\"]", "--api-token-secret=my-secret", "--oidc-client-secret-ref my-ref",
	} {
		add("", t)
	}
	return append(out, unseen()...)
}

// unseen are look-alikes written after the detector; of 59, 2 were taken at first.
func unseen() []sample {
	return []sample{
		{"", "- --authentication-token-webhook-config-file=/x"}, {"", "--requestheader-allowed-names=front-proxy-client"}, {"", "kubernetes.io/service-account-token"}, {"", "type: kubernetes.io/basic-auth"}, {"", "argocd.argoproj.io/secret-type: cluster"}, {"", "cert-manager.io/private-key-rotation: Always"},
		{"", "nginx.ingress.kubernetes.io/auth-secret: basic-auth"}, {"", "nginx.ingress.kubernetes.io/auth-type: basic"}, {"", "vault.hashicorp.com/agent-inject-secret-db: database/creds/app"}, {"", "privateKeySecretRef:\n  name: letsencrypt"}, {"", "apiTokenSecretRef: {name: cf, key: api-token}"}, {"", "key: api-token"},
		{"TOKEN_PATH", "x"}, {"KUBERNETES_SERVICE_HOST", "10.0.0.1"}, {"AWS_WEB_IDENTITY_TOKEN_FILE", "/x"}, {"AWS_REGION", "eu-west-1"}, {"GIT_COMMIT", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"}, {"BUILD", "sha-9f86d081"}, {"SESSION_COOKIE_NAME", "sid"}, {"VAULT_ADDR", "https://vault:8200"}, {"KEY", "value"}, {"TOKENIZER", "cl100k_base"},
		{"", "secrets: [a, b]"}, {"", "passwordSecretRef:\n  name: x\n  key: password"}, {"", "auth:\n  existingSecret: foo\n  secretKeys:\n    adminPasswordKey: postgres-password\n"}, {"", "secretKeys:\n  userPasswordKey: password\n"}, {"", "tls.key: ''"}, {"", "# Set the password: run kubectl get secret"}, {"", "description: \"Token: the bearer token for the API\""}, {"", "password = var.db_password"}, {"", "password: !vault |"}, {"", "token: ((ci-token))"}, {"", "password: \"{{ db_pass }}\""}, {"", "password: <%= ENV['X'] %>"}, {"", "secret_key: ENV['SECRET']"},
		{"", "log_format: '$remote_addr - $remote_user [$time_local] \"$request\"'"}, {"", "annotations:\n  checksum/secret: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}, {"", "    - secretRef: {name: app-secrets}"}, {"", "env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: a, key: token}}}]"}, {"", "rate(authentication_token_cache_request_total[5m])"}, {"", "expr: sum(token_requests) by (token)"}, {"", "http://localhost:9200/_security/user/elastic/_password"}, {"", "authorization: enabled"}, {"", "session.cookie.secure=true"}, {"CONNECTION_STRING", "Server=x;Integrated Security=true"}, {"MY_CREDENTIALS", "gcp-credentials"}, {"PASSWORD_POLICY", "strong"}, {"AUTH_MODE", "ldap"}, {"", "password: see vault"}, {"", "kind: Password"}, {"", "apiKeyHeader: X-API-Key"}, {"", "token_endpoint: https://x/token"}, {"GOOGLE_APPLICATION_CREDENTIALS", "/var/secrets/google/key.json"}, {"", "spec.secretName: a"}, {"STORAGE_KEY", "users/list"}, {"", "secretProviderClass: \"vault-foo\""}, {"", "api_key: \"\""}, {"", "keyFile: a.key"}, {"", "vaultToken: vault.hvs"},
	}
}

func detects(d *Detector, s sample) bool {
	if s.name == "" {
		return len(d.Text(s.value)) > 0
	}
	_, ok := d.Named(s.name, s.value)
	return ok
}

// TestCorpus holds the goal: recall at least .95 and precision at least .9.
func TestCorpus(t *testing.T) {
	d := New()
	planted := append(plantedToken(), plantedPlace()...)
	looks := lookAlikes()
	if len(planted) < 50 || len(looks) < 500 {
		t.Fatalf("corpus too small: %d planted, %d look-alikes", len(planted), len(looks))
	}
	hit, wrong := 0, 0
	for _, s := range planted {
		if detects(d, s) {
			hit++
		} else {
			t.Logf("missed: %s=%s", s.name, s.value)
		}
	}
	for _, s := range looks {
		if detects(d, s) {
			wrong++
			t.Logf("look-alike taken for a secret: %q=%q", s.name, s.value)
		}
	}
	recall := float64(hit) / float64(len(planted))
	precision := float64(hit) / float64(hit+wrong)
	t.Logf("planted %d, look-alikes %d: recall %.3f, precision %.3f", len(planted), len(looks), recall, precision)
	if recall < .95 || precision < .9 {
		t.Errorf("recall %.3f, precision %.3f; want at least .95 and .9", recall, precision)
	}
}
