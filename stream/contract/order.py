"""The order in which a platform submitted videos and took them down, whatever order they arrive in.

Serves shards and search views: what is delivered again, or late, changes nothing that was said
after it was submitted.
"""

import sys
from dataclasses import dataclass, replace
from typing import Any, Self

import orjson
from pydantic import ValidationError

from stream.contract.events import Submission
from stream.contract.message import Source

SUBMISSION_HEADER = "samesource-submission"
TAKEDOWN_HEADER = "samesource-takedown"
RESTATED_HEADER = "samesource-restated"
RESTATED = [(RESTATED_HEADER, b"1")]


def before(one: Submission | None, other: Submission | None) -> bool:
    """Whether one upload was certainly submitted before another.

    By offset on one partition, else by Kafka's timestamps. Where nothing is known of one of them,
    or they are the same, it wasn't: what is read later wins then.
    """
    if one is None or other is None:
        return False
    if (one.log_id, one.partition) == (other.log_id, other.partition):
        return one.offset < other.offset
    # Kafka says -1 of a message without a time, from which nothing follows.
    return 0 < one.timestamp_ms < other.timestamp_ms


def submission_headers(original: Submission) -> list[tuple[str, bytes]]:
    """Of an upload that is submitted again: it counts from when its original was."""
    return [(SUBMISSION_HEADER, original.model_dump_json().encode())]


def submission_of(source: Source, log_id: str | None) -> Submission | None:
    """When an upload was submitted: a replay says so of its original, any other by its own place.

    Args:
        source: its message.
        log_id: of its topic; None where that isn't known, nor the submission then.
    """
    own = source.submission(log_id)
    try:
        original = Submission.model_validate_json(source.header(SUBMISSION_HEADER) or b"")
    except ValidationError:
        return own
    # Nobody may say that theirs is newer than it is, or no later version would be kept.
    return original if before(original, own) else own


@dataclass(frozen=True, slots=True)
class Takedown:
    """Which submissions of a video are taken down, however late they arrive.

    Attributes:
        log_id: of the `video.uploaded` that `ends` are of.
        ends: by partition, the offset up to which everything is covered.
        others_ms: of other partitions and topics, what has this Kafka timestamp or a smaller one.
        all_ms: the same, of every partition.
    """

    log_id: str | None = None
    ends: tuple[int, ...] = ()
    others_ms: int = 0
    all_ms: int = 0

    @classmethod
    def of(cls, source: Source) -> Self:
        """What a message without a value says.

        One that says nothing covers what was submitted up to its own timestamp.
        """
        said = source.header(TAKEDOWN_HEADER)
        try:
            return cls.from_bytes(said)
        # Not refused: whatever its header holds, somebody wanted the video gone.
        except (ValueError, TypeError, KeyError):
            return cls(all_ms=max(0, source.timestamp_ms))

    @classmethod
    def from_bytes(cls, data: bytes | None) -> Self:
        """The inverse of `to_bytes`.

        Raises:
            ValueError: these bytes are none of its, or there are none.
            TypeError: the same.
            KeyError: the same.
        """
        return cls.from_json(orjson.loads(data or b""))

    @classmethod
    def from_json(cls, fields: Any) -> Self:
        """The inverse of `to_json`; raises as `from_bytes`."""
        log_id, ends = fields["log_id"], tuple(fields["ends"])
        numbers = (*ends, fields["others_ms"], fields["all_ms"])
        # Not `isinstance`: JSON's `true` is an int to Python, and no offset.
        if any(type(one) is not int for one in numbers) or type(log_id) not in (str, type(None)):
            raise ValueError("expected a log id, and whole numbers")
        # The same text in each of many takedowns: held once.
        log_id = None if log_id is None else sys.intern(log_id)
        return cls(log_id, ends, fields["others_ms"], fields["all_ms"])

    def to_json(self) -> dict[str, Any]:
        """As plain values, for a header and for snapshots."""
        return {
            "log_id": self.log_id,
            "ends": list(self.ends),
            "others_ms": self.others_ms,
            "all_ms": self.all_ms,
        }

    def headers(self, *, restated: bool = False) -> list[tuple[str, bytes]]:
        """Of a message without a value that says this."""
        said = [(TAKEDOWN_HEADER, orjson.dumps(self.to_json()))]
        return said + RESTATED if restated else said

    def knows(self, submission: Submission | None) -> bool:
        """Whether it covers a submission, or doesn't, by its offset and no clock."""
        return (
            submission is not None
            and submission.log_id == self.log_id
            and submission.partition < len(self.ends)
        )

    def covers(self, submission: Submission | None) -> bool:
        """Whether an upload was submitted before it; no, where nothing is known of the upload."""
        if submission is None:
            return False
        if 0 < submission.timestamp_ms <= self.all_ms:
            return True
        if self.knows(submission):
            return submission.offset < self.ends[submission.partition]
        return 0 < submission.timestamp_ms <= self.others_ms

    def takes(self, submission: Submission | None, *, restated: bool) -> bool:
        """Whether it takes down what is there when it is read.

        Said for the first time it takes whatever is there, unless that came after it by its offset:
        clocks may differ. Restated, it takes only what it covers.
        """
        if self.covers(submission):
            return True
        return not (restated or self.knows(submission))

    def including(self, submission: Submission | None) -> "Takedown":
        """The same, and what it took down."""
        if submission is None or self.covers(submission):
            return self
        # Of another log the offset says nothing here, so its time has to do.
        if self.log_id not in (None, submission.log_id):
            return replace(self, all_ms=max(self.all_ms, submission.timestamp_ms))
        ends = [*self.ends, *[0] * (submission.partition + 1 - len(self.ends))]
        ends[submission.partition] = max(ends[submission.partition], submission.offset + 1)
        return replace(self, log_id=submission.log_id, ends=tuple(ends))

    def joined(self, other: "Takedown | None") -> "Takedown":
        """What either covers; of two topics that were made anew, the offsets of the later."""
        if other is None or other == self:
            return self
        all_ms = max(self.all_ms, other.all_ms)
        if None not in (self.log_id, other.log_id) and self.log_id != other.log_id:
            later = max(self, other, key=lambda one: one.others_ms)
            return replace(later, all_ms=all_ms)
        longest = max(len(self.ends), len(other.ends))
        ends = (
            max(one.ends[number] if number < len(one.ends) else 0 for one in (self, other))
            for number in range(longest)
        )
        others_ms = max(self.others_ms, other.others_ms)
        return Takedown(self.log_id or other.log_id, tuple(ends), others_ms, all_ms)


def restated(source: Source) -> bool:
    """Whether a message says again what the library holds, after another that was late."""
    return source.header(RESTATED_HEADER) is not None
