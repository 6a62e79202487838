"""Notices that this process was frozen: what it takes for its own may be another's by then.

Serves the workers of decide and of fingerprints. Kafka gives the partitions of a member that was
silent for a session to others, and the member learns of it only when it asks again.
"""

import asyncio
import time
from collections.abc import Callable

SILENCE = 0.7  # of a session: the last sign of life may be a fifth of it older than the freeze
ASK_SECONDS = 0.2  # of a wait for the group's word: it may come any moment, and a decision waits
BEAT_SECONDS = 0.2  # how exactly a freeze is timed; small beside a session, 6 s at the least


class Pulse:
    """Says for how long the group's present view of this process can't be known.

    Attributes:
        freezes: how many there were by the last look.
    """

    def __init__(self, session_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is noticed before `beat` runs.

        Args:
            session_seconds: after so much silence the group gives up on a member.
            clock: goes on while the process is frozen.
        """
        self._session, self._clock = session_seconds, clock
        self.freezes = 0
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

    async def until_sure(self, moved: Callable[[], bool]) -> None:
        """Wait until the group's view is known, or partitions have moved, which is known too."""
        while (unsure := self.unsure_seconds()) and not moved():
            await asyncio.sleep(min(unsure, ASK_SECONDS))

    def _note(self) -> None:
        now = self._clock()
        if self._beat_at is not None and now - self._beat_at > SILENCE * self._session:
            self._unsure_until = now + self._session
            self.freezes += 1
        self._beat_at = now
