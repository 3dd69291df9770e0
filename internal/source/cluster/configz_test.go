package cluster

import (
	"context"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/merlon-security/merlon/internal/component"
	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/source"
)

// TestKubelets asks kubelets that answer in many ways, and holds that Merlon's
// token goes only to those that the cluster's authority vouches for.
func TestKubelets(t *testing.T) {
	for _, tt := range []struct {
		name     string
		stranger bool // presents a certificate of its own
		answer   http.HandlerFunc
		want     string // gap, "" for the facts
	}{
		{name: "answers", answer: func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"kubeletconfig":{"readOnlyPort":10255,"authentication":{"anonymous":{"enabled":true}},"staticPodURLHeader":{"Authorization":["made-up"]}}}`)
		}},
		{name: "refuses", answer: func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) }, want: "get nodes/configz"},
		{name: "leads elsewhere", answer: func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://127.0.0.1:1/", http.StatusFound)
		}, want: "it answers 302"},
		{name: "talks rubbish", answer: func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "{") }, want: "cannot be read"},
		{name: "says nothing of itself", answer: func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, `{"other":1}`) }, want: "cannot be read"},
		{name: "talks without end", answer: func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, strings.Repeat(" ", 2<<20)) }, want: "too long"},
		{name: "is a stranger", stranger: true, answer: func(http.ResponseWriter, *http.Request) {}, want: "not who it should be"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			kubelet := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if asked++; r.URL.Path != "/configz" || r.Method != "GET" || r.Header.Get("Authorization") != "Bearer made-up-token" {
					t.Errorf("asked for %s %s", r.Method, r.URL.Path)
				}
				tt.answer(w, r)
			}))
			defer kubelet.Close()
			host, port, _ := net.SplitHostPort(kubelet.Listener.Addr().String())
			api := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "proxy") {
					t.Errorf("goes by %s", r.URL.Path)
				}
				fmt.Fprintf(w, `{"items":[{"metadata":{"name":"n1","labels":{"node-role.kubernetes.io/control-plane":""}},"status":{"addresses":[{"type":"InternalIP","address":%q}],"daemonEndpoints":{"kubeletEndpoint":{"Port":%s}},"nodeInfo":{"kubeletVersion":"v1.36.3","operatingSystem":"linux"}}}]}`, host, port)
			}))
			defer api.Close()
			s := &Source{ClusterInput: source.ClusterInput{Kubeconfig: kubeconfigFor(t, api, tt.stranger), Agent: "test"}}
			var err error
			if s.client, err = connect(s.ClusterInput); err != nil {
				t.Fatal(err)
			}
			if tt.stranger { // the API server itself is known by other means
				s.client.http = api.Client()
			}
			var got []fact.Change
			if err := s.kubelets(context.Background(), func(c fact.Change) error { got = append(got, c); return nil }); err != nil {
				t.Fatal(err)
			}
			if len(got) != 1 || (tt.want == "") != (got[0].Op == fact.Upsert) || !strings.Contains(got[0].Gap.Message, tt.want) {
				t.Fatalf("got %+v", got)
			}
			if tt.stranger && asked > 0 {
				t.Error("a stranger was given Merlon's token")
			}
			if tt.want != "" {
				return
			}
			p, ok := component.FromObject(got[0].Object)
			if !ok || p.Flag("read-only-port") != "10255" || p.Flag("anonymous-auth") != "true" || !p.Known("read-only-port") || p.Known("hostname-override") || p.Minor() != 36 {
				t.Errorf("read as %+v", p)
			}
			if got[0].Object.Root.At("spec", "configuration").Index(0).At("content", "staticPodURLHeader").Present() {
				t.Error("a header that may hold credentials was kept")
			}
			if !got[0].Object.Root.At("spec", "controlPlane").Bool() {
				t.Error("not known as a node of the control plane")
			}
		})
	}
}

// kubeconfigFor names an API server, whose authority it trusts or, for strangers,
// another one.
func kubeconfigFor(t *testing.T, api *httptest.Server, other bool) string {
	t.Helper()
	dir := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})
	if other {
		var err error
		if ca, err = os.ReadFile(filepath.Join("testdata", "other-ca.crt")); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "ca")
	config := filepath.Join(dir, "config")
	text := "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: " + strconv.Quote(api.URL) + ", certificate-authority: " + strconv.Quote(file) + "}}]\n" +
		"users: [{name: u, user: {token: made-up-token}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\ncurrent-context: c\n"
	for name, b := range map[string][]byte{file: ca, config: []byte(text)} {
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return config
}
