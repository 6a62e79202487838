"""Judges each match: raised as an alert, suppressed with a reason, or held for review."""

from collections.abc import Sequence

from stream.contract.events import (
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    Event,
    Match,
    PolicyUpdated,
    SuppressionReason,
    VideoCompared,
)
from stream.decide.alert import alert_of, durations_of, released, with_segments
from stream.decide.floods import Floods
from stream.decide.rules import Rules
from stream.decide.settings import PolicySettings
from stream.decide.spans import Span, covered_seconds, outside
from stream.decide.verdicts import Verdict, Verdicts, pair_of
from stream.times import now

Judged = AlertRaised | AlertSuppressed
Objection = tuple[SuppressionReason, str]

FLOODING = "{reference} got {others} other alerts within an hour, expected fewer than {limit}"
SAME_OWNER = "both videos are {owner}'s, expected two owners"
LICENSED = "{uploader} is licensed by {owner}, expected an uploader who isn't"
DISMISSED = "{reviewer} dismissed alert {alert} at {at}, expected no verdict or a confirmation"
DISMISSED_UPLOADER = (
    "{reviewer} dismissed {uploader}'s videos against {owner}'s with alert {alert} at {at}, "
    "expected another uploader"
)
DISMISSED_SPANS = (
    "all that is copied lies in dismissed spans of {reference}, the newest by {reviewer} with "
    "alert {alert} at {at}, expected something outside of them"
)
EXCLUDED = (
    "all that is copied lies in excluded spans of {reference}, expected something outside of them"
)
LOW_SCORE = "score {score}, expected at least {least}"
TOO_SHORT = "{seconds} s are copied, expected at least {least} s"
TOO_SMALL_SHARE = "{seconds} s of {video}'s {duration} s are {share}, expected at least {least}"
DETAILS = (
    FLOODING, SAME_OWNER, LICENSED, DISMISSED_UPLOADER, DISMISSED, DISMISSED_SPANS, EXCLUDED,
    LOW_SCORE, TOO_SMALL_SHARE, TOO_SHORT,
)  # fmt: skip
"""What an alert's detail may say."""


