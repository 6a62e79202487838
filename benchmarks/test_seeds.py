"""Whether the tests pass in any order: `make test` with ten random seeds, one after another.

    python -m benchmarks.test_seeds [PATH ...] [--seeds 1 2 3] [--json FILE]

A seed gives the order of the tests and the examples that Hypothesis tries. With PATH, these tests
alone. Exit code 1 when a run isn't green.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]  # the tests' working directory
RUNS = 10  # of the suite, where no seeds are named
TAIL_LINES = 60  # of a failed run's output: pytest's summary and the end of the last traceback
SLOWEST = 40  # tests that are named with their time: about half of a run's
COLUMNS = ("seed", "green", "passed", "failed", "skipped", "seconds", "CPU seconds")


def command(seed: int, paths: Sequence[str], reports: Path) -> list[str]:
    """What runs the tests: the README's command, or pytest on some of them as it does."""
    if not paths:
        return ["make", "test", f"SEED={seed}", f"REPORT={reports}"]
    parallel = ["--numprocesses", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
    known = ["--randomly-seed", str(seed), "--junitxml", str(reports / "tests.xml")]
    return [sys.executable, "-m", "pytest", *parallel, *known, *paths]


def run(seed: int, paths: Sequence[str], console: Console) -> dict[str, Any]:
    """One run; its figures, and the names of the tests that failed.

    CPU seconds are those of all processes that the run waited for, so without Kafka's.
    """
    with tempfile.TemporaryDirectory(prefix="test-seeds-") as folder:
        began, used = time.monotonic(), _cpu_seconds()
        done = subprocess.run(
            command(seed, paths, Path(folder)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        seconds, cpu_seconds = time.monotonic() - began, _cpu_seconds() - used
        if done.returncode:
            console.print("\n".join(done.stdout.splitlines()[-TAIL_LINES:]), markup=False)
        cases = read_reports(Path(folder))
    outcomes = outcomes_of(cases)
    return {
        "seed": seed,
        "green": done.returncode == 0,
        **{name: len(outcomes.get(name, [])) for name in ("passed", "failed", "skipped")},
        "seconds": round(seconds),
        "CPU seconds": round(cpu_seconds),
        "names": outcomes.get("failed", []),
        "output": done.stdout if done.returncode else "",
        "slowest": slowest_of(cases),
    }


def read_reports(folder: Path) -> list[ElementTree.Element]:
    """The test cases of a folder's JUnit reports."""
    reports = sorted(folder.glob("*.xml"))
    return [case for path in reports for case in ElementTree.parse(path).iter("testcase")]


def outcomes_of(cases: Sequence[ElementTree.Element]) -> dict[str, list[str]]:
    """Test cases by what became of them; an error in a fixture is a failure."""
    found: dict[str, list[str]] = {"passed": [], "failed": [], "skipped": []}
    for case in cases:
        kinds = {part.tag for part in case}
        outcome = "failed" if kinds & {"failure", "error"} else "passed"
        outcome = "skipped" if outcome == "passed" and "skipped" in kinds else outcome
        found[outcome].append(f"{case.get('classname')}::{case.get('name')}")
    return found


def slowest_of(cases: Sequence[ElementTree.Element]) -> list[tuple[float, str]]:
    """(seconds, name) of the test cases that took longest, fixtures included."""
    named = (
        (float(case.get("time", 0)), f"{case.get('classname')}::{case.get('name')}")
        for case in cases
    )
    return sorted(named, reverse=True)[:SLOWEST]


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Every seed, a row each; exit code 1 when one isn't green."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", metavar="PATH")
    parser.add_argument("--seeds", type=int, nargs="+", help="ten at random without")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    console, rows = Console(width=110), []
    for seed in options.seeds or random.sample(range(2**32), RUNS):
        rows.append(run(seed, options.paths, console))
        row = rows[-1]
        console.print(", ".join(f"{name} {row[name]}" for name in COLUMNS), *row["names"])
    table = Table(*COLUMNS, title=f"{sum(row['green'] for row in rows)} of {len(rows)} runs green")
    for row in rows:
        table.add_row(*(str(row[name]) for name in COLUMNS))
    console.print(table)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    return 0 if all(row["green"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
