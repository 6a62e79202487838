"""Notices that this process was frozen: what it takes for its own may be another's by then.

Serves the decide worker. Kafka gives the partitions of a member that was silent for a session to
others, and the member learns of it only when it asks again.
"""

import asyncio
import time
from collections.abc import Callable

SILENCE = 0.7  # of a session: the last sign of life may be a fifth of it older than the freeze
BEAT_SECONDS = 0.2  # how exactly a freeze is timed; small beside a session, 6 s at the least


class Pulse:
    """Says for how long the group's present view of this process can't be known."""

    def __init__(self, session_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is noticed before `beat` runs.

        Args:
            session_seconds: after so much silence the group gives up on a member.
            clock: goes on while the process is frozen.
        """
        self._session, self._clock = session_seconds, clock
        self._beat_at: float | None = None
        self._unsure_until = clock()

    async def beat(self) -> None:
        """Note the time again and again, for ever; a freeze is a gap in it."""
        while True:
            self._note()
            await asyncio.sleep(BEAT_SECONDS)

    def unsure_seconds(self) -> float:
        """For how much longer a freeze that the group took for an end may not be known; mostly 0.

        Within a session after a freeze the member has asked again.
        """
        if self._beat_at is not None:
            self._note()
        return max(0.0, self._unsure_until - self._clock())

    def _note(self) -> None:
        now = self._clock()
        if self._beat_at is not None and now - self._beat_at > SILENCE * self._session:
            self._unsure_until = now + self._session
        self._beat_at = now
