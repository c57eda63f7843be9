# One verb, one target. `make help` lists them.

CARGO ?= cargo
CERTS := certs
# Where the demo's hub listens; 0 is any free port.
PORT ?= 8080
# Host names and addresses for `make gencert`.
HOSTS ?= localhost 127.0.0.1 ::1
# How long each fuzz target runs, and which; none is all. With a seed it goes the same way each time.
SECONDS ?= 60
TARGETS ?=
SEED ?=
# How long a soak runs.
MINUTES ?= 30

.PHONY: all
all: $(CERTS)/hub.pem pb build ## Everything into bin/ (default)

.PHONY: help
help: ## This list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
	  || sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1 - \2/p' $(MAKEFILE_LIST)

.PHONY: build
build: ## Release build of hub, agent and client into bin/
	$(CARGO) build --release --locked -p hub -p agent -p client
	@mkdir -p bin && install target/release/hub target/release/agent target/release/client bin/

.PHONY: demo
demo: build ## Start a hub and an agent, and call the agent through the hub (ONCE=1: then stop, PORT=n)
	@PORT=$(PORT) ONCE=$(ONCE) scripts/demo

.PHONY: test
test: ## All tests
	$(CARGO) test --workspace --locked

.PHONY: lint
lint: ## Format, clippy, documentation; cargo-deny where it is installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --locked check bans licenses sources; \
	  else echo "cargo-deny is not installed: dependencies are not checked"; fi

.PHONY: fuzz
fuzz: ## Fuzz each target for a minute (SECONDS=n, TARGETS="a b"); wants cargo-fuzz
	@SEED=$(SEED) fuzz/run $(SECONDS) $(TARGETS)

.PHONY: e2e
e2e: build $(CERTS)/hub.pem ## Real clients and servers in Go and Python, grpcurl, curl (installs them into .tools/)
	scripts/e2e/install.sh
	scripts/e2e/run

.PHONY: browser
browser: build $(CERTS)/hub.pem ## Pages in Chromium call through the hub by gRPC-Web and Connect (installs them; wants Node.js)
	scripts/e2e/install.sh
	scripts/browser/install.sh
	scripts/browser/run

.PHONY: page
page: ## Build the hub's page anew from hub/page/src, to be committed (wants Node.js)
	hub/page/build.sh

.PHONY: page-test
page-test: build ## The hub's page in Chromium, read as a person reads it (ARGS="--only key", "--write docs/page"; installs it; wants Node.js)
	scripts/browser/install.sh chromium
	hub/page/check.sh
	$(CARGO) build --locked -p bench --bin crowd
	scripts/browser/hub-page $(ARGS)

.PHONY: tools
tools: build $(CERTS)/hub.pem ## What people call gRPC servers with, through the hub: docs/tools.md (installs it into .tools/)
	scripts/e2e/install.sh
	scripts/tools/install.sh all
	scripts/e2e/run --only /tools/

.PHONY: traces
traces: build $(CERTS)/hub.pem ## Spans of calls at a real OpenTelemetry Collector: docs/traces.md (builds it into .tools/, in some minutes)
	scripts/e2e/install.sh
	scripts/e2e/collector/install.sh
	scripts/e2e/run --only /collector/

.PHONY: h2spec
h2spec: build $(CERTS)/hub.pem ## Conformance with HTTP/2, of the hub and through it (installs h2spec into .tools/; wants libnghttp2)
	$(CARGO) build --release --locked -p http2 --example hpack
	scripts/h2spec/hpack
	scripts/e2e/install.sh
	scripts/h2spec/run

.PHONY: isolation
isolation: build ## What a bystander notices of each abuse, into docs/isolation.md (ARGS="--only cancel"; installs fronts into .tools/)
	bench/servers/install.sh
	$(CARGO) build --release --locked -p bench
	target/release/isolation $(NETTY) $(or $(ARGS),--write docs/isolation.md)

# Netty itself is measured where Maven and Java are installed, nginx where it is.
NETTY = $(shell command -v java mvn >/dev/null && mvn --quiet --file bench/netty/pom.xml \
  dependency:copy-dependencies -DoutputDirectory=$(CURDIR)/.tools/netty >&2 && echo --netty .tools/netty)

.PHONY: honest
honest: build ## What honest uses notice of the hub, into docs/honest.md (ARGS="--only late", QUICK=1; installs servers into .tools/)
	bench/servers/install.sh
	$(CARGO) build --release --locked -p bench
	target/release/honest $(if $(QUICK),--quick) $(or $(ARGS),$(if $(QUICK),,--write docs/honest.md))

.PHONY: dist
dist: $(CERTS)/hub.pem ## Release build into dist/, for what hub and agent do most: three builds (wants rustup's llvm-tools)
	scripts/dist

.PHONY: bench
bench: build $(CERTS)/hub.pem ## The hub beside other ways to a server (QUICK=1: some of it, ARGS="--loads calls --out docs/benchmarks"; installs them into .tools/)
	scripts/bench/install.sh
	$(CARGO) build --release --locked -p bench
	scripts/bench/run $(if $(QUICK),--quick) $(ARGS)

