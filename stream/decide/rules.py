"""What a rights holder's policy comes to, and what an alert says of the one that judged it."""

from dataclasses import dataclass, field
from typing import Any

from stream.contract.base import MAX_SECONDS
from stream.contract.events import AppliedPolicy, PolicyUpdated
from stream.decide.settings import PolicySettings
from stream.decide.spans import Span


@dataclass(frozen=True)
class Rules:
    """A rights holder's policy with the settings in place of what it leaves out.

    Attributes:
        is_own: whether the rights holder has a policy.
    """

    least_seconds: float
    least_video_share: float
    least_reference_share: float
    least_score: float
    alerts_per_hour: int | None
    min_piece_seconds: float
    licensed_owner_ids: frozenset[str] = frozenset()
    excluded: dict[str, list[Span]] = field(default_factory=dict)
    is_own: bool = False

    @classmethod
    def of(cls, settings: PolicySettings, policy: PolicyUpdated | None) -> "Rules":
        """The rules of an owner with that policy, or with none."""
        rules: dict[str, Any] = settings.model_dump()
        if policy is None:
            return cls(**rules)
        excluded: dict[str, list[Span]] = {}
        for one in policy.exclusions:
            spans = excluded.setdefault(one.reference_id, [])
            spans.append((one.start_seconds, one.end_seconds))
        own = policy.model_dump(include=set(rules), exclude_none=True)
        licensed = frozenset(policy.licensed_owner_ids)
        return cls(**rules | own, licensed_owner_ids=licensed, excluded=excluded, is_own=True)

    def applied(
        self, video_owner_id: str, reference_id: str, excluded_seconds: float
    ) -> AppliedPolicy:
        """What these rules are to an alert.

        Args:
            video_owner_id: the uploader.
            reference_id: whose exclusions count.
            excluded_seconds: of the reference, that these have cut out of the alert.
        """
        return AppliedPolicy(
            is_own=self.is_own,
            # Settings have no bound: one beyond the contract's lets nothing through, as it does.
            least_seconds=min(self.least_seconds, MAX_SECONDS),
            least_video_share=self.least_video_share,
            least_reference_share=self.least_reference_share,
            least_score=self.least_score,
            alerts_per_hour=self.alerts_per_hour,
            is_licensed=video_owner_id in self.licensed_owner_ids,
            exclusions=len(self.excluded.get(reference_id, ())),
            excluded_seconds=excluded_seconds,
        )
