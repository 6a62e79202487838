"""Fresh child processes that leave the caller's script alone; serves the decoder.

Python lets a spawned child run the parent's main module first, so that it finds what is defined
there. Ours need nothing of it, and a script that calls us at its top level, without
`if __name__ == "__main__":`, would call us again in every child.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from threading import Lock
from types import ModuleType

# `sys.modules` is the whole process's: of two threads that start a child, one would put back the
# other's stand-in.
_hiding = Lock()
OOM_SCORE = 500  # of 1,000: short memory costs a child, and not its parent


class _Process(SpawnProcess):
    def start(self) -> None:
        with _without_main():
            super().start()
        # From here, and not in the child: while it imports its modules it is the smaller one.
        with suppress(OSError):
            Path(f"/proc/{self.pid}/oom_score_adj").write_text(str(OOM_SCORE))


class AloneContext(SpawnContext):
    """As `multiprocessing.get_context("spawn")`, but that the main module isn't run again."""

    Process = _Process


@contextmanager
def _without_main() -> Iterator[None]:
    """Show an empty main module while a process is started: what has no file isn't run."""
    with _hiding:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
