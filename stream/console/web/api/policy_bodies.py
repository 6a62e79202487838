"""What the API says of policies, with an example of each; see `bodies.py`."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from stream.console.store.views import PolicyView
from stream.contract.events import PolicyUpdated

RULES: dict[str, Any] = {
    "least_seconds": 5,
    "licensed_owner_ids": ["channel-12"],
    "exclusions": [{"reference_id": "film", "start_seconds": 0, "end_seconds": 90}],
}


class RulesBody(BaseModel):
    """A rights holder's whole policy; what is left out is as the settings say."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [RULES]})

    least_seconds: float | None = Field(default=None, ge=0)
    least_video_share: float | None = Field(default=None, ge=0, le=1)
    least_reference_share: float | None = Field(default=None, ge=0, le=1)
    least_score: float | None = Field(default=None, ge=0, le=1)
    alerts_per_hour: int | None = Field(default=None, ge=1)
    licensed_owner_ids: list[str] = []
    exclusions: list[dict[str, Any]] = []

    @classmethod
    def of(cls, policy: PolicyUpdated) -> "RulesBody":
        """As it travels."""
        fields = policy.model_dump(mode="json", include=set(cls.model_fields))
        return cls.model_validate(fields)


class TrialBody(BaseModel):
    """A policy of which somebody wants to know what it would have raised."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"owner_id": "league", "policy": {"least_seconds": 5}, "days": 7}]
        },
    )

    owner_id: str = Field(min_length=1, max_length=512)
    policy: RulesBody
    days: float = Field(default=7.0, gt=0, le=366)


class DryRunBody(BaseModel):
    """What would have come of it. Verdicts are left out on both sides."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "cases": 120, "is_cut": False, "before": 102, "after": 31,
                    "reasons": {"too_short": 89},
                }
            ]
        }
    )  # fmt: skip

    cases: int = Field(description="Alerts of the last days, whatever became of them")
    is_cut: bool = Field(description="Whether there are more, and these are the newest")
    before: int = Field(description="That the present policy raises")
    after: int = Field(description="That this one would raise")
    reasons: dict[str, int] = Field(description="Why not the others")


class PolicyBody(BaseModel):
    """A rights holder's policy that holds."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"owner_id": "league", "policy": RULES, "said_at": "2026-01-01T00:00:00Z"}]
        }
    )

    owner_id: str
    policy: RulesBody
    said_at: datetime

    @classmethod
    def of(cls, view: PolicyView, policy: PolicyUpdated) -> "PolicyBody":
        """As the read model has it."""
        return cls(owner_id=view.owner_id, policy=RulesBody.of(policy), said_at=view.said_at)
