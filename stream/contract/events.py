"""The events of the contract: what travels on each topic, checked at the edge.

`kafka/schemas` and `kafka/asyncapi.yaml` are generated from these classes. Those of the library log
and of probes have files of their own, and are imported from here as well.
"""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator

from stream.contract.alerts import (
    Alert,
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    AppliedPolicy,
    Scope,
    VerdictWord,
)
from stream.contract.base import (
    MAX_SHARDS,
    SHORT_LETTERS,
    ContentVersion,
    Event,
    Identifier,
    Instant,
    OutsideEvent,
    Role,
    Seconds,
    Share,
    StageSeconds,
    Uri,
    parse_json,
)
from stream.contract.embedded import VideoEmbedded
from stream.contract.fingerprinted import Place, Submission, VideoFingerprinted
from stream.contract.match import Match, MatchedSegment
from stream.contract.outcomes import Outcome, SuppressionReason
from stream.contract.probes import ProbeAnswered, ProbeAsked, ProbeFingerprinted
from stream.errors import ErrorCode, brief
from stream.texts import Text

__all__ = [
    "EVENTS",
    "Alert",
    "AlertRaised",
    "AlertReviewed",
    "AlertSuppressed",
    "AppliedPolicy",
    "ContentVersion",
    "Event",
    "Exclusion",
    "Match",
    "MatchedSegment",
    "Outcome",
    "OutsideEvent",
    "Place",
    "PolicyUpdated",
    "ProbeAnswered",
    "ProbeAsked",
    "ProbeFingerprinted",
    "Role",
    "Scope",
    "Submission",
    "SuppressionReason",
    "VerdictWord",
    "VideoCompared",
    "VideoDecided",
    "VideoEmbedded",
    "VideoFingerprinted",
    "VideoRejected",
    "VideoUploaded",
    "parse_json",
]


class VideoUploaded(OutsideEvent):
    """A video to check (`upload`) or to protect (`reference`)."""

    topic = "video.uploaded"

    video_id: Identifier
    uri: Uri
    owner_id: Identifier
    title: str | None = None
    description: str | None = None
    language: str | None = None
    uploaded_at: Instant | None = None
    role: Role = "upload"
    content_version: ContentVersion = 1


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


class Exclusion(BaseModel):
    """A half-open span of a reference, in seconds, that copies nothing: an opening, say."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    reference_id: Identifier
    start_seconds: Seconds
    end_seconds: Seconds

    @model_validator(mode="after")
    def _ends_after_its_start(self) -> Self:
        if self.end_seconds <= self.start_seconds:
            raise ValueError(
                Text(
                    "self.end_seconds = {end}, expected more than self.start_seconds = {start}",
                    end=self.end_seconds,
                    start=self.start_seconds,
                )
            )
        return self


class PolicyUpdated(OutsideEvent):
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
        ProbeAsked,
        ProbeFingerprinted,
        ProbeAnswered,
    )
}
