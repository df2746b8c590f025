# Every target installs what it needs into .venv; `make` alone lists them.
BIN := .venv/bin
UV := $(BIN)/uv
INSTALL := $(UV) pip install --quiet --python $(BIN)/python

# A machine behind a proxy of its own trusts it in its certificate store; uv looks there only if told to.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS ?= 1
endif

# Installed so far: uv itself, what running needs, and what developing needs on top.
BOOTSTRAPPED := .venv/.bootstrapped
RUNTIME := .venv/.runtime
DEV := .venv/.dev
PEERS := .venv-bench/bin/python
LLAMA := .venv-llama/bin/python

.DEFAULT_GOAL := help
.PHONY: help install up test check lint types unit contract integration proxy faults chaos test-docker test-llama explore lock fmt bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(DEV) ## Install everything needed to run and to develop

# The shell expands the variables, so that a path may hold any character. `exec` leaves one process to stop. PORT=0
# picks a port, as the option does; the setting of that name is a port for good, so it is not passed on.
up: $(RUNTIME) ## Start everything on this machine: make up DOCS=path/to/docs SITE_URL=https://... PORT=7860
	@port=$$PORT; flower_port=$$FLOWER_PORT; unset PORT FLOWER_PORT; exec $(BIN)/lectern up \
		$${DOCS:+--docs "$$DOCS"} \
		$${SITE_URL:+--site-url "$$SITE_URL"} \
		$${port:+--port "$$port"} \
		$${flower_port:+--flower-port "$$flower_port"}

test: $(DEV) ## Run every check and every test
	@scripts/check

check: $(DEV) ## Run the quick checks: lint, format, types, architecture, unit tests
	@scripts/check lint format types unit

lint: $(DEV) ## Lint, and check the format
	@scripts/check lint format

types unit contract integration proxy faults: $(DEV)
	@scripts/check $@
types: ## Check the types
unit: ## Run the architecture and unit tests
contract: ## Run the tests of what the outside world sees
integration: ## Run the tests with real processes
proxy: ## Run the tests behind a real nginx
faults: ## Run the tests that kill processes

chaos: $(DEV) ## Kill hundreds of processes under a running ingest: make chaos CHAOS="--seed 1 2 --kills 200"; takes half an hour
	@$(BIN)/python -m tests.faults --write benchmarks/chaos.md $(CHAOS)

test-docker: $(DEV) ## Build the images and run everything under Docker Compose; needs a Docker engine
	@docker info >/dev/null 2>&1 || { echo "no Docker engine answers; start one, or as root: tests/docker/engine start" >&2; exit 2; }
	@scripts/check docker

test-llama: $(DEV) $(LLAMA) ## Ask a real llama.cpp server with a tiny model; the first time, building it takes ten minutes
	@LLAMA_PYTHON=$(LLAMA) scripts/check llama

explore: $(DEV) ## Run the property tests on examples that nobody has tried yet
	@$(BIN)/python -m pytest -q --hypothesis-profile=explore tests/unit

fmt: $(DEV) ## Format, and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(DEV) $(PEERS) ## Measure chunking, ingest and chat, beside peers; benchmarks/README.md has more
	@$(PEERS) -m benchmarks.chunking
	@$(BIN)/python -m benchmarks.ingest --peers $(PEERS)
	@$(BIN)/python -m benchmarks.chat

# What each image installs: its name, and the extras.
IMAGES := api:api,local worker:local,formats flower:flower
COMPILE := $(UV) pip compile --quiet --universal --generate-hashes --no-header
lock: $(DEV) ## Write the requirements anew from pyproject.toml, at the newest versions that it allows
	@$(COMPILE) --upgrade pyproject.toml --all-extras -o requirements/runtime.txt
	@$(COMPILE) --upgrade pyproject.toml --all-extras --group dev -c requirements/runtime.txt -o requirements/dev.txt
	@for image in $(IMAGES); do \
		$(COMPILE) --no-annotate pyproject.toml --extra $$(echo $$image | sed 's/.*://; s/,/ --extra /g') \
			-c requirements/runtime.txt -o requirements/$${image%%:*}.txt || exit 1; done
	@$(COMPILE) --no-annotate pyproject.toml --group bench -c requirements/runtime.txt -o requirements/bench.txt
	@$(COMPILE) --no-annotate --group pyproject.toml:llama -o requirements/llama.txt
	@printf 'uv\nuv-build\n' | $(COMPILE) --no-annotate - -c requirements/dev.txt -o requirements/bootstrap.txt

clean: ## Remove what can be made again; the data in .lectern stays
	@rm -rf .venv .venv-bench .venv-llama .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BOOTSTRAPPED): requirements/bootstrap.txt
	@sh scripts/bootstrap
	@touch $@

# What is listed is installed at its pinned version and hash; nothing is removed, so that `make up` leaves the
# developer's tools where they are.
$(RUNTIME): requirements/runtime.txt pyproject.toml $(BOOTSTRAPPED)
	@echo "Installing what Lectern needs; the first time takes about a minute" >&2
	@$(INSTALL) --require-hashes -r requirements/runtime.txt
	@$(INSTALL) --no-build-isolation --no-deps -e .
	@touch $@

# The peers, in an environment of their own. Copied: one of them refuses files that are linked.
$(PEERS): requirements/bench.txt $(BOOTSTRAPPED)
	@$(UV) venv --quiet --clear --python $(BIN)/python .venv-bench
	@$(UV) pip sync --quiet --link-mode copy --require-hashes --python $(PEERS) requirements/bench.txt

# A model server, built from source: llama.cpp's authors publish no wheel that the package index has.
$(LLAMA): requirements/llama.txt $(BOOTSTRAPPED)
	@$(UV) venv --quiet --clear --python $(BIN)/python .venv-llama
	@$(UV) pip sync --quiet --require-hashes --python $(LLAMA) requirements/llama.txt

$(DEV): requirements/dev.txt $(RUNTIME)
	@$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@
