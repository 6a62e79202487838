"""Lines of the audit log that the database couldn't take: they are written when it is back.

Serves `console.py`: what a line is about is on Kafka already, so nobody can be told to try again.
"""

import asyncio
import logging
from collections import deque

from stream.console.store.audit import AuditLog, NewLine
from stream.console.store.database import is_away

log = logging.getLogger(__name__)

AGAIN_SECONDS = 1.0
MOST = 10_000  # kept, of some hundred bytes each; set by hand


class LateLines:
    """Waits with lines for the database, in their order. Of one event loop.

    They don't survive the process: its log has each, from before it came here.
    """

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._lines: deque[tuple[NewLine, asyncio.Event]] = deque()
        self._writing: asyncio.Task[None] | None = None

    def add(self, line: NewLine) -> asyncio.Event:
        """Write a line later; beyond `MOST`, not at all.

        Returns:
            What is set when it is there, or given up.
        """
        over = asyncio.Event()
        if len(self._lines) >= MOST:
            over.set()
            return over
        self._lines.append((line, over))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="late lines of the audit log")
        return over

    async def _write(self) -> None:
        written = 0
        while self._lines:
            line, over = self._lines[0]
            try:
                # Whether it was taken when the connection broke, nobody knows.
                await self._audit.note_once(line)
                written += 1
            except Exception as error:
                if is_away(error):
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
                log.exception("the audit log lacks a line: %s", line)
            self._lines.popleft()
            over.set()
        log.info("the audit log has %d lines now that it lacked", written)

    def close(self) -> None:
        """Wait no longer."""
        if self._writing is not None:
            self._writing.cancel()
