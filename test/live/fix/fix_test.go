// Package fix holds merlon fix to a real API server: what it took before, it
// takes fixed.
package fix

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/merlon-security/merlon/controls"
	"github.com/merlon-security/merlon/internal/cli"
	"github.com/merlon-security/merlon/internal/control"
	"github.com/merlon-security/merlon/internal/finding"
	"github.com/merlon-security/merlon/internal/yamldoc"
	"go.yaml.in/yaml/v3"
)

// server is the API server of the test cluster.
type server struct {
	url  string
	http *http.Client
}

// open returns the API server that `lab run` has started and names in
// MERLON_LAB_DIR. Tests never touch a cluster that somebody happens to have
// configured.
func open(t *testing.T) *server {
	t.Helper()
	dir := os.Getenv("MERLON_LAB_DIR")
	if dir == "" {
		if os.Getenv("MERLON_LIVE") != "" {
			t.Fatal("no test cluster: MERLON_LAB_DIR is not set")
		}
		t.Skip("no test cluster: lab run -- go test ./test/live/... starts one")
	}
	raw, err := os.ReadFile(filepath.Join(dir, "kubeconfig"))
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
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
	if err := yaml.Unmarshal(raw, &config); err != nil || len(config.Clusters) == 0 || len(config.Users) == 0 {
		t.Fatalf("read kubeconfig: %v", err)
	}
	cluster, user := config.Clusters[0].Cluster, config.Users[0].User
	decoded := func(text string) []byte {
		out, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal("read kubeconfig: a certificate is not base64")
		}
		return out
	}
	pair, err := tls.X509KeyPair(decoded(user.Cert), decoded(user.Key))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(decoded(cluster.CA))
	return &server{cluster.Server, &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots}}}}
}

func (s *server) do(t *testing.T, method, path string, body []byte) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	out, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(out)
}

// namespace makes the namespace that the cases live in, with its account.
func (s *server) namespace(t *testing.T, name string) {
	t.Helper()
	s.do(t, "POST", "/api/v1/namespaces", fmt.Appendf(nil, `{"metadata":{"name":%q}}`, name))
	for _, account := range []string{"default", "web"} {
		s.do(t, "POST", "/api/v1/namespaces/"+name+"/serviceaccounts", fmt.Appendf(nil, `{"metadata":{"name":%q}}`, account))
	}
}

// take asks the API server for a dry run of a pod.
func (s *server) take(t *testing.T, pod []byte) (bool, string) {
	t.Helper()
	doc, err := yamldoc.NewReader(bytes.NewReader(pod), "pod", yamldoc.Limits{}).Next()
	if err != nil {
		t.Fatal(err)
	}
	code, answer := s.do(t, "POST", "/api/v1/namespaces/case/pods?dryRun=All&fieldValidation=Strict", yamldoc.JSON(doc.Root))
	return code == http.StatusCreated, answer
}

// TestFixedPodsAreTaken fixes the failing cases of every control with a patch,
// by everything that merlon fix can do, and holds that the API server takes the
// result wherever it took the case.
func TestFixedPodsAreTaken(t *testing.T) {
	s := open(t)
	s.namespace(t, "case")
	list, err := control.Load(controls.FS, true)
	if err != nil {
		t.Fatal(err)
	}
	taken, changed := 0, 0
	for _, c := range list {
		if !c.Mends() {
			continue
		}
		cases, err := c.Cases()
		if err != nil {
			t.Fatal(err)
		}
		for i := range cases {
			cs := &cases[i]
			if cs.Verdict != finding.Fail || len(cs.Objects) != 1 || cs.Objects[0].At("kind").Str() != "Pod" {
				continue
			}
			before := yamldoc.YAML(cs.Objects[0])
			if ok, _ := s.take(t, before); !ok {
				continue // with host processes of Windows, say
			}
			taken++
			var out, errs bytes.Buffer
			cli.Main([]string{"fix", "-", "--all"}, cli.Streams{In: bytes.NewReader(before), Out: &out, Err: &errs})
			if !bytes.Equal(before, out.Bytes()) {
				changed++
			}
			if ok, answer := s.take(t, out.Bytes()); !ok {
				t.Errorf("%s: %s: %s\n%s", c.ID, cs.Name, answer, out.Bytes())
			}
		}
	}
	t.Logf("%d cases that the API server takes, %d of them changed", taken, changed)
	if changed < 80 {
		t.Errorf("only %d cases changed", changed)
	}
}
