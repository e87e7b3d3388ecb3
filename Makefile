# Regulars. `make help` lists what there is; each target's line is the comment beside it.
# Nothing is needed but git, make and Python 3.11 or newer.

# When this command began: the summary of `make demo` counts from here.
export REGULARS_STARTED_AT := $(shell date +%s)
# DATA=file replays an Online Retail export, CUSTOMERS=n sizes the simulated shop; RUNS=n and SEED=n are of `make soak`,
# TIMES=n is of `make test-properties`.
export DATA CUSTOMERS RUNS SEED TIMES

PYTHON := .venv/bin/python
LOCAL := $(PYTHON) -m include.local

# The longest first: what is left at the end is short, and no worker waits for the other.
TESTS := $(wildcard tests/e2e tests/dags tests/integration tests/unit/test_whole_pages.py tests/unit)
WORKERS := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help demo up down dsn doctor ingestion models api-keys notebooks test test-slow test-properties soak lint bench docs reference new-source lock venv

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1	\2/' | expand -t 20

demo: venv ## run the whole platform once on a simulated shop [CUSTOMERS=n], or a real one: DATA=export.csv[.gz|.xz|.zst]
	@$(LOCAL) demo $${DATA:+--data "$$DATA"} $${CUSTOMERS:+--customers "$$CUSTOMERS"}

up: venv ## open Airflow on localhost with the demo's data; prints address and login
	@$(LOCAL) up $${DATA:+--data "$$DATA"} $${CUSTOMERS:+--customers "$$CUSTOMERS"}

down: venv ## stop exactly what demo, up or dsn started here
	@$(LOCAL) down

dsn: venv ## print the warehouse's connection string (psql "$(make -s dsn)")
	@$(LOCAL) dsn

doctor: venv ## say what is missing or wrong on this machine and how to mend it
	@$(LOCAL) doctor

ingestion: venv ## work on what was brought in: DO="replay --entity orders --start 2024-06-01 --end 2024-06-08", DO=--help
	@$(PYTHON) -m include.local.ingestion $(DO)

models: venv ## look after the models in use: DO="list churn", DO="rollback churn --reason 'too many letters'", DO=--help
	@$(PYTHON) -m include.local.models $(DO)

api-keys: venv ## make, list, revoke keys of the API: DO="create shop --scope churn:read", DO=list, DO="revoke shop"
	@$(PYTHON) -m include.local.api_keys $(DO)

notebooks: venv ## run the notebooks on the demo's shop and keep what they show; notebooks/README.md says how to open them
	@$(PYTHON) -m notebooks.run

test: venv ## run the tests: unit, integration, dags, e2e; all but the slowest
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest $(WORKERS) -m "not slow" $(TESTS)

test-slow: venv ## run the slowest tests: every kind of run in one shop, other programs' whole environments, kills of long commands
	@OMP_NUM_THREADS=1 $(PYTHON) -m pytest $(WORKERS) -m slow $(TESTS)

test-properties: venv ## try other random examples than `make test` does, and 20 times as many of them [TIMES=n]
	@OMP_NUM_THREADS=1 REGULARS_EXAMPLES=$${TIMES:-20} $(PYTHON) -m pytest $(WORKERS) -m hypothesis $(TESTS)

soak: venv ## a thousand randomised loads under faults [RUNS=n, SEED=n to repeat one]
	@$(PYTHON) -m tests.soak

lint: venv ## check style, types, SQL and the direction of imports
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/sqlfluff lint --processes 2 include/sql
	.venv/bin/mypy
	.venv/bin/lint-imports

bench: venv ## measure against peers and floors; writes .local/bench.json
	@$(PYTHON) -m bench

docs: venv ## build the documentation as a site into .local/site; open .local/site/index.html
	@NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict --quiet
	@echo "  open .local/site/index.html"

reference: venv ## write docs/reference anew from the code and the comments of the database
	@$(PYTHON) -m include.local.reference

new-source: venv ## begin a source of your own: NAME=reviews [CONNECTION=shop_api]; docs/add-a-source.md
	@$(PYTHON) -m include.local.new_source "$$NAME" $${CONNECTION:+--connection "$$CONNECTION"}

lock: venv ## resolve requirements*.in anew into the two lock files
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-annotate requirements.in -o requirements.txt
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --no-annotate -c requirements.txt requirements-local.in -o requirements-local.txt

venv:
	@sh include/local/bootstrap.sh
