"""Verdicts that people give: the messages of `samesource review`, and a line in the audit log.

A verdict takes its alerts first, so that of two people at one alert the second is told.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stream.admin.review import LATER, review_of
from stream.console.store.desk import Person
from stream.console.store.views import AlertView
from stream.console.web.console import Console, after_writing
from stream.contract.events import (
    Alert,
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    Scope,
    VerdictWord,
)

BATCH = "verdicts on several alerts"


@dataclass(frozen=True)
class Said:
    """What somebody says of alerts.

    Attributes:
        verdict: `confirmed`, `dismissed` or `withdrawn`.
        scope: how far a dismissal goes.
        span: seconds of the reference, for that scope; those that the alert is about without it.
        note: why.
    """

    verdict: VerdictWord
    scope: Scope | None = None
    span: tuple[float, float] | None = None
    note: str | None = None


@dataclass(frozen=True)
class Given:
    """What became of it.

    Attributes:
        alert_ids: of the verdicts that are on Kafka.
        taken: of alerts that somebody else works on: nothing was said of them.
        undo: names what was given, to take it back.
    """

    alert_ids: tuple[str, ...]
    taken: tuple[str, ...]
    undo: str | None


async def give(console: Console, person: Person, alerts: Sequence[AlertView], said: Said) -> Given:
    """Give a verdict on alerts, and wait until it came back through the topic.

    Raises:
        SettingsError: it can't be said: a span that ends before it begins.
        BrokerError: Kafka didn't take it.
    """
    now, ids = console.clock(), [alert.alert_id for alert in alerts]
    seconds = console.settings.console.claim_seconds
    free = set(await console.desk.claim(person.name, ids, now, seconds))
    mine = [alert for alert in alerts if alert.alert_id in free]
    taken = tuple(each for each in ids if each not in free)
    if not mine:
        return Given((), taken, None)
    events = [event_of(alert, said, person.name) for alert in mine]
    places = await console.kafka.say(events)
    detail: dict[str, Any] = {"scope": said.scope} if said.scope else {}
    # Before the wait: whoever cuts that short leaves no verdict without its line.
    for alert in mine:
        await console.note(
            person.name, said.verdict, alert.alert_id, said.note, detail | _pair(alert)
        )
    given = tuple(alert.alert_id for alert in mine)
    undo = given[0]
    if len(given) > 1:
        undo = uuid.uuid4().hex
        together = {"alert_ids": given, "verdict": said.verdict}
        await console.note(person.name, BATCH, undo, said.note, together)
    await console.come_back(places)
    # Not sooner: the next reviewer would be given what is judged already.
    with after_writing("giving the alerts back"):
        await console.desk.release(person.name, given)
    return Given(given, taken, undo)


async def given_as(console: Console, undo: str) -> tuple[str, ...]:
    """The alerts that were judged together, by what `Given.undo` named them."""
    page = await console.desk.audit(about=undo, limit=1)
    for line in page.items:
        if line.action == BATCH:
            return tuple(str(each) for each in line.detail.get("alert_ids", ()))
    return (undo,)


def event_of(alert: AlertView, said: Said, reviewer: str) -> AlertReviewed:
    """The message of a verdict on one alert, as `samesource review` writes it.

    Raises:
        SettingsError: it says too little, or what can't be.
    """
    event = review_of(
        _as_event(alert),
        said.verdict,
        reviewer=reviewer,
        note=said.note,
        scope=said.scope,
        span=said.span,
    )
    if alert.reviewed_at is None:
        return event
    # Behind the one before it, though its writer's clock may be ahead of ours: the newest holds.
    return event.model_copy(
        update={"reviewed_at": max(event.reviewed_at, alert.reviewed_at + LATER)}
    )


def span_of(alert: AlertView) -> tuple[float, float]:
    """The seconds of the reference that an alert is about, from its first to its last."""
    return (
        min(each.reference_start_seconds for each in alert.segments),
        max(each.reference_end_seconds for each in alert.segments),
    )


def _as_event(alert: AlertView) -> Alert:
    """As it came over Kafka: raised, or kept back with the reason."""
    fields: dict[str, Any] = {
        name: getattr(alert, name) for name in AlertRaised.model_fields if name != "schema_version"
    }
    fields["segments"] = list(alert.segments)
    if alert.reason is None:
        return AlertRaised.model_validate(fields)
    return AlertSuppressed.model_validate(
        fields | {"reason": alert.reason, "detail": alert.detail or ""}
    )


def _pair(alert: AlertView) -> dict[str, Any]:
    return {"video_id": alert.video_id, "reference_id": alert.reference_id}
