"""What this process holds in memory, now and at most; serves `benchmarks.library_size`."""

import threading
from pathlib import Path
from typing import Self


def memory() -> dict[str, int]:
    """Bytes of this process, by the kernel's count."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        name: 1024 * int(lines[field].split()[0])
        for name, field in (("resident", "VmRSS"), ("anonymous", "RssAnon"))
    }


class PeakMemory:
    """Looks at this process's memory a thousand times a second, on a thread.

    Attributes:
        resident: the most bytes that were seen.
    """

    def __init__(self) -> None:
        self.resident = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.wait(0.001):
            self.resident = max(self.resident, memory()["resident"])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
