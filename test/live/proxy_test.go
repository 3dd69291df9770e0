package live

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/merlon-security/merlon/test/live/lab"
)

// proxy stands before the real API server and misbehaves where a test says so.
type proxy struct {
	url       string
	authority []byte
	record    bool

	mu   sync.Mutex
	all  []exchange
	bad  func(w http.ResponseWriter, r *http.Request) bool // answers itself, or leaves it to the API server
	edit func(*http.Response)
}

// exchange is one request and its answer.
type exchange struct{ path, query, accept, body string }

func newProxy(t *testing.T, l *lab.Lab) *proxy {
	t.Helper()
	target, err := url.Parse(l.Host())
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	reverse := &httputil.ReverseProxy{Transport: l.Transport(t), FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		if p.record {
			r.Out.Header.Del("Accept-Encoding")
		}
	}, ModifyResponse: p.answered}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		bad := p.bad
		p.mu.Unlock()
		if bad == nil || !bad(w, r) {
			reverse.ServeHTTP(w, r)
		}
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	p.authority = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	p.url = server.URL
	return p
}

func (p *proxy) answered(r *http.Response) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.edit != nil {
		p.edit(r)
	}
	if !p.record || strings.Contains(r.Request.URL.RawQuery, "watch=1") {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	r.Body.Close()
	r.Body = io.NopCloser(bytes.NewReader(body))
	p.all = append(p.all, exchange{r.Request.URL.Path, r.Request.URL.RawQuery, r.Request.Header.Get("Accept"), string(body)})
	return err
}

func (p *proxy) exchanges() []exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all
}

// misbehave sets what the proxy answers itself.
func (p *proxy) misbehave(bad func(w http.ResponseWriter, r *http.Request) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bad = bad
}

// refuse answers as the API server would, with a Status.
func refuse(w http.ResponseWriter, code int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"`+reason+`","code":`+fmt.Sprint(code)+`}`)
}
