"""What a policy would have made of the alerts of the last days, judged as decide workers judge.

Alerts are taken as they were raised or kept back: seconds that an earlier exclusion has cut off
are gone, and verdicts are left out on both sides.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from stream.console.store.views import PolicyCase
from stream.console.web.console import Console
from stream.contract.events import AlertRaised, Match, PolicyUpdated, VideoCompared
from stream.decide.policy import Policies
from stream.decide.settings import PolicySettings

MAX_CASES = 5000  # some seconds of work; whoever has more sees that these are the newest


@dataclass(frozen=True)
class DryRun:
    """What would have come of it.

    Attributes:
        cases: alerts that were judged, and `is_cut` where there were more.
        before: of them that the present policy raises.
        after: that the new one would raise.
        reasons: why not the others, by the new one.
    """

    days: float
    cases: int
    is_cut: bool
    before: int
    after: int
    reasons: Mapping[str, int]


async def dry_run(
    console: Console, owner_id: str, policy: PolicyUpdated | None, days: float
) -> DryRun:
    """Judge a rights holder's alerts of the last days by the present policy and by a new one.

    Raises:
        Problem: 429, too many ask.
    """
    async with console.dry_runs.one():
        return await _dry_run(console, owner_id, policy, days)


async def _dry_run(
    console: Console, owner_id: str, policy: PolicyUpdated | None, days: float
) -> DryRun:
    since = console.clock() - timedelta(days=days)
    cases: list[PolicyCase] = []
    cursor: str | None = None
    while True:
        page = await console.queries.policy_cases(owner_id, since, cursor)
        cases += page.items
        cursor = page.next
        if cursor is None or len(cases) >= MAX_CASES:
            break
    is_cut, cases = cursor is not None or len(cases) > MAX_CASES, cases[:MAX_CASES]
    present = await console.queries.policy(owner_id)
    settings = console.settings.policy
    before, _ = await asyncio.to_thread(
        judged, settings, None if present is None else present.policy, cases
    )
    after, reasons = await asyncio.to_thread(judged, settings, policy, cases)
    return DryRun(days, len(cases), is_cut, before, after, reasons)


def judged(
    settings: PolicySettings, policy: PolicyUpdated | None, cases: Sequence[PolicyCase]
) -> tuple[int, Mapping[str, int]]:
    """How many of the alerts a policy raises, and why not the others."""
    policies = Policies(settings)
    if policy is not None:
        policies.take(policy)
    reasons: Counter[str] = Counter()
    # In the order of time: a limit of alerts an hour lets the first ones through.
    for case in sorted(cases, key=lambda case: case.alert.raised_at):
        answer, match = _as_compared(case)
        timestamp_ms = round(case.alert.raised_at.timestamp() * 1000)
        verdict = policies.judge(answer, match, timestamp_ms)
        if not isinstance(verdict, AlertRaised):
            reasons[verdict.reason] += 1
    return len(cases) - reasons.total(), reasons


def _as_compared(case: PolicyCase) -> tuple[VideoCompared, Match]:
    """An alert as the shard's answer that it came of."""
    alert = case.alert
    match = Match(
        reference_id=alert.reference_id,
        reference_owner_id=alert.reference_owner_id,
        reference_role="reference",
        reference_duration_seconds=case.reference_seconds,
        score=alert.score,
        segments=list(alert.segments),
    )
    answer = VideoCompared(
        video_id=alert.video_id,
        content_version=1,
        owner_id=alert.video_owner_id,
        role="upload",
        request_id=alert.alert_id,
        model_version=alert.model_version,
        shard=0,
        shards=1,
        library_offset=alert.library_offset,
        duration_seconds=case.video_seconds,
        matches=[match],
    )
    return answer, match
