"""The events of the contract: what travels on each topic, checked at the edge.

`kafka/schemas` and `kafka/asyncapi.yaml` are generated from these classes. The arrays of
`VideoFingerprinted` are base64 here; `stream.contract.fingerprint` unpacks and checks them.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator

from stream.contract.event import (
    MAX_DIMENSIONS,
    MAX_SHARDS,
    SHORT_LETTERS,
    ContentVersion,
    Event,
    Identifier,
    Instant,
    Outcome,
    Role,
    Seconds,
    Share,
    StageSeconds,
    SuppressionReason,
    parse_json,
)
from stream.errors import ErrorCode, brief

__all__ = [
    "EVENTS",
    "Alert",
    "AlertRaised",
    "AlertReviewed",
    "AlertSuppressed",
    "ContentVersion",
    "Event",
    "Exclusion",
    "Match",
    "MatchedSegment",
    "Outcome",
    "Place",
    "PolicyUpdated",
    "Role",
    "Submission",
    "SuppressionReason",
    "VideoCompared",
    "VideoDecided",
    "VideoEmbedded",
    "VideoFingerprinted",
    "VideoRejected",
    "VideoUploaded",
    "parse_json",
]


class VideoUploaded(Event):
    """A video to check (`upload`) or to protect (`reference`)."""

    topic = "video.uploaded"

    video_id: Identifier
    uri: Annotated[str, Field(min_length=1, max_length=8192)]
    owner_id: Identifier
    title: str | None = None
    description: str | None = None
    language: str | None = None
    uploaded_at: Instant | None = None
    role: Role = "upload"
    content_version: ContentVersion = 1


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
    stage_seconds: StageSeconds = Field(default_factory=dict)

    @model_validator(mode="after")
    def _query_fields_come_together(self) -> Self:
        if (self.query_frame_seconds is None) != (self.query_descriptors is None):
            raise ValueError(
                "query_frame_seconds and query_descriptors come together or not at all"
            )
        if self.query_frame_seconds is None and self.query_score_offsets is not None:
            raise ValueError("query_score_offsets without query_frame_seconds")
        return self


class MatchedSegment(BaseModel):
    """One copied span, half-open on both sides, in seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    video_start_seconds: Seconds
    video_end_seconds: Seconds
    reference_start_seconds: Seconds
    reference_end_seconds: Seconds
    score: Annotated[float, Field(ge=0, le=1)]
    reversed: bool = False


class Match(BaseModel):
    """All copied spans between an upload and one library video."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    reference_id: Identifier
    reference_owner_id: Identifier
    reference_role: Role
    reference_duration_seconds: Seconds | None = None
    score: Annotated[float, Field(ge=0, le=1)]
    segments: Annotated[list[MatchedSegment], Field(min_length=1), FailFast()]


class VideoCompared(Event):
    """One shard's answer about one upload."""

    topic = "video.compared"

    video_id: Identifier
    content_version: ContentVersion
    owner_id: Identifier
    role: Role
    request_id: Identifier
    model_version: Identifier
    aligner_version: Annotated[Identifier | None, Field(description="What boxed the segments")] = (
        None
    )
    key_frames_version: Annotated[
        Identifier | None, Field(description="What chose the key frames of the video")
    ] = None
    shard: Annotated[int, Field(ge=0)]
    shards: Annotated[int, Field(gt=0, le=MAX_SHARDS)]
    library_offset: Annotated[int, Field(ge=0)]
    duration_seconds: Seconds | None = None
    matches: Annotated[list[Match], FailFast()]
    stage_seconds: StageSeconds = Field(default_factory=dict)


class Alert(Event):
    """What `AlertRaised` and `AlertSuppressed` share: which seconds of which, and how sure."""

    alert_id: Identifier
    video_id: Identifier
    reference_id: Identifier
    video_owner_id: Identifier
    reference_owner_id: Identifier
    score: Annotated[float, Field(ge=0, le=1)]
    segments: Annotated[list[MatchedSegment], Field(min_length=1), FailFast()]
    model_version: Identifier
    aligner_version: Annotated[Identifier | None, Field(description="What boxed the segments")] = (
        None
    )
    key_frames_version: Annotated[
        Identifier | None, Field(description="What chose the key frames of the video")
    ] = None
    library_offset: Annotated[int, Field(ge=0)]
    raised_at: Instant


class AlertRaised(Alert):
    """An upload copies a library video: which seconds of which, and how sure."""

    topic = "alert.raised"


class AlertSuppressed(Alert):
    """An alert that a policy or a verdict kept back, or that is held for review, and why."""

    topic = "alert.suppressed"

    reason: SuppressionReason
    detail: Annotated[str, Field(description="For people: got and expected")]