.PHONY: growth
growth: build ## What a crowd costs a hub and who calls beside it, into docs/benchmarks/growth.md
	$(CARGO) build --release --locked -p bench
	scripts/bench/growth $(or $(ARGS),--write docs/benchmarks)

.PHONY: seen
seen: build ## What a page, an access log and spans cost calls, into docs/metrics.md (installs Python's gRPC into .tools/)
	scripts/e2e/install.sh
	$(CARGO) build --release --locked -p bench --bin load --bin isolation
	.tools/venv/bin/python scripts/bench/seen $(or $(ARGS),--write docs/metrics.md)

.PHONY: cost
cost: ## Fails if a call takes the switch more instructions than docs/benchmarks/cost.json says (wants valgrind)
	$(CARGO) build --release --locked -p switch --example calls
	scripts/bench/cost $(or $(ARGS),--check docs/benchmarks)

.PHONY: links
links: build ## The hub on long links and on thin ones, beside none, into docs/links.md (ARGS="--links long"; as root; installs callers into .tools/)
	scripts/links/install.sh
	$(CARGO) build --release --locked -p bench
	scripts/links/run $(or $(ARGS),--write docs/links.md)

.PHONY: faults
faults: build ## What calls notice of each fault, and what must cost none, into docs/faults.md (ARGS="--only zero"; installs grpc-go into .tools/)
	scripts/faults/install.sh
	$(CARGO) build --release --locked -p bench
	scripts/faults/run $(or $(ARGS),--write docs/faults.md)

.PHONY: soak
soak: build ## Faults at random under load, and what must hold whatever happens (MINUTES=30, SEED=n)
	$(CARGO) build --release --locked -p bench
	scripts/faults/soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: cluster
cluster: build ## Three hubs on one etcd, all restarted under load, and what was lost (ARGS="--calls 5000", "--once"); an etcd with certificates and users (wants etcd, etcdctl, haproxy and openssl)
	$(CARGO) build --locked -p bench --bin steady --bin isolation
	scripts/cluster/run $(ARGS)
	scripts/cluster/secured

.PHONY: cluster-scale
cluster-scale: build ## What 10,000 names cost five hubs, into docs/cluster.md (ARGS="--names 500 --hubs 3 --rate 50")
	$(CARGO) build --release --locked -p bench
	scripts/cluster/scale $(or $(ARGS),--write docs/cluster.md)

.PHONY: cluster-faults
cluster-faults: build ## Hubs of a cluster killed, frozen and cut off under load, and what calls notice, into docs/cluster.md with OTHER=a folder with another build (ARGS="--row etcd"; as root; wants etcd and haproxy)
	$(CARGO) build --release --locked -p bench --bin steady --bin isolation
	scripts/cluster/faults $(or $(ARGS),$(if $(OTHER),--other-bin $(OTHER) --write docs/cluster.md))

.PHONY: cluster-hop
cluster-hop: build ## What a call by way of another hub costs, into docs/cluster.md (wants haproxy)
	$(CARGO) build --release --locked -p bench --bin load --bin fault --bin isolation
	scripts/cluster/hop $(or $(ARGS),--write docs/cluster.md)

.PHONY: helm
helm: build ## Lint and render the Helm chart, and start hubs as it says (installs Helm into .tools/; wants Go)
	scripts/helm/install.sh
	scripts/helm/run

.PHONY: prometheus
prometheus: build ## Rules, alerts, dashboard and scrapes by a real Prometheus, into docs/metrics.md (ARGS="--short" writes nothing; installs it with apt, and models of Grafana into .tools/)
	scripts/prometheus/install.sh
	$(CARGO) build --locked -p bench --bin steady --bin isolation --bin crowd
	scripts/prometheus/run $(or $(ARGS),--write docs/metrics.md)

.PHONY: interop
interop: build $(CERTS)/hub.pem ## gRPC's interop cases, five clients with seven servers (SHORT=1: some of it; installs them into .tools/)
	scripts/interop/install.sh
	scripts/interop/run $(if $(SHORT),--short)

.PHONY: pb
pb: ## Regenerate the code of the protobuf files
	UPDATE_PB=1 $(CARGO) test --quiet --locked -p hub-proto

.PHONY: gencert
gencert: ## Make a CA and a certificate for the hub in certs/ (HOSTS="a b")
	@$(MAKE_CERTS)

$(CERTS)/hub.pem:
	@$(MAKE_CERTS)

MAKE_CERTS = $(CARGO) run --quiet --locked -p certs -- make $(CERTS) $(foreach host,$(HOSTS),--host $(host))

.PHONY: readcert
readcert: ## Show the certificates in certs/
	@$(CARGO) run --quiet --locked -p certs -- read $(CERTS)/ca.pem $(CERTS)/hub.pem

.PHONY: clean
clean: ## Remove what was built; certificates stay
	$(CARGO) clean
	rm -rf bin dist
