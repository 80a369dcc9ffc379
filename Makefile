# The two commands are `make run` and `make test`; `make help` lists the rest.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
LOCKS := deploy/locks
UV := $(BIN)/uv
PYTHON = $(shell deploy/find-python)
# Most tests wait for processes, so that three at a time are not in want of two cores.
WORKERS ?= 3
TESTS ?= tests/unit tests/contract tests/integration tests/e2e tests/chaos
SYNC = VIRTUAL_ENV=$(1) $(UV) pip sync -q --require-hashes

.PHONY: help setup lock protos protos-release fmt lint typecheck test test-system chaos bench run clean
.DELETE_ON_ERROR:

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(VENV)/.ready ## Make the environment (.venv), once

$(UV): $(LOCKS)/uv.txt
	@deploy/find-python >/dev/null
	@echo "Making $(VENV) with $(PYTHON)"
	@"$(PYTHON)" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r $(LOCKS)/uv.txt
	@touch $(UV)

$(VENV)/.ready: $(UV) $(LOCKS)/all.txt pyproject.toml
	@echo "Installing the locked dependencies"
	@$(call SYNC,$(VENV)) $(LOCKS)/all.txt $(LOCKS)/uv.txt
	@$(BIN)/python deploy/link.py
	@touch $@

.venv-protos/.ready: $(UV) $(LOCKS)/protos.txt
	@$(UV) venv -q --clear --python $(BIN)/python .venv-protos
	@$(call SYNC,.venv-protos) $(LOCKS)/protos.txt
	@touch $@

.venv-stock/.ready: $(UV) $(LOCKS)/stock.txt
	@$(UV) venv -q --clear --python $(BIN)/python .venv-stock
	@$(call SYNC,.venv-stock) $(LOCKS)/stock.txt
	@touch $@

lock: setup ## Resolve the dependencies into deploy/locks; UPGRADE=1 takes the newest versions
	@deploy/lock $(UV) $(UPGRADE)
	@touch $(UV)

protos: setup .venv-protos/.ready ## Generate Python from the contracts into libs/
	@protos/generate.sh $(CURDIR)/.venv-protos/bin/python $(CURDIR)/libs
	@$(BIN)/python libs/meshclient/make_remedies.py

protos-release: setup ## Renew the baseline of `buf breaking`; say so in the CHANGELOG
	@$(BIN)/buf build --exclude-source-info -o protos/baseline.binpb

fmt: setup ## Format the code and the contracts
	@$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .
	@$(BIN)/buf format -w --path protos/mesh

lint: setup .venv-protos/.ready typecheck ## Check style, contracts, generated code, import rules and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/buf lint
	@$(BIN)/buf format --exit-code --path protos/mesh >/dev/null || { echo "contracts are not formatted: make fmt"; exit 1; }
	@protos/breaking.sh $(BIN)/buf
	@deploy/check-generated $(CURDIR)/.venv-protos/bin/python
	@$(BIN)/lint-imports --no-logo

typecheck: setup ## Check the types
	@$(BIN)/mypy libs/meshkit libs/meshclient libs/meshnautilus services tests

test: setup ## Run every test that needs no Debian package and is not long
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m "not long" $(TESTS)

test-system: setup ## Run the tests that need Debian packages (see .ci/run), and the long ones
	@$(BIN)/python -m pytest tests/system
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m long $(TESTS)

chaos: setup ## Break a mesh at random while clients watch and order; MINUTES=5, KILLS=200, SEED=number
	@PYTHONPATH=$(CURDIR)/tests $(BIN)/python -m chaos.live.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))
	@PYTHONPATH=$(CURDIR)/tests $(BIN)/python -m chaos.trading.soak $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED))

bench: setup .venv-stock/.ready ## Measure; ONLY=name runs one figure
	@$(BIN)/python -m bench $(if $(ONLY),--only $(ONLY))

run: setup ## Start the mesh, run the first backtest, show live quotes; ONCE=1 ends then
	@exec $(BIN)/python -m services.up $(if $(ONCE),--once)

clean: ## Remove what was made, but not the data of the mesh (.mesh)
	@rm -rf .venv .venv-protos .venv-stock build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
