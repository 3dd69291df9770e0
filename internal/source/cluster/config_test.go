package cluster

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/merlon-security/merlon/internal/source"
)

// TestTokenRenewed replaces the token in its file: the API server's first no to
// the old one has the new one sent.
func TestTokenRenewed(t *testing.T) {
	valid, asked := "Bearer first", 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.Header.Get("Authorization") != valid {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	token, kubeconfig := filepath.Join(dir, "token"), filepath.Join(dir, "kubeconfig")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(token, "first\n")
	write(kubeconfig, fmt.Sprintf(`{"clusters":[{"name":"c","cluster":{"server":%q,"insecure-skip-tls-verify":true}}],"users":[{"name":"u","user":{"tokenFile":%q}}],
"contexts":[{"name":"x","context":{"cluster":"c","user":"u"}}],"current-context":"x"}`, server.URL, token))
	c, err := connect(source.ClusterInput{Kubeconfig: kubeconfig})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(step string, code, requests int) {
		t.Helper()
		asked = 0
		_, err := c.get(context.Background(), "/version", nil, "application/json", "")
		if codeOf(err) != code || code == 0 && err != nil || asked != requests {
			t.Errorf("%s: %v after %d requests, want code %d after %d", step, err, asked, code, requests)
		}
	}
	ask("the token is good", 0, 1)
	valid = "Bearer second"
	ask("the token is no longer good, there is no other", http.StatusUnauthorized, 1)
	write(token, "second")
	ask("there is another", 0, 2)
	ask("it is kept", 0, 1)
}
