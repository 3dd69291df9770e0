//go:build linux

package node

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/component"
)

// Limits of the probe.
const (
	probeWait   = 10 * time.Second
	probePrefix = 96 // characters of base64 that are looked at: more than any prefix is long
	probeSearch = 16 << 10
)

// probe reads of one Secret, which the user names, how etcd holds it: the prefix
// by which the API server knows what encrypted it. The value is not read beyond
// that, and of the prefix only its fields are kept. It asks as the API server
// does: at its etcd, with its certificate, through etcd's JSON gateway.
func (s *Source) probe(ctx context.Context, p *process, running *component.Process) {
	if s.ProbeSecret == "" || p.component != "kube-apiserver" {
		return
	}
	gap := func(err error) {
		s.gap("not-probed", "", "how etcd holds the Secret %s is not known: %v", s.ProbeSecret, cause(err))
	}
	client, err := s.etcdClient(p, running)
	if err != nil {
		gap(err)
		return
	}
	defer client.CloseIdleConnections()
	endpoint, _, _ := strings.Cut(running.Flag("etcd-servers"), ",")
	key := path.Join("/", cmp.Or(running.Flag("etcd-prefix"), "/registry"), "secrets", s.ProbeSecret)
	start, err := firstOfValue(ctx, client, endpoint, key)
	if err != nil {
		gap(err)
		return
	}
	spec := heldAs(start)
	clear(start)
	spec["secret"], spec["endpoint"] = s.ProbeSecret, endpoint
	s.fact("EtcdProbe", s.node+":"+s.ProbeSecret, fmt.Sprintf("/proc/%d", p.pid), spec)
}

// etcdClient speaks to etcd as the API server does.
func (s *Source) etcdClient(p *process, running *component.Process) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if ca := running.Flag("etcd-cafile"); ca != "" {
		text, err := p.root.read(p.path(ca), maxConfig)
		if err != nil {
			return nil, err
		}
		if config.RootCAs = x509.NewCertPool(); !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("%s holds no certificate", ca)
		}
	}
	if cert, key := running.Flag("etcd-certfile"), running.Flag("etcd-keyfile"); cert != "" && key != "" {
		public, err := p.root.read(p.path(cert), maxConfig)
		if err != nil {
			return nil, err
		}
		private, err := p.root.read(p.path(key), maxConfig)
		if err != nil {
			return nil, err
		}
		pair, err := tls.X509KeyPair(public, private)
		clear(private)
		if err != nil {
			return nil, errors.New("the API server's certificate for etcd does not go with its key")
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{
		Timeout: probeWait, Transport: &http.Transport{TLSClientConfig: config},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// firstOfValue returns the first bytes of one key's value. The answer is read no
// further than that.
func firstOfValue(ctx context.Context, client *http.Client, endpoint, key string) ([]byte, error) {
	ask := fmt.Sprintf(`{"key":%q,"limit":"1"}`, base64.StdEncoding.EncodeToString([]byte(key)))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(endpoint, "/")+"/v3/kv/range", strings.NewReader(ask))
	if err != nil {
		return nil, errors.New("the API server's etcd has no address that can be read")
	}
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return nil, fmt.Errorf("etcd cannot be reached from here: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("etcd answers %d", resp.StatusCode)
	}
	const mark = `"value":"`
	var seen []byte
	defer func() { clear(seen) }()
	chunk := make([]byte, 64)
	defer clear(chunk)
	for len(seen) < probeSearch {
		n, err := resp.Body.Read(chunk)
		seen = append(seen, chunk[:n]...)
		if i := bytes.Index(seen, []byte(mark)); i >= 0 {
			value := seen[i+len(mark):]
			end := bytes.IndexByte(value, '"')
			if end < 0 && len(value) < probePrefix && err == nil {
				continue
			}
			if end >= 0 {
				value = value[:end]
			}
			value = value[:min(len(value), probePrefix)]
			out := make([]byte, base64.StdEncoding.DecodedLen(len(value)))
			n, err := base64.StdEncoding.Decode(out, value[:len(value)/4*4])
			if err != nil {
				return nil, errors.New("etcd's answer cannot be read")
			}
			return out[:n], nil
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return nil, errors.New("etcd's answer breaks off")
			}
			return nil, errors.New("etcd has no such Secret")
		}
	}
	return nil, errors.New("etcd's answer cannot be read")
}

// heldAs says what the first bytes of a value tell: the provider that encrypted
// it and the name of its key, or that nothing did. Source:
// k8s.io/apiserver/pkg/server/options/encryptionconfig, prefixes k8s:enc:.
func heldAs(start []byte) map[string]any {
	rest, encrypted := strings.CutPrefix(string(start), "k8s:enc:")
	if !encrypted {
		form := "unknown"
		if bytes.HasPrefix(start, []byte("k8s\x00")) {
			form = "protobuf"
		} else if bytes.HasPrefix(start, []byte("{")) {
			form = "json"
		}
		return map[string]any{"encrypted": false, "form": form}
	}
	fields := strings.SplitN(rest, ":", 4)
	out := map[string]any{"encrypted": true, "provider": fields[0]}
	if len(fields) == 4 {
		out["providerVersion"], out["key"] = fields[1], fields[2]
	}
	return out
}