class Policies:
    """All that policies, verdicts and recent alerts say; judges matches by it.

    State from events, which may come again. Of policies the newest per owner holds.

    Attributes:
        floods: the claims of alerts that a limit applies to.
    """

    def __init__(
        self, settings: PolicySettings | None = None, *, claimed_elsewhere: bool = False
    ) -> None:
        """Begin without policies and verdicts.

        Args:
            settings: what a policy leaves out.
            claimed_elsewhere: whether somebody else puts the claims of several workers in order.
                `take_unclaimed` says then what must be claimed before it is judged for good.
        """
        self._settings = settings or PolicySettings()
        self._claimed_elsewhere = claimed_elsewhere
        self._unclaimed: list[tuple[str, str]] = []
        self.floods = Floods()
        self._default = Rules.of(self._settings, None)
        self._rules: dict[str, Rules] = {}
        self._verdicts = Verdicts()

    def take(self, event: Event) -> None:
        """Note an event of a topic that says something about alerts: a policy or a verdict."""
        match event:
            case PolicyUpdated():
                self._rules[event.owner_id] = Rules.of(self._settings, event)
            case AlertReviewed():
                self._verdicts.take(event)
            case _:
                raise TypeError(f"a {type(event).__name__} says nothing about alerts")

    def remove(self, topic: str, key: str) -> None:
        """Take back an owner's policy, or the verdict on an alert."""
        if topic == PolicyUpdated.topic:
            self._rules.pop(key, None)
        elif topic == AlertReviewed.topic:
            self._verdicts.remove(key)

    def judge(self, answer: VideoCompared, match: Match, timestamp_ms: int) -> Judged:
        """What becomes of a match.

        Args:
            answer: of a shard.
            match: one of its matches.
            timestamp_ms: the answer's, by Kafka, since 1970.

        Returns:
            The alert, without its excluded spans; or why it isn't raised. Both with the policy that
            was applied.
        """
        whole = alert_of(answer, match)
        rules = self._rules.get(whole.reference_owner_id, self._default)
        allowed = _outside(whole, rules.excluded.get(whole.reference_id), rules)
        dismissed = self._verdicts.spans(whole.reference_id)
        left = allowed and _outside(allowed, [one.span for one in dismissed], rules)
        alert = left or allowed or whole
        verdict = self._verdicts.about(
            # Under all ids: an exclusion may be younger than the verdict.
            [one.alert_id for one in (whole, allowed, left) if one is not None],
            pair_of(whole.video_id, whole.reference_id),
        )
        owners = whole.video_owner_id, whole.reference_owner_id
        objection = (
            _same_owner(whole)
            or _licensed(whole, rules)
            or _dismissed(verdict)
            or _of_dismissed_uploader(self._verdicts.uploader(*owners))
            or _excluded(whole, allowed)
            or _in_dismissed_spans(alert, left, dismissed)
            or _below_minima(alert, rules, durations_of(answer, match))
        )
        # Last, as it claims: what is suppressed anyway must not use up the limit. A confirmed alert
        # does, and is raised all the same.
        if objection is None:
            flood = self._flooding(alert, rules, timestamp_ms)
            confirmed = verdict is not None and verdict.verdict == "confirmed"
            objection = None if confirmed else flood
        applied = rules.applied(
            whole.video_owner_id, whole.reference_id, _lost_seconds(whole, allowed)
        )
        judged = alert.model_copy(update={"policy": applied})
        return judged if objection is None else _suppressed(judged, *objection)

    def release(self, review: AlertReviewed, timestamp_ms: int) -> AlertRaised | None:
        """The held alert that a confirmation raises; None where it carries none.

        It counts against the limit of its reference in the hour in which it is raised, also where
        it counted when it was held, and isn't held by it. Where somebody else puts claims in order,
        `take_unclaimed` says what to claim; the alert holds as it is.

        Args:
            review: a verdict.
            timestamp_ms: the verdict's, by Kafka, since 1970.
        """
        alert = released(review)
        if alert is not None:
            rules = self._rules.get(alert.reference_owner_id, self._default)
            if rules.alerts_per_hour is not None:
                self._claim(alert.reference_id, alert.alert_id, timestamp_ms)
        return alert

    def take_unclaimed(self) -> list[tuple[str, str]]:
        """Reference and alert ids that were judged without a claim since this was asked last.

        What was said of their matches doesn't hold: claim them, then judge again.
        """
        unclaimed, self._unclaimed = self._unclaimed, []
        return unclaimed

    def _flooding(self, alert: AlertRaised, rules: Rules, timestamp_ms: int) -> Objection | None:
        """Held where the reference got its number of alerts within the hour before this one."""
        limit, ids = rules.alerts_per_hour, (alert.reference_id, alert.alert_id)
        # Nothing is claimed without a limit: a claim costs a round trip.
        if limit is None:
            return None
        others = self.floods.others(*ids)
        if others is None:
            self._claim(*ids, timestamp_ms)
            others = self.floods.others(*ids)
        if others is None or others < limit:
            return None
        return "held", FLOODING.format(reference=alert.reference_id, others=others, limit=limit)

    def _claim(self, reference_id: str, alert_id: str, timestamp_ms: int) -> None:
        if self._claimed_elsewhere:
            self._unclaimed.append((reference_id, alert_id))
        else:
            self.floods.claim(reference_id, alert_id, timestamp_ms)


def _outside(
    alert: AlertRaised, excluded: Sequence[Span] | None, rules: Rules
) -> AlertRaised | None:
    """The alert of what some spans of its reference leave; None where nothing is left."""
    if not excluded:
        return alert
    left = [
        part
        for segment in alert.segments
        for part in outside(segment, excluded, rules.min_piece_seconds)
    ]
    if left == alert.segments:
        return alert
    return with_segments(alert, left) if left else None


