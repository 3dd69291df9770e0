package harden

import (
	"slices"

	"github.com/merlon-security/merlon/internal/control"
)

// admission is the configuration of admission plugins: a Pod Security level for
// namespaces that name none, and a bound for events.
func (m *maker) admission(int) map[string]any {
	return map[string]any{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AdmissionConfiguration",
		"plugins": []any{
			map[string]any{"name": "PodSecurity", "configuration": map[string]any{
				"apiVersion": "pod-security.admission.config.k8s.io/v1", "kind": "PodSecurityConfiguration",
				"defaults": map[string]any{
					"enforce": "baseline", "enforce-version": "latest",
					"audit": "restricted", "audit-version": "latest", "warn": "restricted", "warn-version": "latest",
				},
				"exemptions": map[string]any{"usernames": []any{}, "runtimeClasses": []any{}, "namespaces": []any{"kube-system"}},
			}},
			map[string]any{"name": "EventRateLimit", "configuration": map[string]any{
				"apiVersion": "eventratelimit.admission.k8s.io/v1alpha1", "kind": "Configuration",
				"limits": []any{
					map[string]any{"type": "Server", "qps": 5000, "burst": 20000},
					map[string]any{"type": "Namespace", "qps": 50, "burst": 100, "cacheSize": 2000},
				},
			}},
		},
	}
}

// authentication limits requests without credentials to what tells whether the
// API server is well: kubelets, load balancers and kubeadm ask for that.
func (m *maker) authentication(minor int) map[string]any {
	version := "apiserver.config.k8s.io/v1"
	if minor > 0 && minor < 34 {
		version = "apiserver.config.k8s.io/v1beta1"
	}
	conditions := []any{}
	for _, path := range m.params("apiserver/anonymous-beyond-health", "paths", []any{"/livez", "/readyz", "/healthz"}) {
		conditions = append(conditions, map[string]any{"path": path})
	}
	return map[string]any{
		"apiVersion": version, "kind": "AuthenticationConfiguration",
		"anonymous": map[string]any{"enabled": true, "conditions": conditions},
	}
}

// noKey stands in the place of a key. It is no base64, so that an API server does
// not start with it.
const noKey = "<32 random bytes, as base64: head -c 32 /dev/urandom | base64>"

// encryption encrypts Secrets at rest, and still reads those that are not.
func (m *maker) encryption(int) map[string]any {
	key := m.Layout.Key
	if key == "" {
		key = noKey
	}
	return map[string]any{
		"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration",
		"resources": []any{map[string]any{
			"resources": []any{"secrets"},
			"providers": []any{
				map[string]any{"secretbox": map[string]any{"keys": []any{map[string]any{"name": "key1", "secret": key}}}},
				map[string]any{"identity": map[string]any{}},
			},
		}},
	}
}

// auditPolicy records who did what for everything; the bodies of changes that
// the controls ask for; and of what holds secrets never a body.
func (m *maker) auditPolicy(int) map[string]any {
	rules := []any{map[string]any{"level": "None", "verbs": []any{"get"}, "nonResourceURLs": []any{"/healthz*", "/livez*", "/readyz*"}}}
	secret := m.params("apiserver/secrets-in-audit-log", "requests", nil)
	secret = append(secret, map[string]any{"group": "", "resource": "configmaps"}) // where people keep secrets, too
	rules = append(rules, map[string]any{"level": "Metadata", "resources": byGroup(secret, nil)})
	writes := []any{"create", "update", "patch", "delete", "deletecollection"}
	changes := slices.DeleteFunc(m.params("apiserver/unrecorded-security-events", "requests", nil), func(r any) bool {
		of, _ := r.(map[string]any)
		return !slices.Contains(writes, of["verb"])
	})
	if groups := byGroup(changes, secret); len(groups) > 0 {
		rules = append(rules, map[string]any{"level": "Request", "verbs": writes, "resources": groups})
	}
	return map[string]any{
		"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": []any{"RequestReceived"},
		"rules": append(rules, map[string]any{"level": "Metadata"}),
	}
}

// params returns a list that a control has as its setting.
func (m *maker) params(id, name string, otherwise []any) []any {
	i := slices.IndexFunc(m.Controls, func(c *control.Compiled) bool { return c.ID == id })
	if i < 0 {
		return otherwise
	}
	if list, ok := m.Controls[i].Param(name).([]any); ok {
		return list
	}
	return otherwise
}

// byGroup makes the resources of an audit rule of the requests that a control
// lists, without those of others.
func byGroup(requests, without []any) []any {
	left := map[[2]string]bool{}
	for _, r := range without {
		left[requestOf(r)] = true
	}
	var order []string
	resources := map[string][]any{}
	for _, r := range requests {
		at := requestOf(r)
		group, resource := at[0], at[1]
		if left[at] || resource == "" {
			continue
		}
		left[at] = true
		if _, ok := resources[group]; !ok {
			order = append(order, group)
		}
		resources[group] = append(resources[group], resource)
	}
	var out []any
	for _, g := range order {
		out = append(out, map[string]any{"group": g, "resources": resources[g]})
	}
	return out
}

func requestOf(v any) [2]string {
	m, _ := v.(map[string]any)
	group, _ := m["group"].(string)
	resource, _ := m["resource"].(string)
	return [2]string{group, resource}
}
