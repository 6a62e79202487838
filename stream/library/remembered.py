"""What a shard remembers of the order of submissions, beside the videos that it holds.

Needed for as long as an upload can be delivered again, which is as long as it stays on
`video.uploaded`. Bounded: the oldest are forgotten.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from stream.contract.events import Submission
from stream.contract.order import Takedown

T = TypeVar("T")

# Of each shard: they are held in memory and written with each snapshot. Beyond it, the oldest go.
MAX_TAKEDOWNS = 2**18
# As many: both follow how often videos are submitted again.
MAX_LATEST = 2**18


class Latest(NamedTuple):
    """The last message of the version that holds, where there were several.

    Attributes:
        offset: of the log: compaction leaves this one.
        submission: the last there was of this version.
    """

    offset: int
    submission: Submission | None


@dataclass
class Remembered:
    """By `video_hash`, those that were said or said again last at the end.

    Attributes:
        takedowns: which submissions of a video of this shard are taken down.
        latest: of versions that hold and were said more than once.
    """

    takedowns: dict[int, Takedown] = field(default_factory=dict)
    latest: dict[int, Latest] = field(default_factory=dict)

    def take_down(self, key: int, takedown: Takedown) -> None:
        """Remember what is taken down of a video, all of it."""
        _put(self.takedowns, key, takedown, MAX_TAKEDOWNS)

    def repeat(self, key: int, latest: Latest) -> None:
        """Remember the last message of the version that holds."""
        _put(self.latest, key, latest, MAX_LATEST)

    def copy(self) -> "Remembered":
        """One that doesn't change with this."""
        return Remembered(self.takedowns.copy(), self.latest.copy())

    def to_array(self) -> NDArray[np.uint8]:
        """All of it as the bytes of JSON, for a snapshot's file."""
        takedowns = [[key, one.to_json()] for key, one in self.takedowns.items()]
        latest = [
            [key, one.offset, None if one.submission is None else one.submission.model_dump()]
            for key, one in self.latest.items()
        ]
        return np.frombuffer(orjson.dumps([takedowns, latest]), np.uint8)

    @classmethod
    def of_array(cls, data: NDArray[np.uint8]) -> Self:
        """The inverse of `to_array`."""
        takedowns, latest = orjson.loads(data.tobytes())
        return cls(
            {key: Takedown.from_json(fields) for key, fields in takedowns},
            {key: Latest(offset, submission_of(fields)) for key, offset, fields in latest},
        )

    @classmethod
    def joined(cls, parts: "list[Remembered]", shards: int, shard: int) -> Self:
        """What shard `shard` of `shards` must remember of what others do."""
        made = cls()
        for part in parts:
            for key, takedown in part.takedowns.items():
                if key % shards == shard:
                    made.take_down(key, takedown.joined(made.takedowns.get(key)))
            made.latest |= {key: one for key, one in part.latest.items() if key % shards == shard}
        return made


def submission_of(fields: dict[str, Any] | None) -> Submission | None:
    """The inverse of `model_dump`, for what may be unknown."""
    return None if fields is None else Submission.model_validate(fields)


def _put(values: dict[int, T], key: int, value: T, most: int) -> None:
    # Taken out first: a dictionary keeps a known key's place, and the oldest go from the front.
    values.pop(key, None)
    values[key] = value
    while len(values) > most:
        del values[next(iter(values))]
