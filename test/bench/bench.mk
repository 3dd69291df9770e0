# What Merlon costs, beside what cannot be avoided.

bench: build tools ## CPU and memory beside reading and decoding the same files, and beside listing the same cluster
	$(GO) run ./test/bench -merlon $(BIN)
	$(GO) run ./test/bench -engine
	$(GO) -C test/bench/fill build -trimpath -o $(CURDIR)/bin/fill .
	$(LAB) run --audit-policy test/bench/fill/audit.yaml --arg kube-controller-manager:--controllers=serviceaccount-controller -- \
	  $(GO) run ./test/bench -merlon $(BIN) -cluster bin/fill
	$(GO) run ./test/bench/rights
	$(GO) run ./test/bench/network
