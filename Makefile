GO      ?= go
BIN     := bin/merlon
ORACLES ?= ../shared
LAB := $(or $(TMPDIR),/tmp)/merlon-lab-bin
export CGO_ENABLED = 0
# Nothing here is run in a debugger, and compiling takes a seventh less.
export GOFLAGS := $(filter-out -trimpath -gcflags=%,$(GOFLAGS)) -trimpath -gcflags=all=-dwarf=false

.PHONY: enforcer race engine run build deps stage test live test-node test-versions unit lint conformance bench browser release reproducible docs tools cluster cluster-down clean

run: build ## builds Merlon and scans the bundled example
	$(BIN) scan examples/shop --fail-on none

build:
	$(GO) build -trimpath -ldflags '-s -w' -o $(BIN) ./cmd/merlon

STAGE := bin/stage
stage:
	@$(GO) build -o $(STAGE) ./test/stage

test: build deps stage ## everything that CI holds
	$(STAGE) vet $(GO) vet ./...
	GOGC=400 $(STAGE) unit $(GO) test -timeout 30m $$($(GO) list ./... | grep -v /test/live)
	CGO_ENABLED=1 $(STAGE) race $(GO) test -race -timeout 30m $(RACED)
	$(MAKE) -s engine
	$(STAGE) controls $(BIN) controls test
	$(STAGE) lab-vet $(GO) -C test/cluster vet ./...
	$(STAGE) lab $(GO) -C test/cluster test ./...
	$(STAGE) browser $(MAKE) -s browser
	$(MAKE) -s live

unit: ## the quick ones, without the race detector
	$(GO) test ./...

engine: stage ## 10,000 random changes on each of three seeds
	GOGC=800 MERLON_LONG=1 $(STAGE) engine $(GO) test -timeout 30m -run TestIncrementalEqualsFull ./internal/assess

lint: ## staticcheck, built from tools/go.mod
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	test -z "$$(gofmt -l $$(git ls-files '*.go'))"

conformance: ## holds Merlon against test cases of other projects, where ORACLES has them
	$(GO) run ./test/conformance -oracles $(ORACLES)

docs: build ## renews what the binary prints into docs/reference
	$(BIN) docs docs/reference

include test/race.mk test/live.mk test/bench/bench.mk test/browser/browser.mk deploy/release.mk

clean:
	rm -rf bin
