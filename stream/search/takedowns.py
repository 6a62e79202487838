"""Which submissions were taken down, for as long as their vectors may come again."""

from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from stream.contract.events import Submission
from stream.contract.hashes import video_hash
from stream.contract.order import Takedown

MAX_KNOWN = 2**18  # remembered, the newest, as by a shard; beyond, a late upload could come back


class Takedowns:
    """By video, the last at the end; the oldest are forgotten."""

    def __init__(self, known: dict[int, Takedown] | None = None) -> None:
        self._known = known or {}

    def cover(self, video_id: str, submission: Submission | None) -> bool:
        """Whether an upload was submitted before a takedown of its video."""
        takedown = self._known.get(video_hash(video_id))
        return takedown is not None and takedown.covers(submission)

    def add(self, video_id: str, takedown: Takedown) -> None:
        """Remember a takedown, joined with what is known of its video; beyond, the oldest go."""
        key = video_hash(video_id)
        joined = takedown.joined(self._known.pop(key, None))
        self._known[key] = joined
        while len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]

    def to_array(self) -> NDArray[np.uint8]:
        """As JSON in bytes, (N,) uint8, for a file of a snapshot."""
        pairs: list[tuple[int, Any]] = [(key, one.to_json()) for key, one in self._known.items()]
        return np.frombuffer(orjson.dumps(pairs), np.uint8)

    @classmethod
    def of_array(cls, data: NDArray[np.uint8]) -> Self:
        """The inverse of `to_array`."""
        pairs = orjson.loads(data.tobytes())
        return cls({key: Takedown.from_json(fields) for key, fields in pairs})
