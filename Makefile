# What each target does: `make help`. Tools that are not on the machine go into .tools.

TOOLS := .tools
BIN := $(TOOLS)/bin
CARGO_LAMBDA := 1.9.2
SAM_CLI := 1.170.0
CARGO_FUZZ := 0.13.2
# sam wants a region even where it asks nothing of AWS.
export AWS_DEFAULT_REGION ?= eu-west-1
export SAM_CLI_TELEMETRY := 0

.PHONY: help run watch invoke test rabbitmq check lint build deploy redrive bench bench-queue fuzz tools clean

help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 13

run: ## Sends the sample events through the function into an embedded DynamoDB (EVENTS="create update")
	@cargo build --quiet
	@cargo run --quiet --example local -- run $(EVENTS)

watch: $(BIN)/cargo-lambda ## Runs the function under cargo lambda watch, against an embedded DynamoDB
	@cargo build --quiet --example local
	@PATH="$(CURDIR)/$(BIN):$$PATH" target/debug/examples/local watch cargo lambda watch

invoke: $(BIN)/cargo-lambda ## Sends one event to `make watch` and shows the table (EVENT=create)
	@PATH="$(CURDIR)/$(BIN):$$PATH" cargo lambda invoke ably-chat-exporter --data-file events/$(or $(EVENT),create).json
	@cargo run --quiet --example local -- show

test: rabbitmq ## Runs all tests, under cargo-nextest where it is installed
	@if cargo nextest --version >/dev/null 2>&1; \
		then set -x; cargo nextest run --workspace --all-features; \
		else set -x; cargo test --workspace --all-features --lib --bins --tests; fi

rabbitmq: ## Installs RabbitMQ for the queue's tests, where it is missing and Debian's packages are at hand
	@if [ -z "$$AMQP_URL" ] && [ ! -d /usr/lib/rabbitmq/lib ]; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			{ apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
				--no-install-recommends rabbitmq-server; } >/dev/null; \
		else echo 'install rabbitmq-server, or set AMQP_URL to a broker of yours' >&2; exit 1; fi; fi

check: lint ## Formatting, lints, documentation, layers, template
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- -D warnings
	cargo clippy -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps --document-private-items
	@python3 scripts/check_lines.py
	@! grep -rnE 'aws_|lambda_|async fn' src/ably src/chat.rs || { echo 'ably/ and chat.rs know nothing of AWS' >&2; exit 1; }
	@! grep -rlE 'reqwest' src --include=*.rs | grep -v '^src/rest/' || { echo 'rest/ alone speaks HTTP to Ably' >&2; exit 1; }
	@! grep -rnE 'crate::ably|lambda_' src/store || { echo 'store/ knows nothing of envelopes or Lambda' >&2; exit 1; }

lint: $(BIN)/sam ## Validates the templates
	$(BIN)/sam validate --lint
	$(BIN)/cfn-lint template.yaml template-queue.yaml

build: $(BIN)/sam $(BIN)/cargo-lambda ## Builds the function as it is deployed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/sam build

deploy: build ## Deploys it, asking for every parameter
	$(BIN)/sam deploy --guided

redrive: $(BIN)/sam ## Replays a stack's failure queue through its function (STACK=name)
	@$(BIN)/python scripts/redrive.py $(STACK)

bench: ## Measures the function beside a bare one (bench/floor), the decoder alone, and the backfill
	cargo bench --bench decode
	cargo build --release --package ably-chat-exporter
	cargo build --release --package floor
	taskset --cpu-list $$(nproc --all | awk '{ print $$1 > 1 ? "1-" $$1 - 1 : 0 }') \
		cargo bench --package bench --bench function -- $(CURDIR)/target/release

	cargo build --release --package ably-chat-exporter --features backfill --bin ably-chat-backfill
	cargo build --release --package floor --features backfill --bin floor-backfill
	taskset --cpu-list $$(nproc --all | awk '{ print $$1 > 1 ? "1-" $$1 - 1 : 0 }') \
		cargo bench --package bench --bench backfill -- $(CURDIR)/target/release

bench-queue: rabbitmq ## Measures the queue consumer beside a bare one, against a RabbitMQ
	cargo build --release --package ably-chat-exporter --features queue --bin ably-chat-queue
	cargo build --release --package floor --features queue --bin floor-queue
	taskset --cpu-list $$(nproc --all | awk '{ print $$1 > 1 ? "1-" $$1 - 1 : 0 }') \
		cargo bench --package bench --bench queue -- $(CURDIR)/target/release

fuzz: $(BIN)/cargo-fuzz ## Fuzzes the decoder for FUZZ_SECONDS (60)
	mkdir -p fuzz/corpus/decode
	PATH="$(CURDIR)/$(BIN):$$PATH" cargo +nightly fuzz run decode fuzz/corpus/decode events -- \
		-max_total_time=$(or $(FUZZ_SECONDS),60) -rss_limit_mb=1024 -malloc_limit_mb=512 -timeout=10

tools: $(BIN)/cargo-lambda $(BIN)/sam ## Installs cargo-lambda and sam (with cfn-lint) into .tools

$(BIN)/pip:
	@python3 -m venv $(TOOLS) || { echo 'Python 3 with venv is needed: apt-get install python3-venv' >&2; exit 1; }

$(BIN)/cargo-lambda: | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check cargo-lambda==$(CARGO_LAMBDA)

$(BIN)/sam: | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check aws-sam-cli==$(SAM_CLI)

$(BIN)/cargo-fuzz:
	cargo install --quiet --locked --root $(TOOLS) cargo-fuzz@$(CARGO_FUZZ)

clean: ## Removes everything built or installed here
	rm -rf target .tools .aws-sam fuzz/target fuzz/corpus fuzz/artifacts
