"""The events of a probe: would this match? A search that appends nothing.

Beside an upload's way and never on it: the topics are others. Everybody imports them from
`stream.contract.events`.
"""

from typing import Annotated, Self

from pydantic import ConfigDict, FailFast, Field, model_validator

from stream.contract.base import (
    MAX_SHARDS,
    Event,
    Identifier,
    Instant,
    OutsideEvent,
    Seconds,
    StageSeconds,
    Uri,
)
from stream.contract.fingerprinted import VideoFingerprinted
from stream.contract.match import Match
from stream.errors import ErrorCode

AnswerBy = Annotated[Instant, Field(description="Work on it isn't begun after this")]


class Probe(Event):
    """What the events of a probe share: which one it is."""

    probe_id: Annotated[Identifier, Field(description="The asker's, new for each probe: a UUID")]
    owner_id: Annotated[Identifier | None, Field(description="Whose upload it would be")] = None

    def key(self) -> bytes:
        """The probe id."""
        return self.probe_id.encode()


class ProbeAsked(Probe, OutsideEvent):
    """A video that somebody wants compared with the library, and not kept."""

    topic = "probe.asked"

    uri: Uri
    answer_by: AnswerBy


class ProbeFingerprinted(Probe):
    """The fingerprint of a probe, as an upload of that file would have it."""

    topic = "probe.fingerprinted"

    answer_by: AnswerBy
    fingerprint: Annotated[
        VideoFingerprinted, Field(description="Its video_id and request_id are the probe's id")
    ]


class ProbeAnswered(Probe):
    """What a shard found for a probe, or why there is no answer."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["shard", "shards", "library_offset", "matches"]},
                {"required": ["error", "message"]},
            ],
            "dependentRequired": {"shard": ["shards"], "shards": ["shard"]},
        }
    )
    topic = "probe.answered"

    shard: Annotated[int | None, Field(ge=0)] = None
    shards: Annotated[int | None, Field(gt=0, le=MAX_SHARDS)] = None
    library_offset: Annotated[
        int | None, Field(ge=0, description="It was compared with what the log held before this")
    ] = None
    matches: Annotated[list[Match] | None, FailFast()] = None
    error: Annotated[ErrorCode | None, Field(description="Why there is no answer")] = None
    message: Annotated[str | None, Field(description="For people: got and expected")] = None
    model_version: Identifier | None = None
    aligner_version: Annotated[Identifier | None, Field(description="What boxed the segments")] = (
        None
    )
    key_frames_version: Annotated[
        Identifier | None, Field(description="What chose the key frames of the video")
    ] = None
    duration_seconds: Seconds | None = None
    stage_seconds: StageSeconds = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_an_answer_or_a_refusal(self) -> Self:
        answers = None not in (self.shard, self.shards, self.library_offset, self.matches)
        refuses = None not in (self.error, self.message)
        if answers == refuses:
            raise ValueError(
                "expected shard, shards, library_offset and matches, or error and message"
            )
        if (self.shard is None) != (self.shards is None):
            raise ValueError("shard and shards come together or not at all")
        if self.shard is not None and self.shards is not None and self.shard >= self.shards:
            raise ValueError(f"{self.shard = }, expected less than {self.shards = }")
        return self
