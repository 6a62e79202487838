# make demo            watch videos go in and decisions come out (VIDEOS=folder, BROKER=kafka)
# make test            all tests; those on a real Kafka need Java 17 and Maven
# make check           style, types, import rules
# make setup           .venv with the `samesource` command
# make contract        kafka/schemas and kafka/asyncapi.yaml, from stream/events.py

PYTHON ?= $(shell command -v python3.11 || echo python3)
BROKER ?= embedded
VIDEOS ?=

bin := .venv/bin

.PHONY: setup demo test check contract
.DELETE_ON_ERROR:

setup: .venv/serve.done

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/serve.done: pyproject.toml | .venv/bin/python
	$(bin)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/test.done: .venv/serve.done
	$(bin)/pip install --quiet --disable-pip-version-check --editable '.[test,train]'
	@touch $@

demo: setup
	$(bin)/samesource demo --broker $(BROKER) $(if $(VIDEOS),--videos "$(VIDEOS)")

test: .venv/test.done
	$(bin)/python -m pytest

check: .venv/test.done
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/lint-imports

contract: setup
	$(bin)/python -m stream.contract
