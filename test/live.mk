# Real clusters: for a person to play with, and for the tests that need one.

tools: ## builds the test cluster; minutes the first time, then nothing
	$(GO) -C test/cluster build -o $(LAB) ./cmd/lab
	$(LAB) build

cluster: tools ## a real Kubernetes to play with; prints the kubeconfig
	@if $(LAB) check --tier node >/dev/null 2>&1; then $(LAB) up --tier node; else $(LAB) up; fi

cluster-down:
	$(LAB) down

# One control plane serves every test that needs an API server. A test that
# does not find it fails here, and is skipped by `go test ./...` alone.
LIVE := MERLON_LIVE=1 MERLON_LAB=$(LAB)

live: build deps stage ## real clusters: what needs an API server, and pods that run
	$(STAGE) tools $(MAKE) -s tools
	$(LIVE) $(STAGE) live $(LAB) run -- $(GO) test -count=1 -p 1 -timeout 30m ./test/live ./test/live/rbac ./test/live/fix
	$(MAKE) -s test-node

# The plug-in that enforces policies in the packet proof, from a module of its own.
ENFORCER := $(CURDIR)/bin/enforcer

enforcer:
	CGO_ENABLED=0 $(GO) -C test/live/net/enforcer build -o $(ENFORCER) .

# Pods that run need root; the packages are installed where apt-get is there.
# That fixed workloads start is tested beside the mistakes that are fixed.
test-node: tools stage
	@if [ $$(id -u) = 0 ] && { command -v apt-get >/dev/null && $(LAB) install >/dev/null; $(LAB) check --tier node >/dev/null; }; then \
	  $(STAGE) enforcer $(MAKE) -s enforcer && \
	  $(LIVE) MERLON_ENFORCER=$(ENFORCER) $(STAGE) live-node $(LAB) run --tier node -- sh -c '$(GO) test -count=1 -p 1 -timeout 30m ./test/live/node ./test/live/net && \
	    $(GO) test -count=1 -timeout 30m -run TestFixedWorkloadsStart ./test/e2e'; \
	else \
	  echo "stage live-node      not run: this machine cannot: $$($(LAB) check --tier node 2>&1)"; \
	fi

test-versions: tools stage ## the tests that need an API server, on the oldest supported Kubernetes; not in CI
	$(LIVE) MERLON_OLD_KUBERNETES=1 $(STAGE) live-oldest $(LAB) run --kube test/cluster/kube-oldest -- $(GO) test -count=1 -p 1 -timeout 30m ./test/live ./test/live/rbac ./test/live/fix
