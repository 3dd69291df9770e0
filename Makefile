# Two targets matter to a newcomer: `make run` and `make test`.
GO      ?= go
BIN     := bin/merlon
ORACLES ?= ../shared
LAB := $(or $(TMPDIR),/tmp)/merlon-lab-bin
export CGO_ENABLED = 0

.PHONY: run build deps stage test live test-node test-versions unit race lint conformance bench docs tools cluster cluster-down clean

run: build ## builds Merlon and scans the bundled example
	$(BIN) scan examples/shop --fail-on none

build:
	$(GO) build -trimpath -ldflags '-s -w' -o $(BIN) ./cmd/merlon

# The race detector needs a C compiler.
deps:
	@command -v cc >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends gcc libc6-dev; }

# Each stage says what it cost.
STAGE := bin/stage
stage:
	@$(GO) build -o $(STAGE) ./test/stage

# One control plane serves every test that needs an API server. A test that
# does not find it fails here, and is skipped by `go test ./...` alone.
LIVE := MERLON_LIVE=1 MERLON_LAB=$(LAB)

test: build deps stage ## everything that CI holds
	$(STAGE) vet $(GO) vet ./...
	CGO_ENABLED=1 $(STAGE) unit $(GO) test -race $$($(GO) list ./... | grep -v /test/live)
	$(STAGE) controls $(BIN) controls test
	$(STAGE) lab-vet $(GO) -C test/cluster vet ./...
	$(STAGE) lab $(GO) -C test/cluster test ./...

live: build deps stage ## real clusters: what needs an API server, and pods that run
	$(STAGE) tools $(MAKE) -s tools
	$(LIVE) $(STAGE) live $(LAB) run -- $(GO) test -count=1 ./test/live
	$(MAKE) -s test-node

# Pods that run need root; the packages are installed where apt-get is there.
test-node: tools stage
	@if [ $$(id -u) = 0 ] && { command -v apt-get >/dev/null && $(LAB) install >/dev/null; $(LAB) check --tier node >/dev/null; }; then \
	  $(LIVE) $(STAGE) live-node $(LAB) run --tier node -- $(GO) test -count=1 ./test/live/node; \
	else \
	  echo "stage live-node      not run: this machine cannot: $$($(LAB) check --tier node 2>&1)"; \
	fi

unit: ## the quick ones, without the race detector
	$(GO) test ./...

lint: ## staticcheck, built from tools/go.mod
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	test -z "$$(gofmt -l $$(git ls-files '*.go'))"

conformance: ## holds Merlon against test cases of other projects, where ORACLES has them
	$(GO) run ./test/conformance -oracles $(ORACLES)

bench: build tools ## CPU and memory beside reading and decoding the same files, and beside listing the same cluster
	$(GO) run ./test/bench -merlon $(BIN)
	$(GO) -C test/bench/fill build -trimpath -o $(CURDIR)/bin/fill .
	$(LAB) run --audit-policy test/bench/fill/audit.yaml --arg kube-controller-manager:--controllers=serviceaccount-controller -- \
	  $(GO) run ./test/bench -merlon $(BIN) -cluster bin/fill

docs: build ## renews what the binary prints into docs/reference
	$(BIN) docs docs/reference

tools: ## builds the test cluster; minutes the first time, then nothing
	$(GO) -C test/cluster build -o $(LAB) ./cmd/lab
	$(LAB) build

cluster: tools ## a real Kubernetes to play with; prints the kubeconfig
	@if $(LAB) check --tier node >/dev/null 2>&1; then $(LAB) up --tier node; else $(LAB) up; fi

cluster-down:
	$(LAB) down

clean:
	rm -rf bin
