# make demo            watch videos go in and decisions come out (VIDEOS=folder, BROKER=kafka)
# make test            all tests, in random order (SEED=n, WORKERS=n); those on a real Kafka need
#                      Java 17 and Maven
# make check           style, types, import rules
# make quick           check, and the tests of the pure steps, which need no broker and no training
# make setup           .venv with the `samesource` command
# make lock            requirements.lock, what the image installs, from pyproject.toml
# make contract        kafka/schemas and kafka/asyncapi.yaml, from stream/contract/events.py

PYTHON ?= $(shell command -v python3.11 || echo python3)
BROKER ?= embedded
VIDEOS ?=
SEED ?=
WORKERS ?= 4

bin := .venv/bin

.PHONY: setup demo test check quick contract lock
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

# More workers than cores: the tests on a Kafka mostly wait. Numeric libraries use one thread each.
test: export OMP_NUM_THREADS = 1
test: .venv/test.done
	$(bin)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder \
		$(if $(SEED),--randomly-seed $(SEED))

check: .venv/test.done
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/lint-imports

# What most changes break first, wherever in the tree it lies.
quick_names := aligners alert codes decide edits events health joins library order policy policy_parts schemas settings
quick_tests = $(shell find tests/models tests/stream -name nothing $(quick_names:%=-o -name test_%.py))

quick: export OMP_NUM_THREADS = 1
quick: check
	$(bin)/python -m pytest --quiet --numprocesses 2 --dist loadfile $(quick_tests)

contract: setup
	$(bin)/python -m stream.contract.schemas

# What is locked stays; `rm requirements.lock` first takes what is newest. setuptools builds the project.
lock: .venv/test.done
	echo 'setuptools>=77' | $(bin)/uv pip compile pyproject.toml - --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --quiet \
		--custom-compile-command 'make lock' --output-file requirements.lock
