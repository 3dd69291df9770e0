package cluster

import (
	"fmt"
	"net/http"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/transport"

	"github.com/merlon-security/merlon/internal/source"
)

// client speaks to one API server. client-go does the transport: certificates,
// tokens that are renewed, plug-ins of the kubeconfig, proxies. It is safe for
// concurrent use.
type client struct {
	http    *http.Client
	base    *url.URL
	context string
	config  *rest.Config
}

// connect finds the API server as kubectl does: the file named, else KUBECONFIG,
// else ~/.kube/config, else the account of the pod that Merlon runs in. It sends
// nothing.
func connect(in source.ClusterInput) (*client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = in.Kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: in.Context})
	cfg, err := loader.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	cfg.UserAgent = agentOf(in.Agent)
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig: address of the API server: %w", err)
	}
	c := &client{base: base, context: in.Context, config: cfg}
	if raw, err := loader.RawConfig(); err == nil && c.context == "" {
		c.context = raw.CurrentContext
	}
	renewToken(cfg)
	if c.http, err = rest.HTTPClientFor(cfg); err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	return c, nil
}

// renewToken has a token in a file read again when the API server no longer
// accepts it. client-go alone goes on with the old one for up to a minute.
func renewToken(cfg *rest.Config) {
	if cfg.BearerTokenFile == "" {
		return
	}
	source := transport.NewCachedFileTokenSource(cfg.BearerTokenFile)
	cfg.BearerToken, cfg.BearerTokenFile = "", ""
	cfg.Wrap(transport.ResettableTokenSourceWrapTransport(source))
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) {
			before, err := source.Token()
			if err != nil {
				return nil, err
			}
			resp, err := next.RoundTrip(req) // after a 401, the source forgets the token
			if err != nil || resp.StatusCode != http.StatusUnauthorized {
				return resp, err
			}
			now, err := source.Token()
			if err != nil || now.AccessToken == before.AccessToken {
				return resp, nil
			}
			resp.Body.Close()
			return next.RoundTrip(req)
		})
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
