"""One-time links: how somebody at this machine signs in where there is no other way yet."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

SECRET_BYTES = 32
MAX_OPEN = 100  # links that wait to be opened; the oldest gives way


@dataclass
class OneTimeLinks:
    """Links that sign in once, before they expire. Of a secret only its hash is kept.

    Attributes:
        seconds: for which a link can be opened.
        clock: the time in seconds, for tests.
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    _open: dict[bytes, tuple[str, float]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def make(self, name: str) -> str:
        """A new secret, which signs somebody of this name in as admin."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        with self._lock:
            while len(self._open) >= MAX_OPEN:
                self._open.pop(next(iter(self._open)))
            self._open[_hash(secret)] = name, self.clock() + self.seconds
        return secret

    def use(self, secret: str) -> str | None:
        """Whom a secret signs in, once; None for one that is unknown or too old."""
        with self._lock:
            # Taken out first, so that of two who open it at once one is too late.
            name, until = self._open.pop(_hash(secret), (None, 0.0))
        return name if self.clock() < until else None


def _hash(secret: str) -> bytes:
    # Looked up by hash: how long that takes says nothing of the secrets that are there.
    return hashlib.sha256(secret.encode(errors="replace")).digest()
