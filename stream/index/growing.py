"""An array that is appended to; serves the growing end of the library."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows. From here the room doubles, so that an append costs constant time on the average; smaller
# would copy an empty library's first videos over and over, larger would be seen in memory.
MIN_CAPACITY = 1024


class Growing:
    """Rows end to end; what was handed out stays as it is."""

    def __init__(self, begin: NDArray[Any]) -> None:
        self._data, self._size = begin, len(begin)

    def append(self, more: NDArray[Any]) -> None:
        """Put rows behind the last."""
        size = self._size + len(more)
        if size > len(self._data):
            # A new array and not a larger one in place: views that were handed out keep the old.
            capacity = max(MIN_CAPACITY, size, 2 * len(self._data))
            larger = np.empty((capacity, *self._data.shape[1:]), self._data.dtype)
            larger[: self._size] = self.view()
            self._data = larger
        # Behind the end of every view that was handed out: those don't change, and nothing is
        # copied.
        self._data[self._size : size] = more
        self._size = size

    def view(self) -> NDArray[Any]:
        """All rows so far."""
        return self._data[: self._size]
