"""A person's verdict as an event: finds the alert, and says all that its scope must name.

Serves `samesource review`, and whoever has an alert at hand.
"""

from datetime import datetime, timedelta

from stream.broker.client import Reader
from stream.broker.settings import KafkaSettings
from stream.contract.events import (
    Alert,
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    Scope,
    VerdictWord,
)
from stream.errors import BadEventError, SettingsError
from stream.texts import Text, text_of
from stream.times import now

Span = tuple[float, float]
LATER = timedelta(microseconds=1)  # the least that two instants differ by


def review_of(
    alert: Alert,
    verdict: VerdictWord,
    *,
    reviewer: str,
    note: str | None = None,
    scope: Scope | None = None,
    span: Span | None = None,
) -> AlertReviewed:
    """A verdict on an alert; a confirmation of one that is held raises it.

    Args:
        alert: raised or suppressed.
        verdict: confirmed, dismissed or withdrawn.
        reviewer: who says so.
        note: why.
        scope: how far a dismissal goes; the pair when left out.
        span: of the reference, in seconds, of the scope `span`; that of the alert when left out.

    Raises:
        SettingsError: these don't go together, or the alert has several spans and none was named.
    """
    if span is not None and scope != "span":
        raise SettingsError(
            Text("seconds were named, which only a dismissal with the scope span has")
        )
    held = isinstance(alert, AlertSuppressed) and alert.reason == "held"
    start, end = (span or _only_span(alert)) if scope == "span" else (None, None)
    owners = scope == "uploader"
    try:
        return AlertReviewed.from_json(
            {
                "alert_id": alert.alert_id,
                "verdict": verdict,
                "reviewer": reviewer,
                "reviewed_at": now(),
                "scope": scope,
                "video_id": alert.video_id,
                "reference_id": alert.reference_id,
                "reference_start_seconds": start,
                "reference_end_seconds": end,
                "video_owner_id": alert.video_owner_id if owners else None,
                "reference_owner_id": alert.reference_owner_id if owners else None,
                "alert": alert if held and verdict == "confirmed" else None,
                "note": note,
            }
        )
    except BadEventError as error:
        raise SettingsError(text_of(error)) from error


def _only_span(alert: Alert) -> Span:
    spans = sorted(
        {(one.reference_start_seconds, one.reference_end_seconds) for one in alert.segments}
    )
    if len(spans) > 1:
        shown = ", ".join(f"{start:g} to {end:g} s" for start, end in spans)
        raise SettingsError(
            Text(
                "alert {alert} is of {spans} of {reference}: say which seconds",
                alert=alert.alert_id,
                spans=shown,
                reference=alert.reference_id,
            )
        )
    return spans[0]


def find_alert(kafka: KafkaSettings, alert_id: str) -> Alert:
    """The alert where it was raised; else as it was last suppressed or held.

    Raises:
        SettingsError: there is none.
        BrokerError: the broker doesn't answer, or lacks the topics.
    """
    kinds: dict[str, type[Alert]] = {kind.topic: kind for kind in (AlertRaised, AlertSuppressed)}
    found: Alert | None = None
    with Reader(kafka, *kinds) as reader:
        for topic, message in reader.until_now():
            try:
                alert = kinds[topic].from_bytes(message.value())
            except BadEventError:
                continue
            if alert.alert_id == alert_id:
                found = alert
                if isinstance(alert, AlertRaised):
                    break
    if found is None:
        raise SettingsError(
            f"no alert {alert_id}: `samesource alerts` and `samesource alerts --suppressed` list "
            "them"
        )
    return found


def withdrawal(
    kafka: KafkaSettings, alert_id: str, *, reviewer: str, note: str | None = None
) -> AlertReviewed:
    """What takes back all that was said of an alert, which may have left its topic long ago.

    Raises:
        SettingsError: nothing was said of it.
        BrokerError: the broker doesn't answer, or lacks the topic.
    """
    newest = _newest_on(kafka, alert_id)
    if newest is None or newest.verdict == "withdrawn":
        raise SettingsError(f"no verdict on alert {alert_id} holds: there is nothing to take back")
    return AlertReviewed(
        alert_id=alert_id,
        verdict="withdrawn",
        reviewer=reviewer,
        # Behind it, though its writer's clock may be ahead of ours.
        reviewed_at=_later_than(newest.reviewed_at),
        video_id=newest.video_id,
        reference_id=newest.reference_id,
        note=note,
    )


def _newest_on(kafka: KafkaSettings, alert_id: str) -> AlertReviewed | None:
    newest: AlertReviewed | None = None
    with Reader(kafka, AlertReviewed.topic) as reader:
        for _, message in reader.until_now():
            if message.value() is None:
                newest = None if message.key() == alert_id.encode() else newest
                continue
            try:
                said = AlertReviewed.from_bytes(message.value())
            except BadEventError:
                continue
            if said.alert_id == alert_id:
                later = newest is None or said.reviewed_at >= newest.reviewed_at
                newest = said if later else newest
    return newest


def _later_than(instant: datetime) -> datetime:
    return max(now(), instant + LATER)
