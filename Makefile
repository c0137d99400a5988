# Every target says what it does: `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help uv demo test test-long check bench bench-cleaning bench-databases mutants clean docs

# The same program is started thousands of times: compiled once, a start takes a third of the time.
export PYTHONDONTWRITEBYTECODE :=

UV := $(shell scripts/bootstrap --path)
RUN := "$(UV)" run --locked
ifdef K8S_EE_CACHE
export UV_CACHE_DIR ?= $(K8S_EE_CACHE)/uv-cache
endif

help: ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort | while IFS=$$'\t' read -r name text; do printf '  make %-14s %s\n' "$$name" "$$text"; done

uv:
	@scripts/bootstrap

demo: uv ## open the example's pull request on a real cluster and show its environment (KEEP=1 leaves it running)
	@$(RUN) python -m scripts.demo

test: uv ## every test, on a cluster of its own, nothing left behind
	@$(RUN) python -m scripts.tests

test-long: uv ## the same with every loop at full length
	@$(RUN) python -m scripts.tests --long

check: uv ## formats, types, layers, workflows, charts, schemas
	@$(RUN) python -m scripts.check

bench: uv ## compare with how it is usually done, ratios from one run
	@$(RUN) python -m tests.bench

bench-cleaning: uv ## compare how long it takes until the environments of fifty closed pull requests are gone
	@$(RUN) python -m tests.bench.cleaning

bench-databases: uv ## measure how long each database takes until it answers, alone and with all the others
	@$(RUN) python -m tests.bench.databases

mutants: uv ## change the rules of the lifecycle in every small way, list the changes that no test notices
	@$(RUN) python -m scripts.mutants

docs: uv ## write the generated parts of docs/ again
	@$(RUN) python -m scripts.docs

clean: uv ## stop every sandbox; the cache of built artefacts stays
	@$(RUN) k8s-ee sandbox down --all
