"""What a worker knows of itself: whether work is done, whether it is ready, what waits.

Each role fills it in; `endpoints.py` tells it over HTTP.
"""

import time
from dataclasses import dataclass, field
from typing import Protocol

from stream.agents.lags import Lag


@dataclass
class Progress:
    """Whether there is work, and when some of it was last done."""

    in_hand: int = 0
    done_at: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        """A piece of work has begun. Idleness before it is no standstill."""
        if self.in_hand == 0:
            self.done_at = time.monotonic()
        self.in_hand += 1

    def end(self) -> None:
        """A piece of work is done."""
        self.in_hand -= 1
        self.done_at = time.monotonic()

    def reset(self) -> None:
        """Count from now on: what wasn't done before is no standstill."""
        self.done_at = time.monotonic()

    def stands_still_seconds(self, lag: int = 0) -> float:
        """For how long nothing has been done; 0 where there is nothing to do.

        Args:
            lag: pieces of work that wait.
        """
        # Idle time counts for nothing once work comes: each look at it moves the clock on.
        if self.in_hand == 0 and lag == 0:
            self.reset()
        return time.monotonic() - self.done_at


@dataclass(frozen=True)
class Health:
    """What one worker says of itself.

    Attributes:
        name: of the worker.
        stands_still_seconds: for how long there has been work without progress.
        not_ready: why it isn't ready; None where it is.
        lags: what waits, of each partition that it reads.
        role: for the metrics.
        shard: the same; empty for a role that has none.
    """

    name: str
    stands_still_seconds: float = 0.0
    not_ready: str | None = None
    lags: tuple[Lag, ...] = ()
    role: str = ""
    shard: str = ""


class Healthy(Protocol):
    """What can say how it is; called from another thread."""

    def health(self) -> Health:
        """Its lag, since when it stands still, and why it isn't ready; may not wait."""
        ...
