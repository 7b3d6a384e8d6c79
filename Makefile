.DEFAULT_GOAL := help
PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
READY := .venv/.ready
TOOLS := .tools/.ready

.PHONY: help env demo serve test test-long simulate lint format cover bench clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

env: $(READY) $(TOOLS) ## Create .venv with the service and everything its tests need

$(READY): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group test --group lint
	@$(BIN)/synaptide warm
	@touch $@

$(TOOLS): scripts/test_tools.py | $(READY)
	@$(BIN)/python scripts/test_tools.py
	@mkdir -p $(@D) && touch $@

demo: $(READY) ## Replay a real stream through a live service (ARGS=--exit to end by itself)
	@$(BIN)/synaptide demo $(ARGS)

serve: $(READY) ## Run the service on http://127.0.0.1:8000 with its data in ./data
	@$(BIN)/synaptide serve $(ARGS)

test: lint cover ## Check style and types, then run the tests with their coverage

cover: $(READY) $(TOOLS)
	@rm -f .coverage .coverage.*
	@$(BIN)/python -m pytest -m 'not long' --cov --cov-report=term $(ARGS)

test-long: $(READY) $(TOOLS) ## Run the tests that take minutes
	@$(BIN)/python -m pytest -m long $(ARGS)

simulate: $(READY) ## Run 1,000 schedules of workers and journal (ARGS="FIRST --seeds N" for others)
	@$(BIN)/python -m tests.simulation $(or $(ARGS),1000 --seeds 1000)

lint: $(READY) ## ruff and mypy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

format: $(READY) ## Put the code in the house format
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: $(READY) ## Measure the service (ARGS names the benchmark)
	@$(BIN)/synaptide bench $(or $(ARGS),serve)

clean: ## Remove the environment and what tools left
	rm -rf .venv .tools .coverage .coverage.* .mypy_cache .pytest_cache .ruff_cache .hypothesis
