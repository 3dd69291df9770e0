package component

import "strings"

// kind is how a flag is read.
type kind uint8

const (
	text    kind = iota
	boolean      // takes no word of its own: --name, --name=false
	list         // adds up when given more than once
)

// setting is one flag of a component and what is in force when it is not given.
// The default may have changed once: since 1.Since it is Default, earlier it was
// Before. Where the two agree Since is 0.
type setting struct {
	component string
	flag      string
	kind      kind
	fallback  string
	since     int
	before    string
}

// settings are the flags whose default is not the empty string, and those that
// are booleans or lists. Sources: the options packages of kubernetes/kubernetes
// at 1.36.3 (cmd/*/app/options, pkg/kubeapiserver/options, k8s.io/apiserver
// pkg/server/options), the command line reference of the versions in which a
// default changed, and etcd's server/etcdmain/config.go.
//
// kubelet's defaults are those without a configuration file; with one, the
// file's own defaults hold and these do not.
var settings = [...]setting{
	{"kube-apiserver", "allow-privileged", boolean, "false", 0, ""},
	{"kube-apiserver", "anonymous-auth", boolean, "true", 0, ""},
	{"kube-apiserver", "audit-log-maxage", text, "366", 36, "0"},
	{"kube-apiserver", "audit-log-maxbackup", text, "100", 36, "0"},
	{"kube-apiserver", "audit-log-maxsize", text, "100", 0, ""}, // before 1.36 it was 0, which its log writer took as 100
	{"kube-apiserver", "authorization-mode", list, "AlwaysAllow", 0, ""},
	{"kube-apiserver", "bind-address", text, "0.0.0.0", 0, ""},
	{"kube-apiserver", "contention-profiling", boolean, "false", 0, ""},
	{"kube-apiserver", "cors-allowed-origins", list, "", 0, ""},
	{"kube-apiserver", "disable-admission-plugins", list, "", 0, ""},
	{"kube-apiserver", "enable-admission-plugins", list, "", 0, ""},
	{"kube-apiserver", "enable-bootstrap-token-auth", boolean, "false", 0, ""},
	{"kube-apiserver", "enable-priority-and-fairness", boolean, "true", 0, ""},
	{"kube-apiserver", "etcd-servers", list, "", 0, ""},
	{"kube-apiserver", "feature-gates", list, "", 0, ""},
	{"kube-apiserver", "insecure-bind-address", text, "127.0.0.1", 0, ""},
	{"kube-apiserver", "insecure-port", text, "0", 20, "8080"},
	{"kube-apiserver", "kubelet-https", boolean, "true", 0, ""},
	{"kube-apiserver", "profiling", boolean, "true", 0, ""},
	{"kube-apiserver", "request-timeout", text, "1m0s", 0, ""},
	{"kube-apiserver", "requestheader-allowed-names", list, "", 0, ""},
	{"kube-apiserver", "runtime-config", list, "", 0, ""},
	{"kube-apiserver", "secure-port", text, "6443", 0, ""},
	{"kube-apiserver", "service-account-extend-token-expiration", boolean, "true", 21, "false"},
	{"kube-apiserver", "service-account-issuer", list, "", 0, ""},
	{"kube-apiserver", "service-account-key-file", list, "", 0, ""},
	{"kube-apiserver", "service-account-lookup", boolean, "true", 0, ""},
	{"kube-apiserver", "tls-cipher-suites", list, "", 0, ""},
	{"kube-apiserver", "tls-min-version", text, "VersionTLS12", 0, ""},

	{"kube-controller-manager", "allocate-node-cidrs", boolean, "false", 0, ""},
	{"kube-controller-manager", "bind-address", text, "0.0.0.0", 0, ""},
	{"kube-controller-manager", "controllers", list, "*", 0, ""},
	{"kube-controller-manager", "feature-gates", list, "", 0, ""},
	{"kube-controller-manager", "leader-elect", boolean, "true", 0, ""},
	{"kube-controller-manager", "profiling", boolean, "true", 0, ""},
	{"kube-controller-manager", "secure-port", text, "10257", 0, ""},
	{"kube-controller-manager", "terminated-pod-gc-threshold", text, "12500", 0, ""},
	{"kube-controller-manager", "tls-cipher-suites", list, "", 0, ""},
	{"kube-controller-manager", "tls-min-version", text, "VersionTLS12", 0, ""},
	{"kube-controller-manager", "use-service-account-credentials", boolean, "false", 0, ""},

	{"kube-scheduler", "bind-address", text, "0.0.0.0", 0, ""},
	{"kube-scheduler", "feature-gates", list, "", 0, ""},
	{"kube-scheduler", "leader-elect", boolean, "true", 0, ""},
	{"kube-scheduler", "profiling", boolean, "true", 0, ""},
	{"kube-scheduler", "secure-port", text, "10259", 0, ""},
	{"kube-scheduler", "tls-cipher-suites", list, "", 0, ""},
	{"kube-scheduler", "tls-min-version", text, "VersionTLS12", 0, ""},

	{"cloud-controller-manager", "bind-address", text, "0.0.0.0", 0, ""},
	{"cloud-controller-manager", "feature-gates", list, "", 0, ""},
	{"cloud-controller-manager", "leader-elect", boolean, "true", 0, ""},
	{"cloud-controller-manager", "profiling", boolean, "true", 0, ""},
	{"cloud-controller-manager", "secure-port", text, "10258", 0, ""},
	{"cloud-controller-manager", "tls-cipher-suites", list, "", 0, ""},
	{"cloud-controller-manager", "tls-min-version", text, "VersionTLS12", 0, ""},
	{"cloud-controller-manager", "use-service-account-credentials", boolean, "false", 0, ""},

	{"etcd", "auto-tls", boolean, "false", 0, ""},
	{"etcd", "client-cert-auth", boolean, "false", 0, ""},
	{"etcd", "listen-client-urls", text, "http://localhost:2379", 0, ""},
	{"etcd", "listen-peer-urls", text, "http://localhost:2380", 0, ""},
	{"etcd", "peer-auto-tls", boolean, "false", 0, ""},
	{"etcd", "peer-client-cert-auth", boolean, "false", 0, ""},

	{"kubelet", "allowed-unsafe-sysctls", list, "", 0, ""},
	{"kubelet", "anonymous-auth", boolean, "true", 0, ""},
	{"kubelet", "authentication-token-webhook", boolean, "false", 0, ""},
	{"kubelet", "authorization-mode", text, "AlwaysAllow", 0, ""},
	{"kubelet", "enable-debugging-handlers", boolean, "true", 0, ""},
	{"kubelet", "event-qps", text, "50", 27, "5"},
	{"kubelet", "feature-gates", list, "", 0, ""},
	{"kubelet", "healthz-bind-address", text, "127.0.0.1", 0, ""},
	{"kubelet", "healthz-port", text, "10248", 0, ""},
	{"kubelet", "make-iptables-util-chains", boolean, "true", 0, ""},
	{"kubelet", "pod-max-pids", text, "-1", 0, ""},
	{"kubelet", "protect-kernel-defaults", boolean, "false", 0, ""},
	{"kubelet", "read-only-port", text, "10255", 0, ""},
	{"kubelet", "rotate-certificates", boolean, "false", 0, ""},
	{"kubelet", "rotate-server-certificates", boolean, "false", 0, ""},
	{"kubelet", "seccomp-default", boolean, "false", 0, ""},
	{"kubelet", "streaming-connection-idle-timeout", text, "4h0m0s", 0, ""},
	{"kubelet", "tls-cipher-suites", list, "", 0, ""},
	{"kubelet", "tls-min-version", text, "VersionTLS12", 0, ""},

	{"kube-proxy", "cleanup", boolean, "false", 0, ""},
	{"kube-proxy", "feature-gates", list, "", 0, ""},
	{"kube-proxy", "healthz-bind-address", text, "0.0.0.0:10256", 0, ""},
	{"kube-proxy", "masquerade-all", boolean, "false", 0, ""},
	{"kube-proxy", "metrics-bind-address", text, "127.0.0.1:10249", 0, ""},
	{"kube-proxy", "profiling", boolean, "false", 0, ""},
}

// settingOf returns what is known of a flag; the zero setting for one whose
// default is the empty string, or that is not known at all.
func settingOf(component, flag string) setting {
	for i := range settings {
		if settings[i].flag == flag && settings[i].component == component {
			return settings[i]
		}
	}
	return setting{}
}

// value returns the default in Kubernetes 1.minor; 0 is the newest.
func (s setting) value(minor int) string {
	if minor != 0 && minor < s.since {
		return s.before
	}
	return s.fallback
}

// takesNext reports whether a flag without = takes the next word as its value. A
// boolean never does, other flags that are known always; of one that is not
// known it is guessed.
func (s setting) takesNext(next string) bool {
	switch {
	case s.kind == boolean:
		return false
	case s.flag != "":
		return true
	}
	return !strings.HasPrefix(next, "-")
}
