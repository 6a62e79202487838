"""Imports without a look for garbage: serves the command, whose processes mostly load and wait.

What modules make stays. Python looks through it again and again while it grows, and once more when
the process ends, which costs a worker a good part of its start.
"""

import atexit
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LOOKS = (2_000, 20, 25)
"""Of the collector, in containers made and not freed: a look at the youngest after 2,000, at those
that outlived one after 40,000, at all after a million (Python: 700, 7,000, 70,000). By hand."""


@contextmanager
def loading() -> Iterator[None]:
    """Import modules; garbage is looked for behind the block."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def settled() -> None:
    """What there is now stays: the collector needn't look through it again.

    A look through all modules and networks halts a process for tenths of a second, and whoever
    waits for an answer then waits for that. One through what came since takes 50 ms in a console,
    and Python takes one after each quarter that this has grown: it is to come less often.
    """
    gc.freeze()
    gc.set_threshold(*LOOKS)


def end_without_a_look() -> None:
    """When this process ends, leave what it has to the system."""
    atexit.register(_leave)


def _leave() -> None:
    # Torch brings bindings that complain at length of all that isn't given back.
    if "torch" not in sys.modules:
        gc.freeze()
