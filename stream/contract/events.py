"""The events of the contract: what travels on each topic, checked at the edge.

JSON by orjson. Unknown fields are ignored; a missing or mistyped one is a `BadEventError` that
names it. `kafka/schemas` and `kafka/asyncapi.yaml` are generated from these classes.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    ValidationError,
    model_validator,
)

from stream.contract.packed import (
    check_count,
    check_motion,
    check_times,
    unpack_biases,
    unpack_codes,
    unpack_motion,
    unpack_times,
)
from stream.errors import BadEventError, ErrorCode, brief

Identifier = Annotated[str, Field(min_length=1, max_length=512)]
MAX_SECONDS = 1e9  # thirty years: what is longer is a mistake, and may not fit what reckons
Seconds = Annotated[float, Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)]


def _only_text(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError("expected a date and time as text, such as 2026-01-31T12:00:00Z")
    return value


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


def _few_stages(value: Any) -> Any:
    if isinstance(value, dict):
        if len(value) > MAX_STAGES:
            raise ValueError(f"{len(value)} stages, expected at most {MAX_STAGES}")
        if any(isinstance(name, str) and len(name) > MAX_STAGE_LETTERS for name in value):
            raise ValueError(f"a stage with a name of more than {MAX_STAGE_LETTERS} characters")
    return value


Instant = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_only_text)]
VersionText = Annotated[str, Field(max_length=512)]
ContentVersion = Annotated[
    int | VersionText, Field(description="Changes when the owner replaces the file")
]
Role = Literal["upload", "reference"]
Outcome = Literal["matched", "clear", "rejected"]
SuppressionReason = Literal[
    "same_owner",
    "licensed",
    "dismissed",
    "excluded",
    "low_score",
    "too_short",
    "too_small_share",
    "held",
]
Share = Annotated[float, Field(ge=0, le=1)]
StageSeconds = Annotated[
    dict[str, Seconds],
    Field(description="Wall-clock seconds by stage of the pipeline"),
    BeforeValidator(_few_stages),
]

MAX_STAGES = 100
MAX_STAGE_LETTERS = 100
MAX_SHARDS = 4096
MAX_DIMENSIONS = 65_536
SHORT_LETTERS = 500


class Event(BaseModel):
    """What all events share: a schema version, and bytes in and out.

    A frozen value. Delivery is at least once: a reader may see the same event twice, with the
    same ids.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, protected_namespaces=())

    topic: ClassVar[str]

    schema_version: Annotated[Literal[1], BeforeValidator(_no_boolean)] = 1

    @classmethod
    def from_bytes(cls, data: bytes | None) -> Self:
        """Read an event from a message value.

        Raises:
            BadEventError: not JSON, not an object, or a field is missing or mistyped (named).
        """
        return cls.from_json(parse_json(data))

    @classmethod
    def from_json(cls, fields: Any) -> Self:
        """Read an event from parsed JSON.

        Raises:
            BadEventError: not an object, or a field is missing or mistyped (named).
        """
        if not isinstance(fields, dict):
            raise BadEventError(f"expected a JSON object, got {type(fields).__name__}")
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or 'event'}: {problem['msg']}"
                for problem in error.errors(
                    include_url=False, include_context=False, include_input=False
                )
            )
            raise BadEventError(brief(f"{cls.__name__}: {problems}")) from None

    def to_bytes(self) -> bytes:
        """The message value: JSON without the fields that are not set."""
        return orjson.dumps(self.model_dump(exclude_none=True))

    def key(self) -> bytes | None:
        """The message key: the video id, so that all of one video stays in order."""
        video_id = getattr(self, "video_id", None)
        return None if video_id is None else video_id.encode()


def parse_json(data: bytes | None) -> Any:
    """Parse a message value.

    Raises:
        BadEventError: empty or not JSON.
    """
    if not data:
        raise BadEventError("the message has no value; expected a JSON object")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadEventError(brief(f"not JSON: {error}")) from None


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
    def _arrays_fit(self) -> Self:
        check_times("key_frame_seconds", self.times())
        check_times("cut_seconds", self.cuts())
        check_motion(self.motion_codes(), self.duration_seconds)
        check_count("descriptors", self.codes(), "key_frame_seconds", self.times())
        check_count("score_offsets", self.bias_codes(), "key_frame_seconds", self.times())
        if (self.query_frame_seconds is None) != (self.query_descriptors is None):
            raise ValueError(
                "query_frame_seconds and query_descriptors come together or not at all"
            )
        if self.query_frame_seconds is None and self.query_score_offsets is not None:
            raise ValueError("query_score_offsets without query_frame_seconds")
        times = self.query_times()
        check_times("query_frame_seconds", times)
        check_count("query_descriptors", self.query_codes(), "query_frame_seconds", times)
        biases = self.query_bias_codes()
        check_count("query_score_offsets", biases, "query_frame_seconds", times)
        return self

    def times(self) -> NDArray[np.float32]:
        """Key-frame times, (N,) float32, ascending seconds."""
        return unpack_times(self.key_frame_seconds)

    def codes(self) -> NDArray[np.int8]:
        """Descriptors, (N, dimension) int8: unit rows times 127, rounded."""
        return unpack_codes(self.descriptors, self.dimension)

    def bias_codes(self) -> NDArray[np.int8]:
        """Score biases of the key frames, (N,) int8: times 127, rounded."""
        return unpack_biases(self.score_offsets, len(self.times()))

    def cuts(self) -> NDArray[np.float32]:
        """Where one shot ends and the next begins, (C,) float32, ascending seconds."""
        return unpack_times(self.cut_seconds or "")

    def motion_codes(self) -> NDArray[np.uint8]:
        """How much moves in the whole video, (M,) uint8, 4 a second; empty where unknown."""
        return unpack_motion(self.motion or "")

    def query_times(self) -> NDArray[np.float32]:
        """Times of the frames that search, (Q,) float32, ascending seconds."""
        times = self.query_frame_seconds
        return self.times() if times is None else unpack_times(times)

    def query_codes(self) -> NDArray[np.int8]:
        """Descriptors of the frames that search, (Q, dimension) int8."""
        rows = self.query_descriptors
        return self.codes() if rows is None else unpack_codes(rows, self.dimension)

    def query_bias_codes(self) -> NDArray[np.int8]:
        """Score biases of the frames that search, (Q,) int8."""
        if self.query_frame_seconds is None:
            return self.bias_codes()
        return unpack_biases(self.query_score_offsets, len(self.query_times()))


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
