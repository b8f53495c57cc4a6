# Two commands show the project: `make demo` and `make test`. `make help` lists the rest.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
READY := .venv/.ready

# The folder of the data sets that do not ship, for the tests and benchmarks that read them.
export NEGOTIATOR_DATA
# An inference library's threads spin while they wait; two cores are better used.
export OMP_WAIT_POLICY := PASSIVE
export GOMP_SPINCOUNT := 0

# What is handed on to the demo, to pytest, to the benchmarks.
DEMO ?= --model local --yes
ARGS ?=
# Which of the live tests: all, or for CI those of seconds: LIVE="live and not long".
LIVE ?= live
BENCH ?= run sgdx --split dev --pairs 12 --model local --out out/sgdx

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z0-9.%-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "  make %-13s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(READY) ## make .venv with all that the project itself needs

$(READY): pyproject.toml uv.lock scripts/setup.sh
	@sh scripts/setup.sh
	@touch $@

.PHONY: demo
demo: setup ## two agents talk, agree, compile, and need no model any more
	@$(BIN)/negotiator demo $(DEMO)

.PHONY: test
test: check unit ## everything but what needs weights or foreign peers

.PHONY: check
check: setup ## lint, format, types, import contracts, pinned supply
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@[ ! -x $(BIN)/uv ] || $(BIN)/uv lock --check --offline
	$(BIN)/python scripts/sync_readme.py --check
	$(BIN)/python scripts/check_supply_chain.py

.PHONY: unit
unit: setup ## the tests alone; ARGS="-k words" chooses
	$(BIN)/pytest -n auto --maxprocesses 8 --dist loadfile $(ARGS)

.PHONY: weights
weights: setup ## fetch the weights of the local model (1.1 GB, checked), where they are not there yet
	@$(BIN)/python -m negotiator.models.weights --yes

.PHONY: test-live
test-live: setup ## tests with the local model (LIVE="live and not long" leaves out those of minutes)
	$(BIN)/pytest -m "$(LIVE)" $(ARGS)

.PHONY: test-interop
test-interop: setup ## tests with peers nobody here wrote, each in an environment of its own
	$(BIN)/pytest -m interop $(ARGS)

.PHONY: wheel-check
wheel-check: setup ## build the wheel and use it in empty environments, one for each Python
	$(BIN)/python scripts/check_wheel.py $(ARGS)

# Not .PHONY: make looks for no rule by pattern for those.
unit-3.%: setup ## the tests on another Python: make unit-3.13
	UV_PROJECT_ENVIRONMENT=.venv-3.$* $(BIN)/uv sync --frozen --all-extras --quiet \
		--python "$$($(BIN)/python scripts/pythons.py 3.$*)"
	.venv-3.$*/bin/pytest -n auto --maxprocesses 8 --dist loadfile $(ARGS)

.PHONY: test-floors
test-floors: setup ## the tests with the oldest releases of our direct dependencies that pyproject.toml allows
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-floors
	$(BIN)/uv pip install --quiet --python .venv-floors --resolution lowest-direct \
		--editable '.[disk,fast,identity,litellm,local,monty,oauth,serve]' --group dev
	.venv-floors/bin/pytest -n auto --maxprocesses 8 --dist loadfile $(ARGS)

.PHONY: test-bare
test-bare: setup ## the tests without any extra, on the older line of RestrictedPython, which litellm's proxy asks for
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-bare
	$(BIN)/uv pip install --quiet --python .venv-bare --editable . --group dev 'RestrictedPython>=8.5,<9'
	.venv-bare/bin/pytest -n auto --maxprocesses 8 --dist loadfile $(ARGS)

.PHONY: bench
bench: setup ## the benchmark on recorded calls; BENCH="..." chooses another
	$(BIN)/python -m benchmarks $(BENCH)

.PHONY: format
format: setup ## put the code in its one form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python scripts/sync_readme.py

.PHONY: clean
clean: ## remove what was built; .venv stays
	rm -rf build dist out .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
