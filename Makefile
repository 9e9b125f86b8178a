# What each target does: `make help`. Tools that are not on the machine go into .tools.

TOOLS := .tools
BIN := $(TOOLS)/bin
CARGO_LAMBDA := 1.9.2
SAM_CLI := 1.170.0
CARGO_FUZZ := 0.13.2
# sam wants a region even where it asks nothing of AWS.
export AWS_DEFAULT_REGION ?= eu-west-1
export SAM_CLI_TELEMETRY := 0

.PHONY: help run watch invoke test check lint build deploy redrive bench fuzz tools clean

help: ## Lists the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

run: ## Sends the sample events through the function into an embedded DynamoDB (EVENTS="create update")
	@cargo build --quiet
	@cargo run --quiet --example local -- run $(EVENTS)

watch: $(BIN)/cargo-lambda ## Runs the function under cargo lambda watch, against an embedded DynamoDB
	@cargo build --quiet --example local
	@PATH="$(CURDIR)/$(BIN):$$PATH" target/debug/examples/local watch cargo lambda watch

invoke: $(BIN)/cargo-lambda ## Sends one event to `make watch` and shows the table (EVENT=create)
	@PATH="$(CURDIR)/$(BIN):$$PATH" cargo lambda invoke ably-chat-exporter --data-file events/$(or $(EVENT),create).json
	@cargo run --quiet --example local -- show

test: ## Runs all tests, under cargo-nextest where it is installed
	@if cargo nextest --version >/dev/null 2>&1; \
		then set -x; cargo nextest run --workspace; \
		else set -x; cargo test --workspace --lib --bins --tests; fi

check: lint ## Formatting, lints, documentation, layers, template
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
	@! grep -rnE 'aws_|lambda_|async fn' src/ably src/chat.rs || { echo 'ably/ and chat.rs know nothing of AWS' >&2; exit 1; }
	@! grep -rnE 'crate::ably|lambda_' src/store || { echo 'store/ knows nothing of envelopes or Lambda' >&2; exit 1; }

lint: $(BIN)/sam ## Validates template.yaml
	$(BIN)/sam validate --lint
	$(BIN)/cfn-lint template.yaml

build: $(BIN)/sam $(BIN)/cargo-lambda ## Builds the function as it is deployed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/sam build

deploy: build ## Deploys it, asking for every parameter
	$(BIN)/sam deploy --guided

redrive: $(BIN)/sam ## Replays a stack's failure queue through its function (STACK=name)
	@$(BIN)/python scripts/redrive.py $(STACK)

bench: ## Measures the function beside a bare one (bench/floor), and the decoder alone
	cargo bench --bench decode
	cargo build --release --package ably-chat-exporter
	cargo build --release --package floor
	taskset --cpu-list $$(nproc --all | awk '{ print $$1 > 1 ? "1-" $$1 - 1 : 0 }') \
		cargo bench --package bench -- $(CURDIR)/target/release

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
