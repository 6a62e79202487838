"""Work on all cores before training begins: editing clips, drawing pages and overlays."""

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

ITEMS_AT_ONCE = 16  # sent together: fewer trips between processes; far more leave some idle


def spread(make: Callable[[Item], Made], items: Sequence[Item], workers: int) -> list[Made]:
    """What is made of every item, in order.

    Args:
        make: a function that other processes can import.
        items: what it takes.
        workers: processes; this one alone if fewer than two, or few items.
    """
    workers = min(workers, -(-len(items) // ITEMS_AT_ONCE))
    if workers < 2:
        return [make(item) for item in items]
    # Not forked: torch has threads, and their locks would stay locked in a fork.
    with ProcessPoolExecutor(workers, get_context("spawn"), _one_thread) as pool:
        return list(pool.map(make, items, chunksize=ITEMS_AT_ONCE))


def _one_thread() -> None:
    """In these processes alone: with a thread a core each they would wait on another."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # torch reads it where it's loaded later, if it's needed
