"""The runs with several seeds: each is the README's command, and tells what failed."""

from pathlib import Path

from rich.console import Console

from benchmarks.test_seeds import command, run

TESTS = """
import random

import pytest


def test_a_seed_that_is_even(request):
    assert request.config.getoption("randomly_seed") % 2 == 0


def test_another():
    assert True


@pytest.mark.skip
def test_a_third():
    pass
"""


def test_a_run_says_what_passed_and_names_what_failed(tmp_path: Path) -> None:
    path = tmp_path / "test_even.py"
    path.write_text(TESTS)
    odd = run(3, [str(path)], Console(quiet=True))
    assert (odd["green"], odd["passed"], odd["failed"], odd["skipped"]) == (False, 1, 1, 1)
    (name,) = odd["names"]
    assert name.endswith("test_even::test_a_seed_that_is_even")
    assert "test_a_seed_that_is_even" in odd["output"]
    assert len(odd["slowest"]) == 3 and all(seconds >= 0 for seconds, _ in odd["slowest"])


def test_without_paths_it_is_the_readmes_command() -> None:
    assert command(7, [], Path("there")) == ["make", "test", "SEED=7", "REPORT=there"]
