//go:build linux

package node

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
)

// TestProbe asks an etcd that holds a Secret in many ways, and holds that no more
// of the value comes out than says how it is held.
func TestProbe(t *testing.T) {
	const secret = "made-up-and-not-to-be-seen"
	value := func(prefix string) string {
		return `{"header":{"revision":"7"},"kvs":[{"key":"a2V5","mod_revision":"3","value":"` + base64.StdEncoding.EncodeToString([]byte(prefix+secret+strings.Repeat("x", 5000))) + `"}],"count":"1"}`
	}
	for _, tt := range []struct {
		name, answer string
		code         int
		want         map[string]any
		gap          string
	}{
		{name: "secretbox", answer: value("k8s:enc:secretbox:v1:key1:"), want: map[string]any{"encrypted": true, "provider": "secretbox", "providerVersion": "v1", "key": "key1"}},
		{name: "kms", answer: value("k8s:enc:kms:v2:vault:"), want: map[string]any{"encrypted": true, "provider": "kms", "providerVersion": "v2", "key": "vault"}},
		{name: "clear text", answer: value("k8s\x00\n\x0c"), want: map[string]any{"encrypted": false, "form": "protobuf"}},
		{name: "clear text of old", answer: value(`{"kind":"Secret",`), want: map[string]any{"encrypted": false, "form": "json"}},
		{name: "a short value", answer: `{"kvs":[{"value":"` + base64.StdEncoding.EncodeToString([]byte("k8s")) + `"}]}`, want: map[string]any{"encrypted": false, "form": "unknown"}},
		{name: "no such Secret", answer: `{"header":{}}`, gap: "no such Secret"},
		{name: "no base64", answer: `{"kvs":[{"value":"%%%%%%%%"}]}`, gap: "cannot be read"},
		{name: "without end", answer: strings.Repeat(" ", 1<<20), gap: "cannot be read"},
		{name: "refused", code: http.StatusForbidden, gap: "answers 403"},
		{name: "led elsewhere", code: http.StatusFound, gap: "answers 302"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			etcd := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				var ask struct{ Key []byte }
				if err := json.Unmarshal(body, &ask); err != nil || string(ask.Key) != "/own/secrets/default/canary" || r.URL.Path != "/v3/kv/range" {
					t.Errorf("asked %s for %q", r.URL.Path, ask.Key)
				}
				if tt.code != 0 {
					w.Header().Set("Location", "https://127.0.0.1:1/")
					w.WriteHeader(tt.code)
				}
				fmt.Fprint(w, tt.answer)
			}))
			defer etcd.Close()
			r := newRoot(t)
			r.write("/pki/ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: etcd.Certificate().Raw})))
			r.process(7, r.dir, "kube-apiserver", "--etcd-servers="+etcd.URL, "--etcd-cafile=/pki/ca.crt", "--etcd-prefix=own")
			s := &Source{NodeInput: source.NodeInput{Root: r.dir, ProbeSecret: "default/canary"}}
			var told []string
			var got map[string]any
			gap := ""
			err := s.Collect(t.Context(), func(c fact.Change) error {
				told = append(told, c.Gap.Message)
				if c.Object != nil {
					told = append(told, fmt.Sprint(c.Object.Root.Go()))
				}
				switch {
				case c.Op == fact.GapOpened && c.Gap.Kind == "not-probed":
					gap = c.Gap.Message
				case c.Op == fact.Upsert && c.Object.Kind == "EtcdProbe":
					got, _ = c.Object.Root.Get(fact.K("spec")).Go().(map[string]any)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if tt.gap != "" && !strings.Contains(gap, tt.gap) || tt.gap == "" && gap != "" {
				t.Errorf("gap %q, want %q", gap, tt.gap)
			}
			for k, want := range tt.want {
				if got[k] != want {
					t.Errorf("%s is %v, want %v", k, got[k], want)
				}
			}
			if all := strings.Join(told, "\n"); strings.Contains(all, "made-up") || strings.Contains(all, base64.StdEncoding.EncodeToString([]byte(secret))[:12]) {
				t.Errorf("the value came out: %s", all)
			}
		})
	}
}

// TestNoProbe asks no etcd unless a Secret is named.
func TestNoProbe(t *testing.T) {
	etcd := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked") }))
	defer etcd.Close()
	r := newRoot(t)
	r.process(7, r.dir, "kube-apiserver", "--etcd-servers="+etcd.URL)
	s := &Source{NodeInput: source.NodeInput{Root: filepath.Clean(r.dir)}}
	if err := s.Collect(t.Context(), func(fact.Change) error { return nil }); err != nil {
		t.Fatal(err)
	}
}
