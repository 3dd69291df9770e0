package corpus

// What companies choose from. Nothing here is changed after start.
var (
	domains  = []string{"payments", "orders", "identity", "search", "catalog", "shipping", "billing", "media", "insight", "platform", "mobile", "partner", "risk", "support", "loyalty"}
	teams    = []string{"atlas", "borealis", "cobalt", "delta", "ember", "falcon", "granite", "harbor", "indigo", "juniper", "kestrel", "lagoon"}
	purposes = []string{"account", "basket", "campaign", "customer", "delivery", "event", "feed", "gateway", "invoice", "ledger", "login", "message", "notify", "offer", "order", "price", "profile", "quote", "refund", "report", "session", "stock", "survey", "ticket", "voucher"}

	registries = []string{"registry.example.com", "registry.example.com", "registry.example.com", "ghcr.io/example", "quay.io/example", "docker.io/example"}
	tags       = []string{"1.0.0", "1.2.3", "1.14.0", "2.0.1", "2.3.0-rc.1", "3.1.4", "v0.9.2", "v1.8.11", "2026.10.3", "main-4f2c1aa", "main-9be01d7", "release-117"}
	sidecars   = []string{"docker.io/istio/proxyv2:1.27.1", "docker.io/fluent/fluent-bit:4.1.0", "gcr.io/cloud-sql-connectors/cloud-sql-proxy:2.18.2", "quay.io/oauth2-proxy/oauth2-proxy:v7.12.0", "docker.io/prom/statsd-exporter:v0.28.0"}
	inits      = []string{"docker.io/library/busybox:1.37.0", "registry.example.com/tools/wait-for:1.4.0", "registry.example.com/tools/migrate:4.19.0"}

	ports     = []int{8080, 8080, 8080, 8443, 3000, 5000, 9000, 8000}
	uids      = []int{1000, 1001, 10001, 65532, 65534}
	cpus      = []int{50, 100, 100, 200, 250, 500, 1000}
	memories  = []int{64, 128, 128, 256, 512, 1024, 2048}
	delays    = []int{5, 10, 15, 30}
	replicas  = []int{1, 2, 2, 3, 3, 5}
	graces    = []int{30, 30, 60, 120}
	schedules = []int{0, 15, 30, 45}

	healthPaths = []string{"/healthz", "/livez", "/health", "/actuator/health"}
	readyPaths  = []string{"/readyz", "/ready", "/actuator/health/readiness"}
	levels      = []string{"info", "info", "warn", "debug"}
	flags       = []string{"--log-format=json", "--metrics", "--config=/etc/app/config.yaml", "--listen=:8080", "--workers=4"}
	commands    = []string{"/app/server", "/usr/local/bin/run", "/bin/start"}
	zones       = []string{"general", "memory", "burst"}
	classes     = []string{"fast", "standard"}

	// drops are mistakes in one workload; see the functions that ask for them.
	mistakes = []string{
		"privileged", "root", "escalation", "host-network", "host-pid", "host-path", "host-path", "runtime-socket",
		"capability", "latest", "latest", "latest", "untagged", "secret-in-env", "secret-in-env", "secret-in-config",
		"load-balancer", "node-port", "wildcard-role", "secrets-role", "cluster-admin", "open-policy",
	}
)
