"""What the API says: the read model's rows as JSON, with an example of each.

Those of policies are in `policy_bodies.py`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from stream.console.store.views import AlertView, UploadView, VideoView
from stream.contract.base import Instant
from stream.contract.events import (
    AppliedPolicy,
    Match,
    MatchedSegment,
    Outcome,
    Role,
    Scope,
    VerdictWord,
)

T = TypeVar("T")
SEGMENT = {
    "video_start_seconds": 4.0,
    "video_end_seconds": 39.5,
    "reference_start_seconds": 310.0,
    "reference_end_seconds": 345.5,
    "score": 0.93,
    "reversed": False,
}
ALERT: dict[str, Any] = {
    "alert_id": "b1946ac92492d2347c6235b4d2611184",
    "state": "open",
    "video_id": "upload-7",
    "reference_id": "match-2025-11",
    "video_owner_id": "channel-12",
    "reference_owner_id": "league",
    "score": 0.93,
    "copied_seconds": 35.5,
    "segments": [SEGMENT],
    "model_version": "sha256-0f3c",
    "raised_at": "2026-01-01T00:00:09Z",
    "policy": {
        "is_own": True,
        "least_seconds": 10.0,
        "least_video_share": 0.05,
        "least_reference_share": 0.001,
        "least_score": 0.8,
        "alerts_per_hour": 200,
        "is_licensed": False,
        "exclusions": 1,
        "excluded_seconds": 0.0,
    },
}
EVIDENCE: dict[str, Any] = {
    "alert_id": ALERT["alert_id"],
    "segments": [SEGMENT | {"mirrored": True}],
}
MATCHES: dict[str, Any] = {
    "is_complete": True,
    "shards": 2,
    "missing": [],
    "matches": [
        {
            "reference_id": "match-2025-11",
            "reference_owner_id": "league",
            "reference_role": "reference",
            "score": 0.93,
            "segments": [SEGMENT],
        }
    ],
}


def _page_of_examples(schema: dict[str, Any], page: type[BaseModel]) -> None:
    """The example of a page: those of its rows."""
    [row] = page.__pydantic_generic_metadata__["args"]
    rows = row.model_config["json_schema_extra"]["examples"]
    schema["examples"] = [{"items": rows, "next": None}]


class PageBody(BaseModel, Generic[T]):
    """Some rows, and where the next are.

    A page may hold fewer than were asked for, even none, and say all the same where to go on.
    """

    model_config = ConfigDict(json_schema_extra=_page_of_examples)

    items: list[T]
    next: str | None = Field(
        default=None, description="Send it as `cursor` for the next page; there is none without it"
    )


class AlertBody(BaseModel):
    """An alert as it is now."""

    model_config = ConfigDict(json_schema_extra={"examples": [ALERT]})

    alert_id: str
    state: Literal["open", "held", "suppressed", "confirmed", "dismissed"]
    video_id: str
    reference_id: str
    video_owner_id: str
    reference_owner_id: str
    score: float
    copied_seconds: float = Field(description="Of the upload, together")
    segments: list[MatchedSegment]
    model_version: str
    raised_at: datetime
    reason: str | None = Field(default=None, description="Why it was suppressed or held")
    detail: str | None = None
    policy: AppliedPolicy | None = Field(
        default=None, description="By which it was judged; older alerts don't say"
    )
    reviewer: str | None = None
    reviewed_at: datetime | None = None
    claimed_by: str | None = Field(default=None, description="Who works on it")
    claimed_until: datetime | None = None

    @classmethod
    def of(cls, alert: AlertView) -> "AlertBody":
        """As the read model has it."""
        fields = {name: getattr(alert, name) for name in cls.model_fields}
        return cls.model_validate(fields | {"segments": list(alert.segments)})


class ShownSegment(MatchedSegment):
    """A copied span, with what its pictures show."""

    mirrored: bool | None = Field(
        default=None,
        description="Whether the upload shows it mirrored left and right; null where that isn't "
        "known: a video can't be had, or its pictures don't say",
    )


class EvidenceBody(BaseModel):
    """What the two videos of an alert show."""

    model_config = ConfigDict(json_schema_extra={"examples": [EVIDENCE]})

    alert_id: str
    segments: list[ShownSegment]

    @classmethod
    def of(cls, alert: AlertView, mirrored: Sequence[bool | None]) -> "EvidenceBody":
        """Of an alert's spans, in its order."""
        segments = [
            ShownSegment(**each.model_dump(), mirrored=is_mirrored)
            for each, is_mirrored in zip(alert.segments, mirrored, strict=True)
        ]
        return cls(alert_id=alert.alert_id, segments=segments)


