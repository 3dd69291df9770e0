package source

import (
	"slices"
	"strings"
	"time"

	"github.com/merlon-security/merlon/internal/fact"
)

// ClusterInput is what a person asks of the source that reads a running cluster.
type ClusterInput struct {
	Kubeconfig     string   // file; "" for the usual places, and the pod's own account
	Context        string   // of the kubeconfig; "" for the current one
	Namespaces     []string // only these, and what lies in none; all when empty
	Kinds          []string // what to read: "Kind" or "group/Kind"
	SecretMetadata bool     // names and labels of Secrets, too
	KubeletConfig  bool     // ask each kubelet for the configuration it runs with, once
	Watch          bool     // go on and report changes until the context ends
	Agent          string   // how Merlon names itself to the API server

	Renew      time.Duration // how long a watch lasts before it is asked for anew; 0 for minutes
	Rediscover time.Duration // how often to ask which kinds are served; 0 for once a minute
}

// ClusterInfo says which cluster was read.
type ClusterInfo struct {
	UID     string // of the namespace kube-system; "" when it may not be seen
	Server  string // address
	Version string // of the API server, "v1.36.3"
	Context string // of the kubeconfig; "" within a pod
	Date    string // the API server's clock at the beginning, as HTTP writes it
}

// Describer is a Source that reads a cluster and tells which, once Collect has
// reported Synced.
type Describer interface{ Cluster() ClusterInfo }

// Right is one resource of the API server that may be listed and watched.
type Right struct {
	Kind            string // "Kind" or "group/Kind"
	Group, Resource string
	Namespaced      bool
}

// Rights returns what reading some kinds from a cluster takes, in order. Secrets
// are never part of it unless asked for, and neither are kinds that exist in
// files only.
func Rights(kinds []string, secrets bool) []Right {
	var out []Right
	for _, kind := range kinds {
		group, name := fact.InGroup(kind)
		if !served(group, name) || kind == "Secret" && !secrets {
			continue
		}
		out = append(out, Right{kind, group, plural(group, name), !fact.ClusterScoped(group, name)})
	}
	if secrets && !slices.Contains(kinds, "Secret") {
		out = append(out, Right{"Secret", "", "secrets", true})
	}
	slices.SortFunc(out, func(a, b Right) int {
		if c := strings.Compare(a.Group, b.Group); c != 0 {
			return c
		}
		return strings.Compare(a.Resource, b.Resource)
	})
	return slices.Compact(out)
}

// served reports whether a kind is read from an API server. Files of settings
// look like objects, controls name kinds as careless authors of files write
// them, some kinds are gone from every supported version, and some are written
// by Kubernetes itself without end.
func served(group, kind string) bool {
	switch {
	case strings.HasSuffix(group, ".config.k8s.io"), group == "kubeadm.k8s.io", group == "audit.k8s.io", group == "merlon.dev", group == "policy" && kind == "PodSecurityPolicy":
		return false
	case slices.Contains([]string{"Lease", "EndpointSlice", "Endpoints", "Event", "CSIStorageCapacity"}, kind) && (group == "" || strings.HasSuffix(group, ".k8s.io")):
		return false
	case group == "":
		return slices.Contains([]string{
			"ConfigMap", "LimitRange", "Namespace", "Node", "PersistentVolume", "PersistentVolumeClaim", "Pod",
			"PodTemplate", "ReplicationController", "ResourceQuota", "Secret", "Service", "ServiceAccount",
		}, kind)
	}
	return true
}

// plural returns the name of a kind's resource. Custom resources may choose
// theirs freely; those that do not follow English are listed.
func plural(group, kind string) string {
	name := strings.ToLower(kind)
	if group == "constraints.gatekeeper.sh" { // as Gatekeeper names all its kinds
		return name
	}
	switch kind {
	case "SecurityContextConstraints", "ProxyDefaults", "ServiceDefaults", "ServiceIntentions":
		return name
	}
	switch {
	case strings.HasSuffix(name, "s"), strings.HasSuffix(name, "x"), strings.HasSuffix(name, "ch"), strings.HasSuffix(name, "sh"):
		return name + "es"
	case strings.HasSuffix(name, "y") && !strings.ContainsAny(name[len(name)-2:len(name)-1], "aeiou"):
		return name[:len(name)-1] + "ies"
	}
	return name + "s"
}
