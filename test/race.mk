# The race detector.

deps: ## for the race detector
	@command -v cc >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends gcc libc6-dev; }

# Races are looked for where goroutines start. Every test runs without the
# detector, too, so that with it the long ones may be shorter. Children with
# little memory cannot carry it. What takes commands from end to end is compiled
# and run for ten minutes more: `make race`, not in CI.
RACED = $$(grep -rlE '^[[:space:]]+go [a-z]|\.Go\(' --include=*.go internal | grep -vE '^internal/(cli|source/(helm|kustomize)|sandbox)/' | xargs -n 1 dirname | sort -u | sed 's|^|./|')

race: deps stage ## all that CI holds with the race detector, and commands from end to end
	CGO_ENABLED=1 $(STAGE) race $(GO) test -race -timeout 30m $(RACED) ./internal/cli ./test/e2e