class VideoDecided(Event):
    """The one outcome of an upload."""

    topic = "video.decided"

    video_id: Identifier
    content_version: ContentVersion
    outcome: Outcome
    alert_ids: Annotated[list[Identifier], FailFast()]
    reason: str
    decided_at: Instant
    request_id: Identifier
    stage_seconds: StageSeconds


class VideoEmbedded(Event):
    """A vector for the whole video, for search and recommendation."""

    topic = "video.embedded"

    video_id: Identifier
    content_version: Annotated[
        ContentVersion | None, Field(description="Of the upload; older messages lack it")
    ] = None
    submission: Annotated[
        Submission | None, Field(description="Of the upload; without it, content_version counts")
    ] = None
    model_version: Identifier
    dimension: Annotated[int, Field(gt=0, le=MAX_DIMENSIONS)]
    vector: Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], FailFast()]
    duration_seconds: Seconds
    thumbnails: Annotated[
        list[str],
        Field(description="base64 of small JPEGs, in order of time; may be empty"),
        FailFast(),
    ] = Field(default_factory=list)

    @model_validator(mode="after")
    def _vector_fits(self) -> Self:
        if len(self.vector) != self.dimension:
            raise ValueError(f"{len(self.vector) = }, expected {self.dimension = }")
        return self


class VideoRejected(Event):
    """A dead letter: why an input was not processed, where it came from, and the input itself.

    One of `event`, `event_base64` and `event_head_base64` holds the input: whole where it can
    travel, else its first bytes, with its length and digest.
    """

    topic = "video.rejected"

    video_id: Identifier | None = None
    content_version: ContentVersion | None = None
    error: ErrorCode
    message: str
    source_topic: Identifier
    source_partition: Annotated[int, Field(ge=0)]
    source_offset: Annotated[int, Field(ge=0)]
    attempts: Annotated[int, Field(ge=1)]
    request_id: Identifier
    rejected_at: Instant
    event: Annotated[Any, Field(description="The original event where it was JSON")] = None
    event_base64: Annotated[
        str | None, Field(description="The original bytes where they were not JSON")
    ] = None
    event_head_base64: Annotated[
        str | None, Field(description="The first of the original bytes where not all can travel")
    ] = None
    event_bytes: Annotated[
        int | None, Field(ge=0, description="How many bytes the original has, beside its head")
    ] = None
    event_sha256: Annotated[
        str | None, Field(description="Of all bytes of the original, in hex, beside its head")
    ] = None
    stage_seconds: StageSeconds = Field(default_factory=dict)

    def shortened(self) -> "VideoRejected":
        """The least that a letter says: no original, and a message of one line."""
        return self.model_copy(
            update={
                "message": brief(self.message, SHORT_LETTERS),
                "event": None,
                "event_base64": None,
                "event_head_base64": None,
                "stage_seconds": {},
            }
        )


class AlertReviewed(Event):
    """A moderator's verdict on an alert."""

    topic = "alert.reviewed"

    alert_id: Identifier
    verdict: Literal["confirmed", "dismissed"]
    reviewer: Identifier
    reviewed_at: Instant
    video_id: Identifier | None = None
    reference_id: Identifier | None = None
    note: str | None = None

    def key(self) -> bytes:
        """The alert id."""
        return self.alert_id.encode()


class Exclusion(BaseModel):
    """A half-open span of a reference, in seconds, that copies nothing: an opening, say."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    reference_id: Identifier
    start_seconds: Seconds
    end_seconds: Seconds

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.end_seconds <= self.start_seconds:
            raise ValueError(f"{self.end_seconds = }, expected more than {self.start_seconds = }")
        return self


class PolicyUpdated(Event):
    """What a rights holder wants to hear of; unset minima are those of the settings."""

    topic = "policy.updated"

    owner_id: Identifier
    least_seconds: Annotated[
        Seconds | None, Field(description="Seconds of the upload that are copied, together")
    ] = None
    least_video_share: Annotated[
        Share | None, Field(description="Copied seconds by the upload's duration")
    ] = None
    least_reference_share: Annotated[
        Share | None, Field(description="Copied seconds by the reference's duration")
    ] = None
    least_score: Share | None = None
    alerts_per_hour: Annotated[
        int | None,
        Field(ge=1, description="Of one reference; what goes beyond is held for review"),
    ] = None
    licensed_owner_ids: Annotated[
        list[Identifier], Field(description="Whose uploads may copy"), FailFast()
    ] = Field(default_factory=list)
    exclusions: Annotated[list[Exclusion], FailFast()] = Field(default_factory=list)

    def key(self) -> bytes:
        """The owner id."""
        return self.owner_id.encode()


EVENTS: dict[str, type[Event]] = {
    event.topic: event
    for event in (
        VideoUploaded,
        VideoFingerprinted,
        VideoCompared,
        VideoDecided,
        AlertRaised,
        AlertSuppressed,
        VideoEmbedded,
        VideoRejected,
        AlertReviewed,
        PolicyUpdated,
    )
}
