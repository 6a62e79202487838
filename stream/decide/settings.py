"""Settings of the decide step: when it decides, and what holds where a policy says nothing."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field


class DecideSettings(BaseModel):
    """When a request is decided.

    Attributes:
        as_soon_as_matched: decide `matched` when the first shard's answer raises an alert, rather
            than when all shards have answered. Alerts of later shards still come.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    as_soon_as_matched: bool = False


class PolicySettings(BaseModel):
    """What holds for a rights holder who has no policy, or whose policy leaves a field out.

    Minima are of an alert; one below any of them is suppressed. Zero is no minimum. They
    are called as in `policy.updated`, whose fields keep their names.

    Attributes:
        least_seconds: of the upload that are copied, together.
        least_video_share: copied seconds by the upload's duration.
        least_reference_share: copied seconds by the reference's duration.
        least_score: of the alert.
        alerts_per_hour: of one reference; what goes beyond is held for review. No limit when left
            out.
        min_piece_seconds: what an exclusion leaves of a segment is dropped if it is shorter. An
            aligner's edges aren't exact: what little sticks out of an excluded opening may be the
            opening itself.
        former_keys: what keys were called before; settings of then are still read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    former_keys: ClassVar[dict[str, str]] = {"least_piece_seconds": "min_piece_seconds"}

    least_seconds: float = Field(default=0.0, ge=0)
    least_video_share: float = Field(default=0.0, ge=0, le=1)
    least_reference_share: float = Field(default=0.0, ge=0, le=1)
    least_score: float = Field(default=0.0, ge=0, le=1)
    alerts_per_hour: int | None = Field(default=None, ge=1)
    min_piece_seconds: float = Field(default=3.0, ge=0)
