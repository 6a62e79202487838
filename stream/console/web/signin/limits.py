"""How much is too much: failed sign-ins of an address, requests and open waits of who is known."""

import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

FAILURES_A_MINUTE = 20  # of one address: a person mistypes a few times, a guesser more


@dataclass(frozen=True)
class Attempts:
    """Counts failed sign-ins of each address over the last minute, in this process."""

    _limiter: MovingWindowRateLimiter = field(
        default_factory=lambda: MovingWindowRateLimiter(MemoryStorage())
    )
    _limit: RateLimitItemPerMinute = field(
        default_factory=lambda: RateLimitItemPerMinute(FAILURES_A_MINUTE)
    )

    def failed(self, address: str) -> None:
        """Note a failure."""
        self._limiter.hit(self._limit, address)

    def too_many(self, address: str) -> bool:
        """Whether an address has used up its failures."""
        return not self._limiter.test(self._limit, address)


class Requests:
    """Counts requests of each token or session over about the last minute, in this process."""

    def __init__(self, per_minute: int) -> None:
        """Nobody has asked yet; 0 lets everybody ask as often as they like."""
        self._limit = None if per_minute == 0 else RateLimitItemPerMinute(per_minute)
        # Two numbers each, where a window that moves would keep every request.
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def wait_seconds(self, who: str) -> int | None:
        """After how long somebody may ask; None for now, which counts."""
        if self._limit is None or self._limiter.hit(self._limit, who):
            return None
        until = self._limiter.get_window_stats(self._limit, who).reset_time
        return max(1, math.ceil(until - time.time()))


class Waits:
    """Long polls and event streams that somebody has open, in this process."""

    def __init__(self, each: int) -> None:
        """Nobody waits yet."""
        self._each, self._open = each, Counter[str]()

    @contextmanager
    def one_more(self, who: str) -> Iterator[bool]:
        """One of them for the time of the block; whether that is not one too many."""
        if self._open[who] >= self._each:
            yield False
            return
        self._open[who] += 1
        try:
            yield True
        finally:
            self._open[who] -= 1
            if not self._open[who]:
                del self._open[who]
