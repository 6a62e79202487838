"""The last resort of a process that has to end: gone in time, whatever hangs in it.

What wasn't acknowledged is delivered again, so leaving is safe at any moment.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import NoReturn

import psutil

log = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0  # for the last line, should nobody read it
GONE_SECONDS = (
    0.5  # for killed children to let go of what the next process wants; a few ms as a rule
)


class Leaving:
    """Ends this process by force when it isn't gone in time.

    Delivery contract: from `begin` on, the process is gone within the seconds given, also if its
    event loop, a thread or a child process hangs. The exit code is that of the first `begin`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._end: float | None = None
        self._code = 0
        self._stopped = False
        self._changed = threading.Event()

    @property
    def begun(self) -> bool:
        """Whether the process is about to end."""
        return self._end is not None

    def begin(self, code: int, seconds: float) -> None:
        """Be gone within so many seconds; a later call can only make it sooner."""
        with self._lock:
            end = time.monotonic() + seconds
            if self._end is None:
                self._end, self._code = end, code
                threading.Thread(target=self._wait, name="leaving", daemon=True).start()
            self._end = min(self._end, end)
        self._changed.set()

    def stopped(self, seconds: float) -> None:
        """All is said and stopped, if it was to end: what still hangs has so many seconds."""
        if self.begun:
            self._stopped = True
            self.begin(self._code, seconds)

    def _wait(self) -> None:
        while True:
            # Before the look at the end: a sooner one that is set behind it wakes the wait.
            self._changed.clear()
            assert self._end is not None, "begin() first"
            left = self._end - time.monotonic()
            if left <= 0:
                leave(self._code, silently=self._stopped)
            self._changed.wait(left)


def leave(code: int, *, silently: bool = False) -> NoReturn:
    """End this process and its children now, behind a last line in the log."""
    # On a thread with a limit: writing to a pipe that nobody reads would wait for ever.
    last = threading.Thread(target=_flush if silently else _last_line, daemon=True)
    last.start()
    last.join(FLUSH_SECONDS)
    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.Error):
            child.kill()
    psutil.wait_procs(children, timeout=GONE_SECONDS)
    # `sys.exit` would wait for the very threads that hang.
    os._exit(code)


def _last_line() -> None:
    log.warning("the process is ended; what isn't acknowledged will be delivered again")
    _flush()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def exit_on_signals() -> None:
    """End with exit code 0 on SIGTERM or SIGINT while nothing has begun that would have to stop."""

    def end(number: int, frame: FrameType | None) -> NoReturn:
        sys.exit(0)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
