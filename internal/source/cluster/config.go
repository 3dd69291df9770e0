package cluster

import (
	"fmt"
	"net/http"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

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
	if c.http, err = rest.HTTPClientFor(cfg); err != nil {
		return nil, fmt.Errorf("read kubeconfig: %w", err)
	}
	return c, nil
}
