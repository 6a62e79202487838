"""Workers one of whose functions raises; serves the tests of how they end.

Each is a copy of one process that has imported what they need, which takes a second of CPU.
"""

import importlib
import inspect
import multiprocessing
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from stream.agents import decide, fingerprint, library
from stream.broker import embedded
from stream.cli import app, main

IMPORTED = (app, decide, embedded, fingerprint, library)


@contextmanager
def broken(
    role: str, place: str, file: Path, variables: Mapping[str, str], log: Path
) -> Iterator[ForkServerProcess]:
    """A worker; it is killed at the end if it still runs.

    Args:
        role: of the command `samesource worker`.
        place: `module:class:function`, of what raises.
        file: from the moment on that it is there.
        variables: the whole environment.
        log: where stderr goes.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=_work, args=(role, place, file, dict(variables), log))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()
        process.close()


def _work(role: str, place: str, file: Path, variables: dict[str, str], log: Path) -> None:
    with log.open("wb") as stderr:
        os.dup2(stderr.fileno(), sys.stderr.fileno())
    os.environ.clear()
    os.environ.update(variables)
    _break(place, file)
    sys.argv = ["samesource", "worker", role]
    main()


def _break(place: str, file: Path) -> None:
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
