"""The event of the library log, and the places of messages that it names.

Its arrays are base64 here; `stream.contract.fingerprint` unpacks and checks them. Everybody imports
it from `stream.contract.events`.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stream.contract.base import (
    MAX_DIMENSIONS,
    ContentVersion,
    Event,
    Identifier,
    Role,
    Seconds,
    StageSeconds,
    Uri,
)


class Submission(BaseModel):
    """Where an upload's message lies: what was submitted first, whatever arrives first."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    log_id: Annotated[Identifier, Field(description="Of the cluster and of its video.uploaded")]
    partition: Annotated[int, Field(ge=0, lt=2**31)]
    offset: Annotated[int, Field(ge=0, lt=2**62)]
    timestamp_ms: Annotated[int, Field(ge=-1, lt=2**62, description="Kafka's, of the message")]


class Place(BaseModel):
    """Where a message lies in its topic."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    partition: Annotated[int, Field(ge=0)]
    offset: Annotated[int, Field(ge=0)]


class VideoFingerprinted(Event):
    """What the library keeps of a video, and the denser frames that search and are not kept.

    A writer may leave out all `query_…` fields: the key frames search then.
    """

    # The docstring is the schema's description. Whether the arrays fit each other is looked at
    # where they are unpacked, in `Fingerprint.from_event`, so that it is done once.
    model_config = ConfigDict(
        json_schema_extra={
            "dependentRequired": {
                "query_frame_seconds": ["query_descriptors"],
                "query_descriptors": ["query_frame_seconds"],
                "query_score_offsets": ["query_frame_seconds"],
            }
        }
    )
    topic = "video.fingerprinted"

    video_id: Identifier
    content_version: ContentVersion
    owner_id: Identifier
    role: Role
    request_id: Identifier
    model_version: Identifier
    key_frames_version: Annotated[
        Identifier | None, Field(description="What chose the key frames")
    ] = None
    duration_seconds: Seconds
    dimension: Annotated[int, Field(gt=0, le=MAX_DIMENSIONS)]
    key_frame_seconds: Annotated[
        str, Field(description="base64 of little-endian float32 (N,), ascending seconds")
    ]
    descriptors: Annotated[
        str, Field(description="base64 of int8 (N, dimension): unit descriptors times 127")
    ]
    score_offsets: Annotated[
        str | None,
        Field(description="base64 of int8 (N,): score normalisation times 127; zeros without it"),
    ] = None
    cut_seconds: Annotated[
        str | None,
        Field(description="base64 of little-endian float32 (C,), ascending: where shots begin"),
    ] = None
    motion: Annotated[
        str | None,
        Field(
            description="base64 of uint8 (M,), 4 a second: how much the picture changes; see "
            "models/video/motion.py for the scale"
        ),
    ] = None
    query_frame_seconds: Annotated[
        str | None, Field(description="As key_frame_seconds, (Q,), of the frames that search")
    ] = None
    query_descriptors: Annotated[
        str | None, Field(description="As descriptors, (Q, dimension), of the frames that search")
    ] = None
    query_score_offsets: Annotated[
        str | None, Field(description="As score_offsets, (Q,), of the frames that search")
    ] = None
    submission: Annotated[
        Submission | None, Field(description="Of the upload; without it, what is read later wins")
    ] = None
    embedded_at: Annotated[
        Place | None, Field(description="Where its vector is, on video.embedded")
    ] = None
    uri: Annotated[
        Uri | None, Field(description="Of the upload, so that it can be played later")
    ] = None
    title: Annotated[str | None, Field(description="Of the upload")] = None
    stage_seconds: StageSeconds = Field(default_factory=dict)

    @property
    def key_frames(self) -> int:
        """How many frames are kept."""
        return _floats_in(self.key_frame_seconds)

    @property
    def query_frames(self) -> int:
        """How many frames search; the key frames where it names no others."""
        searching = self.query_frame_seconds
        return self.key_frames if searching is None else _floats_in(searching)

    @model_validator(mode="after")
    def _query_fields_come_together(self) -> Self:
        if (self.query_frame_seconds is None) != (self.query_descriptors is None):
            raise ValueError(
                "query_frame_seconds and query_descriptors come together or not at all"
            )
        if self.query_frame_seconds is None and self.query_score_offsets is not None:
            raise ValueError("query_score_offsets without query_frame_seconds")
        return self


def _floats_in(text: str) -> int:
    """How many float32 there are in base64, without unpacking it."""
    return (len(text) * 3 // 4 - text.count("=", -2)) // 4
