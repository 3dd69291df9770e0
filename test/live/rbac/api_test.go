package rbac

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/merlon-security/merlon/internal/builtin"
	"github.com/merlon-security/merlon/internal/config"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/rbac"
	"github.com/merlon-security/merlon/internal/source"
)

// server is the API server of the test cluster, as its administrator.
type server struct {
	url        string
	kubeconfig string
	auditLog   string
	client     *http.Client
}

// open returns the cluster that `lab run` has started, or ends the test: by
// skipping it, or, under make test, where nothing may be skipped, by failing it.
func open(t *testing.T) *server {
	t.Helper()
	dir := os.Getenv("MERLON_LAB_DIR")
	if dir == "" {
		if os.Getenv("MERLON_LIVE") != "" {
			t.Fatal("no test cluster: MERLON_LAB_DIR is not set")
		}
		t.Skip("no test cluster: make test starts one (lab run -- go test ./test/live/...)")
	}
	s := &server{kubeconfig: filepath.Join(dir, "kubeconfig"), auditLog: filepath.Join(dir, "logs", "audit.log")}
	data, err := os.ReadFile(s.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	var k struct {
		Clusters []struct {
			Cluster struct {
				Server string `yaml:"server"`
				CA     string `yaml:"certificate-authority-data"`
			} `yaml:"cluster"`
		} `yaml:"clusters"`
		Users []struct {
			User struct {
				Cert string `yaml:"client-certificate-data"`
				Key  string `yaml:"client-key-data"`
			} `yaml:"user"`
		} `yaml:"users"`
	}
	if err := yaml.Unmarshal(data, &k); err != nil {
		t.Fatal(err)
	}
	s.url = k.Clusters[0].Cluster.Server
	plain := func(s string) []byte {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	cert, err := tls.X509KeyPair(plain(k.Users[0].User.Cert), plain(k.Users[0].User.Key))
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(plain(k.Clusters[0].Cluster.CA))
	s.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: pool}, MaxIdleConnsPerHost: 32, ForceAttemptHTTP2: true,
	}}
	return s
}

// kubectl runs kubectl and returns what it printed.
func (s *server) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("kubectl", append([]string{"--kubeconfig", s.kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out.String()
}

// post sends an object and decodes the answer.
func (s *server) post(path string, object, answer any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	resp, err := s.client.Post(s.url+path, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, answer)
}

// allowed asks the API server, by a SubjectAccessReview.
func (s *server) allowed(u rbac.User, q rbac.Request) (bool, error) {
	spec := map[string]any{"user": u.Name, "groups": u.Groups}
	if q.Path != "" {
		spec["nonResourceAttributes"] = map[string]any{"verb": q.Verb, "path": q.Path}
	} else {
		attributes := map[string]any{
			"verb": q.Verb, "group": q.Group, "resource": q.Resource, "subresource": q.Subresource, "namespace": q.Namespace, "name": q.Name,
		}
		if q.Fields != "" {
			key, value, _ := strings.Cut(q.Fields, "=")
			attributes["fieldSelector"] = map[string]any{"requirements": []any{map[string]any{"key": key, "operator": "In", "values": []any{value}}}}
		}
		spec["resourceAttributes"] = attributes
	}
	var answer struct {
		Message string
		Status  *struct{ Allowed bool }
	}
	err := s.post("/apis/authorization.k8s.io/v1/subjectaccessreviews", map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec,
	}, &answer)
	if err == nil && answer.Status == nil {
		err = os.ErrInvalid
	}
	if err != nil {
		return false, &reviewError{q: q, text: answer.Message, err: err}
	}
	return answer.Status.Allowed, nil
}

type reviewError struct {
	q    rbac.Request
	text string
	err  error
}

func (e *reviewError) Error() string {
	return "review " + e.q.String() + ": " + e.text + ": " + e.err.Error()
}

// objects reads objects as `merlon rbac` reads them from files.
func objects(t *testing.T, text string) []*fact.Object {
	t.Helper()
	file := filepath.Join(t.TempDir(), "objects.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	kind, _ := config.Find(builtin.Sources(), "manifest")
	src, err := kind.New(func(v any) error { *v.(*source.Input) = source.Input{Paths: []string{file}}; return nil })
	if err != nil {
		t.Fatal(err)
	}
	var out []*fact.Object
	err = src.Collect(context.Background(), func(c fact.Change) error {
		switch c.Op {
		case fact.Upsert:
			out = append(out, c.Object)
		case fact.GapOpened:
			if !strings.Contains(c.Gap.Kind, "unknown-field") {
				t.Errorf("gap: %+v", c.Gap)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
