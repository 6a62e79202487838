"""What a view knows of each video besides its vectors: where its message is, version, duration.

Some 90 bytes a video, and its id.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.contract.events import ContentVersion
from stream.contract.hashes import video_hash
from stream.index.hash_map import HashMap

MIN_RECORDS = 1024  # that there is room for at first; the room doubles
NO_VERSION = np.iinfo(np.int64).min
# Below all that are counted: rows and logs are numbered from 0.
NO_ROW = -1
NO_LOG = -1  # likewise
FREE = -1  # in place of a model's number: this record is of no video
RECORD = np.dtype(
    [
        ("model", "i2"),
        ("partition", "i4"),
        ("offset", "i8"),
        ("version", "i8"),
        ("row", "i8"),  # the whole video's; its moments' are right behind
        ("rows", "i2"),  # of the video, its own and its moments'
        ("id_at", "i8"),
        ("id_length", "i4"),
        ("duration", "f4"),
        ("log", "i2"),  # number of the name of the submission's topic; NO_LOG where unknown
        ("from_partition", "i4"),  # of the submission, as the two below
        ("from_offset", "i8"),
        ("from_ms", "i8"),
    ]
)


class Place(NamedTuple):
    """Where a message lies in its topic."""

    partition: int
    offset: int


class VideoTable:
    """A record for each video. Not thread-safe."""

    def __init__(
        self,
        records: NDArray[Any] | None = None,
        ids: bytes = b"",
        by_hash: HashMap | None = None,
    ) -> None:
        """Empty, or from what a snapshot holds."""
        records = np.empty(0, RECORD) if records is None else records
        self._count = len(records)
        self._records = np.zeros(max(MIN_RECORDS, len(records)), RECORD)
        self._records[: len(records)] = records
        self._ids = bytearray(ids)
        self._by_hash = HashMap() if by_hash is None else by_hash
        self._free = np.flatnonzero(records["model"] == FREE).tolist()

    def __len__(self) -> int:
        return self._count - len(self._free)

    @property
    def records(self) -> NDArray[Any]:
        """(N,) of `RECORD`; those that are free too."""
        return self._records[: self._count]

    def find(self, video_id: str) -> int | None:
        """The record's number; None where the video isn't known."""
        return self._by_hash.get(video_hash(video_id))

    def put(self, video_id: str) -> int:
        """The number of a video's record, made where there was none."""
        found = self.find(video_id)
        if found is not None:
            return found
        number = self._free.pop() if self._free else self._new()
        encoded = video_id.encode()
        record = self._records[number]
        record["row"], record["version"], record["log"] = NO_ROW, NO_VERSION, NO_LOG
        record["id_at"], record["id_length"] = len(self._ids), len(encoded)
        # What is dropped leaves its bytes behind; snapshots leave them out.
        self._ids += encoded
        self._by_hash.put(video_hash(video_id), number)
        return number

    def drop(self, video_id: str) -> None:
        """Forget a video, if it is known."""
        found = self.find(video_id)
        if found is None:
            return
        self._records[found]["model"] = FREE
        self._free.append(found)
        self._by_hash.drop(video_hash(video_id))

    def video_id(self, number: int) -> str:
        """The id in a record, by the record's number."""
        record = self._records[number]
        start = int(record["id_at"])
        return self._ids[start : start + int(record["id_length"])].decode()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it for a file, ids of free records left out; never changed later."""
        records = self.records.copy()
        taken = records["model"] != FREE
        ids = np.frombuffer(bytes(self._ids), np.uint8)
        lengths = np.where(taken, records["id_length"], 0).astype(np.int64)
        if lengths.sum() != len(ids):
            starts = np.repeat(records["id_at"] - (np.cumsum(lengths) - lengths), lengths)
            ids = ids[starts + np.arange(len(starts))]
            records["id_at"] = np.cumsum(lengths) - lengths
        keys, values = self._by_hash.arrays()
        return {"records": records, "ids": ids, "hashes": keys, "numbers": values}

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]]) -> "VideoTable":
        """The inverse of `arrays`."""
        by_hash = HashMap(np.array(arrays["hashes"]), np.array(arrays["numbers"]))
        return cls(arrays["records"], arrays["ids"].tobytes(), by_hash)

    def _new(self) -> int:
        if self._count == len(self._records):
            grown = np.zeros(2 * self._count, RECORD)
            grown[: self._count] = self._records
            self._records = grown
        self._count += 1
        return self._count - 1


def comparable(version: ContentVersion | None) -> int:
    """A content version as a number that says which is newer; `NO_VERSION` where none does."""
    bounds = np.iinfo(np.int64)
    fits = isinstance(version, int) and bounds.min < version <= bounds.max
    return int(version) if fits and version is not None else NO_VERSION
