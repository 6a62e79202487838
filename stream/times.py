"""The clock of the service: UTC instants, and the time that a stage took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from stream.traces import part


def now() -> datetime:
    """The current instant in UTC."""
    return datetime.now(UTC)


@contextmanager
def timed(stages: dict[str, float], stage: str) -> Iterator[None]:
    """Add the wall-clock seconds of the block to `stages[stage]`, also when it raises.

    A part of the trace of what is in hand, where that is recorded.
    """
    start = time.perf_counter()
    try:
        with part(stage):
            yield
    finally:
        stages[stage] = stages.get(stage, 0.0) + time.perf_counter() - start
