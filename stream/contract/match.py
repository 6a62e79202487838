"""Which seconds of a video are which seconds of one of the library: what answers are made of.

Everybody imports it from `stream.contract.events`.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, FailFast, Field

from stream.contract.base import Identifier, Role, Seconds


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
    # `FailFast`, in all lists: each of a million wrong items would be an error of its own.
    segments: Annotated[list[MatchedSegment], Field(min_length=1), FailFast()]
