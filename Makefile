# Two targets matter to a newcomer: `make run` and `make test`.
GO      ?= go
BIN     := bin/merlon
ORACLES ?= ../shared
export CGO_ENABLED = 0

.PHONY: run build deps test unit race lint conformance bench browser release reproducible docs tools cluster cluster-down clean

run: build ## builds Merlon and scans the bundled example
	$(BIN) scan examples/shop --fail-on none

build:
	$(GO) build -trimpath -ldflags '-s -w' -o $(BIN) ./cmd/merlon

# The race detector needs a C compiler.
deps:
	@command -v cc >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends gcc libc6-dev; }

test: build deps ## everything that CI holds
	$(GO) vet ./...
	CGO_ENABLED=1 $(GO) test -race ./...
	$(GO) -C test/cluster vet ./...
	$(GO) -C test/cluster test ./...
	$(BIN) controls test
	$(MAKE) browser

unit: ## the quick ones, without the race detector
	$(GO) test ./...

lint: ## staticcheck, built from tools/go.mod
	$(GO) tool -modfile=tools/go.mod staticcheck ./...
	test -z "$$(gofmt -l $$(git ls-files '*.go'))"

conformance: ## holds Merlon against test cases of other projects, where ORACLES has them
	$(GO) run ./test/conformance -oracles $(ORACLES)

bench: build ## CPU and memory beside reading and decoding the same files
	$(GO) run ./test/bench -merlon $(BIN)

CHROMIUM ?= /usr/bin/chromium
test/browser/node_modules/.package-lock.json: test/browser/package-lock.json
	@command -v npm >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends nodejs npm; }
	npm --prefix test/browser ci --no-audit --no-fund
	@touch $@

browser: build test/browser/node_modules/.package-lock.json ## opens the HTML report in a real headless browser
	@test -x $(CHROMIUM) || { apt-get update -q && apt-get install -qy --no-install-recommends chromium fonts-dejavu-core; }
	node test/browser/report.mjs --merlon $(BIN) --chromium $(CHROMIUM)

docs: build ## renews what the binary prints into docs/reference
	$(BIN) docs docs/reference

VERSION   ?= 0.1.0-dev
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64
LINK      := -s -w -buildid= -X github.com/merlon-security/merlon/internal/cli.version=$(VERSION)
DIST      ?= dist

release: ## static binaries with checksums, bills of materials and a statement of provenance, in dist/
	rm -rf $(DIST) && mkdir -p $(DIST)
	set -e; for p in $(PLATFORMS); do \
		GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -trimpath -buildvcs=false -ldflags '$(LINK)' \
			-o $(DIST)/merlon-$(VERSION)-$${p%/*}-$${p#*/}$$([ $${p%/*} = windows ] && echo .exe) ./cmd/merlon; done
	$(GO) run ./cmd/release -version $(VERSION) -commit $$(git rev-parse HEAD) -licenses internal/cli/licenses.txt $(DIST)

reproducible: ## builds the last commit in two folders, once without any cache, and compares the bytes
	test/release/twice.sh $(VERSION)

LAB := $(or $(TMPDIR),/tmp)/merlon-lab-bin
tools: ## builds the test cluster; minutes the first time, then nothing
	$(GO) -C test/cluster build -o $(LAB) ./cmd/lab
	$(LAB) build

cluster: tools ## a real Kubernetes to play with; prints the kubeconfig
	@if $(LAB) check --tier node >/dev/null 2>&1; then $(LAB) up --tier node; else $(LAB) up; fi

cluster-down:
	$(LAB) down

clean:
	rm -rf bin