def _lost_seconds(whole: AlertRaised, left: AlertRaised | None) -> float:
    """How many seconds of the reference the one has and the other hasn't."""
    if left is whole:
        return 0.0
    kept = 0.0 if left is None else _reference_seconds(left)
    return round(max(0.0, _reference_seconds(whole) - kept), 3)


def _reference_seconds(alert: AlertRaised) -> float:
    return covered_seconds(
        (segment.reference_start_seconds, segment.reference_end_seconds)
        for segment in alert.segments
    )


def _same_owner(alert: AlertRaised) -> Objection | None:
    if alert.video_owner_id != alert.reference_owner_id:
        return None
    return "same_owner", SAME_OWNER.format(owner=alert.video_owner_id)


def _licensed(alert: AlertRaised, rules: Rules) -> Objection | None:
    if alert.video_owner_id not in rules.licensed_owner_ids:
        return None
    return "licensed", LICENSED.format(
        uploader=alert.video_owner_id, owner=alert.reference_owner_id
    )


def _dismissed(verdict: Verdict | None) -> Objection | None:
    if verdict is None or verdict.verdict != "dismissed":
        return None
    return "dismissed", DISMISSED.format(
        reviewer=verdict.reviewer, alert=verdict.alert_id, at=verdict.reviewed_at.isoformat()
    )


def _of_dismissed_uploader(verdict: Verdict | None) -> Objection | None:
    if verdict is None or verdict.owners is None:
        return None
    uploader, rights_holder = verdict.owners
    return "dismissed", DISMISSED_UPLOADER.format(
        reviewer=verdict.reviewer,
        uploader=uploader,
        owner=rights_holder,
        alert=verdict.alert_id,
        at=verdict.reviewed_at.isoformat(),
    )


def _in_dismissed_spans(
    alert: AlertRaised, left: AlertRaised | None, dismissed: Sequence[Verdict]
) -> Objection | None:
    if left is not None:
        return None
    newest = max(dismissed, key=lambda verdict: verdict.order)
    return "dismissed", DISMISSED_SPANS.format(
        reference=alert.reference_id,
        reviewer=newest.reviewer,
        alert=newest.alert_id,
        at=newest.reviewed_at.isoformat(),
    )


def _excluded(whole: AlertRaised, left: AlertRaised | None) -> Objection | None:
    if left is not None:
        return None
    return "excluded", EXCLUDED.format(reference=whole.reference_id)


def _below_minima(
    alert: AlertRaised, rules: Rules, durations: tuple[float | None, float | None]
) -> Objection | None:
    if alert.score < rules.least_score:
        return "low_score", LOW_SCORE.format(
            score=f"{alert.score:.4g}", least=f"{rules.least_score:.4g}"
        )
    video_seconds = covered_seconds(
        (segment.video_start_seconds, segment.video_end_seconds) for segment in alert.segments
    )
    reference_seconds = _reference_seconds(alert)
    if video_seconds < rules.least_seconds:
        return "too_short", TOO_SHORT.format(
            seconds=f"{video_seconds:.1f}", least=f"{rules.least_seconds:.1f}"
        )
    sides = (
        (alert.video_id, video_seconds, durations[0], rules.least_video_share),
        (alert.reference_id, reference_seconds, durations[1], rules.least_reference_share),
    )
    for video_id, seconds, duration, least in sides:
        if duration and seconds < least * duration:
            return "too_small_share", TOO_SMALL_SHARE.format(
                seconds=f"{seconds:.1f}",
                video=video_id,
                duration=f"{duration:.1f}",
                share=f"{seconds / duration:.1%}",
                least=f"{least:.1%}",
            )
    return None


def _suppressed(alert: AlertRaised, reason: SuppressionReason, detail: str) -> AlertSuppressed:
    fields = alert.model_dump() | {"raised_at": now(), "reason": reason, "detail": detail}
    return AlertSuppressed.model_validate(fields)
