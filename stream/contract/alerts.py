"""The events about an alert: raised or kept back, and what a person says of it.

`stream.contract.events` has them with all others; import them from there.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, FailFast, Field, model_validator

from stream.contract.base import Event, Identifier, Instant, OutsideEvent, Seconds, Share
from stream.contract.match import MatchedSegment
from stream.contract.outcomes import SuppressionReason
from stream.texts import Text

VerdictWord = Literal["confirmed", "dismissed", "withdrawn"]
Scope = Literal["alert", "pair", "span", "uploader"]
SCOPE_FIELDS: dict[Scope, tuple[str, ...]] = {
    "alert": (),
    "pair": ("video_id", "reference_id"),
    "span": ("reference_id", "reference_start_seconds", "reference_end_seconds"),
    "uploader": ("video_owner_id", "reference_owner_id"),
}
"""What each scope of a dismissal must name."""


def _rules() -> dict[str, Any]:
    """What `AlertReviewed` checks of its fields together, for its JSON Schema."""
    rules = [
        _where("scope", {"const": scope}, _named(names))
        for scope, names in SCOPE_FIELDS.items()
        if names
    ]
    rules.append(_where("scope", {"type": "string"}, _said("dismissed")))
    rules.append(_where("alert", {"type": "object"}, _said("confirmed")))
    return {"allOf": rules}


def _where(name: str, value: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"required": [name], "properties": {name: value}}, "then": then}


def _named(names: tuple[str, ...]) -> dict[str, Any]:
    return {"required": [*names], "properties": dict.fromkeys(names, {"not": {"type": "null"}})}


def _said(verdict: VerdictWord) -> dict[str, Any]:
    return {"properties": {"verdict": {"const": verdict}}}


class AppliedPolicy(BaseModel):
    """The rights holder's policy as an alert was judged by it, the settings where it said nothing.

    Numbers alone: the lists of a policy may be far longer than an alert.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    is_own: Annotated[
        bool, Field(description="Whether the rights holder had a policy; else the settings alone")
    ]
    least_seconds: Seconds
    least_video_share: Share
    least_reference_share: Share
    least_score: Share
    alerts_per_hour: Annotated[
        int | None, Field(ge=1, description="Of one reference; no limit where it is left out")
    ] = None
    is_licensed: Annotated[bool, Field(description="Whether the uploader might copy")]
    exclusions: Annotated[int, Field(ge=0, description="How many spans of the reference")]
    excluded_seconds: Annotated[
        Seconds, Field(description="Of the reference, that they cut out of what was found")
    ]


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
    policy: Annotated[
        AppliedPolicy | None,
        Field(description="What it was judged by; older alerts don't say"),
    ] = None


class AlertRaised(Alert):
    """An upload copies a library video: which seconds of which, and how sure."""

    topic = "alert.raised"


class AlertSuppressed(Alert):
    """An alert that a policy or a verdict kept back, or that is held for review, and why."""

    topic = "alert.suppressed"

    reason: SuppressionReason
    detail: Annotated[str, Field(description="For people: got and expected")]


class AlertReviewed(OutsideEvent):
    """A moderator's verdict on an alert: of those on one alert the newest holds.

    `dismissed` goes as far as its scope says, `withdrawn` takes back what was said of the alert,
    `confirmed` with the held alert beside it raises it.
    """

    model_config = ConfigDict(json_schema_extra=_rules())
    topic = "alert.reviewed"

    alert_id: Identifier
    verdict: VerdictWord
    reviewer: Identifier
    reviewed_at: Instant
    scope: Annotated[
        Scope | None, Field(description="How far a dismissal goes; without it, the pair")
    ] = None
    video_id: Identifier | None = None
    reference_id: Identifier | None = None
    reference_start_seconds: Annotated[
        Seconds | None, Field(description="Of the span that is dismissed, half-open")
    ] = None
    reference_end_seconds: Seconds | None = None
    video_owner_id: Annotated[
        Identifier | None, Field(description="The uploader who is dismissed")
    ] = None
    reference_owner_id: Annotated[
        Identifier | None, Field(description="The rights holder for whom the uploader is")
    ] = None
    alert: Annotated[
        AlertSuppressed | None,
        Field(description="The held alert as it was, where a confirmation is to raise it"),
    ] = None
    note: str | None = None

    @model_validator(mode="after")
    def _says_what_its_scope_needs(self) -> Self:
        if self.scope is None:
            return self
        if self.verdict != "dismissed":
            raise ValueError(f"{self.scope = } beside {self.verdict = }, expected it of dismissed")
        missing = [name for name in SCOPE_FIELDS[self.scope] if getattr(self, name) is None]
        if missing:
            raise ValueError(f"{self.scope = } without {', '.join(missing)}")
        start, end = self.reference_start_seconds, self.reference_end_seconds
        if self.scope == "span" and start is not None and end is not None and end <= start:
            raise ValueError(
                Text(
                    "self.reference_end_seconds = {end}, expected more than {start}",
                    end=end,
                    start=start,
                )
            )
        return self

    @model_validator(mode="after")
    def _raises_what_was_held(self) -> Self:
        if self.alert is None:
            return self
        if self.verdict != "confirmed":
            raise ValueError(f"alert beside {self.verdict = }, expected it of confirmed")
        if self.alert.alert_id != self.alert_id:
            raise ValueError(f"{self.alert.alert_id = }, expected {self.alert_id = }")
        if self.alert.reason != "held":
            raise ValueError(f"{self.alert.reason = }, expected held")
        return self

    def key(self) -> bytes:
        """The alert id."""
        return self.alert_id.encode()