class VerdictBody(BaseModel):
    """What somebody says of an alert."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"verdict": "dismissed", "scope": "pair", "note": "licensed"}]
        },
    )

    verdict: VerdictWord
    scope: Scope | None = Field(
        default=None, description="How far a dismissal goes; the pair of videos without it"
    )
    reference_start_seconds: float | None = Field(
        default=None,
        ge=0,
        description="Of the scope `span`, with `reference_end_seconds`. Without both, the seconds "
        "that the alert is about; where those are several spans, that is 422: say which",
    )
    reference_end_seconds: float | None = Field(
        default=None, ge=0, description="Where that span ends; not part of it"
    )
    note: str | None = Field(default=None, max_length=2000, description="Why, for people")


class SubmissionBody(BaseModel):
    """A video to check (`upload`) or to protect (`reference`)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "video_id": "upload-7",
                    "uri": "https://cdn.example/upload-7.mp4",
                    "owner_id": "channel-12",
                    "title": "Highlights",
                }
            ]
        },
    )

    video_id: str = Field(min_length=1, max_length=512)
    uri: str = Field(min_length=1, max_length=8192)
    owner_id: str = Field(min_length=1, max_length=512)
    title: str | None = Field(default=None, max_length=10_000)
    description: str | None = Field(default=None, max_length=100_000)
    language: str | None = Field(default=None, max_length=100)
    uploaded_at: Instant | None = None
    content_version: int | str = Field(
        default=1, description="Changes when the owner replaces the file"
    )


class SubmittedBody(BaseModel):
    """A submission that is on Kafka."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"request_id": "3-1042-1767225600000", "video_id": "upload-7"}]
        }
    )

    request_id: str = Field(description="Every later event of the upload has it")
    video_id: str


class UploadBody(BaseModel):
    """A submission, and what became of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "request_id": "3-1042-1767225600000",
                    "video_id": "upload-7",
                    "status": "decided",
                    "outcome": "matched",
                    "alert_ids": [ALERT["alert_id"]],
                }
            ]
        }
    )

    request_id: str
    video_id: str
    status: Literal["submitted", "fingerprinted", "decided"]
    role: Role | None = None
    owner_id: str | None = None
    title: str | None = None
    submitted_at: datetime | None = None
    fingerprinted_at: datetime | None = None
    decided_at: datetime | None = None
    outcome: Outcome | None = None
    reason: str | None = None
    alert_ids: list[str] = []
    wait_seconds: float | None = Field(
        default=None, description="From the submission to the decision"
    )
    stage_seconds: dict[str, float] = {}
    error: str | None = Field(default=None, description="Code of its dead letter")
    error_message: str | None = None

    @classmethod
    def of(cls, upload: UploadView) -> "UploadBody":
        """As the read model has it."""
        status = "fingerprinted" if upload.fingerprinted_at else "submitted"
        own = {"status": "decided" if upload.outcome else status}
        fields = {name: getattr(upload, name) for name in cls.model_fields if name not in own}
        alert_ids, stages = list(upload.alert_ids), dict(upload.stage_seconds)
        return cls.model_validate(fields | own | {"alert_ids": alert_ids, "stage_seconds": stages})


class QuestionFields(BaseModel):
    """What a question may say besides the video."""

    model_config = ConfigDict(extra="forbid")

    owner_id: str | None = Field(
        default=None, min_length=1, max_length=512, description="Whose upload it would be"
    )
    timeout_seconds: float = Field(
        default=30.0, ge=1, le=60, description="After which what was found so far is the answer"
    )


class QuestionBody(QuestionFields):
    """A video of which somebody wants to know whether it would match."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"uri": "https://cdn.example/upload-7.mp4"}]}
    )

    uri: str = Field(min_length=1, max_length=8192)


class FileQuestionBody(QuestionFields):
    """The same of a file, which is sent along and kept no longer than the question takes."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"file": "(the bytes)", "timeout_seconds": 60}]}
    )

    file: bytes = Field(
        description="The video, of any name. At most `fetch.max_bytes`; only where the settings "
        "have a `console.match_store`"
    )


class MatchesBody(BaseModel):
    """What was found, the surest first. Neither policies nor verdicts are applied."""

    model_config = ConfigDict(json_schema_extra={"examples": [MATCHES]})

    is_complete: bool = Field(description="Whether every shard has compared it")
    shards: int
    missing: list[int] = Field(description="Shards that have not answered, or can't")
    matches: list[Match]


class ReferenceBody(BaseModel):
    """A video that is protected."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"video_id": "match-2025-11", "owner_id": "league", "title": "Final"}]
        }
    )

    video_id: str
    owner_id: str | None = None
    title: str | None = None
    uri: str | None = None
    duration_seconds: float | None = None
    content_version: str | None = None
    seen_at: datetime | None = None

    @classmethod
    def of(cls, video: VideoView) -> "ReferenceBody":
        """As the read model has it."""
        return cls.model_validate({name: getattr(video, name) for name in cls.model_fields})


class TakedownBody(BaseModel):
    """A takedown that is on Kafka."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"video_id": "match-2025-11"}]})

    video_id: str
