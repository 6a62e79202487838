"""The decoder's child processes, seen from outside; serves the tests of how they end."""

import time
from pathlib import Path

GONE = (FileNotFoundError, ProcessLookupError)  # before a file of /proc is opened, and after


def children_of(parent: int) -> set[int]:
    """Ids of a process's children."""
    while True:
        listed = Path(f"/proc/{parent}/task").glob("*/children")
        try:
            return {int(child) for file in listed for child in file.read_text().split()}
        except GONE:  # a thread that ended meanwhile; another one has its children now
            continue


def runs(process: int) -> bool:
    """Whether a process is there, and not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except GONE:
        return False


def spooling_child(parent: int, spools: Path, before: set[int]) -> int:
    """The child process that has begun to write frames, once there is one.

    Args:
        parent: of the decoder.
        spools: where its children write.
        before: children that the parent had when there was no decoder.
    """
    for _ in range(600):
        new = [child for child in children_of(parent) - before if _cpu_ticks(child) > 20]
        if new and any(_size(spool) for spool in spools.rglob("*.rgb")):
            return max(new, key=_cpu_ticks)
        time.sleep(0.05)
    raise AssertionError("no child began to work")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _cpu_ticks(process: int) -> int:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except GONE:
        return 0
    return int(fields[11]) + int(fields[12])
