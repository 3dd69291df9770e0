package component

// fileSetting is a flag that a configuration file can give as well: the path of
// its field, and what holds when there is a file without it.
type fileSetting struct {
	component, flag, path string
	hasFallback           bool // the default differs from that of the flag alone
	fallback              string
	since                 int
	before                string
}

// value returns the default in Kubernetes 1.minor; 0 is the newest.
func (f fileSetting) value(minor int) string {
	if minor != 0 && minor < f.since {
		return f.before
	}
	return f.fallback
}

// configFlag names the flag that a component takes its configuration file by.
func configFlag(component string) string {
	switch component {
	case "kubelet", "kube-proxy", "kube-scheduler", "containerd", "crio":
		return "config"
	case "etcd", "dockerd":
		return "config-file"
	}
	return ""
}

// flagsWin reports whether a flag counts over the file. Sources: kubelet re-reads
// its command line after the file (cmd/kubelet/app/server.go, KEP-4033 for
// drop-ins); kube-proxy with --config honours --hostname-override alone
// (cmd/kube-proxy/app/options.go); kube-scheduler with --config takes its
// deprecated flags from the file and leader election from flags
// (cmd/kube-scheduler/app/options/options.go); etcd with --config-file ignores
// all flags and its environment (server/etcdmain/config.go); crio lets flags win
// (internal/criocli); dockerd refuses to start with both.
func flagsWin(component, flag string) bool {
	switch component {
	case "kube-proxy":
		return flag == "hostname-override"
	case "kube-scheduler":
		return flag == "leader-elect"
	case "etcd":
		return false
	}
	return true
}

// fileSettings are the fields that controls ask for. Sources: the reference of
// KubeletConfiguration v1beta1, KubeProxyConfiguration v1alpha1 and
// KubeSchedulerConfiguration v1 at 1.36, with their defaults.go, and etcd's
// embed/config.go.
var fileSettings = [...]fileSetting{
	{"kubelet", "address", "address", false, "", 0, ""},
	{"kubelet", "allowed-unsafe-sysctls", "allowedUnsafeSysctls", false, "", 0, ""},
	{"kubelet", "anonymous-auth", "authentication.anonymous.enabled", true, "false", 0, ""},
	{"kubelet", "authentication-token-webhook", "authentication.webhook.enabled", true, "true", 0, ""},
	{"kubelet", "authorization-mode", "authorization.mode", true, "Webhook", 0, ""},
	{"kubelet", "client-ca-file", "authentication.x509.clientCAFile", false, "", 0, ""},
	{"kubelet", "container-runtime-endpoint", "containerRuntimeEndpoint", false, "", 0, ""},
	{"kubelet", "enable-debugging-handlers", "enableDebuggingHandlers", false, "", 0, ""},
	{"kubelet", "event-qps", "eventRecordQPS", false, "", 0, ""},
	{"kubelet", "feature-gates", "featureGates", false, "", 0, ""},
	{"kubelet", "healthz-bind-address", "healthzBindAddress", false, "", 0, ""},
	{"kubelet", "healthz-port", "healthzPort", false, "", 0, ""},
	{"kubelet", "make-iptables-util-chains", "makeIPTablesUtilChains", false, "", 0, ""},
	{"kubelet", "pod-manifest-path", "staticPodPath", false, "", 0, ""},
	{"kubelet", "pod-max-pids", "podPidsLimit", false, "", 0, ""},
	{"kubelet", "port", "port", false, "", 0, ""},
	{"kubelet", "protect-kernel-defaults", "protectKernelDefaults", false, "", 0, ""},
	{"kubelet", "read-only-port", "readOnlyPort", true, "0", 0, ""},
	{"kubelet", "rotate-certificates", "rotateCertificates", false, "", 0, ""},
	{"kubelet", "rotate-server-certificates", "serverTLSBootstrap", false, "", 0, ""},
	{"kubelet", "seccomp-default", "seccompDefault", false, "", 0, ""},
	{"kubelet", "streaming-connection-idle-timeout", "streamingConnectionIdleTimeout", false, "", 0, ""},
	{"kubelet", "tls-cert-file", "tlsCertFile", false, "", 0, ""},
	{"kubelet", "tls-cipher-suites", "tlsCipherSuites", false, "", 0, ""},
	{"kubelet", "tls-min-version", "tlsMinVersion", false, "", 0, ""},
	{"kubelet", "tls-private-key-file", "tlsPrivateKeyFile", false, "", 0, ""},
	{"kubelet", "v", "logging.verbosity", false, "", 0, ""},

	{"kube-proxy", "feature-gates", "featureGates", false, "", 0, ""},
	{"kube-proxy", "healthz-bind-address", "healthzBindAddress", false, "", 0, ""},
	{"kube-proxy", "hostname-override", "hostnameOverride", false, "", 0, ""},
	{"kube-proxy", "kubeconfig", "clientConnection.kubeconfig", false, "", 0, ""},
	{"kube-proxy", "masquerade-all", "iptables.masqueradeAll", false, "", 0, ""},
	{"kube-proxy", "metrics-bind-address", "metricsBindAddress", false, "", 0, ""},
	{"kube-proxy", "profiling", "enableProfiling", false, "", 0, ""},

	{"kube-scheduler", "contention-profiling", "enableContentionProfiling", false, "", 0, ""},
	{"kube-scheduler", "kubeconfig", "clientConnection.kubeconfig", false, "", 0, ""},
	{"kube-scheduler", "leader-elect", "leaderElection.leaderElect", false, "", 0, ""},
	{"kube-scheduler", "profiling", "enableProfiling", false, "", 0, ""},

	{"etcd", "auto-tls", "client-transport-security.auto-tls", false, "", 0, ""},
	{"etcd", "cert-file", "client-transport-security.cert-file", false, "", 0, ""},
	{"etcd", "cipher-suites", "cipher-suites", false, "", 0, ""},
	{"etcd", "client-cert-auth", "client-transport-security.client-cert-auth", false, "", 0, ""},
	{"etcd", "data-dir", "data-dir", false, "", 0, ""},
	{"etcd", "key-file", "client-transport-security.key-file", false, "", 0, ""},
	{"etcd", "listen-client-urls", "listen-client-urls", false, "", 0, ""},
	{"etcd", "listen-metrics-urls", "listen-metrics-urls", false, "", 0, ""},
	{"etcd", "listen-peer-urls", "listen-peer-urls", false, "", 0, ""},
	{"etcd", "peer-auto-tls", "peer-transport-security.auto-tls", false, "", 0, ""},
	{"etcd", "peer-cert-file", "peer-transport-security.cert-file", false, "", 0, ""},
	{"etcd", "peer-client-cert-auth", "peer-transport-security.client-cert-auth", false, "", 0, ""},
	{"etcd", "peer-key-file", "peer-transport-security.key-file", false, "", 0, ""},
	{"etcd", "peer-trusted-ca-file", "peer-transport-security.trusted-ca-file", false, "", 0, ""},
	{"etcd", "tls-min-version", "tls-min-version", false, "", 0, ""},
	{"etcd", "trusted-ca-file", "client-transport-security.trusted-ca-file", false, "", 0, ""},
}

func fileSettingOf(component, flag string) fileSetting {
	for i := range fileSettings {
		if fileSettings[i].flag == flag && fileSettings[i].component == component {
			return fileSettings[i]
		}
	}
	return fileSetting{}
}
