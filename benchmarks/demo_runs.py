"""Runs the demo again and again: whether it ends well each time, with the same answers.

Some runs are free, some are held to one core, some have a busy loop on every core beside them. The
answers are what the demo prints from its table on, without what the clock says. Run
`python -m benchmarks.demo_runs [--json FILE]`; the exit code is 1 when a run differs or fails.
"""

import difflib
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.table import Table

from stream.demo.report import CLOCK, TITLE

ONE_CORE = ("taskset", "-c", "0")
RUN_SECONDS = 3600.0  # of a demo: a stop to one that hangs, on one core too
FIRST = re.compile(r"first decision after ([0-9.]+) s")


@dataclass(frozen=True)
class Run:
    """One demo.

    Attributes:
        kind: free, one core or busy.
        code: its exit code; None when it was ended for taking too long.
        answers: what it found, as printed.
        first_seconds: from its start to the first decision; None when there was none.
        seconds: all of it, process start included.
        said: everything that it printed.
    """

    kind: str
    code: int | None
    answers: str
    first_seconds: float | None
    seconds: float
    said: str


def answers_of(said: str) -> str:
    """The part of what a demo prints that depends on its videos alone."""
    _, _, after = said.partition(TITLE)
    return after.partition(CLOCK)[0]


def run(kind: str, prefix: tuple[str, ...] = ()) -> Run:
    """Run the demo once."""
    command = [*prefix, str(Path(sys.executable).with_name("samesource")), "demo"]
    began = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS
        )
        code, said = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as late:
        code, said = None, f"{late}"
    first = FIRST.search(said)
    return Run(
        kind,
        code,
        answers_of(said),
        float(first[1]) if first else None,
        time.monotonic() - began,
        said,
    )


@contextmanager
def busy_cores() -> Iterator[None]:
    """A loop on every core that does nothing, for the time of the block."""
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def runs(free: int, one_core: int, busy: int) -> Iterator[Run]:
    """All of them, one after the other."""
    for _ in range(free):
        yield run("free")
    for _ in range(one_core):
        yield run("one core", ONE_CORE)
    if busy:
        with busy_cores():
            for _ in range(busy):
                yield run("busy")


def table(done: list[Run], answers: str) -> Table:
    """A row for each kind of run."""
    shown = Table()
    headings = ("runs", "how many", "exit 0", "same answers", "first decision, s", "whole run, s")
    for heading in headings:
        shown.add_column(heading, justify="left" if heading == "runs" else "right")
    for kind in dict.fromkeys(one.kind for one in done):
        own = [one for one in done if one.kind == kind]
        firsts = [one.first_seconds for one in own if one.first_seconds is not None]
        shown.add_row(
            kind,
            str(len(own)),
            str(sum(one.code == 0 for one in own)),
            str(sum(one.answers == answers for one in own)),
            _spread(firsts),
            _spread([one.seconds for one in own]),
        )
    return shown


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "–"
    return f"{median(seconds):.1f} ({min(seconds):.1f}–{max(seconds):.1f})"


def main(
    free: Annotated[int, typer.Option(help="Runs with nothing else.")] = 30,
    one_core: Annotated[int, typer.Option(help="Runs held to the first core.")] = 10,
    busy: Annotated[int, typer.Option(help="Runs beside a busy loop on every core.")] = 10,
    json: Annotated[Path | None, typer.Option(help="Write all runs here.")] = None,
) -> None:
    """Print the table, and how the first run that differs does so."""
    console, done = Console(width=120), list[Run]()
    for one in runs(free, one_core, busy):
        done.append(one)
        right = one.code == 0 and one.answers == done[0].answers
        console.print(f"{len(done)}: {one.kind}, {one.seconds:.1f} s, {'ok' if right else 'WRONG'}")
        if not right:
            console.print(
                f"exit code {one.code}", *_difference(done[0], one), sep="\n", markup=False
            )
        if json is not None:
            json.write_bytes(orjson.dumps([asdict(run) for run in done]))
    console.print(table(done, done[0].answers))
    wrong = [one for one in done if one.code != 0 or one.answers != done[0].answers]
    sys.exit(1 if wrong or not done[0].answers else 0)


def _difference(first: Run, other: Run) -> list[str]:
    if first.answers == other.answers:
        return other.said.splitlines()[-20:]
    lines = difflib.unified_diff(
        first.answers.splitlines(), other.answers.splitlines(), "first", "this", lineterm="", n=0
    )
    return list(lines)


if __name__ == "__main__":
    typer.run(main)
