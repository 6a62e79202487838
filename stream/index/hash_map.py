"""A map from 64-bit keys to whole numbers that stays small: 16 bytes a key.

Serves the shard, which remembers where every version of every video of the log was first read.
"""

import numpy as np
from numpy.typing import NDArray

# Changes are sorted in when they are so many, and this part of all: sorting moves every key.
MIN_FRESH = 4096
# One in sixteen; set by hand. A dict entry takes over a hundred bytes against sixteen here.
FRESH_SHARE = 16


class HashMap:
    """Sorted arrays, and a dict of what has changed since they were made. Not thread-safe."""

    def __init__(
        self, keys: NDArray[np.uint64] | None = None, values: NDArray[np.int64] | None = None
    ) -> None:
        """Start with (N,) ascending keys and their values, or empty."""
        self._keys = np.empty(0, np.uint64) if keys is None else keys
        self._values = np.empty(0, np.int64) if values is None else values
        self._fresh: dict[int, int | None] = {}
        self._count = len(self._keys)

    def __len__(self) -> int:
        return self._count

    def get(self, key: int) -> int | None:
        """The value of a key; None where it has none."""
        if key in self._fresh:
            return self._fresh[key]
        # A bare int is int64 to NumPy, which then compares both as float64: its 53 bits take
        # neighbouring keys for equal.
        place = int(np.searchsorted(self._keys, np.uint64(key)))
        if place < len(self._keys) and int(self._keys[place]) == key:
            return int(self._values[place])
        return None

    def put(self, key: int, value: int) -> None:
        """Set a key's value."""
        self._change(key, value)

    def drop(self, key: int) -> None:
        """Forget a key, if it is there."""
        self._change(key, None)

    def _change(self, key: int, value: int | None) -> None:
        self._count += (value is not None) - (self.get(key) is not None)
        # Also where it is dropped: the arrays may have it, and are asked second.
        self._fresh[key] = value
        if len(self._fresh) > max(MIN_FRESH, len(self._keys) // FRESH_SHARE):
            self._settle()

    def arrays(self) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
        """All keys, ascending, and their values; never changed later."""
        self._settle()
        return self._keys, self._values

    def _settle(self) -> None:
        if not self._fresh:
            return
        keys = np.fromiter(self._fresh, np.uint64, len(self._fresh))
        left = np.isin(self._keys, keys, invert=True)
        kept = {key: value for key, value in self._fresh.items() if value is not None}
        keys = np.concatenate((self._keys[left], np.fromiter(kept, np.uint64, len(kept))))
        values = np.fromiter(kept.values(), np.int64, len(kept))
        order = np.argsort(keys, kind="stable")
        self._keys, self._fresh = keys[order], {}
        self._values = np.concatenate((self._values[left], values))[order]
