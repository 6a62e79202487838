"""The local copy of a remote video: limited in size while it grows, tried again from the start."""

import io
from pathlib import Path

from stream.errors import TooLargeError


class LimitedFile(io.FileIO):
    """A new file that refuses to grow past a limit."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        super().__init__(path, "w")
        self._max_bytes = max_bytes
        self._written = 0

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override]
        """Append.

        Raises:
            TooLargeError: the file would pass the limit.
        """
        self._written += len(data)
        self.expect(self._written)
        return super().write(data)

    def expect(self, size_bytes: int | None) -> None:
        """Refuse early where a server announces the size.

        Raises:
            TooLargeError: the size passes the limit.
        """
        if size_bytes is not None and size_bytes > self._max_bytes:
            raise too_large(size_bytes, self._max_bytes)


def too_large(size_bytes: int, max_bytes: int) -> TooLargeError:
    """The error of a file over the limit."""
    return TooLargeError(
        f"the video has {size_bytes} bytes or more, over fetch.max_bytes = {max_bytes}"
    )


class TransientError(Exception):
    """A failure of the network or the server that may be gone at the next try."""
