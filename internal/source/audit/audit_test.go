package audit

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
)

const pods = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a1","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/pods/web-0/exec?command=sh","verb":"create","user":{"username":"jane","uid":"7","groups":["devs","system:authenticated"]},"impersonatedUser":{"username":"bob","groups":["ops"]},"sourceIPs":["192.0.2.1"],"userAgent":"kubectl/v1.36","objectRef":{"resource":"pods","namespace":"shop","name":"web-0","apiVersion":"v1","subresource":"exec"},"responseStatus":{"metadata":{},"code":101},"requestReceivedTimestamp":"2026-11-20T10:00:00.000001Z","stageTimestamp":"2026-11-20T10:00:01.5Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"because"}}`

const old = `{"kind":"Event","apiVersion":"audit.k8s.io/v1beta1","timestamp":"2017-09-11T19:55:05Z","auditID":"b1","stage":"ResponseComplete","requestURI":"/healthz","verb":"get","user":{"username":"system:anonymous"}}`

// read reads files of a folder and says what came, one line each.
func read(t *testing.T, files map[string]string) []string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return told(t, dir, source.EventInput{Paths: []string{dir}})
}

func told(t testing.TB, dir string, in source.EventInput) []string {
	t.Helper()
	s := &Source{EventInput: in}
	var out []string
	err := s.Read(context.Background(), func(e *fact.AuditEvent) error {
		out = append(out, fmt.Sprintf("%s:%d %s %s %s", strings.TrimPrefix(e.Origin.File, dir+"/"), e.Line, e.ID, e.User.Name, e.Verb))
		return nil
	}, func(g fact.Gap) error {
		out = append(out, fmt.Sprintf("%s:%d gap %s", strings.TrimPrefix(g.File, dir+"/"), g.Pos.Line, g.Kind))
		return nil
	})
	if err != nil {
		out = append(out, "error "+err.Error())
	}
	return out
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

func TestEvent(t *testing.T) {
	s := &Source{EventInput: source.EventInput{Paths: []string{"-"}, Stdin: strings.NewReader(pods + "\n")}}
	var got *fact.AuditEvent
	if err := s.Read(context.Background(), func(e *fact.AuditEvent) error { got = e; return nil }, func(g fact.Gap) error { t.Errorf("%+v", g); return nil }); err != nil {
		t.Fatal(err)
	}
	want := &fact.AuditEvent{
		ID: "a1", Level: "Metadata", Stage: "ResponseComplete", Time: got.Time, Verb: "create", URI: "/api/v1/namespaces/shop/pods/web-0/exec?command=sh", Code: 101,
		User: fact.Caller{Name: "jane", Groups: []string{"devs", "system:authenticated"}}, Impersonated: fact.Caller{Name: "bob", Groups: []string{"ops"}},
		Object:   fact.AuditObject{Version: "v1", Resource: "pods", Subresource: "exec", Namespace: "shop", Name: "web-0"},
		Decision: "allow", Reason: "because", Annotations: map[string]string{"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": "because"},
		SourceIPs: []string{"192.0.2.1"}, UserAgent: "kubectl/v1.36", Origin: fact.Origin{Source: Name, File: "stdin"}, Line: 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got.Time.Format("15:04:05.000") != "10:00:01.500" || got.As().Name != "bob" {
		t.Errorf("%v %v", got.Time, got.As())
	}
}

func TestLogs(t *testing.T) {
	cut := pods[:200]
	list := `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` + old + `,7,{"kind":"Event"}]}`
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"mixed versions", map[string]string{"a.log": pods + "\n\n" + old + "\r\n"}, []string{"a.log:1 a1 jane create", "a.log:3 b1 system:anonymous get"}},
		{"gzip", map[string]string{"a.log.gz": zipped(pods + "\n" + old + "\n")}, []string{"a.log.gz:1 a1 jane create", "a.log.gz:2 b1 system:anonymous get"}},
		{"gzip cut", map[string]string{"a.log.gz": zipped(strings.Repeat(pods+"\n", 3))[:60]}, []string{"a.log.gz:1 gap unreadable"}},
		{"gzip damaged", map[string]string{"a.log.gz": "\x1f\x8bnot gzip"}, []string{"a.log.gz:0 gap unreadable"}},
		{"the API server's rotation", map[string]string{"audit.log": old, "audit-2026-11-21T10-00-00.000.log": pods, "audit-2026-11-20T10-00-00.000.log.gz": zipped(pods), "other.bin": "x"},
			[]string{"audit-2026-11-20T10-00-00.000.log.gz:1 a1 jane create", "audit-2026-11-21T10-00-00.000.log:1 a1 jane create", "audit.log:1 b1 system:anonymous get"}},
		{"logrotate", map[string]string{"audit.log": old, "audit.log.1": pods, "audit.log.2.gz": zipped(pods), "audit.log.10.gz": zipped(pods)},
			[]string{"audit.log.10.gz:1 a1 jane create", "audit.log.2.gz:1 a1 jane create", "audit.log.1:1 a1 jane create", "audit.log:1 b1 system:anonymous get"}},
		{"cut at the end", map[string]string{"a.log": old + "\n" + cut}, []string{"a.log:1 b1 system:anonymous get", "a.log:2 gap cut-line"}},
		{"cut in the middle", map[string]string{"a.log": cut + "\n" + old + "\n"}, []string{"a.log:1 gap cut-line", "a.log:2 b1 system:anonymous get"}},
		{"cut, and the next follows", map[string]string{"a.log": cut + old + "\n"}, []string{"a.log:1 gap cut-line", "a.log:1 b1 system:anonymous get"}},
		{"the rest of a line", map[string]string{"a.log": pods[200:] + "\n" + old + "\n"}, []string{"a.log:1 gap not-an-event", "a.log:2 b1 system:anonymous get"}},
		{"other JSON", map[string]string{"a.log": `{"kind":"Pod","apiVersion":"v1"}` + "\n[]\n7\n" + old}, []string{"a.log:1 gap not-an-event", "a.log:2 gap not-an-event", "a.log:3 gap not-an-event", "a.log:4 b1 system:anonymous get"}},
		{"a list", map[string]string{"a.log": list}, []string{"a.log:1 b1 system:anonymous get", "a.log:1 gap not-an-event", "a.log:1 gap not-an-event"}},
		{"a future version", map[string]string{"a.log": strings.Replace(pods, "k8s.io/v1", "k8s.io/v2", 1)}, []string{"a.log:1 gap not-an-event"}},
		{"without a time", map[string]string{"a.log": strings.NewReplacer("2026-11-20T10:00:01.5Z", "soon").Replace(pods)}, []string{"a.log:1 gap not-an-event"}},
		{"without a user", map[string]string{"a.log": strings.NewReplacer(`"username":"jane"`, `"username":""`).Replace(pods)}, []string{"a.log:1 gap not-an-event"}},
		{"without a user, not let in", map[string]string{"a.log": strings.NewReplacer(`"username":"jane"`, `"username":""`, `"code":101`, `"code":401`).Replace(pods)}, []string{"a.log:1 a1  create"}},
		{"empty", map[string]string{"a.log": "\n"}, []string{"a.log:0 gap no-events"}},
		{"no log", map[string]string{"a.bin": pods}, []string{"DIR:0 gap no-events"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := read(t, c.files)
			if c.name == "no log" {
				got[0] = "DIR" + got[0][strings.LastIndex(got[0], ":0"):]
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A line of any length costs no more memory than the limit, and the next one is
// read.
func TestLongLine(t *testing.T) {
	long := `{"kind":"Event","x":"` + strings.Repeat("x", maxLine) + `"}`
	got := told(t, "", source.EventInput{Paths: []string{"-"}, Stdin: strings.NewReader(long + "\n" + old + "\n")})
	if diff := cmp.Diff([]string{"stdin:1 gap line-too-long", "stdin:2 b1 system:anonymous get"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestManyGaps(t *testing.T) {
	got := told(t, "", source.EventInput{Paths: []string{"-"}, Stdin: strings.NewReader(strings.Repeat("x\n", 5000))})
	if len(got) != maxGaps+1 || got[maxGaps] != "stdin:0 gap more-gaps" {
		t.Errorf("%d, last %s", len(got), got[len(got)-1])
	}
}

func TestMissing(t *testing.T) {
	got := told(t, "", source.EventInput{Paths: []string{"nowhere/audit.log"}})
	if diff := cmp.Diff([]string{"error read audit log nowhere/audit.log: no such file or directory"}, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzLog feeds any bytes: they give events and gaps, at places in the log, and
// no gap shows what was read.
func FuzzLog(f *testing.F) {
	for _, s := range []string{pods, old, pods[:99] + old, "x", "\x1f\x8b", zipped(old), `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[null]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s := &Source{EventInput: source.EventInput{Paths: []string{"-"}, Stdin: bytes.NewReader(data)}}
		n := 0
		err := s.Read(context.Background(), func(e *fact.AuditEvent) error {
			n++
			if e.User.Name == "" || e.Verb == "" || e.Line < 1 || e.Time.IsZero() && !strings.Contains(string(data), "0001-01-01") {
				t.Errorf("%+v", e)
			}
			return nil
		}, func(g fact.Gap) error {
			n++
			if g.Kind == "" || g.File != "stdin" || strings.Contains(g.Message, "username") {
				t.Errorf("%+v", g)
			}
			return nil
		})
		if err != nil || n == 0 {
			t.Errorf("%d told: %v", n, err)
		}
	})
}
