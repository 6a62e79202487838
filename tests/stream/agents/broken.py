"""Workers one of whose functions raises; serves the tests of how they end.

As a process of its own it has imported what they need, which takes a second of CPU, and makes each
worker that a line of its input asks for as a copy of itself. It prints its number, and its exit
code when it has ended.
"""

import importlib
import inspect
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stream.agents import decide, fingerprint, library
from stream.broker import embedded
from stream.cli import app, main

IMPORTED = (app, decide, embedded, fingerprint, library)


def serve() -> None:
    """Make workers until the input ends; in each of them, be that worker."""
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            work(**json.loads(line))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def work(role: str, place: str, file: str, log: str, variables: Mapping[str, str]) -> None:
    """Be a worker; raises SystemExit as the command does.

    Args:
        role: of the command `samesource worker`.
        place: `module:class:function`, of what raises.
        file: from the moment on that it is there.
        log: where stderr goes.
        variables: the whole environment.
    """
    with open(log, "wb") as stderr, open(os.devnull, "rb") as nothing:
        os.dup2(stderr.fileno(), sys.stderr.fileno())
        os.dup2(stderr.fileno(), sys.stdout.fileno())
        os.dup2(nothing.fileno(), sys.stdin.fileno())
    os.environ.clear()
    os.environ.update(variables)
    break_from(Path(file), place)
    sys.argv = ["samesource", "worker", role]
    main()


def break_from(file: Path, place: str) -> None:
    """Let a function raise from the moment on that a file is there."""
    module, owner_name, name = place.split(":")
    owner = getattr(importlib.import_module(module), owner_name)
    real = getattr(owner, name)

    def fails() -> None:
        if file.exists():
            raise RuntimeError("a part broke")

    def breaks(*arguments: Any, **more: Any) -> Any:
        fails()
        return real(*arguments, **more)

    async def breaks_later(*arguments: Any, **more: Any) -> Any:
        fails()
        return await real(*arguments, **more)

    setattr(owner, name, breaks_later if inspect.iscoroutinefunction(real) else breaks)


if __name__ == "__main__":
    serve()
