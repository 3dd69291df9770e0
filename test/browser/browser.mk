# The HTML report in a real browser.

CHROMIUM ?= /usr/bin/chromium
test/browser/node_modules/.package-lock.json: test/browser/package-lock.json
	@command -v npm >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends nodejs npm; }
	npm --prefix test/browser ci --no-audit --no-fund
	@touch $@

browser: build test/browser/node_modules/.package-lock.json ## opens the HTML report in a real headless browser
	@test -x $(CHROMIUM) || { apt-get update -q && apt-get install -qy --no-install-recommends chromium fonts-dejavu-core; }
	node test/browser/report.mjs --merlon $(BIN) --chromium $(CHROMIUM)
