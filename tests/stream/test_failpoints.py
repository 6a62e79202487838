"""A process dies at the named passing of the named point, and nowhere else."""

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from stream.errors import SettingsError
from stream.failpoints import FAILPOINTS, VARIABLE, failpoint, parse_failpoint

PASSES = """
from stream.failpoints import failpoint
for number in range(1, 4):
    failpoint("library.after_search")
    print(number, flush=True)
    failpoint("library.after_append")
"""


def run(value: str) -> subprocess.CompletedProcess[Any]:
    return subprocess.run(
        [sys.executable, "-c", PASSES],
        env={**os.environ, VARIABLE: value},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("value", "passed"),
    [
        ("library.after_search", []),
        ("library.after_search=3", ["1", "2"]),
        ("library.after_append=3", ["1", "2", "3"]),
    ],
)
def test_the_process_dies_at_the_passing_that_is_named(value: str, passed: list[str]) -> None:
    done = run(value)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split() == passed


@pytest.mark.parametrize("value", ["", "library.after_append=4", "snapshot.writing"])
def test_it_lives_when_it_never_gets_there(value: str) -> None:
    done = run(value)
    assert (done.returncode, done.stdout.split()) == (0, ["1", "2", "3"])


def test_an_unknown_point_is_an_error_at_import_that_names_those_there_are() -> None:
    done = run("library.after_serach=3")
    assert done.returncode == 1
    assert "no point 'library.after_serach'; there are library.after_search, " in done.stderr


@pytest.mark.parametrize("text", ["snapshot.writing=", "snapshot.writing=0", "snapshot.writing=x"])
def test_a_passing_is_a_number_from_one(text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        parse_failpoint(text)


def test_unarmed_points_do_nothing() -> None:
    for name in FAILPOINTS:
        failpoint(name)
