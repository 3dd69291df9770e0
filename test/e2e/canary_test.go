package e2e

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/assess"
	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/fact"
)

// A nest hands out canaries, values that nobody else could write, and looks for
// them in what Merlon says.
type nest struct {
	rand  *rand.Rand
	birds map[string]string // canary → where it was planted
}

func newNest() *nest {
	return &nest{rand.New(rand.NewPCG(7, 11)), map[string]string{}}
}

// bird returns a new canary, of letters and digits, no part of which can stand
// in a hash.
func (n *nest) bird(where string) string {
	const letters = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	const noHex = "ghjkmnpqrstuvwxyzGHJKLMNPQRSTUVWXYZ"
	b := make([]byte, 24)
	for i := range b {
		from := letters
		if i%3 == 2 {
			from = noHex
		}
		b[i] = from[n.rand.IntN(len(from))]
	}
	n.birds[string(b)] = where
	return string(b)
}

// coded returns a new canary and the base64 of it.
func (n *nest) coded(where string) string {
	return base64.StdEncoding.EncodeToString([]byte(n.bird(where)))
}

// length is how much of a canary may not show: two characters at its end may.
const length = 5

// heard returns where each canary was planted that shows in a text, in part or
// in base64.
func (n *nest) heard(text string) []string {
	have := map[string]bool{}
	for i := 0; i+length <= len(text); i++ {
		have[text[i:i+length]] = true
	}
	var out []string
	for bird, where := range n.birds {
		for _, form := range []string{bird, base64.StdEncoding.EncodeToString([]byte(bird)), base64.StdEncoding.EncodeToString([]byte("x" + bird)), base64.StdEncoding.EncodeToString([]byte("xx" + bird))} {
			for i := 0; i+length <= len(form); i++ {
				if part := form[i : i+length]; have[part] && strings.Contains(text, form[i:min(len(form), i+length+2)]) {
					at := strings.Index(text, part)
					out = append(out, fmt.Sprintf("%s: %q in …%s…", where, form[i:min(len(form), i+length+2)], text[max(0, at-160):min(len(text), at+80)]))
					break
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

func (n *nest) silent(t *testing.T, what, text string) {
	t.Helper()
	for _, h := range n.heard(text) {
		t.Errorf("%s tells %s", what, h)
	}
}

// planted is a tree with a canary wherever people put secrets.
func planted(n *nest) map[string]string {
	files := map[string]string{}
	files["pod.yaml"] = fmt.Sprintf(`apiVersion: v1
kind: Pod
metadata:
  name: app
  annotations:
    example.com/token: %s
    example.com/note: "the password is %s, do not tell"
    example.com/url: https://user:%s@example.com/
    nginx.ingress.kubernetes.io/configuration-snippet: |
      proxy_set_header Authorization "Bearer %s";
  labels:
    api-token: %s
spec:
  containers:
    - name: app
      image: nginx
      command: [mysqld, --password=%s, -p%s, "--init=CREATE USER x IDENTIFIED BY '%s'"]
      args: [--token, %s, --db-url=postgres://app:%s@db/app, "PGPASSWORD=%s psql", sh, -c, "curl -u admin:%s http://x | sh"]
      env:
        - {name: DB_PASSWORD, value: %s}
        - {name: DB_PASSWORD, value: %s}
        - {name: HARMLESS, value: %s}
        - {name: DATABASE_URL, value: "postgres://app:%s@db:5432/app"}
        - {name: JAVA_OPTS, value: "-Djavax.net.ssl.keyStorePassword=%s -agentlib:jdwp=transport=dt_socket,server=y,address=*:5005"}
        - {name: NODE_TLS_REJECT_UNAUTHORIZED, value: "0"}
        - {name: ENCODED, value: %s}
      livenessProbe:
        httpGet:
          path: /live?token=%s
          port: 80
          host: example.com
          httpHeaders: [{name: Authorization, value: "Bearer %s"}]
      lifecycle:
        postStart: {exec: {command: [sh, -c, "echo %s | docker login --password-stdin"]}}
`, n.bird("annotation"), n.bird("annotation in words"), n.bird("annotation url"), n.bird("snippet"), n.bird("label"),
		n.bird("command flag"), n.bird("command -p"), n.bird("command sql"), n.bird("args token"), n.bird("args url"), n.bird("args env"), n.bird("args curl"),
		n.bird("env"), n.bird("env twice"), n.bird("env of harmless name"), n.bird("env url"), n.bird("env java"), n.coded("env coded"),
		n.bird("probe path"), n.bird("probe header"), n.bird("lifecycle"))
	files["config.yaml"] = fmt.Sprintf(`apiVersion: v1
kind: ConfigMap
metadata: {name: config}
data:
  password: %s
  app.yaml: |
    database:
      password: %s
      url: mysql://root:%s@db/app
  app.json: |
    {"auth": {"token": "%s"}}
  .env: |
    SECRET_KEY=%s
  app.properties: |
    spring.datasource.password=%s
  key.pem: |
    -----BEGIN PRIVATE KEY-----
    %s%s
    -----END PRIVATE KEY-----
  dockerconfig: '{"auths":{"r.example.com":{"auth":"%s"}}}'
binaryData:
  blob: %s
---
apiVersion: v1
kind: Secret
metadata:
  name: secret
  annotations:
    kubectl.kubernetes.io/last-applied-configuration: '{"apiVersion":"v1","kind":"Secret","data":{"a":"%s"}}'
data: {password: %s, token: %s}
stringData: {plain: %s, url: "https://u:%s@h/"}
---
apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata: {name: sealed}
spec: {encryptedData: {x: %s}, template: {data: {y: %s}}}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: class}
provisioner: x
parameters: {password: %s, restuserkey: %s}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: app, namespace: argocd}
spec:
  project: default
  source: {repoURL: "https://git:%s@git.example.com/r.git", chart: x, targetRevision: "*", helm: {parameters: [{name: db.password, value: %s}], values: "db:\n  password: %s\n"}}
  destination: {server: "https://kubernetes.default.svc", namespace: x}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: ingress
  annotations:
    nginx.ingress.kubernetes.io/server-snippet: "return 200 '%s';"
    nginx.ingress.kubernetes.io/auth-secret: %s
spec: {rules: [{http: {paths: [{path: "/a", pathType: Prefix, backend: {service: {name: x, port: {number: 80}}}}]}}]}
---
apiVersion: tekton.dev/v1
kind: Task
metadata: {name: task}
spec: {params: [{name: b}], steps: [{name: s, image: x, script: "TOKEN=%s git clone https://x:%s@h/$(params.b)"}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kubeadm-config, namespace: kube-system}
data: {ClusterConfiguration: "token: %s\n"}
`, n.bird("config password"), n.bird("config yaml"), n.bird("config yaml url"), n.bird("config json"), n.bird("config env"), n.bird("config properties"),
		n.bird("pem"), n.bird("pem"), n.coded("docker auth"), n.coded("binaryData"), n.coded("last applied"), n.coded("secret data"), n.coded("secret data"),
		n.bird("stringData"), n.bird("stringData url"), n.bird("sealed"), n.bird("sealed template"), n.bird("class password"), n.bird("class key"),
		n.bird("repo url"), n.bird("helm parameter"), n.bird("helm values"), n.bird("server snippet"), n.bird("auth secret"),
		n.bird("script"), n.bird("script url"), n.bird("kubeadm"))
	head := "apiVersion: v1\nkind: Secret\nmetadata: {name: broken}\nstringData:\n"
	for name, text := range map[string]string{
		"indent":      head + "  a: %s\n b: %s\n   c: %s\n",
		"tab":         head + "  a: %s\n\tb: %s\n",
		"duplicate":   head + "  a: %s\n  a: %s\n",
		"types":       "apiVersion: v1\nkind: Secret\nmetadata: %s\nstringData: [%s]\ndata: %s\n",
		"types2":      "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: {env: %s}, hostNetwork: %s, volumes: %s}\n",
		"types3":      "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: x, image: y, ports: %s, env: [%s, {name: a, value: {b: %s}}], args: %s, command: {a: %s}, securityContext: {privileged: %s}}]}\n",
		"tag":         head + "  a: !!%s x\n",
		"tag2":        head + "  a: !!int %s\n  b: !%s y\n  c: !!binary %s\n",
		"anchor":      head + "  a: *%s\n",
		"anchor2":     head + "  a: &%s [*%s]\n",
		"quote":       head + "  a: \"%s\n  b: %s\n",
		"escape":      head + "  a: \"%s\\q%s\"\n",
		"flow":        head + "  a: {%s: [%s}\n",
		"base64":      "apiVersion: v1\nkind: Secret\nmetadata: {name: b}\ndata: {a: \"***%s***\", b: \"%s=\"}\n",
		"unknown":     "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {x: %s, containers: [{name: a, image: b, y: [%s]}]}\n",
		"merge":       head + "  <<: %s\n",
		"mergelist":   head + "  <<: [%s, {a: %s}]\n",
		"control":     head + "  a: %s\x01%s\n",
		"utf8":        head + "  a: %s\xff\xfe%s\n",
		"directive":   "%%%s %s\n" + head + "  a: b\n",
		"colon":       head + "  a: %s: %s: %s\n",
		"percent":     head + "  a: @%s\n  b: %%%s\n",
		"kind":        "apiVersion: v1\nkind: [%s]\nmetadata: {name: x}\n",
		"apiVersion":  "apiVersion: {%s: x}\nkind: Pod\n",
		"scalar":      "%s\n",
		"list":        "[%s, %s]\n",
		"after":       head + "  a: b\n...\n%s: %s\n",
		"inline":      "--- {apiVersion: v1, kind: Secret, metadata: {name: x}, stringData: {a: %s}}\n",
		"bigint":      head + "  a: !!float %s\n  b: 99999999999999999999999%s\n",
		"timestamp":   head + "  a: !!timestamp %s\n",
		"waive":       "apiVersion: v1\nkind: Pod # merlon:waive %s until=%s reason=%s\nmetadata: {name: x, annotations: {merlon/waive: \"workload/%s until=%s\"}}\nspec: {containers: []}\n",
		"waive2":      "apiVersion: v1\nkind: Pod # merlon:%s\nmetadata: {name: x}\nspec: {containers: []}\n",
		"unfinished":  head + "  a: |\n%s\n  b: >%s\n",
		"dup-list":    "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Secret\n  metadata: {name: a}\n  stringData: {a: %s, a: %s}\n- %s\n",
		"json.broken": `{"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "%s", "b": %s}}`,
		"json.dup":    `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "stringData": {"a": "%s", "a": "%s"}}`,
		"json.end":    `{"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "%s`,
		"json.escape": `{"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "%s\q%s"}}`,
		"json.tail":   `{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}} %s`,
		"json.types":  `{"apiVersion": "v1", "kind": "Secret", "metadata": "%s", "data": ["%s"]}`,
	} {
		var args []any
		for i := range strings.Count(strings.ReplaceAll(text, "%%", ""), "%s") {
			args = append(args, n.bird(fmt.Sprintf("broken %s %d", name, i)))
		}
		ext := ".yaml"
		if strings.HasPrefix(name, "json") {
			ext = ".json"
		}
		files["broken/"+name+ext] = fmt.Sprintf(text, args...)
	}
	return files
}

// ownControls print what they should not, and fail in odd ways.
var ownControls = map[string]string{
	"own/message.yaml": `title: Tells values
severity: high
why: A control of somebody who does not know better.
fix: Nothing.
scope: container
items: "container.?env.orValue([])"
require: "false"
message: "env {item.name} is {item.?value.orValue('')}, args {container.?args.orValue([]).join(' ')}"
cases: []
`,
	"own/error.yaml": `title: Errs
severity: high
why: A control that cannot be evaluated.
fix: Nothing.
scope: container
items: "container.?env.orValue([])"
require: "int(item.value) > 3 || {'a': 1}[item.value] == 1"
message: "no"
cases: []
`,
	"own/data.yaml": `title: Reads data
severity: high
why: A control that reads data of Secrets.
fix: Nothing.
scope: {each: object, kinds: [Secret, ConfigMap]}
require: "object.?stringData.orValue({}).all(k, object.stringData[k] == 'x') && object.?data.orValue({}).all(k, object.data[k] == 'x') && duration(object.?data.?password.orValue('')) > duration('1s')"
message: "{object.kind} {object.?data.?password.orValue('')} {string(object.?stringData.?plain.orValue(''))}"
cases: []
`,
}

// wholeWaiver covers what carries canaries, so that waived findings are shown.
const wholeWaiver = `waivers:
  - control: secret/*
    reason: known
    by: team-a
    until: 2099-01-01
`

func TestSecretsAreNeverTold(t *testing.T) {
	if raced {
		t.Skip("held without the race detector: it runs the same commands as others, one after the other")
	}
	n := newNest()
	dir := tree(t, planted(n))
	own := tree(t, ownControls)
	out := t.TempDir()
	baseline := filepath.Join(out, "baseline.json")
	var args [][]string
	for _, k := range builtin.Sinks() {
		args = append(args,
			[]string{"scan", "--all", "-o", k.Name, dir},
			[]string{"scan", "--all", "-o", k.Name, "--controls", own, dir},
			[]string{"scan", "--all", "-o", k.Name + "=" + filepath.Join(out, k.Name), dir})
	}
	args = append(args,
		[]string{"scan", "--all", "-o", "json=" + baseline, dir},
		[]string{"scan", "--all", "-o", "json", "--baseline", baseline, dir},
		[]string{"scan", "--waivers", filepath.Join(dir, "config.yaml"), dir},
		[]string{"scan", "--baseline", filepath.Join(dir, "config.yaml"), dir},
		[]string{"scan", "--config", filepath.Join(dir, "config.yaml"), dir},
		[]string{"scan", "--controls", dir, dir},
		[]string{"scan", "--frameworks", dir, dir},
		[]string{"controls", "test", "--controls", own},
	)
	for file := range planted(newNest()) {
		args = append(args, []string{"scan", "--waivers", filepath.Join(dir, filepath.FromSlash(file)), dir + "/pod.yaml"})
	}
	for _, a := range args {
		stdout, stderr, code := merlon(t, "", a...)
		what := strings.Join(a, " ")
		n.silent(t, "stdout of "+what, stdout)
		n.silent(t, "stderr of "+what, stderr)
		if code == 0 {
			t.Errorf("%s: nothing wrong in it", what)
		}
	}
	waivers := filepath.Join(tree(t, map[string]string{"waivers.yaml": wholeWaiver}), "waivers.yaml")
	waived, stderr, _ := merlon(t, "", "scan", "--all", "--waivers", waivers, "-o", "json", dir)
	n.silent(t, "a scan with waivers", waived+stderr)
	if !strings.Contains(waived, `"waived":{`) {
		t.Error("nothing was waived")
	}
	for id := range ownControls {
		id = strings.TrimSuffix(id, ".yaml")
		stdout, stderr, code := merlon(t, "", "explain", id, "--controls", own)
		n.silent(t, "explain "+id, stdout+stderr)
		if code != 0 {
			t.Errorf("explain %s: exit code %d: %s", id, code, stderr)
		}
	}
	stdin := planted(newNest())["config.yaml"]
	stdout, stderr, _ := merlon(t, stdin, "scan", "--all", "-")
	n.silent(t, "stdin", stdout+stderr)
	files, err := os.ReadDir(out)
	if err != nil || len(files) < len(builtin.Sinks()) {
		t.Fatalf("%d reports, %v", len(files), err)
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(out, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		n.silent(t, f.Name(), string(data))
	}
}

// TestCanariesAreHeard shows that the test above could fail.
func TestCanariesAreHeard(t *testing.T) {
	n := newNest()
	bird := n.bird("here")
	for _, text := range []string{bird, "x" + bird[:10], bird[10:17], base64.StdEncoding.EncodeToString([]byte("pw" + bird))} {
		if len(n.heard("some text "+text+" and more")) == 0 {
			t.Errorf("%q was not heard", text)
		}
	}
	if h := n.heard(`a string of 24 characters that ends with "` + bird[22:] + `"`); len(h) > 0 {
		t.Error(h)
	}
}

// TestNoControlTellsSecrets plants canaries into the failing cases of every
// control, so that each control shows its evidence beside them.
func TestNoControlTellsSecrets(t *testing.T) {
	if raced {
		t.Skip("held without the race detector: it runs the same commands as others, one after the other")
	}
	n := newNest()
	lib := control.NewLibrary()
	for _, c := range shipped(t) {
		cases, err := c.Cases()
		if err != nil {
			t.Fatal(err)
		}
		for i := range cases {
			cs := &cases[i]
			var changes []fact.Change
			for j, root := range cs.Objects {
				o, ok := fact.NewObject(plant(n, c.ID, root), fact.Origin{File: "case", Doc: j})
				if !ok {
					continue
				}
				changes = append(changes, fact.Change{Op: fact.Upsert, Object: &o})
			}
			e := assess.New(lib, []*control.Control{c}, assess.Options{Minor: assess.NewestMinor(), Workers: 1, Params: map[string]map[string]any{c.ID: cs.Params}})
			a, err := e.Assess((&fact.Snapshot{}).Apply(changes...))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range a.Report(nil, nil).Findings {
				n.silent(t, c.File+": "+cs.Name, fmt.Sprintf("%s %v", f.Message, f.Evidence))
			}
		}
		clear(n.birds)
	}
}

// plant copies a document with canaries put wherever it has env, args, commands,
// annotations, data.
func plant(n *nest, where string, root fact.Value) fact.Value {
	b := &fact.Builder{}
	var walk func(key fact.Key, v fact.Value)
	text := func(key, value string) { b.String(b.Key(key), fact.Pos{}, value) }
	walk = func(key fact.Key, v fact.Value) {
		switch v.Kind() {
		case fact.Map:
			b.Begin(key, fact.Pos{}, fact.Map)
			for c := range v.Children() {
				walk(c.Key(), c)
			}
			switch key.String() {
			case "annotations", "data", "stringData":
				text("db-password", n.bird(where+" "+key.String()))
			case "metadata":
				if !v.Get(fact.K("annotations")).Present() {
					b.Begin(b.Key("annotations"), fact.Pos{}, fact.Map)
					text("example.com/token", n.bird(where+" annotation"))
					b.End()
				}
			}
			b.End()
		case fact.List:
			b.Begin(key, fact.Pos{}, fact.List)
			for c := range v.Children() {
				walk(c.Key(), c)
			}
			switch key.String() {
			case "args", "command":
				b.String(fact.Key{}, fact.Pos{}, "--password="+n.bird(where+" "+key.String()))
			case "env":
				b.Begin(fact.Key{}, fact.Pos{}, fact.Map)
				text("name", "DB_PASSWORD")
				text("value", n.bird(where+" env"))
				b.End()
			}
			b.End()
		default:
			b.Copy(key, v)
		}
	}
	walk(fact.Key{}, root)
	return b.Tree().Root()
}
