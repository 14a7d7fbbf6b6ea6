# Everything that is done with this project, by name; `make help` lists it.

CARGO ?= cargo
# How many seconds endpoints fail; 400 reloads and 10 upgrades take as long as they do.
SOAK ?= 120
# How many seconds each fuzz target takes.
FUZZ ?= 60
# What the build needs besides Rust: zlib-ng and mimalloc are C.
BUILD_NEEDS = build-essential cmake
# What tests talk to, and what they open.
TEST_NEEDS = redis-server libmodsecurity-dev modsecurity-crs

.DEFAULT_GOAL := help
.PHONY: help run build test test-peers test-dashboard cache-tests units soak fuzz lint fmt bench bench-peers bench-signals bench-tail bench-l4 bench-reload doc reference deny ci needs

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-12s %s\n", $$1, $$2 }'

needs:
	@scripts/need $(BUILD_NEEDS)

run: needs ## Build the release binary and start the demo on 127.0.0.1:8080
	$(CARGO) build --release --locked
	./target/release/evener run -c conf/demo.yaml

build: needs ## Build the release binary
	$(CARGO) build --release --locked

test: needs ## Run all tests, as CI does
	@scripts/need $(TEST_NEEDS)
	$(CARGO) test --locked

test-peers: needs ## Try the binary with curl, h2load, OpenSSL, SSLyze, gRPC, WebSocket, Chromium, Redis, PostgreSQL, dig and Prometheus
	$(CARGO) build --locked
	scripts/peers

test-dashboard: needs ## Try the dashboard in Chromium, on a thousand endpoints and with the keyboard alone
	$(CARGO) build --locked
	scripts/dashboard

cache-tests: needs ## Try the cache with http-cache-tests
	@scripts/need npm curl
	$(CARGO) build --locked
	scripts/cache-tests

units: ## Check the units for systemd in conf/ with systemd-analyze
	@scripts/need systemd
	@scripts/units

soak: needs ## Let endpoints fail, configurations change and processes take over under load (SOAK=120)
	EVENER_SOAK=$(SOAK) $(CARGO) test --locked --profile bench --test it -- --nocapture --test-threads 1 soak

fuzz: needs ## Feed each parser of what strangers send with made-up input for a minute (FUZZ=60)
	scripts/fuzz $(FUZZ)

lint: needs ## Check the format, the lints and the documentation
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) clippy --locked --no-default-features -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc --locked --no-deps --document-private-items

fmt: ## Format the sources
	$(CARGO) fmt

bench: needs ## Measure router, policies, recording, limiter, filters and waf
	$(CARGO) bench --locked --bench router --bench policy --bench recording --bench limiter --bench headers --bench filters --bench waf

bench-peers: needs ## Measure Evener beside nginx, HAProxy and bare Pingora (FLAGS='--rounds 3')
	@scripts/need nginx haproxy wrk nghttp2-client
	$(CARGO) build --locked --profile bench --example bare_pingora
	$(CARGO) bench --locked --bench peers -- $(FLAGS)

bench-signals: needs ## Measure what metrics, access log and traces cost (FLAGS='--rounds 5')
	@scripts/need nginx wrk
	EVENER_UNCOUNTED=1 $(CARGO) build --locked --profile bench --bin evener
	cp target/release/evener target/evener-uncounted
	$(CARGO) bench --locked --bench peers -- --rows signals --uncounted target/evener-uncounted $(FLAGS)

bench-tail: needs ## Measure tail latency beside nginx and HAProxy (FLAGS='--rounds 1 --seconds 10')
	@scripts/need nginx haproxy
	$(CARGO) bench --locked --bench tail -- $(FLAGS)

bench-l4: needs ## Measure TCP and UDP beside nginx and HAProxy (FLAGS='--rows udp --rounds 3')
	@scripts/need nginx libnginx-mod-stream haproxy redis-server redis-tools
	$(CARGO) bench --locked --bench l4 -- $(FLAGS)

bench-reload: needs ## Measure reloads beside nginx (FLAGS='--rounds 1 --seconds 10')
	@scripts/need nginx
	$(CARGO) bench --locked --bench reload -- $(FLAGS)

doc: needs ## Build the documentation of the crate and its hooks
	$(CARGO) doc --locked --no-deps

reference: needs ## Write docs/reference.md anew from the doc comments of the configuration
	BLESS=1 $(CARGO) test --locked --test it the_reference

deny: ## Check licences, advisories and duplicate versions, where cargo-deny is installed
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny check; \
	else echo 'cargo-deny is not installed; get it with: cargo install cargo-deny'; fi

ci: lint test deny ## What CI runs, and more
