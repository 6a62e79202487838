# make demo            watch videos go in and decisions come out (VIDEOS=folder, BROKER=kafka,
#                      CONSOLE=1: in a browser, until Ctrl-C)
# make test            all tests, in random order (SEED=n, WORKERS=n, REPORT=folder for JUnit's XML);
#                      those on a real Kafka need Java 17 and Maven
# make check           style, types, import rules
# make quick           check, and the tests of the pure steps, which need no broker and no training
# make setup           .venv with the `samesource` command
# make lock            requirements.lock, what the image installs, and constraints.txt, the versions
#                      that are installed here, from pyproject.toml
# make contract        kafka/schemas and kafka/asyncapi.yaml, from stream/contract/events.py

PYTHON ?= $(shell command -v python3.11 || echo python3)
BROKER ?= embedded
VIDEOS ?=
CONSOLE ?=
SEED ?=
WORKERS ?= 6
REPORT ?=

bin := .venv/bin
pip_install := $(bin)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: setup demo test check quick contract lock
.DELETE_ON_ERROR:

setup: .venv/serve.done

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/serve.done: pyproject.toml constraints.txt | .venv/bin/python
	$(pip_install) --editable .
	@touch $@

.venv/check.done: .venv/serve.done
	$(pip_install) --editable '.[test]'
	@touch $@

.venv/test.done: .venv/check.done
	$(pip_install) --editable '.[train]'
	@touch $@

# In the shell's place, so that a signal to make, which passes it on to its child, ends the demo.
demo: setup
	exec $(bin)/samesource demo --broker $(BROKER) $(if $(VIDEOS),--videos "$(VIDEOS)") $(if $(CONSOLE),--console)

# Demo and tests start many processes: compiled code is kept for the next, whatever the shell says.
demo test quick: export PYTHONDONTWRITEBYTECODE =

# More workers than cores: the tests on a Kafka mostly wait. Numeric libraries use one thread each.
# What bounds seconds of real time runs by itself afterwards, a few at a time, since it mostly waits;
# to import all other tests again takes longer than these.
timed_tests = $$(grep --recursive --files-with-matches --include='test_*.py' 'mark\.timed' tests)
pytest = $(bin)/python -m pytest $(if $(SEED),--randomly-seed $(SEED)) $(if $(REPORT),--junitxml $(REPORT)/$(1).xml)
test: export OMP_NUM_THREADS = 1
test: .venv/test.done
	@failed=0; \
	$(call pytest,tests) -m 'not timed' --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder || failed=1; \
	$(call pytest,timed) -m timed --numprocesses 4 --dist loadfile --no-loadscope-reorder $(timed_tests) || failed=1; \
	exit $$failed

# Torch, which is large, isn't needed; without it mypy can't judge what is built on its classes.
has_torch = $(bin)/python -c 'import sys, importlib.util as u; sys.exit(u.find_spec("torch") is None)'
without_torch := --allow-subclassing-any --allow-untyped-decorators --no-warn-return-any --no-warn-unused-ignores

check: .venv/check.done
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy $$($(has_torch) || echo $(without_torch))
	$(bin)/lint-imports

# What most changes break first.
quick_tests := tests/models/aligners tests/models/training/test_edits.py tests/stream/contract \
	tests/stream/decide \
	$(addprefix tests/stream/library/test_,$(addsuffix .py,codes library)) \
	$(addprefix tests/stream/agents/test_,$(addsuffix .py,endpoints health)) tests/stream/test_settings.py

quick: export OMP_NUM_THREADS = 1
quick: check .venv/test.done
	$(bin)/python -m pytest --quiet --numprocesses 2 --dist loadfile $(quick_tests)

contract: setup
	$(bin)/python -m stream.contract.schemas

# What is locked stays; `rm requirements.lock constraints.txt` first takes what is newest. setuptools
# builds the project. Torch isn't constrained, nor what it brings: its builds for CPU and CUDA differ.
compile := $(bin)/uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links \
	--no-annotate --quiet --custom-compile-command 'make lock'
lock: .venv/test.done
	echo 'setuptools>=77' | $(compile) pyproject.toml - --generate-hashes --output-file requirements.lock
	$(compile) pyproject.toml --extra train --extra test --extra bench --constraint requirements.lock --output-file constraints.txt
	sed -E -i.all '/^(cuda-|nvidia-|setuptools|torch|triton)/d' constraints.txt
	rm constraints.txt.all
