"""Verdicts that people give: the messages of `samesource review`, and a line in the audit log.

A verdict takes its alerts first, so that of two people at one alert the second is told. One that
fails gives them back.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast

from stream.admin.review import LATER, review_of
from stream.console.store.desk import Person
from stream.console.store.views import AlertView, Place, ReviewView
from stream.console.web.console import Console, after_writing
from stream.console.web.problems import Problem
from stream.contract.events import (
    Alert,
    AlertRaised,
    AlertReviewed,
    AlertSuppressed,
    Scope,
    VerdictWord,
)
from stream.contract.message import Source
from stream.texts import Text

BATCH = "verdicts on several alerts"
CHANGED = Text("the alert has changed since it was read: read it again")
NOTED = {
    "scope", "reference_start_seconds", "reference_end_seconds", "video_id", "reference_id",
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What somebody says of alerts.

    Attributes:
        verdict: `confirmed`, `dismissed` or `withdrawn`.
        scope: how far a dismissal goes.
        span: seconds of the reference, for that scope; without it, the alert's if it has one span.
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
        undo: names what was given, for `given_as`.
    """

    alert_ids: tuple[str, ...]
    taken: tuple[str, ...]
    undo: str | None


async def give(
    console: Console,
    person: Person,
    alerts: Sequence[AlertView],
    said: Said,
    *,
    as_read: bool = False,
) -> Given:
    """Give a verdict on alerts, and wait until it came back through the topic.

    Args:
        console: the console.
        person: who gives it.
        alerts: as they were read.
        said: the verdict.
        as_read: only where all of them are still as they were read, but for who works on them.

    Raises:
        Problem: 412 where one isn't.
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
    try:
        # Nobody else gives one from here on, so that it holds until this one is on Kafka.
        if as_read and not all([await _is_as_read(console, alert) for alert in mine]):
            raise Problem(412, CHANGED)
        events = [event_of(alert, said, person.name) for alert in mine]
        places = await console.kafka.say(events)
    except BaseException:
        # Nothing was said, so nobody is to wait for it; what the person had taken stays theirs.
        new = [alert.alert_id for alert in mine if not _had(alert, person, now)]
        await console.desk.release(person.name, new)
        raise
    # Before the wait: whoever cuts that short leaves no verdict without its line.
    for event in events:
        await console.note(person.name, said.verdict, event.alert_id, said.note, _noted(event))
    given = tuple(alert.alert_id for alert in mine)
    undo = _written(places[0])
    if len(given) > 1:
        undo, written = uuid.uuid4().hex, [*map(_written, places)]
        together = {"alert_ids": given, "verdict": said.verdict, "places": written}
        await console.note(person.name, BATCH, undo, said.note, together)
    await console.come_back(places)
    # Not sooner: the next reviewer would be given what is judged already.
    with after_writing("giving the alerts back"):
        await console.desk.release(person.name, given)
    return Given(given, taken, undo)


async def _is_as_read(console: Console, alert: AlertView) -> bool:
    now = await console.queries.alert(alert.alert_id)
    if now is None:
        return False
    by, until = alert.claimed_by, alert.claimed_until
    return replace(now, claimed_by=by, claimed_until=until) == alert


async def given_as(console: Console, undo: str) -> tuple[ReviewView, ...]:
    """The verdicts that were given together, by what `Given.undo` named them."""
    page = await console.desk.audit(about=undo, limit=1)
    written: Sequence[str] = [undo]
    for line in page.items:
        if line.action == BATCH:
            written = line.detail.get("places", ())
    places = [place for each in written if (place := _place(each)) is not None]
    return await console.queries.reviews_at(places)


async def before(console: Console, review: ReviewView) -> Said | None:
    """What makes an alert again what it was before a verdict; None where that isn't the newest."""
    newest, *older = await console.queries.reviews_of_alert(review.alert_id)
    if newest.place != review.place:
        return None
    if not older or older[0].verdict == "withdrawn":
        return Said("withdrawn")
    scope, note = cast(Scope | None, older[0].scope), older[0].note
    start, end = older[0].reference_start_seconds, older[0].reference_end_seconds
    span = None if scope != "span" or start is None or end is None else (start, end)
    return Said(cast(VerdictWord, older[0].verdict), scope, span, note)


def _written(place: Source) -> str:
    return f"{place.partition}-{place.offset}"


def _place(written: str) -> Place | None:
    partition, _, offset = written.partition("-")
    if not (partition.isdecimal() and offset.isdecimal() and len(written) < 20):
        return None
    return Place(AlertReviewed.topic, int(partition), int(offset))


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


def _had(alert: AlertView, person: Person, now: datetime) -> bool:
    ends = alert.claimed_until
    return alert.claimed_by == person.name and ends is not None and ends > now


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


def _noted(event: AlertReviewed) -> dict[str, Any]:
    """What the audit log says of a verdict beside who, when and why."""
    return event.model_dump(mode="json", include=NOTED, exclude_none=True)
