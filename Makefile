# `make up` and `make test` are all that a fresh machine needs; both make .venv first.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help up down status clean test check bench

help: ## Say what there is.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

up: .venv/ready ## Set up what is missing, start the embedded cluster and deploy the registry to it.
	@$(BIN)/python -m devcluster up

down: .venv/ready ## Stop the embedded cluster; the data stays.
	@$(BIN)/python -m devcluster down

status: .venv/ready ## Say what runs where.
	@$(BIN)/python -m devcluster status

clean: .venv/ready ## Stop the embedded cluster and remove it with its data.
	@$(BIN)/python -m devcluster clean

test: .venv/ready ## Run all tests, on a cluster of their own.
	@# Apart from the tests: on a new machine this takes minutes, which no test's timeout should have to allow.
	@$(BIN)/python -m devcluster build
	@# Four clusters at a time: much of a test is waiting for servers.
	@# The program and its commands are started many hundred times: Python may keep what it compiled.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -n 4 --dist loadfile

check: .venv/ready ## Check format, lint and types.
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy __main__.py components config jobs checks ops monitoring devcluster bench

bench: .venv/ready ## Measure how fast it is, and print tables; name=retention measures just that.
	@env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m bench $(name)

.venv/ready: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'error: Python 3.11 or newer is needed; set PYTHON=…' >&2; exit 1; }
	@# Debian ships venv in a package of its own.
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo 'installing python3-venv' && apt-get update -qq && apt-get install -y -qq python3-venv; }
	@test -x $(BIN)/python || { echo 'making .venv' && $(PYTHON) -m venv .venv; }
	@echo 'installing the packages of requirements-dev.txt'
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
