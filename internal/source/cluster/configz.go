package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/merlon-security/merlon/internal/fact"
	"github.com/merlon-security/merlon/internal/yamldoc"
	"k8s.io/client-go/rest"
)

// Limits of asking kubelets.
const (
	kubeletWait   = 5 * time.Second
	maxKubelet    = 1 << 20
	kubeletsAsked = 8 // at once
)

// kubeletNode is what is needed of a Node to ask its kubelet.
type kubeletNode struct {
	Metadata struct {
		Name   string
		Labels map[string]string
	}
	Status struct {
		Addresses       []struct{ Type, Address string }
		DaemonEndpoints struct{ KubeletEndpoint struct{ Port int } }
		NodeInfo        struct{ KubeletVersion, OperatingSystem string }
	}
}

// kubelets asks every kubelet itself for the configuration that it runs with,
// which takes the right to get nodes/configz (kubelet fine-grained
// authorization, KEP-2862; on since 1.33). It never goes by nodes/proxy, which
// is a right to run commands in every pod of a node. A kubelet whose certificate
// the cluster's authority does not vouch for is not asked: it would be given
// Merlon's credentials.
func (s *Source) kubelets(ctx context.Context, emit func(fact.Change) error) error {
	nodes, err := s.nodes(ctx)
	if err != nil {
		return emit(fact.Change{Op: fact.GapOpened, Gap: fact.Gap{Kind: "unavailable", Source: Name, Subject: "nodes/configz", Message: fmt.Sprintf("the kubelets cannot be asked, as the nodes cannot be listed: %v", plainError(err))}})
	}
	client, err := s.client.toKubelets()
	if err != nil {
		return emit(fact.Change{Op: fact.GapOpened, Gap: fact.Gap{Kind: "unavailable", Source: Name, Subject: "nodes/configz", Message: err.Error()}})
	}
	defer client.CloseIdleConnections()
	changes := make([]fact.Change, len(nodes))
	var wg sync.WaitGroup
	turns := make(chan struct{}, kubeletsAsked)
	for i := range nodes {
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			changes[i] = s.kubelet(ctx, client, &nodes[i])
		})
	}
	wg.Wait()
	for _, c := range changes {
		if err := emit(c); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// nodes lists the nodes, in the order of their names.
func (s *Source) nodes(ctx context.Context) ([]kubeletNode, error) {
	var out []kubeletNode
	query := url.Values{"limit": {strconv.Itoa(pageSize)}}
	for {
		a, err := s.client.get(ctx, "/api/v1/nodes", query, "application/json", "")
		if err != nil {
			return nil, err
		}
		var page struct {
			Metadata struct{ Continue string }
			Items    []kubeletNode
		}
		if err := json.Unmarshal(a.body, &page); err != nil {
			return nil, errors.New("the API server's answer cannot be read")
		}
		if out = append(out, page.Items...); page.Metadata.Continue == "" {
			slices.SortFunc(out, func(a, b kubeletNode) int { return bytes.Compare([]byte(a.Metadata.Name), []byte(b.Metadata.Name)) })
			return out, nil
		}
		query.Set("continue", page.Metadata.Continue)
	}
}

// toKubelets is a client with Merlon's credentials that trusts what the cluster's
// authority vouches for and follows nobody elsewhere.
func (c *client) toKubelets() (*http.Client, error) {
	cfg := rest.CopyConfig(c.config)
	cfg.Insecure, cfg.ServerName = false, ""
	if len(cfg.CAData) == 0 && cfg.CAFile == "" {
		return nil, errors.New("the kubelets are not asked: the kubeconfig names no authority by which to know them")
	}
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("the kubelets are not asked: %w", err)
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.Timeout = kubeletWait
	return client, nil
}

// kubelet asks one kubelet and returns what it says as a component, or the gap.
func (s *Source) kubelet(ctx context.Context, client *http.Client, n *kubeletNode) fact.Change {
	gap := func(kind, format string, args ...any) fact.Change {
		return fact.Change{Op: fact.GapOpened, Gap: fact.Gap{Kind: kind, Source: Name, Subject: "nodes/" + n.Metadata.Name + "/configz", Message: "the configuration of the kubelet is not known: " + fmt.Sprintf(format, args...)}}
	}
	address := ""
	for _, a := range n.Status.Addresses {
		if a.Type == "InternalIP" && net.ParseIP(a.Address) != nil {
			address = net.JoinHostPort(a.Address, strconv.Itoa(n.Status.DaemonEndpoints.KubeletEndpoint.Port))
			break
		}
	}
	if address == "" {
		return gap("unavailable", "its node names no address")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+"/configz", nil)
	if err != nil {
		return gap("unavailable", "%v", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return gap("unavailable", "it cannot be reached, or is not who it should be: %v", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden, http.StatusUnauthorized:
		return gap("forbidden", "it asks for the right to get nodes/configz (merlon permissions --with %s prints it; kubelets before 1.33 know only nodes/proxy, which Merlon does not ask for)", "kubelet-config")
	default:
		return gap("unavailable", "it answers %d", resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxKubelet+1))
	if err != nil || len(body) > maxKubelet {
		return gap("unavailable", "its answer is too long or breaks off")
	}
	o, ok := kubeletObject(n, body)
	if !ok {
		return gap("unavailable", "its answer cannot be read")
	}
	o.Origin = fact.Origin{Source: Name, World: s.info.UID}
	return fact.Change{Op: fact.Upsert, Object: o}
}

// kubeletObject is the component that a kubelet's answer tells of. Its command
// line is not known, but what it gives is in the configuration.
func kubeletObject(n *kubeletNode, body []byte) (*fact.Object, bool) {
	doc, err := yamldoc.NewReader(bytes.NewReader(body), "configz", yamldoc.Limits{Document: maxKubelet}).Next()
	if err != nil {
		return nil, false
	}
	config, ok := doc.Root.Get(fact.K("kubeletconfig")).Go().(map[string]any)
	if !ok {
		return nil, false
	}
	delete(config, "staticPodURLHeader") // may hold credentials
	_, controlPlane := n.Metadata.Labels["node-role.kubernetes.io/control-plane"]
	name := n.Metadata.Name
	o, ok := fact.NewObject(fact.Of(map[string]any{
		"apiVersion": "merlon.dev/v1", "kind": "NodeComponent", "metadata": map[string]any{"name": name + ".kubelet"},
		"spec": map[string]any{
			"component": "kubelet", "node": name, "version": n.Status.NodeInfo.KubeletVersion, "system": n.Status.NodeInfo.OperatingSystem,
			"controlPlane": controlPlane, "effective": true,
			"configuration": []any{map[string]any{"path": "nodes/" + name + "/configz", "content": config}},
		},
	}), fact.Origin{})
	return &o, ok
}
