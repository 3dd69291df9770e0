# What a release is made of: docs/guide/release.md.

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
